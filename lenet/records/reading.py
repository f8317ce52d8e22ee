"""Write and read the records of a run directory; say which line is not what it should be."""

import contextlib
import itertools
import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lenet import files, limits
from lenet.engine.rows import Row, is_finite
from lenet.errors import RecordError
from lenet.records.directory import DESCRIPTIONS, METRICS, STATISTICS
from lenet.records.seals import RUN, seal, unseal


def read_json(path: Path) -> dict[str, Any]:
    """Read what `write_json` wrote.

    Raises:
      RecordError: naming what is wrong: also a seal that does not match.
    """
    try:
        values = _parse(files.read(path, limits.JSON_BYTES))
        name = values.get(RUN) if path.name in DESCRIPTIONS else identity(path.parent)
        return unseal(values, None if name is None else str(name))
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise RecordError(f"{path}: {error}") from None


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON file of a run directory with its seal, whole or not at all.

    The file that describes the directory, the first one in it, holds the name of the run.
    """
    name = _name(path.parent)
    if path.name in DESCRIPTIONS and not path.exists():
        name = name or uuid.uuid4().hex
    if path.name in DESCRIPTIONS and name is not None:
        values = {**values, RUN: name}
    files.write_json(path, seal(values, name))


def append(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Append a sealed line of JSON for each row, and return when the disk has them."""
    name = _name(path.parent)
    files.append(path, [seal(row, name) for row in rows])


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a sealed line of JSON for each row, all of them, whole or not at all."""
    name = _name(path.parent)
    files.write_rows(path, [seal(row, name) for row in rows])


def _name(run_dir: Path) -> str | None:
    """Return the name with which records are sealed: that of a held directory is known."""
    return files.held_name(run_dir) if files.is_held(run_dir) else identity(run_dir)


def identity(run_dir: Path) -> str | None:
    """Return the name that a run, a sweep or a comparison has for itself.

    None where there is none, or one of an earlier version: its records have no seals.
    """
    for described in DESCRIPTIONS:
        if (run_dir / described).exists():
            name = read_json(run_dir / described).get(RUN)
            return None if name is None else str(name)
    return None


def read_lines(path: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Yield the lines of a JSON-lines file and their rows.

    A last line that was torn before its end is left out, and a line that was written twice is one.

    Raises:
      RecordError: naming the file and the line that is not JSON, or not as it was sealed.
    """
    try:
        *lines, tail = files.read(path, limits.LINES_BYTES).split(b"\n")
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from None
    name, seen = identity(path.parent), set()
    for number, line in enumerate(lines, start=1):
        if line in seen:
            continue
        try:
            yield line, unseal(_parse(line), name)
        except ValueError as error:
            raise RecordError(f"{path}: line {number}: {error}") from None
        if name is not None:
            seen.add(line)
    if name is not None:  # a line whose seal matches is whole, even if its end is damaged
        with contextlib.suppress(ValueError):
            line = tail[: tail.rfind(b"}") + 1]
            yield line, unseal(_parse(line), name)


def repair(path: Path, lines: Iterable[bytes]) -> None:
    """Leave these lines in a file, which then ends as `append` continues; no file needs none."""
    content = b"".join(line + b"\n" for line in lines)
    if path.exists() and files.read(path, limits.LINES_BYTES) != content:
        files.write(path, content)


def _parse(content: bytes) -> dict[str, Any]:
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(values, dict):
        raise ValueError(f"expected an object, found {type(values).__name__}")
    return values


def row_of(epoch: int, values: Any) -> Row:
    """Return the row of an epoch, read back from JSON.

    Raises:
      ValueError: if `values` are not the row of that epoch.
    """
    found = Row.from_dict(values)
    if found.epoch != epoch:
        raise ValueError(f"epoch: expected {epoch}, found {found.epoch}")
    return found


def epochs(run_dir: str | Path, count: int | None = None) -> list[Row]:
    """Return the rows of metrics.jsonl, or the first of them: as many as a checkpoint has epochs.

    Raises:
      RecordError: as `read_lines`, if there are fewer, or naming the line that is not the row of
        its epoch.
    """
    path = Path(run_dir) / METRICS
    rows = []
    for number, (_, values) in enumerate(itertools.islice(read_lines(path), count), start=1):
        try:
            rows.append(row_of(number, values))
        except ValueError as error:
            where = f"{path}: line {number}"
            raise RecordError(f"{where}: not the row of epoch {number}: {error}") from None
    if count is not None and len(rows) < count:
        raise RecordError(f"{path}: has {len(rows)} of the {count} rows of the checkpoint")
    return rows


def statistics(run_dir: str | Path) -> list[dict[str, Any]]:
    """Return the rows of statistics.jsonl; none where there is no such file.

    Raises:
      RecordError: as `read_lines`, or naming the line that has no epoch and layers.
    """
    path = Path(run_dir) / STATISTICS
    rows = [row for _, row in read_lines(path)] if path.exists() else []
    for number, row in enumerate(rows, start=1):
        if not _is_statistics(row):
            raise RecordError(f"{path}: line {number}: no epoch with its layers")
    return rows


def _is_statistics(row: Any) -> bool:
    from lenet.inspect import snapshot
    from lenet.inspect.activations import Statistics

    layers = row.get("layers") if isinstance(row, dict) else None
    return (
        isinstance(layers, dict)
        and type(row.get("epoch")) is int
        and ("snapshot" not in row or snapshot.is_one(row["snapshot"]))
        and all(
            isinstance(numbers, dict)
            and numbers.keys() == set(Statistics._fields)
            and all(x is None or is_finite(x) for x in numbers.values())
            for numbers in layers.values()
        )
    )
