"""Where data comes from, in which order, and that nothing unchecked gets through."""

import contextlib
import functools
import gzip
import hashlib
import http.server
import importlib.util
import io
import json
import logging
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import numpy as np
import platformdirs
import pytest
import requests
from PIL import Image

from lenet import data, limits
from lenet.data import cache, checksums, debian, download, idx, sources
from lenet.errors import DataError, UsageError

ROOT = Path(__file__).parents[1]
SOURCES = ((sources, "system"), (sources, "tfds"), (download, "fetch"), (debian, "fetch"))


def arrays(
    train: int = 12, test: int = 4, *, seed: int = 0, shape: tuple[int, ...] = (5, 6)
) -> list[np.ndarray]:
    """Make the four arrays of a set of three classes."""
    generator = np.random.default_rng(seed)
    return [
        part
        for count in (train, test)
        for part in (
            generator.integers(0, 256, (count, *shape)).astype(np.uint8),
            (np.arange(count) % 3).astype(np.uint8),
        )
    ]


def put(directory: Path, four: list[np.ndarray], suffix: str = "") -> Path:
    """Write the four IDX files to `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    for file, array in zip(checksums.FILES, four, strict=True):
        path = directory / (file.replace("idx3", f"idx{array.ndim}") + suffix)
        idx.write(path, array)
        if suffix:
            path.write_bytes(gzip.compress(path.read_bytes(), 1))
    return directory


def prepare(
    root: Path, four: list[np.ndarray], dataset: str = "tiny", version: str = "1.0.0"
) -> Path:
    """Let tensorflow-datasets prepare a set as ArrayRecord; with PNGs it needs no TensorFlow."""
    tfds = pytest.importorskip("tensorflow_datasets")

    def png(array: np.ndarray) -> io.BytesIO:
        file = io.BytesIO()
        Image.fromarray(array.squeeze()).save(file, "png")
        file.seek(0)
        return file

    def examples(images: np.ndarray, labels: np.ndarray) -> Iterator[tuple[int, dict[str, Any]]]:
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            yield i, {"image": png(image), "label": int(label)}

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg, misc, name-defined]
        name = dataset
        VERSION = tfds.core.Version(version)
        RELEASE_NOTES: ClassVar[dict[str, str]] = {}
        pkg_dir_path = root

        def _info(self) -> Any:
            image = tfds.features.Image(shape=four[0].shape[1:])
            label = tfds.features.ClassLabel(names=["ant", "bee", "cow"])
            features = tfds.features.FeaturesDict({"image": image, "label": label})
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, _: Any) -> Any:
            splits = {"train": examples(*four[:2])}
            return splits | ({"test": examples(*four[2:])} if len(four[2]) else {})

        def _generate_examples(self) -> None:
            raise NotImplementedError

    Builder(data_dir=root, file_format="array_record").download_and_prepare()
    return root / dataset / version


def equal(split: data.Split, images: np.ndarray, labels: np.ndarray) -> None:
    np.testing.assert_array_equal(split.images.reshape(images.shape), images)
    np.testing.assert_array_equal(split.labels, labels)


def same(loaded: data.Data, four: list[np.ndarray]) -> None:
    equal(loaded.train, *four[:2])
    equal(loaded.test, *four[2:])


def rows(split: data.Split) -> list[bytes]:
    """Return the examples in an order of their own."""
    return sorted(
        image.tobytes() + bytes([label])
        for image, label in zip(split.images, split.labels, strict=True)
    )


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test off the real cache, the system's copy, the network and apt-get."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.setattr(sources, "SYSTEM", tmp_path / "system")
    monkeypatch.setattr(download, "addresses", lambda name: [])
    monkeypatch.setattr(shutil, "which", lambda program: None)
    monkeypatch.setitem(checksums.KNOWN, "tiny", checksums.Known(()))  # known sets are cached
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # tensorflow-datasets leaves folders there
    monkeypatch.setattr(tempfile, "tempdir", None)


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    """Where the set called tiny is cached."""
    return tmp_path / "xdg/lenet/tiny"


@pytest.fixture
def installed(tmp_path: Path) -> list[np.ndarray]:
    """The arrays of a set called tiny that lies where the system has its own."""
    four = arrays()
    put(tmp_path / "system/tiny", four)
    return four


def test_a_set_of_ones_own_is_read_anew_where_it_lies(tmp_path: Path) -> None:
    for seed in (1, 2):  # the second is other data under the same name
        four = arrays(seed=seed)
        put(tmp_path / "system/mine", four)
        same(data.load("mine"), four)
    assert not (tmp_path / "xdg/lenet/mine").exists()


# What comes out


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("place", ["", "tiny_set", "tiny-set"])
def test_a_folder(tmp_path: Path, suffix: str, place: str) -> None:
    four = arrays()
    put(tmp_path / "in" / place, four, suffix)
    loaded = data.load("tiny_set", data_dir=tmp_path / "in")
    same(loaded, four)
    assert loaded.train.images.shape == (12, 5, 6, 1)
    assert loaded.image_shape == (5, 6, 1)
    assert loaded.train.images.dtype == np.uint8
    assert loaded.train.labels.dtype == np.int32
    assert loaded.valid is None
    assert loaded.name == "tiny_set"
    assert loaded.num_classes == 3
    assert str(tmp_path / "in") in loaded.source
    assert "not verified" in loaded.source


FOLDERS: dict[str, Callable[[str], str]] = {
    "a dot": lambda file: file.replace("-idx", ".idx"),
    "a dot, compressed": lambda file: file.replace("-idx", ".idx") + ".gz",
    "upper case": lambda file: file.upper() + ".GZ",
    "underscores": lambda file: file.replace("-", "_"),
    "a directory for each file": lambda file: f"{file}/{file}",
    "directories with a dot": lambda file: f"{file.replace('-idx', '.idx')}/{file}.gz",
    "root of torchvision": lambda file: f"TinySet/raw/{file}",
    "dataset of torchvision": lambda file: f"raw/{file}.gz",
    "class name": lambda file: f"Tiny-Set/{file}",
}


@pytest.mark.parametrize("named", FOLDERS.values(), ids=FOLDERS)
def test_a_folder_as_people_have_it(tmp_path: Path, named: Callable[[str], str]) -> None:
    four = arrays()
    for file in put(tmp_path / "from", four).iterdir():
        path = tmp_path / "in" / named(file.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = file.read_bytes()
        path.write_bytes(gzip.compress(content) if path.suffix.lower() == ".gz" else content)
        (path.parent / f"._{path.name}").write_bytes(b"what macOS adds to archives")
    put(tmp_path / "in/MNIST/raw", arrays(seed=9))  # torchvision's root has other datasets too
    same(data.load("tiny_set", data_dir=tmp_path / "in"), four)


@pytest.mark.parametrize(
    "second",
    [
        "train-images.idx3-ubyte.gz",
        "raw/TRAIN-IMAGES-IDX3-UBYTE",
        "tiny/raw/train-images-idx3-ubyte",
    ],
)
def test_two_copies_of_a_file_have_to_be_equal(tmp_path: Path, second: str) -> None:
    four = arrays()
    first = put(tmp_path, four) / checksums.FILES[0]
    (tmp_path / second).parent.mkdir(parents=True, exist_ok=True)
    for images in (four[0], four[0] ^ 1):
        idx.write(tmp_path / second, images)
        if second.endswith(".gz"):
            (tmp_path / second).write_bytes(gzip.compress((tmp_path / second).read_bytes()))
        if images is four[0]:
            same(data.load("tiny", data_dir=tmp_path), four)
    with pytest.raises(DataError, match="differ, and both could be train-images") as caught:
        data.load("tiny", data_dir=tmp_path)
    for path in (first, tmp_path / second):
        assert repr(str(path)) in str(caught.value)
    assert "Remove" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("place", ["tiny/1.0.0", "tiny/config/1.0.0", "1.0.0", "."])
@pytest.mark.parametrize("described", [True, False])
def test_tfrecord_files_are_named_with_what_to_type(
    tmp_path: Path, place: str, described: bool
) -> None:
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    (tmp_path / place / "tiny-train.tfrecord-00000-of-00001").touch()
    if described:
        (tmp_path / place / "dataset_info.json").write_text('{"fileFormat": "tfrecord"}')
    with pytest.raises(DataError) as caught:
        data.load("tiny", data_dir=tmp_path)
    for part in (repr(str(tmp_path / place)), "TFRecord", "array_record", "data_dir=DIR"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_else_a_directory_contains_is_named(tmp_path: Path) -> None:
    for name in ("archive\n.zip", "b.csv", "c.csv", "d.csv"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"contains 'archive\\n.zip', 'b.csv', 'c.csv' and 1 more"):
        data.load("tiny", data_dir=tmp_path)
    with pytest.raises(DataError, match=r"b\.csv': a file, expected a directory"):
        data.load("tiny", data_dir=tmp_path / "b.csv")


def test_one_image_is_a_data_set(tmp_path: Path) -> None:
    loaded = data.load("tiny", data_dir=put(tmp_path, arrays(1, 1)))
    assert loaded.num_classes == 1
    assert len(loaded.train.labels) == 1


def test_colour_keeps_its_channels_through_folder_and_cache(tmp_path: Path, entry: Path) -> None:
    four = arrays(shape=(5, 6, 3))
    put(tmp_path / "system/tiny", four)
    for _ in range(2):
        loaded = data.load("tiny")
        same(loaded, four)
        assert loaded.image_shape == (5, 6, 3)
    assert str(entry) in loaded.source


def test_valid_holds_out_the_same_examples_always(tmp_path: Path) -> None:
    four = arrays(40, 4)
    whole, five, ten = (
        data.load("tiny", data_dir=put(tmp_path, four), valid=n) for n in (0, 5, 10)
    )
    assert whole.valid is None
    assert five.valid is not None
    assert ten.valid is not None
    assert rows(whole.train) == sorted(rows(ten.train) + rows(ten.valid))
    assert len(five.valid.labels) == 5
    assert set(rows(five.valid)) < set(rows(ten.valid))
    # RandomState's stream is frozen, so these are the indices on every machine.
    held = np.sort(np.random.RandomState(0).permutation(40)[:5])
    assert held.tolist() == [4, 10, 20, 22, 25]
    equal(five.valid, four[0][held], four[1][held])
    same(five, [np.delete(four[0], held, 0), np.delete(four[1], held), *four[2:]])


@pytest.mark.parametrize("valid", [-1, 12, 13, 10**9])
def test_valid_out_of_range(tmp_path: Path, valid: int) -> None:
    with pytest.raises(UsageError, match=f"valid={valid}: expected an integer from 0 to 11; 12 "):
        data.load("tiny", data_dir=put(tmp_path, arrays()), valid=valid)


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "a\\b", "a\0b", "", ".", "-x", "a\nb", "x" * 65, "é"]
)
def test_names_that_are_no_names(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        data.load(name)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_synthetic_takes_no_directory(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"data_dir=.*: dataset synthetic is generated, not read. Remove"
    ):
        data.load("synthetic", data_dir=tmp_path)


# What is refused


def changed(part: int, change: Callable[[np.ndarray], np.ndarray]) -> list[np.ndarray]:
    """Make the four arrays, one of them changed."""
    return [change(array) if i == part else array for i, array in enumerate(arrays())]


@pytest.mark.parametrize(
    ("name", "four", "message"),
    [
        (
            "kmnist",
            changed(1, lambda labels: labels[:-1]),
            r"train.labels: expected shape \[12\].*, found \[11\]",
        ),
        (
            "kmnist",
            changed(3, lambda labels: np.append(labels, labels)),
            r"shape \[4\].*, found \[8\]",
        ),
        (
            "kmnist",
            changed(2, lambda images: images[:, :4]),
            r"of \[5, 6, 1\] as in train, found \[4, 6, 1\]",
        ),
        (
            "kmnist",
            changed(1, lambda labels: np.where(np.arange(12) == 7, np.uint8(10), labels)),
            r"train.labels\[7\] is 10: expected 0 to 9",
        ),
        (
            "kmnist",
            changed(3, lambda labels: np.where(np.arange(4) == 2, np.uint8(255), labels)),
            r"test.labels\[2\] is 255: expected 0 to 9",
        ),
        ("tiny", arrays(0, 4), "at least one"),
        ("tiny", arrays(12, 0), "at least one"),
        ("tiny", arrays(shape=(0, 6)), r"expected shape .*, found \[12, 0, 6, 1\]"),
        ("fashion_mnist", arrays(), "train-images-idx3-ubyte: expected sha256"),
        ("mnist", arrays(), "train-images-idx3-ubyte: expected sha256"),
    ],
)
def test_what_is_no_set_or_not_the_published_one_is_refused_in_a_line(
    tmp_path: Path, name: str, four: list[np.ndarray], message: str
) -> None:
    """Even where the name of the directory has a line break."""
    with pytest.raises(DataError, match=message) as caught:
        data.load(name, data_dir=put(tmp_path / "a\nb", four))
    assert "\n" not in str(caught.value)


def test_data_dir_is_the_only_place_asked(tmp_path: Path, installed: list[np.ndarray]) -> None:
    put(tmp_path / "xdg/lenet/tiny", installed)
    (tmp_path / "in").mkdir()
    with pytest.raises(DataError):
        data.load("tiny", data_dir=tmp_path / "absent")
    with pytest.raises(
        DataError, match=r"train-images-idx3-ubyte, train-labels.* nor a dataset tiny prepared"
    ):
        data.load("tiny", data_dir=tmp_path / "in")


@pytest.mark.parametrize("file", checksums.FILES)
def test_a_missing_or_damaged_file_is_named(tmp_path: Path, file: str) -> None:
    path = put(tmp_path, arrays()) / file
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=file):
        data.load("tiny", data_dir=tmp_path)
    path.unlink()
    with pytest.raises(DataError, match=f"no file {file}"):
        data.load("tiny", data_dir=tmp_path)


def test_a_known_set_may_not_declare_more_than_it_has(tmp_path: Path) -> None:
    put(tmp_path, arrays())
    (tmp_path / checksums.FILES[0]).write_bytes(idx.header((60_001, 28, 28)))
    with pytest.raises(DataError, match="the limit is 47,040,000"):
        data.load("mnist", data_dir=tmp_path)


# Order of sources


def test_sources_are_asked_in_order_and_the_first_success_is_kept(
    entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def source(label: str, works: bool) -> Callable[[str], checksums.Raw]:
        def read(name: str) -> checksums.Raw:
            asked.append(label)
            if not works:
                raise DataError(f"no luck with {label}")
            return checksums.Raw(*arrays(), source=label)  # type: ignore[arg-type, misc]

        return read

    labels = [f"{module.__name__}.{function}" for module, function in SOURCES]
    for last in range(len(SOURCES)):
        for i, (module, function) in enumerate(SOURCES):
            monkeypatch.setattr(module, function, source(labels[i], i >= last))
        asked.clear()
        assert labels[last] in data.load("tiny").source
        assert asked == labels[: last + 1]
        asked.clear()
        assert str(entry) in data.load("tiny").source
        assert asked == []
        entry.rename(entry.with_name(f"gone-{last}"))


@pytest.mark.parametrize("name", ["fashion_mnsit", "Fashion-MNIST"])
def test_a_misspelt_name_gets_a_suggestion_and_no_list_of_sources(name: str) -> None:
    with pytest.raises(DataError) as caught:
        data.load(name)
    assert str(caught.value) == f"unknown dataset {name}. Did you mean fashion_mnist?"


def test_when_nothing_works_one_line_says_what_was_tried_and_what_helps(
    tmp_path: Path,
) -> None:
    for name, parts in {
        "fashion_mnist": ["apt install dataset-fashion-mnist", *checksums.FILES, "data_dir=DIR"],
        "cifar10": ["download_and_prepare()", "TensorFlow", "array_record"],
    }.items():
        with pytest.raises(DataError) as caught:
            data.load(name)
        tried = ["cache: no copy", str(tmp_path / "system"), str(tmp_path / "tfds"), "apt-get"]
        for part in (*tried, *parts):
            assert part in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_source_that_fails_verification_is_passed_over(tmp_path: Path) -> None:
    put(tmp_path / "system/mnist", arrays())
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte: expected.*; download:"):
        data.load("mnist")
    assert not (tmp_path / "xdg/lenet/mnist").exists()


def test_one_info_line_names_the_source(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lenet")
    data.load("tiny", data_dir=put(tmp_path, arrays()), valid=3)
    assert [record.getMessage() for record in caplog.records] == [
        f"tiny: 12 training and 4 test images from {tmp_path} (not verified: no checksum published)"
    ]


# The cache


def test_a_cached_set_is_the_set_and_is_verified_again(tmp_path: Path, entry: Path) -> None:
    four = arrays()
    put(tmp_path / "system/tiny", four, ".gz")
    data.load("tiny")
    manifest = json.loads((entry / "manifest.json").read_text())
    assert manifest["source"].startswith(str(tmp_path / "system/tiny"))
    assert set(manifest["sha256"]) == set(checksums.FILES)
    (tmp_path / "system").rename(tmp_path / "gone")
    cached = data.load("tiny")
    same(cached, four)
    assert str(entry) in cached.source
    assert sorted(os.listdir(entry.parent)) == ["tiny"]  # nothing temporary stays


@pytest.mark.parametrize("file", [*checksums.FILES, "manifest.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "gone"])
def test_a_damaged_entry_is_moved_aside_with_a_warning_and_read_anew(
    installed: list[np.ndarray],
    entry: Path,
    caplog: pytest.LogCaptureFixture,
    file: str,
    damage: str,
) -> None:
    data.load("tiny")
    contents = bytearray((entry / file).read_bytes())
    contents[-2 if file == "manifest.json" else -1] ^= 4
    (entry / file).write_bytes(contents[: {"cut": -3, "empty": 0}.get(damage)])
    if damage == "gone":
        (entry / file).unlink()
    same(data.load("tiny"), installed)
    (warning,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    (aside,) = [path for path in entry.parent.iterdir() if path != entry]
    assert aside.name in warning.getMessage()
    assert "\n" not in warning.getMessage()
    if damage == "flip":
        assert (aside / file).read_bytes() == contents  # kept as it was
    assert str(entry) in data.load("tiny").source


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    "manifest", [b"[]", b"{}", b"null", b'{"sha256": 1}', b"\xff", b"[" * 9999]
)
def test_a_manifest_of_another_kind_is_damage(tmp_path: Path, entry: Path, manifest: bytes) -> None:
    data.load("tiny")
    (entry / "manifest.json").write_bytes(manifest)
    assert str(tmp_path / "system") in data.load("tiny").source


def user_cache_path(*_: object, **__: object) -> Path:
    raise RuntimeError("could not determine the home directory")


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("what", ["a file", "no home", "no home, by an error"])
def test_a_cache_that_cannot_be_costs_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if what == "a file":
        (tmp_path / "xdg").write_text("")
    else:
        relative = lambda *_, **__: Path("~/.cache/lenet")  # noqa: E731
        found = relative if what == "no home" else user_cache_path
        monkeypatch.setattr(platformdirs, "user_cache_path", found)
    assert data.load("tiny").num_classes == 3
    assert "could not cache tiny" in caplog.text
    assert not (tmp_path / "~").exists()


@pytest.mark.usefixtures("installed")
def test_a_full_disk_costs_a_warning_and_leaves_no_half_entry(
    entry: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(path: Path, array: np.ndarray) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(idx, "write", full)
    assert data.load("tiny").num_classes == 3
    assert "No space left on device" in caplog.text
    assert os.listdir(entry.parent) == []


def test_processes_that_cache_at_once_leave_one_whole_entry(tmp_path: Path, entry: Path) -> None:
    put(tmp_path / "system/tiny", arrays(2000))
    code = (
        "import sys, pathlib; from lenet import data; from lenet.data import sources, checksums;"
        "checksums.KNOWN['tiny'] = checksums.Known(());"
        "sources.SYSTEM = pathlib.Path(sys.argv[1]); sys.stdin.read(1);"
        "print(data.load('tiny').train.labels.sum())"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "system")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    running = [subprocess.Popen(command, cwd=ROOT, **pipes) for _ in range(4)]  # type: ignore[call-overload]
    answers = [process.communicate(b"x") for process in running]
    assert {out for out, _ in answers} == {b"1999\n"}
    assert {err for _, err in answers} == {b""}
    assert os.listdir(entry.parent) == ["tiny"]
    assert str(entry) in data.load("tiny").source


def test_the_second_of_two_writers_keeps_the_first_entry(
    entry: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = (
        checksums.verify("tiny", checksums.Raw(*arrays(seed=seed), source="here"))  # type: ignore[arg-type, misc]
        for seed in (1, 2)
    )
    cache.store("tiny", first)
    cache.store("tiny", second)
    read = cache.read("tiny")
    assert read is not None
    assert read.sha256 == first.sha256
    assert os.listdir(entry.parent) == ["tiny"]
    assert caplog.text == ""


# tensorflow-datasets


def test_a_prepared_set_by_its_default_directory_then_from_the_cache(
    tmp_path: Path, entry: Path
) -> None:
    four = arrays(30, 5, shape=(5, 6, 3))
    prepare(tmp_path / "tfds", four)
    first, second = data.load("tiny"), data.load("tiny")
    for loaded in (first, second):
        assert loaded.class_names == ("ant", "bee", "cow")
        assert loaded.image_shape == (5, 6, 3)
        expected = data.Split(four[0], four[1].astype(np.int32))
        assert rows(loaded.train) == rows(expected)
    equal(second.train, first.train.images, first.train.labels)
    assert str(entry) in second.source


def test_without_tensorflow_datasets_a_prepared_set_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(tmp_path / "tfds", arrays(6, 3, shape=(5, 6, 1)))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for data_dir in (None, tmp_path / "tfds"):
        with pytest.raises(DataError, match=r"not installed\. To fix: pip install tensorflow-d"):
            data.load("tiny", data_dir=data_dir)


def test_a_prepared_mnist_cannot_be_verified_but_its_cached_copy_can(tmp_path: Path) -> None:
    prepare(tmp_path / "tfds", arrays(6, 3, shape=(5, 6, 1)), "mnist")
    verdicts = [data.load("mnist").source.split("(")[-1] for _ in range(2)]
    assert verdicts == ["not verified: no checksum published)", "unchanged since it was cached)"]


def test_a_prepared_set_by_data_dir_at_any_level_and_of_the_newest_version(tmp_path: Path) -> None:
    prepare(tmp_path, arrays(3, 3, shape=(5, 6, 1)), version="9.0.0")
    newest = prepare(tmp_path, arrays(30, 5, shape=(5, 6, 1)), version="10.0.0")
    closed = tmp_path / "tiny/11.0.0"  # which only TensorFlow reads
    closed.mkdir()
    (closed / "dataset_info.json").write_text("{}")
    (closed / "tiny-train.tfrecord-00000-of-00001").touch()
    for place in (tmp_path, tmp_path / "tiny", newest):
        assert len(data.load("tiny", data_dir=place).train.labels) == 30
    with pytest.raises(DataError, match="contains dataset tiny, expected other"):
        data.load("other", data_dir=newest)


NAMING: dict[str, Callable[[Any], Any]] = {
    "the class": lambda evil: {"pythonClassName": evil, "image": {}},
    "the class, in a nested feature": lambda evil: {
        "pythonClassName": "tensorflow_datasets.core.features.sequence_feature.Sequence",
        "sequence": {"feature": {"pythonClassName": evil}},
    },
    "the class, as old versions did": lambda evil: {"type": evil, "content": {}},
    "the class, in JSON": lambda evil: {
        "pythonClassName": "tensorflow_datasets.core.features.sequence_feature.Sequence",
        "jsonFeature": {"json": json.dumps({"feature": {"type": evil, "content": {}}})},
    },
}


@pytest.mark.parametrize(
    ("naming", "feature", "where"),
    [
        *((naming, "label", "features.json") for naming in NAMING),
        ("the class", "image", "features.json"),
        ("the class", "other", "features.json"),
        ("the class", "label", "dataset_info.json"),
    ],
)
def test_no_class_that_a_prepared_set_names_is_imported(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    naming: str,
    feature: str,
    where: str,
) -> None:
    four = arrays(6, 3, shape=(5, 6, 1))
    place = prepare(tmp_path / "data", four)
    (tmp_path / "planted.py").write_text(f"open({str(tmp_path / 'harm')!r}, 'w').close()")
    monkeypatch.syspath_prepend(tmp_path)
    found = json.loads((place / "features.json").read_text())
    found["featuresDict"]["features"][feature] = NAMING[naming]("planted.Feature")
    about = json.loads((place / "dataset_info.json").read_text())
    if where == "features.json":
        (place / where).write_text(json.dumps(found))
    else:
        (place / where).write_text(json.dumps(about | {"features": found}))
    if where == "features.json" and feature != "other":
        with pytest.raises(DataError, match=f"feature {feature} is a .*expected a tfds") as caught:
            data.load("tiny", data_dir=tmp_path / "data")
        assert "\n" not in str(caught.value)
    else:  # what is not read does no harm
        loaded = data.load("tiny", data_dir=tmp_path / "data")
        assert loaded.class_names == ("ant", "bee", "cow")
        assert len(loaded.train.labels) == 6
    assert not (tmp_path / "harm").exists()
    assert "planted" not in sys.modules


def test_features_as_old_versions_wrote_them(tmp_path: Path) -> None:
    place = prepare(tmp_path, arrays(6, 3, shape=(5, 6, 1)))
    core = "tensorflow_datasets.core.features"
    image = {"shape": [5, 6, 1], "dtype": "uint8", "encoding_format": "png"}
    features = {
        "image": {"type": f"{core}.image_feature.Image", "content": image},
        "label": {
            "type": f"{core}.class_label_feature.ClassLabel",
            "content": {"num_classes": 3},
        },
    }
    whole = {"type": f"{core}.features_dict.FeaturesDict", "content": features}
    (place / "features.json").write_text(json.dumps(whole))
    assert data.load("tiny", data_dir=tmp_path).class_names == ("ant", "bee", "cow")


@pytest.mark.parametrize(
    ("name", "tests", "damage", "message"),
    [
        ("tiny", 0, None, "no split test, only train"),
        ("fashion_mnist", 3, None, "training set: expected sha256 fb88a2f5"),
        ("tiny", 3, "dataset_info.json", "tiny"),
        ("tiny", 3, "features.json", "tiny"),
        ("tiny", 3, "tiny-train.array_record", "tiny"),
    ],
)
def test_a_prepared_set_that_is_damaged_or_not_the_published_one_is_refused_in_a_line(
    tmp_path: Path, name: str, tests: int, damage: str | None, message: str
) -> None:
    place = prepare(tmp_path, arrays(6, tests, shape=(5, 6, 1)), name)
    if damage:
        (path,) = place.glob(damage + "*")
        path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(DataError, match=message) as caught:
        data.load(name, data_dir=tmp_path)
    assert str(place) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_tensorflow_is_never_imported_even_where_it_is_installed(tmp_path: Path) -> None:
    prepare(tmp_path / "data", arrays(6, 3, shape=(5, 6, 1)))
    trap = tmp_path / "path/tensorflow"
    trap.mkdir(parents=True)
    (trap / "__init__.py").write_text("print('tensorflow was imported')")
    code = (
        "import sys; from lenet import data; data.load('tiny', data_dir=sys.argv[1]);"
        "print([name for name in ('tensorflow', 'jax', 'torch') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "data")],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(trap.parent), str(ROOT)))},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"


# The network


@pytest.fixture
def list_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """List the set in `origin` at a local port, as the registry would; no proxy is asked."""
    put(tmp_path / "origin", arrays(), ".gz")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def address(port: int, name: str) -> download.Address:
        content = (tmp_path / "origin" / name).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        return download.Address(f"http://127.0.0.1:{port}/{name}", len(content), digest, name)

    def at(port: int) -> None:
        listed = [address(port, f"{file}.gz") for file in checksums.FILES]
        monkeypatch.setattr(download, "addresses", lambda name: listed)

    return at


@pytest.fixture
def asked(tmp_path: Path, list_at: Callable[[int], None]) -> Iterator[list[str]]:
    """What a local host that serves `origin` was asked."""
    paths: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def log_request(self, *_: object) -> None:
            paths.append(self.path)

    handler = functools.partial(Handler, directory=str(tmp_path / "origin"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        list_at(running.server_port)
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield paths
        running.shutdown()
        thread.join()


def test_a_download_is_checked_and_cached(asked: list[str], entry: Path) -> None:
    for where in ("127.0.0.1 (verified)", f"{entry} (unchanged since it was cached)"):
        loaded = data.load("tiny")
        same(loaded, arrays())
        assert loaded.source == where
    assert len(asked) == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda right: b"<html>sorry</html>", "with sha256"),
        (lambda right: right[:-1] + bytes([right[-1] ^ 1]), "with sha256"),
        (lambda right: right + bytes(10**7), "with sha256"),
        (None, "404"),
    ],
    ids=["a page", "flipped", "endless", "absent"],
)
def test_a_download_of_other_bytes_is_refused_at_the_first_file(
    tmp_path: Path, asked: list[str], change: Callable[[bytes], bytes] | None, message: str
) -> None:
    path = tmp_path / "origin" / f"{checksums.FILES[0]}.gz"
    right = path.read_bytes()
    path.unlink()
    if change:
        path.write_bytes(change(right))
    with pytest.raises(DataError, match=message) as caught:
        download.fetch("tiny")
    assert asked == [f"/{path.name}"]
    assert "10,000" not in str(caught.value)  # it hung up before the end


def test_a_host_that_refuses_or_hangs_up_is_asked_once(
    list_at: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        list_at(listening.getsockname()[1])
        visits = []

        def hang_up() -> None:
            with contextlib.suppress(OSError):  # until it is closed
                while True:
                    connection, _ = listening.accept()
                    visits.append(1)
                    connection.close()

        threading.Thread(target=hang_up, daemon=True).start()
        with pytest.raises(DataError, match=r"download from 127\.0\.0\.1: no connection"):
            download.fetch("tiny")
        assert len(visits) == 1
        listening.shutdown(socket.SHUT_RDWR)
    get = mock.Mock(side_effect=requests.get)
    monkeypatch.setattr(requests, "get", get)
    with pytest.raises(DataError, match=r"download from 127\.0\.0\.1: no connection"):
        download.fetch("tiny")  # the port is closed now
    get.assert_called_once()


def test_a_host_that_never_answers_is_given_up(
    list_at: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CONNECT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        list_at(silent.getsockname()[1])
        with pytest.raises(DataError, match="no answer within"):
            download.fetch("tiny")


def test_a_host_that_sends_a_byte_now_and_then_is_given_up(
    list_at: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DOWNLOAD_SECONDS", 0.3)
    over = threading.Event()

    def trickle(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not over.wait(0.02):
                connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as slow:
        list_at(slow.getsockname()[1])
        threading.Thread(target=trickle, args=(slow,), daemon=True).start()
        with pytest.raises(DataError, match="not finished within"):
            download.fetch("tiny")
        over.set()


def test_the_addresses_are_those_that_tensorflow_datasets_lists(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    package = pytest.importorskip("tensorflow_datasets").__file__
    for name in checksums.KNOWN:
        listed = Path(package).parent / "url_checksums" / f"{name}.txt"
        rows = {tuple(line.split("\t")) for line in listed.read_text().splitlines()}
        found = download.addresses(name)
        assert {(x.url, str(x.size), x.sha256, x.filename) for x in found} == rows
    assert download.addresses("no_such_set") == []


# Debian's package


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put an apt-get and a dpkg-deb on the PATH that log their arguments; the set is `arrays()`."""
    put(tmp_path / "deb/usr/share/datasets/fashion-mnist", arrays(), ".gz")
    scripts = {
        "apt-get": f"""echo "$@" >> {tmp_path}/log
case "$*" in
  *"-c "*update*) test -d lists/partial && grep -q "$PWD/lists" apt.conf ;;
  *download*) if test -e {tmp_path}/lists -o -e apt.conf
      then : > dataset-fashion-mnist_0_all.deb
      else echo "E: Unable to locate package dataset-fashion-mnist" >&2; exit 100; fi ;;
esac""",
        "dpkg-deb": f"cp -r {tmp_path}/deb unpacked",
    }
    for name, script in scripts.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(shutil, "which", lambda program: program)
    return tmp_path


