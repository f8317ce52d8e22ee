"""Read a dataset from this machine: a directory of IDX files, or one of tensorflow-datasets.

Each function returns an unverified `Raw`, or raises a DataError whose one line says why it failed.
"""

import importlib.util
import itertools
import json
import math
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from lenet import files, limits
from lenet.data import checksums, idx
from lenet.data.checksums import Raw
from lenet.errors import DataError, reason

SYSTEM = Path("/usr/share/datasets")  # where Debian's dataset-* packages install
_CHUNK = 1000  # examples decoded at a time
_MENTIONED = 3  # names in an error about what else a directory contains


def given(name: str, data_dir: Path) -> Raw:
    """Read dataset `name` from `data_dir`, as IDX files or as tensorflow-datasets prepared it.

    IDX files are in `data_dir`, in a directory with the name of the dataset (fashion-mnist or
    FashionMNIST are names of fashion_mnist), or in its `raw/`, where torchvision stores them.
    """
    named = [data_dir / entry for entry in _entries(data_dir) if _plain(entry) == _plain(name)]
    places = itertools.chain.from_iterable((x, x / "raw") for x in (data_dir, *named))
    found = [place for place in places if any(_copies(place, file) for file in checksums.FILES)]
    if found:
        return folder(name, *found)
    if not data_dir.is_dir():
        what = "a file, expected a directory" if data_dir.exists() else "no such directory"
        raise DataError(f"{str(data_dir)!r}: {what}")
    files = f"the four files {', '.join(checksums.FILES)} (plain or .gz)"
    first, more = _entries(data_dir)[:_MENTIONED], len(_entries(data_dir)) - _MENTIONED
    seen = ", ".join(map(ascii, first)) + (f" and {more} more" if more > 0 else "")
    missing = f"contains {seen or 'nothing'}, but neither {files} nor a dataset {name}"
    return prepared(name, data_dir, missing)


def system(name: str) -> Raw:
    """Read the copy that a package of the operating system installed."""
    return folder(name, SYSTEM / name.replace("_", "-"))


def tfds(name: str) -> Raw:
    """Read the dataset from the default directory of tensorflow-datasets."""
    root = os.environ.get("TFDS_DATA_DIR") or os.path.expanduser("~/tensorflow_datasets")
    return prepared(name, Path(root))


def folder(name: str, directory: Path, *others: Path) -> Raw:
    """Read the four IDX files in `directory`, plain or .gz; copies in `others` have to be equal.

    The names of colour images (rank 4) have idx4 instead of idx3. Case does not matter, nor whether
    words are separated by "-", "." or "_"; some archives unpack each file into a directory with the
    same name.
    """
    a, b, c, d = (_read(name, (directory, *others), file) for file in checksums.FILES)
    return Raw(a, b, c, d, source=_shown(directory))


def prepared(name: str, root: Path, missing: str = "") -> Raw:
    """Read a dataset that tensorflow-datasets prepared as ArrayRecord, without TensorFlow.

    It needs uint8 `image`, `label`, and the splits train and test. `root` is a data directory of
    tensorflow-datasets (root/name/[config/]version), or one of the directories inside it;
    `missing` begins the error message if the directory does not contain the dataset.
    """
    places = [root, *root.glob("*"), *root.glob(f"{name}/*"), *root.glob(f"{name}/*/*")]
    versions = [place for place in places if os.path.isfile(place / "dataset_info.json")]
    closed = [
        place
        for place in versions or places
        if any(place.glob("*.tfrecord*")) and not any(place.glob("*.array_record*"))
    ]
    readable = [place for place in versions if place not in closed]
    if closed and not readable:
        raise DataError(
            f"{str(closed[0])!r}: contains TFRecord files, which only TensorFlow can read. "
            f"To fix: {remedy(name)}"
        )
    if not readable:
        missing = missing or f"no dataset {name}"
        raise DataError(f"{str(root)!r}: {missing} prepared by tensorflow-datasets")
    if importlib.util.find_spec("tensorflow_datasets") is None:
        raise DataError(
            f"{str(readable[0])!r}: prepared by tensorflow-datasets, which is not installed. "
            "To fix: pip install tensorflow-datasets array-record"
        )
    place = max(readable, key=lambda x: [int(part) for part in x.name.split(".") if part.isdigit()])
    try:
        return _prepared(name, place)
    except DataError as error:
        raise DataError(f"{str(place)!r}: {error}") from error
    except Exception as error:  # damage makes tensorflow-datasets raise almost anything
        raise DataError(
            f"{str(place)!r}: tensorflow-datasets failed to read it: {reason(error)}"
        ) from error


def remedy(name: str) -> str:
    """Return what to type where TensorFlow is installed, to get a dataset that `prepared` reads."""
    return (
        'run python -c "import tensorflow_datasets as tfds; tfds.builder('
        f"'{name}', data_dir='prepared', file_format='array_record').download_and_prepare()\" "
        "on a machine with TensorFlow and set data_dir=DIR to the directory 'prepared' it creates"
    )


def _entries(directory: Path) -> list[str]:
    """Return the names in a directory that are not hidden, sorted; none if it cannot be read."""
    try:
        return sorted(entry for entry in os.listdir(directory) if not entry.startswith("."))
    except (OSError, ValueError):
        return []


def _plain(name: str) -> str:
    """Return a name in lower case without separators.

    >>> _plain("Fashion-MNIST") == _plain("fashion_mnist") == _plain("FashionMNIST")
    True
    """
    return re.sub(r"[-_. ]", "", name).lower()


