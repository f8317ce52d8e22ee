"""Hold a run directory: one process at a time writes it."""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import filelock

from lenet import files
from lenet.errors import InUseError, UsageError

log = logging.getLogger("lenet")

LOCK = ".lock"
HOLDER = ".lock.pid"
METRICS = "metrics.jsonl"
STATISTICS = "statistics.jsonl"


@contextlib.contextmanager
def claim(run_dir: Path) -> Iterator[Path]:
    """Make `run_dir` this process's own for one new run, and hold it until the block ends.

    The lock file stays, for to remove it would let two processes lock two files of that name; if
    the block leaves nothing else in a directory that was made for it, both go.

    Raises:
      UsageError: if it holds anything, or cannot be made or written.
      InUseError: if another process has it.
    """
    check_free(run_dir)
    new = not run_dir.exists()
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        lock = _lock(run_dir)
    except OSError as error:
        raise files.cannot(f"--run_dir={run_dir}", error) from None
    try:
        _check_empty(run_dir)  # another process may have come and gone
        _take(run_dir)
        yield run_dir
    finally:
        (run_dir / HOLDER).unlink(missing_ok=True)
        if new and os.listdir(run_dir) == [LOCK]:
            (run_dir / LOCK).unlink()
            run_dir.rmdir()
        lock.release()


@contextlib.contextmanager
def reclaim(run_dir: Path) -> Iterator[Path]:
    """Hold the directory of work that is to go on, until the block ends.

    Raises:
      InUseError: if another process has it.
      UsageError: if it cannot be written.
    """
    try:
        lock = _lock(run_dir)
    except OSError as error:
        raise files.cannot(f"--run_dir={run_dir}", error) from None
    try:
        _take(run_dir)
        yield run_dir
    finally:
        (run_dir / HOLDER).unlink(missing_ok=True)
        lock.release()


def exists(run_dir: Path, name: str) -> bool:
    """Whether a run directory has a file; raise a UsageError if that cannot be one."""
    _check_name(run_dir)
    try:
        os.stat(run_dir / name)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise files.cannot(f"--run_dir={run_dir}", error) from None
    return True


def _check_name(run_dir: Path) -> None:
    try:
        too_long = any(len(part.encode()) > 255 for part in run_dir.parts)
    except UnicodeEncodeError:
        too_long = True
    # What a terminal or a shell would take for something else is no name, either.
    if too_long or not str(run_dir).isprintable() or run_dir.name.startswith("-"):
        raise UsageError(f"--run_dir={ascii(str(run_dir))[:80]}: not a name for a directory")


def check_free(run_dir: Path) -> None:
    """Raise an error, as `claim` would, unless a new run may begin in `run_dir`; write nothing."""
    _check_name(run_dir)
    try:
        if (run_dir / LOCK).exists():
            _lock(run_dir).release()
        _check_empty(run_dir)
    except FileNotFoundError:
        return
    except OSError as error:
        raise files.cannot(f"--run_dir={run_dir}", error) from None


def _lock(run_dir: Path) -> filelock.BaseFileLock:
    lock = filelock.FileLock(run_dir / LOCK, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise InUseError(
            f"--run_dir={run_dir}: another process is writing it; choose another"
        ) from None
    return lock


def _take(run_dir: Path) -> None:
    """Write down who holds the lock, say if the one before never gave it back, and clean up.

    Raises:
      DiskError, UsageError: if that cannot be done.
    """
    path = run_dir / HOLDER
    try:
        with contextlib.suppress(FileNotFoundError):
            before = path.read_text(encoding="utf-8", errors="replace")[:20].strip()
            log.info("process %s, which was writing here, is gone: its lock is taken over", before)
        path.write_text(f"{os.getpid()}\n", encoding="utf-8")
        for directory in (run_dir, run_dir / "checkpoints"):
            files.clean(directory)
    except OSError as error:
        raise files.cannot(f"--run_dir={run_dir}", error) from None


def _check_empty(run_dir: Path) -> None:
    aside = set(files.aside(run_dir))  # of a process that died as it began
    held = sorted(
        p.name for p in run_dir.iterdir() if p.name not in (LOCK, HOLDER) and p not in aside
    )
    for what in ("sweep", "compare"):
        if f"{what}.json" in held:
            raise UsageError(
                f"--run_dir={run_dir}: is of experiments.{what}, which goes on with it by --resume"
            )
    if "config.json" in held:
        raise UsageError(
            f"--run_dir={run_dir}: holds another run: --resume goes on with it, or choose another"
        )
    if held:
        raise UsageError(f"--run_dir={run_dir}: holds {held[0]!r}; a new run wants it empty")
