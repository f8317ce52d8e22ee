"""Write files atomically: a reader finds the whole file or none."""

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import platformdirs

from lenet.errors import DiskError, UsageError

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}


def cache_directory() -> Path | None:
    """Return this user's cache directory, which may not exist yet, or None without a home."""
    # Without a home directory some versions raise and others return "~/.cache", a relative path.
    try:
        path = platformdirs.user_cache_path("lenet", appauthor=False)
    except RuntimeError:
        return None
    return path if path.is_absolute() else None


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; make its directory if need be.

    Raises:
      DiskError: if the disk does not take it.
      UsageError: if it may not be written there.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace(path, [content])


def write_json(path: Path, values: Any) -> None:
    """Write `values` as JSON, whole or not at all."""
    write(path, (json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a line of JSON for each row, all of them, whole or not at all."""
    write(path, "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows).encode())


def append(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Append a line of JSON for each row, and return when the disk has them.

    Raises:
      DiskError, UsageError: as `write`.
    """
    lines = "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows).encode()
    with writing(path), open(path, "ab") as file:
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())


def replace(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Write a file aside, flush it to the disk and rename it to `path`.

    Raises:
      OSError: if the disk does not take it; then `path` is unchanged, and nothing lies beside it.
    """
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with open(handle, "wb") as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(aside, 0o644)  # mkstemp's 0600 would hide it from a group's other members
        os.replace(aside, path)
        _flush(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(aside)
        raise


def aside(directory: Path) -> list[Path]:
    """Return what processes that died in the middle of `replace` left behind."""
    return list(directory.glob(".*-????????"))


def clean(directory: Path) -> None:
    """Remove the files that `aside` finds; no other process may be writing."""
    for path in aside(directory):
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def writing(what: str | Path) -> Iterator[None]:
    """Raise the project's error for an OSError at writing `what`.

    Raises:
      DiskError: if the disk does not take it.
      UsageError: if it may not be written there.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _DISK:
            reason = f"cannot be written: {error.strerror}; free some space"
            raise DiskError(f"{what}: {reason}") from error
        raise UsageError(f"{what}: cannot be used: {error.strerror}; choose another") from error


def _flush(directory: Path) -> None:
    """Flush a directory, so that a new name in it survives a crash."""
    if os.name == "nt":  # where a directory cannot be opened
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
