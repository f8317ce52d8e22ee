"""Rows, entries of a ledger and comparisons, with what a test does not ask about filled in."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

from lenet.analysis import comparison, design
from lenet.analysis.comparison import Comparison
from lenet.analysis.design import Design
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


PLANNED = Design(
    rates={"sigmoid": [0.1, 0.5, 1.0, 3.0], "relu": [0.1, 0.5, 1.0, 3.0]},
    seeds={"tuning": 2, "refining": 1, "final": 3, "book": 3, "bridge": 2, "neighbours": 2},
    first_seed={"tuning": 100, "refining": 200, "final": 300},
    book_rate=0.9,
    book_batch_size=256,
    batch_size=250,
    epochs=2,
    valid=10_000,
    dataset="fashion_mnist",
)
"""A small design of a comparison."""


def trained(run: int, config: Config) -> Entry:
    """Return a finished run of a comparison as a test would like it.

    The highest learning rate diverges under max pooling; ReLU and max pooling each add 0.1.
    """
    if config.lr > 1 and config.pool == "max":
        return Entry(run, config, [], "too fast")
    gain = 0.1 * (config.activation == "relu") + 0.1 * (config.pool == "max")
    end = 0.6 + gain + 0.01 * (config.seed % 7) - 0.02 * abs(config.lr - 0.5)
    rows = [
        row(
            epoch,
            test_accuracy=accuracy,
            train_loss=1 - accuracy,
            valid_accuracy=accuracy if config.valid else None,
        )
        for epoch, accuracy in enumerate([0.3] * (config.epochs - 1) + [end], 1)
    ]
    return Entry(run, config, rows, None)


def carried_out(planned: Design, train: Callable[[int, Config], Entry] = trained) -> list[Entry]:
    """Return the finished runs of all stages, each trained by `train`."""
    entries: list[Entry] = []
    while todo := design.missing(design.stages(planned, entries, 10), entries)[1]:
        entries += [train(run, config) for run, config in todo.items()]
    return entries


def compared() -> Comparison:
    """Return the comparison of PLANNED."""
    return comparison.of(carried_out(PLANNED), PLANNED, 10)
