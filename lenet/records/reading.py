"""Read the records of a run directory, and say which line is not what it should be."""

import json
from pathlib import Path
from typing import Any

from lenet.engine.rows import Row, is_finite
from lenet.errors import RecordError
from lenet.records.directory import METRICS, STATISTICS


def read_json(path: Path) -> dict[str, Any]:
    """Read what `write_json` wrote; raise a RecordError naming what is wrong."""
    try:
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise RecordError(f"{path}: not JSON: {error}") from None
    if not isinstance(values, dict):
        raise RecordError(f"{path}: expected an object, found {type(values).__name__}")
    return values


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read metrics.jsonl, but for a last line that was torn before its end.

    Raises:
      RecordError: naming the file and the line that is not JSON.
    """
    try:
        content = path.read_bytes()
        lines = content[: content.rfind(b"\n") + 1].decode().split("\n")[:-1]
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"{path}: cannot be read: {error}") from None
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise RecordError(f"{path}: line {number}: not JSON: {error}") from None
        rows.append(row)
    return rows


def row_of(epoch: int, values: Any) -> Row:
    """Return the row of an epoch, read back from JSON.

    Raises:
      ValueError: if `values` are not the row of that epoch.
    """
    found = Row.from_dict(values)
    if found.epoch != epoch:
        raise ValueError(f"epoch: expected {epoch}, found {found.epoch}")
    return found


def epochs(run_dir: Path, count: int | None = None) -> list[Row]:
    """Return the rows of metrics.jsonl, or the first of them: as many as a checkpoint has epochs.

    Raises:
      RecordError: as `read_rows`, if there are fewer, or naming the line that is not the row of its
        epoch.
    """
    path = run_dir / METRICS
    rows = []
    for number, values in enumerate(read_rows(path)[:count], start=1):
        try:
            rows.append(row_of(number, values))
        except ValueError as error:
            where = f"{path}: line {number}"
            raise RecordError(f"{where}: not the row of epoch {number}: {error}") from None
    if count is not None and len(rows) < count:
        raise RecordError(f"{path}: has {len(rows)} of the {count} rows of the checkpoint")
    return rows


def statistics(run_dir: Path) -> list[dict[str, Any]]:
    """Return the rows of statistics.jsonl; none where there is no such file.

    Raises:
      RecordError: as `read_rows`, or naming the line that has no epoch and layers.
    """
    path = run_dir / STATISTICS
    rows = read_rows(path) if path.exists() else []
    for number, row in enumerate(rows, start=1):
        if not _is_statistics(row):
            raise RecordError(f"{path}: line {number}: no epoch with its layers")
    return rows


def _is_statistics(row: Any) -> bool:
    from lenet.inspect.activations import Statistics

    layers = row.get("layers") if isinstance(row, dict) else None
    return (
        isinstance(layers, dict)
        and type(row.get("epoch")) is int
        and all(
            isinstance(numbers, dict)
            and numbers.keys() == set(Statistics._fields)
            and all(x is None or is_finite(x) for x in numbers.values())
            for numbers in layers.values()
        )
    )
