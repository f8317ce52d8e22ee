"""This project: `train.epoch`, `train.step` and `train.evaluate` as a user runs them."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from benchmarks import contenders, kernels
from benchmarks.contenders import Pass
from lenet import train
from lenet.config import Config
from lenet.data import Data
from lenet.metrics import Metrics
from lenet.model import LeNet
from lenet.train import State

assert train.EVALUATION_BATCH == contenders.TEST_BATCH


class Program:
    """The project on its data, compiled when first called."""

    def __init__(self, config: Config, data: Data, precision: str | None = None) -> None:
        """Put data and state on the device; `precision` is the setting of that name."""
        if precision:
            config = dataclasses.replace(config, precision=precision)
        self.config, self.over = config, train.mesh()
        self.model = train.check(config, data)
        self.train, self.test, self.state = jax.device_put(
            (data.train, data.test, train.init(self.model, config, data.image_shape)),
            train.everywhere(self.over),
        )
        rows = slice(config.batch_size)
        # `train.step` converts by itself; of floats there is nothing left to convert but the scale.
        images = jnp.asarray(self.train.images[rows], jnp.float32)
        self.batch = (images, self.train.labels[rows], jnp.ones(config.batch_size, bool))

    def epoch(self) -> Pass:
        """Train on every example once."""
        self.state, sums = train.epoch(self.model, self.config, self.state, self.train, self.over)
        return summary(sums)

    def step(self, steps: int) -> None:
        """Take steps on one batch, as one compiled program."""
        end = _steps(self.model, self.config, steps, self.over, self.state, *self.batch)
        jax.block_until_ready(end)

    def inference(self) -> Pass:
        """Evaluate the test images."""
        return summary(train.evaluate(self.model, self.state.params, self.test, self.over))

    def kernels(self, steps: int) -> int | None:
        """Count the kernels of a compiled loop of steps."""
        return kernels.of_jax(lambda: self.step(steps))

    def environment(self) -> dict[str, Any]:
        """Nothing that `records.environment` does not know."""
        return {}

    def device_memory(self) -> int | None:
        """Return the most bytes held on a GPU."""
        return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")


def summary(sums: Metrics) -> Pass:
    """Fetch sums, of a pass or of its steps, and divide once."""
    sums = jax.device_get(sums)
    loss, correct, count = (
        float(np.sum(x, dtype=np.float64)) for x in (sums.loss_sum, sums.correct, sums.count)
    )
    return Pass(loss / count, correct / count, int(count))


@partial(jax.jit, static_argnames=("model", "steps", "over"))
def _steps(
    model: LeNet,
    config: Config,
    steps: int,
    over: Mesh | None,
    state: State,
    images: Array,
    labels: Array,
    mask: Array,
) -> State:
    def loop(
        config: Config, state: State, images: Array, labels: Array, mask: Array, axis: str | None
    ) -> State:
        count = jnp.int32(mask.size if axis is None else mask.size * lax.axis_size(axis))

        def body(state: State, _: None) -> tuple[State, None]:
            # The metrics are left out, and so compiled away.
            return train.step(model, config, steps, state, images, labels, mask, count, axis)[
                0
            ], None

        return lax.scan(body, state, None, length=steps)[0]

    specs = (P(), P(), P(train.AXIS), P(train.AXIS), P(train.AXIS))
    end: State = train.over_devices(loop, over, specs, P())(config, state, images, labels, mask)
    return end
