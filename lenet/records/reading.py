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


def is_row(row: Any, epoch: int) -> bool:
    """Whether a value out of a file is the row of an epoch: finite numbers where they belong."""
    try:
        return Row.from_dict(row).epoch == epoch
    except ValueError:
        return False


def epochs(run_dir: Path, count: int | None = None) -> list[dict[str, Any]]:
    """Return the rows of metrics.jsonl, or the first of them: as many as a checkpoint has epochs.

    Raises:
      RecordError: as `read_rows`, if there are fewer, or naming the line that is not the row of its
        epoch.
    """
    path = run_dir / METRICS
    rows = read_rows(path)[:count]
    for number, row in enumerate(rows, start=1):
        if not is_row(row, number):
            raise RecordError(f"{path}: line {number}: not the row of epoch {number}")
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
    from lenet.inspect.diagnostics import Diagnosis

    layers = row.get("layers") if isinstance(row, dict) else None
    return (
        isinstance(layers, dict)
        and type(row.get("epoch")) is int
        and all(
            isinstance(numbers, dict)
            and numbers.keys() == set(Diagnosis._fields)
            and all(x is None or is_finite(x) for x in numbers.values())
            for numbers in layers.values()
        )
    )
