"""Data sets of images as arrays on the host: Split, Data, and `load`, the one way to them.

Where a set is looked for, in this order; what is found in the last four is kept in the first:

    the user's cache · a package of the system · tensorflow-datasets' directory · the original
    files by network · Debian's package by network

With `data_dir`, there and nowhere else. Nothing is trained on that was not checked (see verify.py).
"""

import difflib
import logging
import os
import re
from pathlib import Path

import numpy as np

from lenet.data import cache, debian, download, sources
from lenet.data.splits import Data, Split, hold_out
from lenet.data.verify import FILES, KNOWN, Raw, verify
from lenet.errors import DataError, UsageError

log = logging.getLogger("lenet")

NAMES = (*KNOWN, "synthetic")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")  # becomes part of paths


def load(
    name: str = "fashion_mnist", *, data_dir: str | Path | None = None, valid: int = 0
) -> Data:
    """Find, check and return the data set `name`.

    `name`: fashion_mnist, mnist, kmnist, synthetic, or that of any set that lies as four IDX files
    in `data_dir` or was prepared by tensorflow-datasets (image and label; classes: those declared
    there, else the highest label + 1).
    `valid`: how many training examples to hold out, always the same ones (see `hold_out`).
    Raises UsageError for a name or number that cannot be, DataError when the set cannot be found
    or fails a check; each in one line with the remedy.

        >>> data = load("synthetic", valid=10_000)
        >>> data.train.images.shape, data.valid.labels.shape, data.num_classes
        ((50000, 28, 28, 1), (10000,), 10)
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"data set {name[:80]!r}: expected a name of 1 to 64 letters, digits, '_' and '-', "
            f"such as {', '.join(NAMES)}"
        )
    if name == "synthetic":
        if data_dir is not None:
            raise UsageError("data set synthetic is made, not read: leave out data_dir")
        from lenet.data import synthetic  # it builds on Data

        data = synthetic.make()
    elif data_dir is not None:
        data = _data(name, verify(name, sources.given(name, Path(os.path.expanduser(data_dir)))))
    else:
        data = _data(name, _find(name))
    counts = f"{len(data.train.labels):,} training and {len(data.test.labels):,} test images"
    log.info("%s: %s from %s", name, counts, data.source)
    return hold_out(data, valid)


def _find(name: str) -> Raw:
    """Return the set from the first source that has it and passes verification."""
    tried = []
    try:
        # Only what has one content for ever: a set of one's own may change where it lies.
        if name in KNOWN and (cached := cache.read(name)) is not None:
            return verify(name, cached)
        tried.append("cache: not there")
    except DataError as error:
        log.warning("%s; moved aside as %s, looking elsewhere", error, cache.set_aside(name))
        tried.append(f"cache: {error}")
    for source in (sources.system, sources.tfds, download.fetch, debian.fetch):
        try:
            raw = verify(name, source(name))
        except DataError as error:
            tried.append(str(error))
        else:
            if name in KNOWN:
                cache.store(name, raw)
            return raw
    if guess := _guess(name):
        raise DataError(f"data set {name} not found, did you mean {guess}?")
    raise DataError(f"data set {name} not found ({'; '.join(tried)}); {_remedy(name)}")


def _guess(name: str) -> str:
    close = [] if name in NAMES else difflib.get_close_matches(name.lower(), NAMES, n=1)
    return close[0] if close else ""


def _remedy(name: str) -> str:
    package = f"apt install {debian.PACKAGE}, or " if name == "fashion_mnist" else ""
    folder = f"--data_dir=DIR with {', '.join(FILES)} (plain or .gz)"
    prepare = (
        'python -c "import tensorflow_datasets as tfds; tfds.builder('
        f"'{name}', file_format='array_record').download_and_prepare()\" "
        "on a machine with TensorFlow, then --data_dir with its ~/tensorflow_datasets"
    )
    return f"remedy: {package}{folder}" + ("" if name == "fashion_mnist" else f", or {prepare}")


def _data(name: str, raw: Raw) -> Data:
    """Give verified arrays their form: a channel axis, int32 labels."""
    images = [array if array.ndim == 4 else array[..., None] for array in (raw[0], raw[2])]
    splits = [
        Split(image, label.astype(np.int32))
        for image, label in zip(images, (raw.train_labels, raw.test_labels), strict=True)
    ]
    source = f"{raw.source} ({raw.verdict})"
    return Data(splits[0], None, splits[1], name, source, raw.class_names)
