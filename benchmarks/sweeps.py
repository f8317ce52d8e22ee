"""This project's sweep on a CPU, as `experiments.sweep` trains it: a process for each core."""

import dataclasses
from typing import Any

from benchmarks.contenders import Pass
from lenet import train
from lenet.config import Config
from lenet.data import Data, Split
from lenet.engine import cores
from lenet.engine.rows import Row
from lenet.engine.workers import Workers


class Program:
    """Runs of one epoch each, next to each other; what it measures is `epoch` alone."""

    def __init__(self, config: Config, data: Data, runs: int) -> None:
        """Start the processes; each run has the next seed."""
        # A run evaluates after its epoch; what is compared are epochs.
        few = dataclasses.replace(data, test=Split(data.test.images[:250], data.test.labels[:250]))
        self.configs = [
            dataclasses.replace(config, epochs=1, seed=config.seed + i) for i in range(runs)
        ]
        self.model = train.check(config, few)
        self.workers = Workers(range(min(cores.cores(), runs)), few)

    def epoch(self) -> Pass:
        """Train every run on every example once, its initial weights included."""
        runs = [(self.model, config) for config in self.configs]
        rows = [row for _, row in self.workers.fit(runs) if isinstance(row, Row)]
        count = sum(row.count for row in rows)
        loss = sum(row.train_loss * row.count for row in rows)
        hits = sum(row.train_accuracy * row.count for row in rows)
        return Pass(loss / count, hits / count, count)

    def environment(self) -> dict[str, Any]:
        """Nothing that `records.environment` does not know."""
        return {}

    def device_memory(self) -> int | None:
        """No device but the processor."""
        return None
