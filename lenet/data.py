"""Data sets of images as arrays on the host: Split, Data, and `load`, the one way to them.

Where a set is looked for, in this order; what is found in the last four is kept in the first:

    the user's cache · a package of the system · tensorflow-datasets' directory · the original
    files by network · Debian's package by network

With `data_dir`, there and nowhere else. Nothing is trained on that was not checked (see verify.py).
"""

import dataclasses
import difflib
import functools
import hashlib
import logging
import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lenet import cache, debian, download, sources
from lenet.errors import DataError, UsageError
from lenet.verify import FILES, KNOWN, Raw, verify

log = logging.getLogger("lenet")

NAMES = (*KNOWN, "synthetic")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")  # becomes part of paths


class Split(NamedTuple):
    """Examples for one purpose."""

    images: np.ndarray  # uint8 [N,H,W,C]; a jax.Array once on the device
    labels: np.ndarray  # int32 [N], 0 to K-1


@dataclasses.dataclass(frozen=True, eq=False)
class Data:
    """A data set: what to learn from, what to choose by, what to report on."""

    train: Split
    valid: Split | None  # None: nothing was held out
    test: Split
    name: str
    source: str  # where it came from, and how far it was verified
    class_names: tuple[str, ...]  # [K]

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(H, W, C)."""
        return self.train.images.shape[1:]

    @functools.cached_property
    def fingerprint(self) -> str:
        """The sha256 of all examples in their order: equal for what trains alike."""
        digest = hashlib.sha256()
        for split in filter(None, (self.train, self.valid, self.test)):
            for array in split:
                digest.update(f"{array.dtype} {array.shape} ".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


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
        from lenet import synthetic  # it builds on Data

        data = synthetic.make()
    elif data_dir is not None:
        data = _data(name, verify(name, sources.given(name, Path(os.path.expanduser(data_dir)))))
    else:
        data = _data(name, _find(name))
    counts = f"{len(data.train.labels):,} training and {len(data.test.labels):,} test images"
    log.info("%s: %s from %s", name, counts, data.source)
    return hold_out(data, valid)


def hold_out(data: Data, valid: int) -> Data:
    """Move `valid` training examples to a validation split.

    They are the first `valid` of numpy's `RandomState(0).permutation(N)`, a stream that is frozen:
    the same examples in every run, whatever its seed, and those of a smaller split are among those
    of a larger. Both parts keep the order of the training set.
    """
    count = len(data.train.labels)
    if not 0 <= valid < count:
        raise UsageError(f"valid={valid}: expected 0 to {count - 1}, below the {count} to train on")
    if valid == 0:
        return data
    held = np.zeros(count, bool)
    held[np.random.RandomState(0).permutation(count)[:valid]] = True
    train, split = (
        Split(data.train.images[some], data.train.labels[some]) for some in (~held, held)
    )
    return dataclasses.replace(data, train=train, valid=split)


def take(data: Data, *, train: int, test: int | None = None) -> Data:
    """Keep the first `train` training examples, and the first `test` of the test set.

    For experiments that are to take seconds; say with a result how many it saw. The sets come
    shuffled by those who made them.

    Raises:
      UsageError: for more than there are, or none.
    """
    splits = []
    for split, count in ((data.train, train), (data.test, test)):
        there = len(split.labels)
        count = there if count is None else count
        if not 1 <= count <= there:
            raise UsageError(f"take {count} examples: expected 1 to {there}, what there are")
        splits.append(Split(split.images[:count], split.labels[:count]))
    return dataclasses.replace(data, train=splits[0], test=splits[1])


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
