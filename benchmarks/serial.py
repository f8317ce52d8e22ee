"""Runs one after the other in this process, without a cluster."""

import dataclasses
from typing import Any

from benchmarks.contenders import TEST_BATCH, Pass
from lenet import data as datasets
from lenet import train
from lenet.config import Config
from lenet.data import Data
from lenet.engine import sweep as engine
from lenet.engine.rows import Row


class Program:
    """Runs of one epoch each; each has the next seed."""

    def __init__(self, config: Config, data: Data, runs: int) -> None:
        """Compile what they share. They evaluate after their epoch, as the runs of a sweep do."""
        first = dataclasses.replace(config, epochs=1)
        self.configs = [dataclasses.replace(first, seed=config.seed + i) for i in range(runs)]
        few = datasets.take(data, train=len(data.train.labels), test=TEST_BATCH)
        self.program = train.start(first, few)

    def epoch(self) -> Pass:
        """Train every run on every example once, its initial weights included."""
        each = (engine.fit_chunk(self.program, {0: config}) for config in self.configs)
        rows = [epoch.rows[0] for epochs in each for epoch in epochs]
        return Pass.of(row for row in rows if isinstance(row, Row))

    def environment(self) -> dict[str, Any]:
        """Nothing that `records.environment` does not know."""
        return {}

    def device_memory(self) -> int | None:
        """No device but the processor."""
        return None