def _copies(directory: Path, file: str) -> list[tuple[int, Path]]:
    """Return the rank and path of each copy of one of FILES, plain before compressed.

    Whatever has the name of the file is one: a dangling link is reported, not passed over.
    """
    expected = re.escape(_plain(file)).replace("idx3", "idx([34])").replace("idx1", "idx(1)")
    copies = []
    for entry in _entries(directory):
        if match := re.fullmatch(f"{expected}(gz)?", _plain(entry)):
            path = directory / entry
            inside = [path / x for x in _entries(path) if re.fullmatch(match.re, _plain(x))]
            copies += [(int(match[1]), found) for found in inside or [path]]
    return sorted(copies, key=lambda copy: (copy[1].suffix.lower() == ".gz", copy))


def _read(name: str, directories: tuple[Path, ...], file: str) -> np.ndarray:
    """Read one of FILES from the first directory, and compare all copies with it."""
    if not _copies(directories[0], file):
        raise DataError(f"{str(directories[0])!r}: no file {file} or {file}.gz")
    (rank, first), *others = (copy for place in directories for copy in _copies(place, file))
    array = idx.read(first, rank=rank, limit=checksums.limit(name))
    for rank, path in others:
        if not np.array_equal(array, idx.read(path, rank=rank, limit=checksums.limit(name))):
            raise DataError(
                f"{str(first)!r} and {str(path)!r} differ, and both could be {file}. "
                "Remove or rename the wrong one"
            )
    return array


def _shown(path: Path) -> str:
    return text if (text := str(path)).isprintable() else repr(text)


def _prepared(name: str, place: Path) -> Raw:
    # Imported here because it takes a second, which a cached dataset does not need.
    from tensorflow_datasets.core import dataset_info, read_only_builder

    for path in place.iterdir():
        if path.exists() and not path.is_file():
            raise DataError(f"{path.name}: expected a regular file")
    files.read(place / "dataset_info.json", limits.JSON_BYTES)
    about = dataset_info.read_proto_from_builder_dir(place)
    if about.name != name:
        raise DataError(f"contains dataset {about.name}, expected {name}")
    features = _features(place)
    about.features.CopyFrom(features.to_proto())  # in place of what the files say
    builder = read_only_builder.ReadOnlyBuilder(builder_dir=place, info_proto=about)
    features = builder.info.features
    if features["image"].np_dtype != np.uint8:
        raise DataError(f"expected uint8 images, found {features['image'].np_dtype}")
    if absent := {"train", "test"} - set(builder.info.splits):
        raise DataError(f"no split {sorted(absent)[0]}, only {', '.join(builder.info.splits)}")
    names = tuple(getattr(features["label"], "names", None) or ())
    train, test = _examples(builder, "train"), _examples(builder, "test")
    return Raw(*train, *test, source=_shown(place), class_names=names, shuffled=True)


def _features(place: Path) -> Any:
    """Build the features image and label that features.json describes; others are not read.

    tensorflow-datasets imports whatever class the file names. Only its own classes for one value
    are taken here: they contain no further features, so that nothing is imported by name.
    """
    from google.protobuf import json_format  # type: ignore[import-untyped]
    from tensorflow_datasets import features as classes
    from tensorflow_datasets.core.proto import feature_pb2

    known = {
        f"{x.__module__}.{x.__name__}": x
        for x in (classes.Image, classes.ClassLabel, classes.Tensor, classes.Scalar)
    }
    declared = json.loads(files.read(place / "features.json", limits.JSON_BYTES))
    old = "type" in declared  # as early versions of tensorflow-datasets wrote it
    declared = declared["content"] if old else declared["featuresDict"]["features"]
    if not {"image", "label"} <= set(declared):
        found = ", ".join(map(ascii, declared))
        raise DataError(f"expected features image and label, found {found}")
    for name in ("image", "label"):
        kind = declared[name].get("type")
        if kind is None:
            kind = json_format.ParseDict(declared[name], feature_pb2.Feature()).python_class_name
        if kind not in known:
            raise DataError(
                f"features.json: feature {name} is a {kind!a:.120}, expected a tfds.features."
                f"{', '.join(x.__name__ for x in known.values())}. Prepare the dataset with these"
            )
    return classes.FeaturesDict(
        {name: classes.FeatureConnector.from_json(declared[name]) for name in ("image", "label")}
    )


def _examples(builder: Any, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Decode every example of a split into images [N,H,W,C] and labels [N]."""
    source = builder.as_data_source(split)
    if not len(source):
        raise DataError(f"expected at least one example in split {split}, found none")
    shape = source[0]["image"].shape
    if (size := len(source) * math.prod(shape)) > limits.DATASET_BYTES:
        raise DataError(f"split {split} has {size:,} bytes; the limit is {limits.DATASET_BYTES:,}")
    images = np.empty((len(source), *shape), np.uint8)
    labels = np.empty(len(source), np.int64)
    for start in range(0, len(source), _CHUNK):
        keys = range(start, min(start + _CHUNK, len(source)))
        for key, example in zip(keys, source.__getitems__(keys), strict=True):
            if example["image"].shape != shape:
                found = example["image"].shape
                raise DataError(f"expected images of one shape, found {shape} and {found}")
            images[key], labels[key] = example["image"], example["label"]
    return images, labels
