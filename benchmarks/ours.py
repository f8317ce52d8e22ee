"""This project: `sweep.epoch`, `sgd.step` and `sweep.evaluate` of one run, as a user has them."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from benchmarks import contenders, kernels
from benchmarks.contenders import Pass
from lenet import sgd, sweep
from lenet.config import Config
from lenet.data import Data
from lenet.metrics import Metrics
from lenet.model import LeNet
from lenet.sgd import State
from lenet.sweep import Lanes

assert sgd.EVALUATION_BATCH == contenders.TEST_BATCH


class Program:
    """The project on its data, compiled when first called."""

    def __init__(self, config: Config, data: Data, precision: str | None = None) -> None:
        """Put data and state on the device; `precision` is the setting of that name."""
        if precision:
            config = dataclasses.replace(config, precision=precision)
        program = sweep.compiled(config, data, sweep.spread(1))
        self.program, self.numbers = program, sweep.numbers([config], program.over)
        self.state = program.initial(self.numbers)
        rows = slice(config.batch_size)
        # `sgd.step` converts by itself; of floats there is nothing left to convert but the scale.
        images = jnp.asarray(program.train.images[rows], jnp.float32)
        self.batch = (images, program.train.labels[rows], jnp.ones(config.batch_size, bool))

    def epoch(self) -> Pass:
        """Train on every example once."""
        model, over, split = self.program.model, self.program.over, self.program.train
        self.state, sums = sweep.epoch(model, over, self.numbers, self.state, split)
        return summary(sums)

    def step(self, steps: int) -> None:
        """Take steps on one batch, as one compiled program."""
        model, over = self.program.model, self.program.over
        jax.block_until_ready(_steps(model, over, steps, self.numbers, self.state, self.batch))

    def inference(self) -> Pass:
        """Evaluate the test images."""
        model, over = self.program.model, self.program.over
        return summary(sweep.evaluate(model, over, self.state.params, self.program.test))

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


@partial(jax.jit, static_argnames=("model", "over", "steps"))
def _steps(
    model: LeNet,
    over: Lanes,
    steps: int,
    configs: Config,
    states: State,
    batch: tuple[Array, Array, Array],
) -> State:
    def run(config: Config, state: State, batch: tuple[Array, ...], axis: str | None) -> State:
        count = jnp.int32(len(batch[0]))
        images, labels, mask = (sgd.share(x, 0, axis) for x in batch)

        def body(state: State, _: None) -> tuple[State, None]:
            # The metrics are left out, and so compiled away.
            return sgd.step(model, config, steps, state, images, labels, mask, count, axis)[0], None

        return lax.scan(body, state, None, length=steps)[0]

    end: State = sweep.over_runs(run, over)((configs, states), batch)
    return end
