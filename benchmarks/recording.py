"""What the records of a run cost: two runs take turns, one with a directory and one without.

Between two rows pass the seconds of training, which a row has, and others: of evaluation and, with
a directory, of the layers' statistics, the snapshot, the checkpoint and the files. What the one run
has more of these is what an epoch's records take. The first epoch compiles, and does not count.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks import networks
from benchmarks.rounds import Tell
from lenet import data as datasets
from lenet import runs, train
from lenet.engine import cores
from lenet.engine.rows import Row
from lenet.figures import run as figures
from lenet.report import of_directory, page

KINDS = ("train", "evaluate", "record", "curves", "page")
"""Seconds of an epoch; of the picture and of the page, once a run."""


def measure(network: str, *, repeats: int, dataset: str, tell: Tell) -> dict[str, Any]:
    """Return the seconds of each of KINDS: medians over the epochs of each pair of runs."""
    config = networks.config(network, dataset=dataset, parts=cores.parts())
    data = datasets.load(dataset)
    program = train.start(config, data)
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for number in range(repeats):
        with tempfile.TemporaryDirectory() as place:
            run = runs.begin(Path(place) / "run", config, data)
            two: dict[str, Callable[[], Iterable[Row]]] = {
                "without": lambda: (row for row, _ in train.fit(program)),
                "with": run.epochs,
            }
            taken: dict[str, tuple[float, float]] = {}
            for name in sorted(two, reverse=number % 2 == 1):  # each comes first as often
                tell(f"run {number + 1} {name} a directory")
                taken[name] = _medians(two[name]())
            training, evaluating = taken["without"]
            both = taken["with"][1]
            began = time.monotonic()
            figures.curves(run.rows(), config)
            drawn = time.monotonic()
            page.render(of_directory.report(run.directory, data))
            made = time.monotonic()
        each = (training, evaluating, both - evaluating, drawn - began, made - drawn)
        for kind, seconds in zip(KINDS, each, strict=True):
            found[kind].append(seconds)
    return {"network": network, "examples": len(data.train.labels), "epochs": config.epochs} | found


def share(record: dict[str, Any]) -> list[float]:
    """Return what the records of an epoch take, as a share of its training and evaluation."""
    each = zip(record["record"], record["train"], record["evaluate"], strict=True)
    return [kept / (training + evaluating) for kept, training, evaluating in each]


def _medians(rows: Iterable[Row]) -> tuple[float, float]:
    """Return the seconds of training, and those between two rows that are not of training."""
    training, others, last = [], [], 0.0
    for row in rows:
        now = time.monotonic()
        if row.epoch > 1:
            training.append(row.seconds)
            others.append(now - last - row.seconds)
        last = now
    return statistics.median(training), statistics.median(others)
