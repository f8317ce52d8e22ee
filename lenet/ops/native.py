"""Convolution by a kernel of our own on a CPU, compiled where it runs.

The matrix products of `lenet.ops.blocks` copy every input into a patch matrix, and multiply with
the zeros of a Toeplitz matrix. `native.cc` does neither: it reads the images where they are. The
system's C++ compiler compiles it once for this processor, into a directory that only this user can
write; `jax.ffi` calls it. Images are blocks, as `blocks.split` lays them out.
"""

import ctypes
import functools
import hashlib
import importlib.metadata
import math
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import filelock
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from lenet import files
from lenet.errors import LenetError, UsageError
from lenet.ops.shapes import Size

SOURCE = Path(__file__).with_suffix(".cc")
COMPILERS = ("c++", "g++", "clang++")
"""Looked for in this order; the environment variable CXX names another."""
FLAGS = ("-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-fPIC", "-shared")
SECONDS = 120
"""Time limit of the compiler, which takes about five."""
HANDLERS = ("correlate", "kernel_gradient")


class MissingError(UsageError):
    """The kernel cannot be compiled or used here; the message says why, and the remedy."""


def conv2d(
    x: Float[Array, "t t Ci n m B"],
    kernel: Float[Array | np.ndarray, "kh kw Ci Co"],
    bias: Float[Array | np.ndarray, " Co"],
    block: int = 1,
) -> Float[Array, "s s Co no mo B"]:
    """Cross-correlate float32 blocks with kernels and add the bias, at stride 1, without padding.

    [t, t, Ci, n, m, B] -> [s, s, Co, ⌊(t·n − kh + 1)/s⌋, ⌊(t·m − kw + 1)/s⌋, B] with s = `block`:
    what `ops.conv2d` gives for these images, without the last rows and columns that fill no block.
    Differentiable in reverse mode.

    Raises:
      MissingError: if the kernel cannot be compiled here.
    """
    library()
    height, width = (
        x.shape[0] * side - k + 1 for side, k in zip(x.shape[3:5], kernel.shape, strict=False)
    )
    if height < block or width < block:
        raise ValueError(f"blocks of shape {x.shape}: no block of {block} after {kernel.shape}")
    return _convolved(x, jnp.asarray(kernel), jnp.asarray(bias), block)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _convolved(x: Array, kernel: Array, bias: Array, block: int) -> Array:
    height, width = (x.shape[0] * x.shape[3 + i] - kernel.shape[i] + 1 for i in range(2))
    shape = (block, block, kernel.shape[3], height // block, width // block, x.shape[5])
    return _correlated(x, kernel, bias, shape, (0, 0))


def _forward(x: Array, kernel: Array, bias: Array, block: int) -> tuple[Array, tuple[Array, Array]]:
    return _convolved(x, kernel, bias, block), (x, kernel)


def _backward(block: int, saved: tuple[Array, Array], dy: Array) -> tuple[Array, Array, Array]:
    x, kernel = saved
    # The input's gradient is a correlation, too: with the kernel turned, and windows that begin
    # outside. For the images, whose gradient nobody takes, JAX drops it.
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    corner = (kernel.shape[0] - 1, kernel.shape[1] - 1)
    dx = _correlated(dy, turned, jnp.zeros(x.shape[2], x.dtype), x.shape, corner)
    shapes = (kernel.shape, (kernel.shape[3],))
    out = [jax.ShapeDtypeStruct(shape, x.dtype) for shape in shapes]
    return dx, *_call("kernel_gradient", out, _flat(x), _flat(dy), **_grids(x.shape, dy.shape))


_convolved.defvjp(_forward, _backward)


def _correlated(
    x: Array, kernel: Array, bias: Array, shape: tuple[int, ...], corner: Size
) -> Array:
    """Return blocks of `shape`; the first window begins `corner` pixels outside the images."""
    out = jax.ShapeDtypeStruct((*shape[:3], math.prod(shape[3:])), x.dtype)
    numbers = {"top": np.int64(corner[0]), "left": np.int64(corner[1])}
    grids = _grids(x.shape, shape)
    return _call("correlate", out, _flat(x), kernel, bias, **grids, **numbers).reshape(shape)


def _flat(x: Array) -> Array:
    """Return blocks with their last axes as one, for the reason that `blocks` has."""
    return x.reshape(*x.shape[:3], -1)


def _grids(before: tuple[int, ...], after: tuple[int, ...]) -> dict[str, Any]:
    return {"from": np.array(before[3:5], np.int64), "to": np.array(after[3:5], np.int64)}


def _call(handler: str, out: Any, *arrays: Array, **attributes: Any) -> Any:
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
        raise MissingError(
            f"conv=native: computes on a CPU, not on a {jax.default_backend()}. Use conv=auto"
        )
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
            f"conv=native: {root or 'the cache'} has no directory for it that only you can write. "
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
        raise MissingError(
            f"conv=native: {error}. Set XDG_CACHE_HOME to a directory for programs"
        ) from error
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
        raise MissingError(f"conv=native: CXX={os.environ['CXX']!a:.60}: {error}") from None
    for command in [asked] if asked else [[name] for name in COMPILERS]:
        if shutil.which(command[0]):
            return command
    raise MissingError(
        f"conv=native: no C++ compiler ({' '.join(asked) or ', '.join(COMPILERS)}). Install one, "
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
        raise MissingError(f"conv=native: {command[0]}: {error}. Let CXX name another") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason"]
        first = next((line for line in said if "error" in line), said[0])
        raise MissingError(
            f"conv=native: {command[0]} failed: {first.strip():.200}. Let CXX name another compiler"
        )
    return done.stdout
