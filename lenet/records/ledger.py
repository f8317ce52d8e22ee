"""The ledger of a sweep, runs.jsonl: a line for each finished run, on the disk once it is there."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lenet import config as config_module
from lenet.config import Config
from lenet.engine.rows import Row
from lenet.errors import RecordError, UsageError
from lenet.records import predicted, reading


class Entry(NamedTuple):
    """A finished run."""

    run: int  # its place in the sweep, from 0
    config: Config
    rows: list[Row]  # an epoch each
    diverged: str | None  # where and why it stopped

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values for JSON."""
        rows = [row.to_dict() for row in self.rows]
        return self._asdict() | {"config": config_module.to_dict(self.config), "rows": rows}

    @classmethod
    def from_dict(cls, values: Any) -> "Entry":
        """Return the entry that `to_dict` wrote, read back from JSON.

        Raises:
          ValueError: naming what is no number, setting or row of a finished run.
        """
        if not isinstance(values, dict) or values.keys() != set(cls._fields):
            raise ValueError(f"expected an object with {', '.join(cls._fields)}")
        run, diverged = values["run"], values["diverged"]
        if type(run) is not int or run < 0:
            raise ValueError(f"run: expected a whole number from 0, found {run!r:.40}")
        if not isinstance(values["rows"], list):
            raise ValueError(f"rows: expected a list, found {values['rows']!r:.40}")
        try:
            config = config_module.from_dict(values["config"])
        except UsageError as error:
            raise ValueError(f"config: {error}") from None
        rows = [reading.row_of(epoch, row) for epoch, row in enumerate(values["rows"], start=1)]
        if not isinstance(diverged, str) and (diverged is not None or not rows):
            raise ValueError("neither epochs nor a reason why the run diverged")
        return cls(run, config, rows, diverged)


def append(path: Path, entries: Sequence[Entry]) -> None:
    """Add entries, each after what it predicted, and return when the disk has them.

    Raises:
      DiskError: when the disk does not take them.
    """
    finished = predicted.lines((entry.run, entry.rows[-1]) for entry in entries if entry.rows)
    if finished:
        reading.append(predicted.beside(path), finished)
    reading.append(path, [entry.to_dict() for entry in entries])


def read(path: Path) -> list[Entry]:
    """Return the finished runs, in the order of the sweep; none if there is no file.

    A last line without its end is left out: it is being written, or was torn when its process
    died; before anything is added, `repair` has to cut it off.

    Raises:
      RecordError: naming the line that is no entry, or is a duplicate.
    """
    entries: dict[int, Entry] = {}
    lines = reading.read_lines(path) if path.exists() else iter(())
    for number, (_, values) in enumerate(lines, start=1):
        try:
            entry = Entry.from_dict(values)
        except ValueError as error:
            raise RecordError(f"{path}: line {number}: not a finished run: {error}") from None
        if entry.run in entries:
            raise RecordError(f"{path}: line {number}: run {entry.run} is a duplicate")
        entries[entry.run] = entry
    return [entries[run] for run in sorted(entries)]


def repair(path: Path) -> list[Entry]:
    """Cut off a last line without its end, so that the next does not follow on it.

    What a run predicted that is not in the ledger goes, too, for it is trained again.

    Returns:
      The finished runs, as `read`.

    Raises:
      RecordError: as `read`, or naming the line of the predictions that is damaged.
    """
    entries = read(path)
    if path.exists():
        reading.repair(path, [line for line, _ in reading.read_lines(path)])
    runs, predictions = {entry.run for entry in entries}, predicted.beside(path)
    if predictions.exists():
        lines = reading.read_lines(predictions)
        reading.repair(predictions, [line for line, values in lines if values.get("run") in runs])
    return entries
