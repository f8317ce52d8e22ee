"""The ledger of a sweep, runs.jsonl: a line for each finished run, on the disk once it is there."""

import contextlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypedDict

from lenet import files
from lenet.errors import RecordError
from lenet.records import reading


class Entry(TypedDict):
    """A finished run."""

    run: int  # its place in the sweep, from 0
    config: dict  # as config.to_dict
    rows: list[dict]  # an epoch each, as metrics.jsonl
    diverged: str | None  # where and why it stopped


def append(path: Path, entries: Iterable[Entry]) -> None:
    """Add entries, and return when the disk has them.

    Raises:
      DiskError: when the disk does not take them.
    """
    lines = "".join(json.dumps(entry, allow_nan=False) + "\n" for entry in entries)
    try:
        with open(path, "ab") as file:
            file.write(lines.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise files.cannot(str(path), error) from error


def of_process(path: Path, index: int) -> Path:
    """Return the ledger of one of the processes that share a sweep; that of the first is `path`."""
    return path if index == 0 else path.with_name(f"{path.stem}-{index}{path.suffix}")


def count(path: Path) -> int:
    """Return how many lines the ledgers of all processes have; they may be growing."""
    lines = 0
    for part in (path, *_others(path)):
        with contextlib.suppress(
            FileNotFoundError
        ):  # gathered, just now: then `path` has its lines
            lines += part.read_bytes().count(b"\n")
    return lines


def gather(path: Path) -> list[Entry]:
    """Move the entries of all processes into `path` and return them; none may be writing.

    What was torn is cut off.

    Raises:
      RecordError: as `read`.
    """
    parts = _others(path)
    for part in (path, *parts):
        repair(part)
    entries = {entry["run"]: entry for part in (path, *parts) for entry in read(part)}
    ordered = [entries[run] for run in sorted(entries)]
    if parts:
        files.write_rows(path, [dict(entry) for entry in ordered])
        for part in parts:  # now: if the process dies before, they are read again
            part.unlink()
    return ordered


def _others(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.stem}-*{path.suffix}"))


def read(path: Path) -> list[Entry]:
    """Return the finished runs, in the order of the sweep; none if there is no file.

    A last line without its end is left out: it is being written, or was torn when its process
    died; before anything is added, `repair` has to cut it off.

    Raises:
      RecordError: naming the line that is no entry, or is there twice.
    """
    entries: dict[int, Entry] = {}
    for number, row in enumerate(reading.read_rows(path) if path.exists() else [], start=1):
        if not _is_entry(row):
            raise RecordError(f"{path}: line {number}: not a finished run")
        if row["run"] in entries:
            raise RecordError(f"{path}: line {number}: run {row['run']} is there twice")
        entries[row["run"]] = Entry(**row)  # type: ignore[typeddict-item]
    return [entries[run] for run in sorted(entries)]


def repair(path: Path) -> None:
    """Cut off a last line without its end, so that the next does not follow on it.

    Raises:
      RecordError: if that cannot be done.
    """
    try:
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(path, whole)
    except FileNotFoundError:
        return
    except OSError as error:
        raise RecordError(f"{path}: cannot be repaired: {error.strerror}") from None


def _is_entry(row: Any) -> bool:
    if not isinstance(row, dict) or set(row) != set(Entry.__annotations__):
        return False
    rows, diverged = row["rows"], row["diverged"]
    whole = isinstance(rows, list) and all(
        reading.is_row(each, epoch) for epoch, each in enumerate(rows, start=1)
    )
    ended = isinstance(diverged, str) or (diverged is None and bool(rows))
    right = type(row["run"]) is int and row["run"] >= 0 and isinstance(row["config"], dict)
    return whole and ended and right
