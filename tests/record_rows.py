"""Rows, entries of a ledger and comparisons, with what a test does not ask about filled in."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from lenet.analysis.comparison import CELLS, Cell, Comparison, Run
from lenet.config import Config
from lenet.engine.rows import Row
from lenet.records.ledger import Entry

ROW = Row(1, 1.0, 0.5, None, None, 1.0, 0.5, 3, 1.0, 3.0, [(0.5, 1.5, 0.25), (1.0, 1.0, 0.5)])


def row(epoch: int = 1, **changes: Any) -> Row:
    """Return ROW with other numbers."""
    return dataclasses.replace(ROW, epoch=epoch, **changes)


def timeless(rows: Iterable[Row]) -> list[Row]:
    """Return the rows but for what a clock says."""
    return [dataclasses.replace(each, seconds=0.0, examples_per_second=0.0) for each in rows]


def entry(run: int, rows: list[Row], diverged: str | None = None, **settings: Any) -> Entry:
    """Return an entry of the settings that differ from the book's."""
    return Entry(run, Config(**settings), rows, diverged)


def compared_run(
    cell: Cell,
    lr: float,
    seed: int,
    test: Sequence[float] = (),
    *,
    valid: Sequence[float] = (),
    loss: Sequence[float] = (),
) -> Run:
    """Return a run of a comparison, by default one that diverged at once."""
    return Run(
        activation=cell[0],
        pool=cell[1],
        lr=lr,
        seed=seed,
        valid_accuracy=list(valid),
        test_accuracy=list(test),
        test_loss=list(loss),
    )


def compared() -> Comparison:
    """Return a comparison of two rates, of which the higher one diverges under max pooling."""

    def one(cell: Cell, lr: float, seed: int) -> Run:
        lost = lr > 1 and cell[1] == "max"
        accuracies = [] if lost else [0.3, 0.5 + 0.01 * seed + 0.1 * (cell[0] == "relu")]
        return compared_run(cell, lr, seed, accuracies, valid=accuracies, loss=accuracies)

    return Comparison(
        epochs=2,
        rates=[0.1, 3.0],
        tuning=[one(cell, lr, seed) for cell in CELLS for lr in (0.1, 3.0) for seed in (8, 9)],
        final=[one(cell, 0.1, seed) for cell in CELLS for seed in (0, 1, 2)],
        texts=[one(CELLS[0], 0.9, seed) for seed in (0, 1, 2)],
    )
