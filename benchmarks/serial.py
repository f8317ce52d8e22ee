"""Runs one after the other in this process, without a cluster."""

import dataclasses
from typing import Any

from benchmarks.contenders import Pass
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
        few = dataclasses.replace(data, test=type(data.test)(*(x[:250] for x in data.test)))
        self.program = train.start(first, few)

    def epoch(self) -> Pass:
        """Train every run on every example once, its initial weights included."""
        found = [
            epoch.rows[0]
            for config in self.configs
            for epoch in engine.fit_chunk(self.program, {0: config})
        ]
        rows = [row for row in found if isinstance(row, Row)]
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
