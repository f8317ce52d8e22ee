"""Files that are there whole or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path


def write(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Write a file aside, flush it to the disk and rename it to `path`.

    Raises:
      OSError: when the disk does not take it; then `path` is as it was, and nothing lies beside it.
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
    """Return what processes that died in the middle of `write` left."""
    return list(directory.glob(".*-????????"))


def clean(directory: Path) -> None:
    """Remove what is `aside`; nobody else may be writing."""
    for path in aside(directory):
        path.unlink(missing_ok=True)


def _flush(directory: Path) -> None:
    """Have the disk know of a new name."""
    if os.name == "nt":  # where a directory cannot be opened
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
