"""The run directory: its files, and the lock by which one process at a time writes it.

config.json     the Config, the dataset and where it came from
metrics.jsonl   a row per epoch, in order
statistics.jsonl   what each layer did before the first epoch and after each, on some examples
result.json     the last row, seconds to compile, the environment, the place among the published
checkpoints/    the state after the last epochs
runs.jsonl      of a sweep or a comparison: a line for each finished run
trials.jsonl    of a search: a line for each setting, and for each leg of its runs
states/         of a search: the states in which runs were paused
predictions.jsonl   the predicted class of each test image, a line for each finished run
"""

import contextlib
import json
import logging
import os
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import filelock

from lenet import files, limits
from lenet.errors import InUseError, RecordError, UsageError

log = logging.getLogger("lenet")

LOCK = ".lock"
CONFIG = "config.json"
METRICS = "metrics.jsonl"
STATISTICS = "statistics.jsonl"
RESULT = "result.json"
LEDGER = "runs.jsonl"
PREDICTIONS = "predictions.jsonl"
DESCRIPTIONS = {
    "sweep.json": "sweep",
    "compare.json": "compare",
    "search.json": "search",
    CONFIG: "train",
}
"""The file that says what a directory is for, one of these, is the first; and its command."""
# What a process leaves that dies before it: its lock (with a .pid, before the first release), and
# that file, unfinished.
_UNTOLD = re.compile(
    rf"\.lock(\.pid)?|\.(config|sweep|compare|search)\.json\.[0-9a-f]{{32}}{files.UNFINISHED}"
)


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
    with files.writing(f"run_dir={run_dir}"):
        files.make(run_dir)
    with _holding(run_dir, uuid.uuid4().hex, new=new):
        _check_empty(run_dir)  # another process may have come and gone
        yield run_dir


@contextlib.contextmanager
def reclaim(run_dir: Path) -> Iterator[Path]:
    """Hold the directory of work that is to go on, until the block ends.

    What a process of this work that died left unfinished is removed.

    Raises:
      InUseError: if another process has it.
      DiskError, UsageError: if it cannot be written.
    """
    with _holding(run_dir, _name_in(run_dir), new=False):
        yield run_dir


@contextlib.contextmanager
def _holding(run_dir: Path, name: str | None, *, new: bool) -> Iterator[None]:
    """Lock and hold a directory; a new one in which nothing is left at the end is removed."""
    with contextlib.ExitStack() as stack:
        with files.writing(f"run_dir={run_dir}"):
            try:
                lock = _lock(run_dir)
            except BaseException:
                if new:
                    with contextlib.suppress(OSError):
                        run_dir.rmdir()
                raise
            stack.callback(lock.release)
            stack.enter_context(files.hold(run_dir, name))
        try:
            yield
        finally:
            if new:
                with contextlib.suppress(InUseError):
                    remove_if_empty(run_dir)


def remove_if_empty(run_dir: Path) -> None:
    """Remove a held directory in which there is nothing but its lock, unless the disk fails."""
    files.check_held(run_dir)
    with contextlib.suppress(OSError):  # a lock does no harm
        if os.listdir(run_dir) == [LOCK]:
            (run_dir / LOCK).unlink()
            run_dir.rmdir()


def fresh(what: str) -> Path:
    """Return the name of a new directory: runs/DATE-TIME-WHAT-PROCESS."""
    # The process tells apart what starts in the same second.
    return Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{what}-{os.getpid()}"


def exists(run_dir: Path, name: str) -> bool:
    """Whether a run directory has a file; raise a UsageError if that cannot be one."""
    _check_name(run_dir)
    with (
        files.writing(f"run_dir={run_dir}"),
        contextlib.suppress(FileNotFoundError, NotADirectoryError),
    ):
        os.stat(run_dir / name)
        return True
    return False


def _check_name(run_dir: Path) -> None:
    try:
        too_long = any(len(part.encode()) > 255 for part in run_dir.parts)
    except UnicodeEncodeError:
        too_long = True
    # What a terminal or a shell would take for something else is no name, either.
    if too_long or not str(run_dir).isprintable() or run_dir.name.startswith("-"):
        raise UsageError(f"run_dir={ascii(str(run_dir))[:80]}: not a name for a directory")


def check_free(run_dir: Path) -> None:
    """Raise an error, as `claim` would, unless a new run may begin in `run_dir`; write nothing."""
    _check_name(run_dir)
    with files.writing(f"run_dir={run_dir}"), contextlib.suppress(FileNotFoundError):
        if (run_dir / LOCK).exists():
            _lock(run_dir).release()
        _check_empty(run_dir)


def check_begun(run_dir: Path, described: str) -> None:
    """Raise a RecordError that says what to do unless `described` says what a directory is for."""
    if exists(run_dir, described):
        return
    for other in DESCRIPTIONS:
        if exists(run_dir, other):
            raise RecordError(_created(run_dir, other))
    what = "contains nothing to resume" if run_dir.exists() else "no such directory to resume"
    raise RecordError(f"run_dir={run_dir}: {what}. To begin there, do not resume")


def _created(run_dir: Path, described: str) -> str:
    """Return which command made a directory, and how to continue it."""
    command = f"experiments.{DESCRIPTIONS[described]}"
    other = ", or runs.resume in Python" if described == CONFIG else ""
    return (
        f"run_dir={run_dir}: created by {command}. To continue: python -m {command} "
        f"--run_dir={run_dir} --resume{other}"
    )


def _lock(run_dir: Path) -> filelock.BaseFileLock:
    lock = filelock.FileLock(run_dir / LOCK, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise InUseError(
            f"run_dir={run_dir}: in use by another process. Wait for it to finish, or choose "
            "another directory."
        ) from None
    return lock


def _name_in(run_dir: Path) -> str | None:
    """Return the name that the work in a directory has for itself, as far as it can be read."""
    for described in DESCRIPTIONS:
        with contextlib.suppress(OSError, ValueError, RecursionError, AttributeError):
            name = json.loads(files.read(run_dir / described, limits.JSON_BYTES)).get("run")
            return name if re.fullmatch("[0-9a-f]{32}", str(name)) else None
    return None


def _check_empty(run_dir: Path) -> None:
    held = sorted(name for name in os.listdir(run_dir) if not _UNTOLD.fullmatch(name))
    for described in DESCRIPTIONS:
        if described in held:
            raise UsageError(_created(run_dir, described))
    if held:
        raise UsageError(
            f"run_dir={run_dir}: not empty (contains {held[0]!r}). A new run needs an empty "
            "directory."
        )
