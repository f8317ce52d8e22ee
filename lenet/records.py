"""The run directory: what training leaves behind, each file whole or not there.

config.json     the Config, the data set and where it came from
metrics.jsonl   a row per epoch, in order
statistics.jsonl   what each layer did before the first epoch and after each, on some examples
result.json     the last row, seconds to compile, the environment, the place among the published
curves.png      the book's figure
checkpoints/    the state after the last epochs
"""

import contextlib
import dataclasses
import errno
import importlib.metadata
import json
import logging
import math
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock

from lenet import config as config_module
from lenet import files
from lenet.config import Config
from lenet.data import Data
from lenet.errors import DiskError, InUseError, RecordError, UsageError

log = logging.getLogger("lenet")

LOCK = ".lock"
HOLDER = ".lock.pid"
METRICS = "metrics.jsonl"
STATISTICS = "statistics.jsonl"
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}


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
        raise cannot(f"--run_dir={run_dir}", error) from None
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
        raise cannot(f"--run_dir={run_dir}", error) from None
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
        raise cannot(f"--run_dir={run_dir}", error) from None
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
        raise cannot(f"--run_dir={run_dir}", error) from None


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
        raise cannot(f"--run_dir={run_dir}", error) from None


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


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
      DiskError: when the disk does not take it.
      UsageError: when it may not be written there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, [content])
    except OSError as error:
        raise cannot(str(path), error) from error


def write_json(path: Path, values: Any) -> None:
    """Write `values` as JSON, whole or not at all."""
    write(path, (json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write a row per line as JSON, all of them, whole or not at all."""
    write(path, "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows).encode())


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
    from lenet.rows import Row  # with jax, for which `--help` does not wait

    if not isinstance(row, dict):
        return False
    names = [field.name for field in dataclasses.fields(Row) if field.name != "running"]
    held_out = ("valid_loss", "valid_accuracy")
    numbers = all(
        _is_number(row.get(name)) or (name in held_out and name in row and row[name] is None)
        for name in names
    )
    points = row.get("running")
    running = isinstance(points, list) and all(
        isinstance(point, list) and len(point) == 3 and all(map(_is_number, point))
        for point in points
    )
    return numbers and running and row["epoch"] == epoch


def _is_number(value: Any) -> bool:
    try:
        return type(value) in (int, float) and math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
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
    from lenet.diagnostics import Diagnosis

    layers = row.get("layers") if isinstance(row, dict) else None
    return (
        isinstance(layers, dict)
        and type(row.get("epoch")) is int
        and all(
            isinstance(numbers, dict)
            and numbers.keys() == set(Diagnosis._fields)
            and all(x is None or _is_number(x) for x in numbers.values())
            for numbers in layers.values()
        )
    )


def describe(config: Config, data: Data, command: str) -> dict[str, Any]:
    """Return what config.json holds."""
    return {
        "command": command,
        "config": config_module.to_dict(config),
        "data": {
            "name": data.name,
            "source": data.source,
            "synthetic": data.name == "synthetic",
            "image_shape": list(data.image_shape),
            "class_names": list(data.class_names),
            "train": len(data.train.labels),
            "valid": len(data.valid.labels) if data.valid else 0,
            "test": len(data.test.labels),
            "sha256": data.fingerprint,
        },
    }


def environment() -> dict[str, Any]:
    """Return what a number depends on besides the run: versions and hardware."""
    import jax

    device = jax.devices()[0]
    packages = ("lenet", "jax", "jaxlib", "flax", "optax", "numpy")
    return {
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": cores(),
        "backend": jax.default_backend(),
        "device": device.device_kind,
        "matmul_precision": getattr(jax.config, "jax_default_matmul_precision", None) or "default",
    }


def differences(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Return what differs between two environments, such as "jaxlib 0.10.1, now 0.10.3".

    Where nothing does, the same run gives the same bits.
    """
    kept, here = (
        {**each.get("versions", {}), **{k: v for k, v in each.items() if k != "versions"}}
        for each in (before, now)
    )
    return "; ".join(
        f"{name} {kept.get(name)}, now {here.get(name)}"
        for name in sorted(kept.keys() | here.keys())
        if kept.get(name) != here.get(name)
    )


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def cannot(what: str, error: OSError) -> UsageError | DiskError:
    """Return the error of ours for an OSError at writing `what`."""
    if error.errno in _DISK:
        return DiskError(f"{what}: cannot be written: {error.strerror}; free some space")
    return UsageError(f"{what}: cannot be used: {error.strerror}; choose another")
