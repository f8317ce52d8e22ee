"""The IDX format: what is written is read back, and nothing else is ever read."""

import gzip
import hashlib
import os
import random
import struct
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lenet import limits
from lenet.data import idx
from lenet.errors import DataError

SMALL = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
PLAIN = idx.header(SMALL.shape) + SMALL.tobytes()


def file(path: Path, contents: bytes) -> Path:
    path.write_bytes(contents)
    return path


def refused(path: str | Path, *parts: str, **options: int) -> None:
    """Assert that reading raises DataError of one line that names the file and each of `parts`."""
    with pytest.raises(DataError) as caught:
        idx.read(path, **options)
    for part in (repr(str(path)), *parts):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_header_is_that_of_the_published_mnist_files() -> None:
    assert idx.header((60_000, 28, 28)).hex() == "00000803" + "0000ea60" + "0000001c" * 2
    assert idx.header((10_000,)).hex() == "00000801" + "00002710"


@settings(deadline=None)  # every write waits for the disk
@given(
    shape=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    seed=st.integers(0, 2**32 - 1),
    zipped=st.booleans(),
)
def test_roundtrip(
    tmp_path_factory: pytest.TempPathFactory, shape: list[int], seed: int, zipped: bool
) -> None:
    array = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    path = tmp_path_factory.getbasetemp() / "roundtrip"
    idx.write(path, array)
    if zipped:  # told by content: the name does not change
        path.write_bytes(gzip.compress(path.read_bytes()))
    read = idx.read(path, rank=len(shape))
    assert read.dtype == np.uint8
    assert read.shape == array.shape
    assert read.flags.writeable
    np.testing.assert_array_equal(read, array)


def test_write_keeps_strided_order_and_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    idx.write(tmp_path / "a", SMALL.transpose())
    np.testing.assert_array_equal(idx.read(tmp_path / "a"), SMALL.transpose())
    for array in (SMALL.astype(np.int32), np.uint8(3) * np.ones((), np.uint8), SMALL[None, None]):
        with pytest.raises(ValueError, match="expected uint8 of rank 1 to 4"):
            idx.write(tmp_path / "b", array)
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("contents", [PLAIN, gzip.compress(PLAIN, mtime=0)], ids=["plain", "gzip"])
def test_every_truncation_is_refused(tmp_path: Path, contents: bytes) -> None:
    for length in range(len(contents)):
        refused(file(tmp_path / "a", contents[:length]))


@pytest.mark.parametrize("contents", [PLAIN, gzip.compress(PLAIN, mtime=0)], ids=["plain", "gzip"])
@pytest.mark.parametrize("tail", [b"\0", b"x", b"\0" * 512, PLAIN, gzip.compress(b"x", mtime=0)])
def test_anything_behind_the_end_is_refused(tmp_path: Path, contents: bytes, tail: bytes) -> None:
    refused(file(tmp_path / "a", contents + tail))


def test_a_byte_more_inside_the_gzip_is_refused(tmp_path: Path) -> None:
    refused(file(tmp_path / "a", gzip.compress(PLAIN + b"\0")), "41", "40")


def test_flipped_bits_raise_nothing_but_data_error_and_never_change_zipped_data(
    tmp_path: Path,
) -> None:
    generator = random.Random(0)
    for contents in (PLAIN, gzip.compress(PLAIN, mtime=0)):
        for _ in range(500):
            damaged = bytearray(contents)
            for _ in range(generator.randint(1, 3)):
                damaged[generator.randrange(len(damaged))] ^= 1 << generator.randrange(8)
            try:
                read = idx.read(file(tmp_path / "a", bytes(damaged)))
            except DataError:
                continue
            assert damaged[:2] == b"\0\0" or np.array_equal(read, SMALL)


def test_wrong_headers_name_expected_and_found(tmp_path: Path) -> None:
    path = tmp_path / "a"
    refused(file(path, b"\0\x01" + PLAIN[2:]), "00 00 08", r"b'\x00\x01\x08\x03'")
    refused(file(path, b"\0\0\x0d" + PLAIN[3:]), "type 0x08", "0x0d")
    refused(file(path, b"\0\0\x08\x05" + PLAIN[4:]), "rank 1 to 4", "found 5")
    refused(file(path, b"\0\0\x08\x00"), "rank 1 to 4", "found 0")
    refused(file(path, PLAIN), "rank 1", "found 3", rank=1)
    refused(file(path, idx.header((3, 3, 4)) + PLAIN[16:]), "36 bytes", "found 24")
    refused(file(path, idx.header((1, 3, 4)) + PLAIN[16:]), "12 bytes", "found more")
    refused(file(path, b"<!DOCTYPE html><html>"), "web page")
    refused(file(path, b"version https://git-lfs"), "gzip", "b'vers'")
    refused(file(path, b"\x1f\x8b" + b"not gzip"))


def test_a_wrong_crc_is_refused(tmp_path: Path) -> None:
    zipped = bytearray(gzip.compress(PLAIN, mtime=0))
    zipped[-8] ^= 1
    refused(file(tmp_path / "a", bytes(zipped)), "CRC")


def test_sizes_beyond_the_limit_are_refused_before_any_memory_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "a"
    refused(file(path, idx.header((2**32 - 1, 28, 28))), f"{limits.DATASET_BYTES:,}")
    refused(file(path, idx.header((2**32 - 1,) * 4)), f"{limits.DATASET_BYTES:,}")
    refused(file(path, idx.header((0, 2**32 - 1, 2**32 - 1, 2**32 - 1))))  # too large for numpy
    refused(file(path, PLAIN), "declares 24 bytes for (2, 3, 4); the limit is 23", limit=23)
    tracemalloc.start()
    refused(file(path, idx.header((limits.DATASET_BYTES,)) + b"x"), "found 1")
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


@pytest.mark.parametrize("honest", [True, False], ids=["declared", "undeclared"])
def test_a_bomb_is_refused_at_the_declared_size(tmp_path: Path, honest: bool) -> None:
    """64 MiB of zeros behind a header for 1 MiB; `honest`: with a trailer that fits the header."""
    bomb = bytearray(gzip.compress(idx.header((2**20,)) + bytes(2**26), 1, mtime=0))
    if honest:
        bomb[-4:] = struct.pack("<I", 2**20 + 8)
    file(tmp_path / "a", bytes(bomb))
    tracemalloc.start()
    refused(tmp_path / "a", "1,048,576" if honest else "1,048,584")
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()


def test_paths_that_are_no_file(tmp_path: Path) -> None:
    refused(tmp_path, "directory")
    refused(tmp_path / "absent", "No such file")
    refused("a\0b", "null")
    refused(tmp_path / ("x" * 300), "too long")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    refused(tmp_path / "loop", "symbolic links")


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = threading.Thread(target=refused, args=(tmp_path / "pipe", "device"), daemon=True)
    reader.start()
    reader.join(timeout=10)
    assert not reader.is_alive()


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(*_: object, **__: object) -> None:  # root may read all, so a mode would not do
        raise PermissionError(13, "Permission denied")

    file(tmp_path / "a", PLAIN)
    monkeypatch.setattr("builtins.open", deny)
    refused(tmp_path / "a", "Permission denied")


def test_digest_is_that_of_the_file(tmp_path: Path) -> None:
    for array in (SMALL, SMALL[:, ::2], SMALL[:0]):
        idx.write(tmp_path / "a", array)
        assert idx.digest(array) == hashlib.sha256((tmp_path / "a").read_bytes()).hexdigest()
