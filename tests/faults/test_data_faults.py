"""Data that are not what they should be are never trained on."""

import gzip
import shutil
import struct
import zlib

import idx_folder
import numpy as np
import pytest
from harness import Runner

from lenet.data import idx, load, synthetic
from lenet.errors import DataError

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@pytest.fixture
def folder(tiny, tmp_path):
    """The four files, to be damaged."""
    copy = tmp_path / "data"
    shutil.copytree(tiny, copy)
    return copy


def compress(folder) -> None:
    for path in list(folder.iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()


def refused(folder, tmp_path, *said: str) -> None:
    """Train on it, in a process: exit 3, one line that names the file, nothing left."""
    done = Runner(folder, "--epochs=1").run(tmp_path / "run")
    assert done.returncode == 3, (done.returncode, done.stderr)
    assert done.stderr.count("\n") == 1
    for words in said:
        assert words in done.stderr, done.stderr
    assert not (tmp_path / "run").exists()


BROKEN = {
    "cut off": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "an HTML page": lambda content: b"<!doctype html><title>404</title>",
    "garbage behind it": lambda content: content + b"garbage",
    "wrong magic": lambda content: b"\x00\x00\x08\x07" + content[4:],
    "another type": lambda content: b"\x00\x00\x0d\x03" + content[4:],
    "another count": lambda content: content[:4] + struct.pack(">I", 299) + content[8:],
    "an absurd count": lambda content: content[:4] + struct.pack(">I", 1 << 31) + content[8:],
    "another shape": lambda content: content[:8] + struct.pack(">II", 29, 28) + content[16:],
}


@pytest.mark.slow
@pytest.mark.fault("a data file damaged")
@pytest.mark.parametrize("what", BROKEN)
def test_a_damaged_file_is_named(fault, folder, tmp_path, what):
    path = folder / IMAGES
    path.write_bytes(BROKEN[what](path.read_bytes()))
    refused(folder, tmp_path, IMAGES)
    fault.count("detected")


@pytest.mark.fault("a compressed data file damaged")
def test_a_compressed_file_cut_anywhere_is_refused(fault, folder):
    compress(folder)
    path = folder / f"{IMAGES}.gz"
    content = path.read_bytes()
    for _ in fault.times(5, 60):
        path.write_bytes(content[: fault.random.randrange(len(content))])
        with pytest.raises(DataError, match=IMAGES):
            load("tiny", data_dir=folder)
        fault.count("detected")


@pytest.mark.fault("one bit of a compressed data file flipped")
def test_a_flipped_bit_is_refused_or_changes_nothing(fault, folder):
    """gzip checks what it unpacks; of its header, some bits say nothing of the content."""
    compress(folder)
    path = folder / f"{IMAGES}.gz"
    content = bytearray(path.read_bytes())
    original = load("tiny", data_dir=folder).fingerprint
    for _ in fault.times(5, 60):
        at, bit = fault.random.randrange(len(content)), 1 << fault.random.randrange(8)
        content[at] ^= bit
        path.write_bytes(content)
        try:
            assert load("tiny", data_dir=folder).fingerprint == original
            fault.count("bit-equal")
        except DataError:
            fault.count("detected")
        content[at] ^= bit


@pytest.mark.slow
@pytest.mark.fault("garbage for a compressed file")
def test_what_is_not_gzip_is_refused(fault, folder, tmp_path):
    compress(folder)
    (folder / f"{IMAGES}.gz").write_bytes(b"not gzip at all")
    refused(folder, tmp_path, IMAGES)
    fault.count("detected")


@pytest.mark.slow
@pytest.mark.fault("images and labels differ in number")
def test_labels_that_are_too_few_are_refused(fault, folder, tmp_path):
    idx.write(folder / LABELS, np.zeros(299, np.uint8))
    refused(folder, tmp_path, "299", "300")
    fault.count("detected")


@pytest.mark.slow
@pytest.mark.fault("a label that is no class")
@pytest.mark.parametrize("label", [10, 255])
def test_a_label_out_of_range_is_named(fault, tmp_path, label):
    """Of a data set whose classes are known: of one's own, the highest label says how many."""
    made = synthetic.make(300, 60)
    made.train.labels[17] = label
    folder = idx_folder.write(tmp_path / "data", made)
    runner = Runner(folder, "--epochs=1")
    runner.flags[0] = "--dataset=mnist"
    done = runner.run(tmp_path / "run")
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    fault.count("detected")


@pytest.mark.slow
@pytest.mark.fault("a set without examples")
def test_an_empty_set_is_refused(fault, folder, tmp_path):
    idx.write(folder / IMAGES, np.zeros((0, 28, 28), np.uint8))
    idx.write(folder / LABELS, np.zeros(0, np.uint8))
    refused(folder, tmp_path)
    fault.count("detected")


@pytest.mark.slow
@pytest.mark.fault("fewer examples than a batch")
def test_a_batch_larger_than_the_set_is_refused(fault, folder, tmp_path):
    done = Runner(folder, "--epochs=1", "--batch_size=301").run(tmp_path / "run")
    assert done.returncode == 2
    assert "--batch_size=301: must be at most the 300 training examples" in done.stderr
    fault.count("detected")


@pytest.mark.slow
@pytest.mark.fault("a gzip bomb")
def test_a_bomb_is_refused_at_the_declared_size(fault, folder, tmp_path):
    compress(folder)
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    content = (folder / f"{IMAGES}.gz").read_bytes()
    header = gzip.decompress(content)[:16]
    bomb = packer.compress(header) + b"".join(packer.compress(bytes(1 << 20)) for _ in range(1024))
    (folder / f"{IMAGES}.gz").write_bytes(bomb + packer.flush())
    refused(folder, tmp_path, IMAGES)
    fault.count("detected")
