"""Runs that differ in numbers alone, as many at a time as train together on this machine."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import linen as nn
from rich.console import Console
from rich.progress import track

from lenet import train
from lenet.config import Config
from lenet.data import Data
from lenet.data.splits import Split
from lenet.engine import lanes
from lenet.engine import sweep as engine
from lenet.engine.metrics import Metrics
from lenet.engine.sgd import State


class Chunk(NamedTuple):
    """Runs that train together, lane by lane; the last is repeated where lanes are left."""

    model: nn.Module
    program: engine.Program
    runs: range  # of the configs that were given
    stacked: Config  # [R]

    def init(self) -> State:
        """Return the states before the first step."""
        state: State = self.program.init(self.stacked)
        return state

    def epoch(self, state: State) -> tuple[State, Metrics]:
        """Train each run for an epoch; return the states and the metrics of the steps [R, S]."""
        found: tuple[State, Metrics] = self.program.epoch(
            self.stacked, state, self.program.data.train
        )
        return found

    def train(self, epochs: int) -> State:
        """Return the states after so many epochs."""
        state = self.init()
        for _ in range(epochs):
            state, _ = self.epoch(state)
        return state

    def evaluate(self, state: State, split: Split | None = None) -> tuple[Any, Any]:
        """Return how many images each run has right, [R], and its classes [R, N], on the host.

        By default of the test images. Without the lanes that repeat a run.
        """
        found = self.program.evaluate(state.variables, split or self.program.data.test)
        sums, classes = jax.device_get(found)
        return np.asarray(sums.correct)[: len(self.runs)], np.asarray(classes)[: len(self.runs)]

    def own(self, tree: Any) -> Any:
        """Return arrays [R, ...] on the host, without the lanes that repeat a run."""
        return jax.tree.map(lambda x: np.asarray(x)[: len(self.runs)], jax.device_get(tree))

    def place(self, tree: Any) -> Any:
        """Return arrays [len(runs), ...] on the devices, lane by lane."""
        missing = self.program.lanes.size - len(self.runs)

        def filled(x: Any) -> Any:
            return np.concatenate([x, np.repeat(x[-1:], missing, 0)]) if missing else x

        spec = jax.sharding.PartitionSpec(lanes.RUNS)
        sharding = jax.sharding.NamedSharding(self.program.lanes.mesh, spec)
        return jax.device_put(jax.tree.map(filled, tree), sharding)


def chunks(configs: Sequence[Config], data: Data) -> Iterator[Chunk]:
    """Compile the program that `configs` share, and yield them in chunks.

    Raises:
      UsageError, DataError: as `train.check`.
    """
    model = train.check(configs[0], data)
    placed = lanes.choose(model, configs[0], data, len(configs))
    if placed.axis:  # an experiment looks at whole batches
        placed = lanes.spread(len(configs))
    program = engine.compiled(model, configs[0], data, placed)
    starts = range(0, len(configs), placed.size)
    for start in track(starts, "training", console=Console(stderr=True)):
        runs = range(start, min(start + placed.size, len(configs)))
        stacked = engine.numbers([configs[run] for run in runs], placed)
        yield Chunk(model, program, runs, stacked)
