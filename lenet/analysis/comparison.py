"""Compare {sigmoid, ReLU} × {average, max pooling}: effects and interaction, paired by seed.

A comparison is plain data, as in compare.json:

    epochs   of every run
    rates    the grid of learning rates that each cell was tuned over
    tuning   a Run for each cell, learning rate and tuning seed
    final    a Run for each cell and fresh seed, at the cell's best learning rate
    texts    a Run for each fresh seed: sigmoid and average pooling at the book's 0.9

Runs of one seed share the order of examples and the initial weights in all cells.
"""

import statistics
from collections.abc import Iterable
from typing import NamedTuple, TypedDict

import numpy as np

from lenet.analysis import stats
from lenet.analysis.stats import Interval
from lenet.records.ledger import Entry

ACTIVATIONS, POOLS = ("sigmoid", "relu"), ("avg", "max")
CELLS = tuple((activation, pool) for activation in ACTIVATIONS for pool in POOLS)

TEXTS_RATE = 0.9
"""The book's, for sigmoid and average pooling."""

NEAR = 0.02
"""A rate is nearly as good as the best if its validation accuracy is no more than this below."""

Cell = tuple[str, str]


class Run(TypedDict):
    """What is kept of a run: a number an epoch; none if it diverged."""

    activation: str
    pool: str
    lr: float
    seed: int
    valid_accuracy: list[float]  # of tuning alone
    test_accuracy: list[float]
    test_loss: list[float]


class Comparison(TypedDict):
    """All runs."""

    epochs: int
    rates: list[float]
    tuning: list[Run]
    final: list[Run]
    texts: list[Run]


class Parts(NamedTuple):
    """How the difference between the book's network and ReLU with max pooling divides."""

    whole: Interval
    rate: Interval  # of tuning the rate of sigmoid and average pooling
    activation: Interval  # the main effects, which add up to the rest
    pool: Interval
    interaction: Interval  # of the two


def kept(entry: Entry) -> Run:
    """Return what is kept of a finished run."""
    rows = [] if entry.diverged else entry.rows
    return Run(
        activation=entry.config.activation,
        pool=entry.config.pool,
        lr=entry.config.lr,
        seed=entry.config.seed,
        valid_accuracy=[r.valid_accuracy for r in rows if r.valid_accuracy is not None],
        test_accuracy=[row.test_accuracy for row in rows],
        test_loss=[row.test_loss for row in rows],
    )


def cell(run: Run) -> Cell:
    """Return which cell a run belongs to."""
    return run["activation"], run["pool"]


def mean_by_rate(tuning: Iterable[Run], which: Cell) -> dict[float, float]:
    """Return mean validation accuracy after the last epoch, by rate; a run that diverged has 0."""
    found: dict[float, list[float]] = {}
    for run in tuning:
        if cell(run) == which:
            found.setdefault(run["lr"], []).append((run["valid_accuracy"] or [0.0])[-1])
    return {rate: statistics.fmean(accuracies) for rate, accuracies in sorted(found.items())}


def best_rate(tuning: Iterable[Run], which: Cell) -> float:
    """Return the rate with the highest mean validation accuracy; of equal ones the smallest."""
    means = mean_by_rate(tuning, which)
    return max(means, key=lambda rate: means[rate])


def rates_near_best(tuning: Iterable[Run], which: Cell) -> list[float]:
    """Return the rates whose mean validation accuracy is at most NEAR below the best."""
    means = mean_by_rate(tuning, which)
    return [rate for rate, mean in means.items() if mean >= max(means.values()) - NEAR]


def paired(comparison: Comparison, measure: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the final runs [2, 2, R] and the book's [R], of the seeds of which no run diverged."""
    final, texts = (
        {(cell(run), run["seed"]): values[-1] for run in runs if (values := run[measure])}  # type: ignore[literal-required]
        for runs in (comparison["final"], comparison["texts"])
    )
    seeds = sorted(seed for which, seed in texts if all((which, seed) in final for which in CELLS))
    cells = [[[final[(a, p), seed] for seed in seeds] for p in POOLS] for a in ACTIVATIONS]
    return np.array(cells), np.array([texts[CELLS[0], seed] for seed in seeds])


def parts(comparison: Comparison, measure: str) -> Parts:
    """Return what the difference between the book's network and ReLU with max pooling is made of.

    whole = rate + activation + pool, exactly: the main effects are the mean over both orders of
    changing one thing after the other.

    Raises:
      ValueError: if fewer than 2 seeds came through in every cell.
    """
    y, texts = paired(comparison, measure)
    whole, rate = stats.interval(y[1, 1] - texts), stats.interval(y[0, 0] - texts)
    return Parts(whole, rate, *stats.main_effects(y))