@pytest.mark.parametrize(
    ("lists", "asked"),
    [(True, [debian.PACKAGE]), (False, [debian.PACKAGE, "update", debian.PACKAGE])],
)
def test_debian_fetches_lists_of_its_own_if_there_are_none(
    apt: Path, lists: bool, asked: list[str]
) -> None:
    if lists:
        (apt / "lists").touch()
    assert len(debian.fetch("fashion_mnist").train_labels) == 12
    lines = (apt / "log").read_text().splitlines()
    assert [line.split()[-1] for line in lines] == asked
    assert all("Acquire::Retries=0" in line for line in lines)


def test_debian_unreachable_is_one_line_after_one_attempt(apt: Path) -> None:
    (apt / "bin/apt-get").write_text(
        f"#!/bin/sh\necho >> {apt}/log; echo 'W: hm' >&2; echo 'E: Could not connect' >&2; exit 100"
    )
    with pytest.raises(DataError, match=r"^apt-get: E: Could not connect$"):
        debian.fetch("fashion_mnist")
    assert (apt / "log").read_text() == "\n"


def test_debian_has_one_set_only(apt: Path) -> None:
    with pytest.raises(DataError, match="no package for mnist"):
        debian.fetch("mnist")


# The real set


def test_fashion_mnist_is_what_the_text_says(fashion_mnist: data.Data) -> None:
    assert fashion_mnist.train.images.shape == (60_000, 28, 28, 1)
    assert fashion_mnist.test.images.shape == (10_000, 28, 28, 1)
    assert np.bincount(fashion_mnist.train.labels).tolist() == [6000] * 10
    assert fashion_mnist.class_names[9] == "Ankle boot"
    assert fashion_mnist.train.labels[0] == 9
    assert "(verified" in fashion_mnist.source


