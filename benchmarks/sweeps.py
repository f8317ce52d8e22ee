"""This project's sweep on a CPU, as `experiments.sweep` trains it: a process for each core."""

import atexit
import dataclasses
import functools
from typing import Any

from benchmarks.contenders import Pass
from lenet import cluster, train
from lenet import data as datasets
from lenet.config import Config
from lenet.data import Data
from lenet.engine import cores
from lenet.engine.rows import Row


class Program:
    """Runs of one epoch each, next to each other; what it measures is `epoch` alone."""

    def __init__(self, config: Config, data: Data, runs: int) -> None:
        """Start the processes; each run has the next seed."""
        self.load = functools.partial(_few, data.name, len(data.train.labels))
        self.data = self.load()
        self.configs = [
            dataclasses.replace(config, epochs=1, seed=config.seed + i) for i in range(runs)
        ]
        train.check(config, self.data)
        here = cluster.local(cores.numbers()[:runs])
        self.client = here.__enter__()  # until the process ends
        atexit.register(here.__exit__, None, None, None)

    def epoch(self) -> Pass:
        """Train every run on every example once, its initial weights included."""
        found = cluster.fit(self.client, self.configs, self.data, self.load)
        return Pass.of(row for e in found for row in e.rows.values() if isinstance(row, Row))

    def environment(self) -> dict[str, Any]:
        """Nothing that `records.environment` does not know."""
        return {}

    def device_memory(self) -> int | None:
        """No device but the processor."""
        return None


def _few(name: str, train: int) -> Data:
    """Load what is trained on. A run evaluates after its epoch; what is compared are epochs."""
    return datasets.take(datasets.load(name), train=train, test=250)
