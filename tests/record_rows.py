"""A row, and entries of a ledger, with what a test does not ask about filled in."""

import dataclasses
from typing import Any

from lenet.config import Config
from lenet.engine.rows import Row
from lenet.records.ledger import Entry

ROW = Row(1, 1.0, 0.5, None, None, 1.0, 0.5, 3, 1.0, 3.0, [(0.5, 1.5, 0.25), (1.0, 1.0, 0.5)])


def row(epoch: int = 1, **changes: Any) -> Row:
    """Return ROW with other numbers."""
    return dataclasses.replace(ROW, epoch=epoch, **changes)


def entry(run: int, rows: list[Row], diverged: str | None = None, **settings: Any) -> Entry:
    """Return an entry of the settings that differ from the book's."""
    return Entry(run, Config(**settings), rows, diverged)
