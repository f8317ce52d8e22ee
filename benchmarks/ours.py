"""This project: `sweep.epoch`, `sgd.step` and `sweep.evaluate` of one run, as a user has them."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array, lax
from jax.stages import Compiled

from benchmarks import contenders, kernels
from benchmarks.contenders import Pass
from lenet import config as config_module
from lenet import train
from lenet.config import Config
from lenet.data import Data
from lenet.engine import cores, sgd, sharding, sweep
from lenet.engine import lanes as placing
from lenet.engine.lanes import Lanes
from lenet.engine.metrics import Metrics
from lenet.engine.sgd import State

assert sgd.EVALUATION_BATCH == contenders.TEST_BATCH


class Program:
    """The project on its data, compiled when built."""

    def __init__(self, config: Config, data: Data, runs: int = 1, **settings: Any) -> None:
        """Put data and states on the devices.

        Args:
          config: of the first run; each further one has the next seed.
          data: what they learn from.
          runs: as a sweep trains them, where it is more than one.
          settings: of `config`, such as precision.
        """
        config = config_module.replace(config, **{"parts": cores.parts()} | settings)
        model = train.check(config, data)
        lanes = placing.spread(1, sgd.sharers(model, config, data.image_shape))
        if runs > 1:
            lanes = placing.choose(model, config, data, runs)
        self.model, self.program = model, sweep.compiled(model, config, data, lanes)
        train_split = self.program.data.train
        seeds = range(config.seed, config.seed + runs)
        chunks = (seeds[i : i + lanes.size] for i in range(0, runs, lanes.size))
        self.numbers = [
            sweep.numbers([dataclasses.replace(config, seed=seed) for seed in chunk], lanes)
            for chunk in chunks
        ]
        self.states = [self.program.init(numbers) for numbers in self.numbers]
        self.runs = runs
        self.loops: dict[int, Compiled] = {}  # by their steps
        rows = slice(config.batch_size)
        # `sgd.step` converts by itself; of floats there is nothing left to convert but the scale.
        images = jnp.asarray(train_split.images[rows], jnp.float32)
        self.batch = (images, train_split.labels[rows], jnp.ones(config.batch_size, bool))

    def epoch(self) -> Pass:
        """Train on every example once, in every run."""
        sums = []
        for i, numbers in enumerate(self.numbers):
            state, found = self.program.epoch(numbers, self.states[i], self.program.data.train)
            self.states[i] = state
            sums.append(jax.device_get(found))
        # The last lanes may be there only to fill the chunk.
        return summary(jax.tree.map(lambda *x: np.concatenate(x)[: self.runs], *sums))

    def step(self, steps: int) -> None:
        """Take steps on one batch, as one compiled program."""
        given = self.numbers[0], self.states[0], self.batch
        if steps not in self.loops:
            lowered = _steps.lower(self.model, self.program.lanes, steps, *given)
            self.loops[steps] = lowered.compile(compiler_options=sweep._options())
        jax.block_until_ready(self.loops[steps](*given))

    def inference(self) -> Pass:
        """Evaluate the test images."""
        return summary(self.program.evaluate(self.states[0].variables, self.program.data.test)[0])

    def kernels(self, steps: int) -> int | None:
        """Count the kernels of a compiled loop of steps."""
        return kernels.of_jax(lambda: self.step(steps))

    def environment(self) -> dict[str, str]:
        """Return the compiled kernel of a direct convolution, if the network trains with one."""
        return train.kernel([self.program.config], self.program.data)

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


@partial(jax.jit, static_argnames=("model", "lanes", "steps"))
def _steps(
    model: nn.Module,
    lanes: Lanes,
    steps: int,
    configs: Config,
    states: State,
    batch: tuple[Array, Array, Array],
) -> State:
    def run(config: Config, state: State, batch: tuple[Array, ...], axis: str | None) -> State:
        count = jnp.int32(len(batch[0]))
        parts = sharding.parts(config)
        images, labels, mask = (sharding.share(x, 0, parts, axis) for x in batch)

        def body(state: State, _: None) -> tuple[State, None]:
            # The metrics are left out, and so compiled away.
            return sgd.step(model, config, steps, state, images, labels, mask, count, axis)[0], None

        return lax.scan(body, state, None, length=steps)[0]

    end: State = sweep.over_runs(run, lanes)((configs, states), batch)
    return end
