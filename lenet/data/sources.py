"""Read a dataset from this machine: a directory of IDX files, or one of tensorflow-datasets.

Each function returns an unverified `Raw`, or raises a DataError whose one line says why it failed.
"""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from lenet.data import checksums, idx
from lenet.data.checksums import Raw
from lenet.errors import DataError

SYSTEM = Path("/usr/share/datasets")  # where Debian's dataset-* packages install
_CHUNK = 1000  # examples decoded at a time


def given(name: str, data_dir: Path) -> Raw:
    """Read dataset `name` from `data_dir`, as IDX files or as tensorflow-datasets prepared it."""
    for place in (data_dir, data_dir / name, data_dir / name.replace("_", "-")):
        if any(_copies(place, file) for file in checksums.FILES):
            return folder(name, place)
    if not data_dir.is_dir():
        raise DataError(f"{str(data_dir)!r}: no such directory")
    files = f"the four files {', '.join(checksums.FILES)} (plain or .gz)"
    return prepared(name, data_dir, f"contains neither {files} nor a dataset {name}")


def system(name: str) -> Raw:
    """Read the copy that a package of the operating system installed."""
    return folder(name, SYSTEM / name.replace("_", "-"))


def tfds(name: str) -> Raw:
    """Read the dataset from the default directory of tensorflow-datasets."""
    root = os.environ.get("TFDS_DATA_DIR") or os.path.expanduser("~/tensorflow_datasets")
    return prepared(name, Path(root))


def folder(name: str, directory: Path) -> Raw:
    """Read the four IDX files in `directory`, plain or .gz.

    The names of colour images (rank 4) have idx4 instead of idx3.
    """
    a, b, c, d = (_read(name, directory, file) for file in checksums.FILES)
    return Raw(a, b, c, d, source=_shown(directory))


def prepared(name: str, root: Path, missing: str = "") -> Raw:
    """Read a dataset that tensorflow-datasets prepared as ArrayRecord, without TensorFlow.

    It needs uint8 `image`, `label`, and the splits train and test. `root` is a data directory of
    tensorflow-datasets (root/name/[config/]version), or the innermost of these directories;
    `missing` begins the error message if the directory does not contain the dataset.
    """
    places = [root, *root.glob(f"{name}/*"), *root.glob(f"{name}/*/*")]
    versions = [place for place in places if os.path.isfile(place / "dataset_info.json")]
    if not versions:
        missing = missing or f"no dataset {name}"
        raise DataError(f"{str(root)!r}: {missing} prepared by tensorflow-datasets")
    place = max(versions, key=lambda x: [int(part) for part in x.name.split(".") if part.isdigit()])
    try:
        return _prepared(name, place)
    except DataError as error:
        raise DataError(f"{str(place)!r}: {error}") from error
    except Exception as error:  # damage makes tensorflow-datasets raise almost anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(
            f"{str(place)!r}: tensorflow-datasets failed to read it: {reason}"
        ) from error


def _copies(directory: Path, file: str) -> list[tuple[int, Path]]:
    """Return the rank and path of each copy of one of FILES, plain before compressed."""
    paths = (
        (rank, directory / f"{file.replace('idx3', f'idx{rank}')}{suffix}")
        for rank in ((3, 4) if "idx3" in file else (1,))
        for suffix in ("", ".gz")
    )
    return [(rank, path) for rank, path in paths if os.path.lexists(path)]


def _read(name: str, directory: Path, file: str) -> np.ndarray:
    found = _copies(directory, file)
    if not found:
        raise DataError(f"{str(directory)!r}: no file {file} or {file}.gz")
    rank, path = found[0]
    return idx.read(path, rank=rank, limit=checksums.limit(name))


def _shown(path: Path) -> str:
    return text if (text := str(path)).isprintable() else repr(text)


def _prepared(name: str, place: Path) -> Raw:
    # Imported here because it takes a second, which a cached dataset does not need.
    import tensorflow_datasets

    builder = tensorflow_datasets.builder_from_directory(place)
    if builder.name != name:
        raise DataError(f"contains dataset {builder.name}, expected {name}")
    features = builder.info.features
    if not {"image", "label"} <= set(features):
        raise DataError(f"expected features image and label, found {', '.join(features)}")
    if features["image"].np_dtype != np.uint8:
        raise DataError(f"expected uint8 images, found {features['image'].np_dtype}")
    if absent := {"train", "test"} - set(builder.info.splits):
        raise DataError(f"no split {sorted(absent)[0]}, only {', '.join(builder.info.splits)}")
    names = tuple(getattr(features["label"], "names", None) or ())
    train, test = _examples(builder, "train"), _examples(builder, "test")
    return Raw(*train, *test, source=_shown(place), class_names=names, shuffled=True)


def _examples(builder: Any, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Decode every example of a split into images [N,H,W,C] and labels [N]."""
    source = builder.as_data_source(split)
    if not len(source):
        raise DataError(f"expected at least one example in split {split}, found none")
    shape = source[0]["image"].shape
    if (size := len(source) * math.prod(shape)) > idx.LIMIT:
        raise DataError(f"split {split} has {size:,} bytes; the limit is {idx.LIMIT:,}")
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
