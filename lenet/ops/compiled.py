"""Compile `native.cc` with the system's C++ compiler, once for this processor, and load it.

The library is kept in a directory that only this user can write; `jax.ffi` calls it.
"""

import ctypes
import functools
import hashlib
import importlib.metadata
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import filelock
import jax
from jax import Array

from lenet import files
from lenet.errors import LenetError, UsageError

SOURCE = Path(__file__).with_name("native.cc")
COMPILERS = ("c++", "g++", "clang++")
"""Looked for in this order; the environment variable CXX names another."""
FLAGS = ("-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-fPIC", "-shared")
SECONDS = 120
"""Time limit of the compiler, which takes about five."""
HANDLERS = ("correlate", "kernel_gradient", "correlate_last", "kernel_gradient_last")


class MissingError(UsageError):
    """The kernel cannot be compiled or used here; the message says why, and the remedy."""


def call(handler: str, out: Any, *arrays: Array, **attributes: Any) -> Any:
    """Call one of the HANDLERS; `out` are the shapes of its results."""
    function = jax.ffi.ffi_call(f"{handler}_{library()}", out, vmap_method="sequential")
    return function(*arrays, **attributes)


@functools.cache
def library() -> str:
    """Compile the kernel or find it, load it, and return its key.

    The key is a digest of the source, of how it is compiled, and of what the compiler says of
    itself and of this processor. It is part of the names that a compiled program calls, so that a
    program that JAX has kept finds the same kernel or is compiled again.

    Raises:
      MissingError: if there is no compiler, it fails, or there is no directory of this user's own.
    """
    if jax.default_backend() != "cpu":
        raise MissingError(f"computes on a CPU, not on a {jax.default_backend()}. Use conv=auto")
    command = _compiler()
    source = SOURCE.read_bytes()
    about = _run([*command, *FLAGS, "-dM", "-E", "-x", "c++", os.devnull])
    headers = importlib.metadata.version("jaxlib")
    parts = (source, " ".join((*command, *FLAGS, headers)).encode(), about)
    key = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:16]
    root = files.cache_directory()
    directory = root and files.private(root / "programs" / "native")
    if directory is None:
        raise MissingError(
            f"{root or 'the cache'} has no directory for it that only you can write. "
            "Remove its programs/native, or set XDG_CACHE_HOME to a directory of your own"
        )
    path = directory / f"{key}.so"
    try:
        with filelock.FileLock(directory / ".lock"):  # one process compiles, others wait
            if not path.exists():
                files.write(path, _compiled(command, source))
        loaded = ctypes.CDLL(str(path))
    except MissingError:
        raise
    except (OSError, NotImplementedError, LenetError) as error:  # such as a system without locks
        raise MissingError(f"{error}. Set XDG_CACHE_HOME to a directory for programs") from error
    for handler in HANDLERS:
        pointer = jax.ffi.pycapsule(getattr(loaded, handler))
        jax.ffi.register_ffi_target(f"{handler}_{key}", pointer, platform="cpu")
    return key


@functools.cache
def missing() -> str | None:
    """Return why there is no `library` here, with the remedy; None where there is one."""
    try:
        library()
    except MissingError as error:
        return str(error)
    return None


def _compiler() -> list[str]:
    """Return the command of the C++ compiler."""
    try:
        asked = shlex.split(os.environ.get("CXX", ""))
    except ValueError as error:
        raise MissingError(f"CXX={os.environ['CXX']!a:.60}: {error}") from None
    for command in [asked] if asked else [[name] for name in COMPILERS]:
        if shutil.which(command[0]):
            return command
    raise MissingError(
        f"no C++ compiler ({' '.join(asked) or ', '.join(COMPILERS)}). Install one, "
        "such as Debian's package g++, or let CXX name one"
    )


def _compiled(command: list[str], source: bytes) -> bytes:
    """Return the shared library."""
    headers = ("-isystem", jax.ffi.include_dir())
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "native.so"
        _run([*command, *FLAGS, *headers, "-x", "c++", "-", "-o", str(out)], source)
        return out.read_bytes()


def _run(command: list[str], text: bytes = b"") -> bytes:
    try:
        done = subprocess.run(command, input=text, capture_output=True, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingError(f"{command[0]}: {error}. Let CXX name another") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason"]
        first = next((line for line in said if "error" in line), said[0])
        raise MissingError(
            f"{command[0]} failed: {first.strip():.200}. Let CXX name another compiler"
        )
    return done.stdout
