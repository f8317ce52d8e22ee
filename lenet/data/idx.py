"""Read and write IDX files: a header that declares the shape, then an array of bytes.

    00 00 | type (08: uint8) | rank | size of each axis, 32 bits big-endian | the data, row-major

Source: "The IDX file format" on the MNIST page, http://yann.lecun.com/exdb/mnist/. Files are not
trusted: every field is checked, and no more bytes are read than the header declares.
"""

import gzip
import hashlib
import math
import os
import stat
import struct
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from lenet import files, limits
from lenet.errors import DataError

UINT8 = 0x08
MAX_RANK = 4  # N H W C
_GZIP = b"\x1f\x8b"
_CHUNK = 2**20  # bytes read at a time, so that memory grows only with the actual content


def header(shape: tuple[int, ...]) -> bytes:
    """Return the header of an array of `shape`.

    >>> header((3,)).hex()
    '0000080100000003'
    """
    return struct.pack(f">HBB{len(shape)}I", 0, UINT8, len(shape), *shape)


def read(
    path: str | Path, *, rank: int | None = None, limit: int = limits.DATASET_BYTES
) -> np.ndarray:
    """Read an IDX file, plain or gzip by its first bytes, as a writable uint8 array.

    Never decompresses more than the declared size and one byte.

    Args:
      path: of the file.
      rank: the expected number of axes; None: 1 to 4.
      limit: the largest size in bytes that the header may declare.

    Raises:
      DataError: if the file is missing, unreadable, neither IDX nor gzip, of another type or rank,
        too large, truncated, has trailing data or fails its CRC.
    """
    shown = repr(str(path))
    try:
        # Checked before opening, because opening a pipe would wait for a writer.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise DataError(f"{shown}: expected an IDX file, found a directory or a device")
        with open(path, "rb") as file:
            zipped = file.read(2) == _GZIP
            file.seek(0)
            stream: IO[bytes] = gzip.GzipFile(fileobj=file) if zipped else file  # type: ignore[assignment]
            shape = _shape(stream, shown, rank, limit)
            size = math.prod(shape)
            if zipped:
                _check_trailer(path, shown, len(header(shape)) + size)
            body = _take(stream, size + 1)  # the extra byte reveals trailing data
            if len(body) != size:
                found = "more" if len(body) > size else f"{len(body):,}"
                raise DataError(f"{shown}: expected {size:,} bytes for {shape}, found {found}")
            return np.frombuffer(body, np.uint8).reshape(shape)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{shown}: could not read the IDX file: {reason}") from error


def write(path: str | Path, array: np.ndarray) -> None:
    """Write a uint8 array of 1 to 4 axes as a plain IDX file, atomically.

    The bytes go to a temporary file beside `path`, are flushed to the disk and then renamed.

    Raises:
      ValueError: for another array.
      OSError: if the disk is full or not writable.
    """
    if array.dtype != np.uint8 or not 1 <= array.ndim <= MAX_RANK:
        raise ValueError(f"expected uint8 of rank 1 to 4, found {array.dtype} of rank {array.ndim}")
    files.replace(Path(path), [header(array.shape), np.ascontiguousarray(array).data])


def digest(array: np.ndarray) -> str:
    """Return the sha256, in hex, of the plain IDX file that holds the uint8 `array`."""
    sha256 = hashlib.sha256(header(array.shape))
    sha256.update(np.ascontiguousarray(array).data)
    return sha256.hexdigest()


def _shape(stream: IO[bytes], shown: str, rank: int | None, limit: int) -> tuple[int, ...]:
    """Read the header and return the shape it declares, or raise DataError."""
    head = stream.read(4)
    if len(head) < 4 or head[:2] != b"\0\0":
        page = " (a web page?)" if head.lstrip().startswith(b"<") else ""
        raise DataError(f"{shown}: expected IDX (00 00 08 ..) or gzip, found {head!r}{page}")
    if head[2] != UINT8:
        raise DataError(f"{shown}: expected type 0x08 (uint8), found 0x{head[2]:02x}")
    if head[3] not in ((rank,) if rank else range(1, MAX_RANK + 1)):
        raise DataError(f"{shown}: expected rank {rank or f'1 to {MAX_RANK}'}, found {head[3]}")
    sizes = stream.read(4 * head[3])
    if len(sizes) < 4 * head[3]:
        raise DataError(f"{shown}: expected {head[3]} sizes of 4 bytes, found {len(sizes)} bytes")
    shape = struct.unpack(f">{head[3]}I", sizes)
    if math.prod(shape) > limit:
        raise DataError(
            f"{shown}: declares {math.prod(shape):,} bytes for {shape}; the limit is {limit:,}"
        )
    return shape


def _check_trailer(path: str | Path, shown: str, size: int) -> None:
    """Compare the length in a gzip file's last four bytes (RFC 1952, ISIZE) with `size`.

    Detects trailing zeros, which decompression ignores, and a decompression bomb before it runs.
    """
    with open(path, "rb") as file:
        file.seek(-4, os.SEEK_END)
        (found,) = struct.unpack("<I", file.read(4))
    if found != size:
        raise DataError(
            f"{shown}: the header declares {size:,} bytes but the gzip trailer {found:,}: "
            "the file is truncated, damaged or has trailing data"
        )


def _take(stream: IO[bytes], size: int) -> bytearray:
    """Read `size` bytes, or fewer at the end of the stream."""
    taken = bytearray()
    while len(taken) < size and (chunk := stream.read(min(_CHUNK, size - len(taken)))):
        taken += chunk
    return taken
