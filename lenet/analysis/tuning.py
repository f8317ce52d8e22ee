"""The registered rule that tunes the cells of the comparison, and what is kept of their runs."""

import itertools
import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypedDict

from lenet.engine import chance
from lenet.records.ledger import Entry

ACTIVATIONS, POOLS = ("sigmoid", "relu"), ("avg", "max")
CELLS = tuple((activation, pool) for activation in ACTIVATIONS for pool in POOLS)

Cell = tuple[str, str]


class Run(TypedDict):
    """What is kept of a run. Once it has diverged, its accuracy is that of chance, 1/K."""

    stage: str
    activation: str
    pool: str
    lr: float
    batch_size: int
    seed: int
    collapsed: bool  # training ended at chance level, or diverged
    diverged: bool
    valid_accuracy: float | None  # after the last epoch; None if no images were held out
    test_accuracy: list[float]  # by epoch


class Tried(NamedTuple):
    """A learning rate of a cell after tuning."""

    rate: float
    accuracies: list[float]  # on validation images, of each run; 1/K if it diverged
    collapsed: int

    @property
    def median(self) -> float:
        """The median accuracy."""
        return statistics.median(self.accuracies)


def kept(entry: Entry, num_classes: int, stage: str = "tuning") -> Run:
    """Return what is kept of a finished run."""
    config, chance_level = entry.config, 1 / num_classes
    last = None if entry.diverged else entry.rows[-1]
    valid = last.valid_accuracy if last else chance_level if config.valid else None
    accuracies = [row.test_accuracy for row in entry.rows]
    return Run(
        stage=stage,
        activation=config.activation,
        pool=config.pool,
        lr=config.lr,
        batch_size=config.batch_size,
        seed=config.seed,
        collapsed=last is None or chance.collapsed(last.train_loss, num_classes),
        diverged=last is None,
        valid_accuracy=valid,
        test_accuracy=accuracies + [chance_level] * (config.epochs - len(accuracies)),
    )


def cell(run: Run) -> Cell:
    """Return which cell a run belongs to."""
    return run["activation"], run["pool"]


def record_of(runs: Iterable[Run], which: Cell) -> list[Tried]:
    """Return what tuning found for a cell, by ascending learning rate."""
    found: dict[float, list[Run]] = {}
    for run in runs:
        if cell(run) == which and run["stage"] in ("tuning", "refining"):
            found.setdefault(run["lr"], []).append(run)
    return [
        Tried(
            rate,
            [run["valid_accuracy"] or 0.0 for run in found[rate]],
            sum(run["collapsed"] for run in found[rate]),
        )
        for rate in sorted(found)
    ]


def window(tried: Sequence[Tried], size: int = 3) -> list[float]:
    """Return the adjacent learning rates whose median accuracies sum to most; if equal, the lowest.

    >>> window([Tried(rate, [accuracy], 0) for rate, accuracy in enumerate((0.1, 0.8, 0.9, 0.7))])
    [1, 2, 3]
    """
    size = min(size, len(tried))
    starts = range(len(tried) - size + 1)
    best = max(starts, key=lambda i: sum(each.median for each in tried[i : i + size]))
    return [each.rate for each in tried[best : best + size]]


def choose(tried: Sequence[Tried]) -> float:
    """Return the learning rate that the registered rule takes: one step back from the cliff.

    Only rates with the most runs, those of the refined window, can win. Of those without a
    collapse, and with at most one collapse at the next larger rate of the grid, the one with the
    highest median accuracy; but the smallest whose median is within that one's standard error,
    s/√n. If there is none, the one with the fewest collapses, and of these the smallest.
    """
    most = max(len(each.accuracies) for each in tried)
    pairs = [
        (each, after)
        for each, after in itertools.zip_longest(tried, tried[1:])
        if len(each.accuracies) == most
    ]
    safe = [
        each
        for each, after in pairs
        if not each.collapsed and (after is None or after.collapsed <= 1)
    ]
    if not safe:
        return min((each for each, _ in pairs), key=lambda each: (each.collapsed, each.rate)).rate
    best = max(safe, key=lambda each: each.median)
    error = statistics.stdev(best.accuracies) / most**0.5 if most > 1 else 0.0
    return min(each.rate for each in safe if each.median >= best.median - error)


def neighbours(grid: Sequence[float], rate: float) -> list[float]:
    """Return the learning rates next to one on a grid.

    >>> neighbours([0.1, 0.2, 0.4], 0.4), neighbours([0.1, 0.2, 0.4], 0.2)
    ([0.2], [0.1, 0.4])
    """
    at = list(grid).index(rate)
    return [*grid[max(at - 1, 0) : at], *grid[at + 1 : at + 2]]