@pytest.fixture
def published(fashion_mnist: data.Data) -> checksums.Raw:
    train, test = (
        (split.images[..., 0], split.labels.astype(np.uint8))
        for split in (fashion_mnist.train, fashion_mnist.test)
    )
    return checksums.Raw(*train, *test, source="here")


def test_one_changed_pixel_of_fashion_mnist_is_refused(published: checksums.Raw) -> None:
    images = published.train_images.copy()
    images[31_415, 14, 14] ^= 1
    for shuffled, part in ((False, "train-images-idx3-ubyte"), (True, "training set")):
        with pytest.raises(DataError, match=f"here: {part}: expected"):
            checksums.verify(
                "fashion_mnist", published._replace(train_images=images, shuffled=shuffled)
            )


def test_shuffled_fashion_mnist_is_recognised(published: checksums.Raw) -> None:
    order = np.random.default_rng(0).permutation(60_000)
    images, labels = published.train_images[order], published.train_labels[order]
    raw = published._replace(train_images=images, train_labels=labels, shuffled=True)
    assert checksums.verify("fashion_mnist", raw).verdict.startswith("verified")
    swapped = labels.copy()
    swapped[:2] = 3, 4
    with pytest.raises(DataError, match="training set"):
        checksums.verify("fashion_mnist", raw._replace(train_labels=swapped))


def test_take_keeps_the_first_of_each_split(tmp_path: Path) -> None:
    whole = data.load("tiny", data_dir=put(tmp_path, arrays()), valid=2)
    some = data.take(whole, train=7, test=3)
    same(some, [x[:n] for split, n in ((whole.train, 7), (whole.test, 3)) for x in split])
    assert some.valid is whole.valid
    assert len(data.take(whole, train=1).test.labels) == 4
    assert len(whole.train.labels) == 10
    for asked in ({"train": 11}, {"train": 0}, {"train": 1, "test": 5}, {"train": 1, "test": 0}):
        with pytest.raises(UsageError, match=r"t(rain|est)=\d+: expected an integer from 1 to"):
            data.take(whole, **asked)


def test_no_image_of_fashion_mnist_is_there_twice(fashion_mnist):
    """Of its 70,000; else a test image could be known from training."""
    images = np.concatenate([fashion_mnist.train.images, fashion_mnist.test.images])
    rows = images.reshape(len(images), -1)
    assert len({row.tobytes() for row in rows}) == len(images) == 70_000
