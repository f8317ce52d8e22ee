"""Persistent cache of compiled programs, so that a second run starts in seconds."""

import contextlib
import hashlib
import importlib.metadata
import os
import platform
import warnings
from pathlib import Path

import filelock

from lenet import files

LOCK = ".lockfile"  # JAX's own
MAX_BYTES = 512 * 2**20
"""Size limit; the least recently used programs are deleted beyond it."""


def keep() -> Path | None:
    """Have JAX keep what it compiles in a private directory of this user; call it before jax loads.

    CACHE/programs/JAXLIB-PROCESSOR, because a program is machine code for one processor, and this
    process runs what it finds there: nobody else may write it. Returns the directory, or None where
    there can be none or JAX_COMPILATION_CACHE_DIR names another.
    """
    root = files.cache_directory()
    if root is None or "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return None
    path = files.private(root / "programs" / target())
    if path is None:
        return None
    _drop_torn(path)
    os.environ |= {
        "JAX_COMPILATION_CACHE_DIR": str(path),
        "JAX_COMPILATION_CACHE_MAX_SIZE": str(MAX_BYTES),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",  # less is quicker than a file
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    # XLA warns of every program it loads on a CPU that features of its own invention are not the
    # processor's; that it is the same processor, the name above sees to. Importing JAX sets 1, also
    # for the processes that such a process starts.
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "1") != "0":
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    # A process that is killed beside this one may leave a program of which JAX warns until the next
    # start removes it.
    torn = r"Error (reading|writing) persistent compilation cache entry .*-atime"
    warnings.filterwarnings("ignore", torn, UserWarning)
    return path


def _drop_torn(path: Path) -> None:
    """Remove the programs that a process was killed while writing.

    JAX writes a program, then when it was last used. Where the latter is missing, it warns each
    time that it looks for the program or keeps another one, and keeps none.
    """
    unlocked = (OSError, filelock.Timeout, NotImplementedError)
    with contextlib.suppress(*unlocked), filelock.FileLock(path / LOCK, timeout=1):
        for program in path.glob("*-cache"):
            if not program.with_name(program.name.removesuffix("-cache") + "-atime").exists():
                program.unlink()


def target() -> str:
    """Return a name for what compiled programs are for: this jaxlib on this processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
        about = [x for x in lines if x.startswith(("model name", "flags", "Features", "CPU "))]
    except OSError:
        about = [platform.machine(), platform.processor(), platform.platform()]
    processor = hashlib.sha256("\n".join(about).encode()).hexdigest()[:12]
    return f"{importlib.metadata.version('jaxlib')}-{processor}"
