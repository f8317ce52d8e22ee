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
@pytest.mark.fault("fewer examples than a batch")
def test_a_batch_larger_than_the_set_is_refused(fault, folder, tmp_path):
    done = Runner(folder, "--epochs=1", "--batch_size=301").run(tmp_path / "run")
    assert done.returncode == 2
    assert "--batch_size=301: must be at most the 300 training examples" in done.stderr
    fault.count("detected")


def rewritten(change):
    """Change the training images."""

    def damage(folder) -> None:
        (folder / IMAGES).write_bytes(change((folder / IMAGES).read_bytes()))

    return damage


def not_gzip(folder) -> None:
    compress(folder)
    (folder / f"{IMAGES}.gz").write_bytes(b"not gzip at all")


def bomb(folder) -> None:
    compress(folder)
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    header = gzip.decompress((folder / f"{IMAGES}.gz").read_bytes())[:16]
    zeros = b"".join(packer.compress(bytes(1 << 20)) for _ in range(1024))
    (folder / f"{IMAGES}.gz").write_bytes(packer.compress(header) + zeros + packer.flush())


def too_few_labels(folder) -> None:
    idx.write(folder / LABELS, np.zeros(299, np.uint8))


def no_examples(folder) -> None:
    idx.write(folder / IMAGES, np.zeros((0, 28, 28), np.uint8))
    idx.write(folder / LABELS, np.zeros(0, np.uint8))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        *(
            pytest.param(
                rewritten(change),
                (IMAGES,),
                marks=pytest.mark.fault("a data file damaged"),
                id=what,
            )
            for what, change in BROKEN.items()
        ),
        pytest.param(not_gzip, (IMAGES,), marks=pytest.mark.fault("garbage for a compressed file")),
        pytest.param(bomb, (IMAGES,), marks=pytest.mark.fault("a gzip bomb")),
        pytest.param(
            too_few_labels,
            ("299", "300"),
            marks=pytest.mark.fault("images and labels differ in number"),
        ),
        pytest.param(no_examples, (), marks=pytest.mark.fault("a set without examples")),
    ],
)
def test_a_damaged_set_is_refused_in_a_line_and_nothing_is_written(
    fault, folder, tmp_path, damage, said
):
    damage(folder)
    done = Runner(folder, "--epochs=1").run(tmp_path / "run")
    assert done.returncode == 3, (done.returncode, done.stderr)
    assert done.stderr.count("\n") == 1
    for words in said:
        assert words in done.stderr, done.stderr
    assert not (tmp_path / "run").exists()
    fault.count("detected")
