"""A dataset in memory: `Data`, its splits, and the check of both before training."""

import dataclasses
import functools
import hashlib
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int32, UInt8

from lenet.errors import DataError, UsageError


class Split(NamedTuple):
    """Examples for one purpose."""

    images: UInt8[np.ndarray, "N H W C"]  # a jax.Array once on the device
    labels: Int32[np.ndarray, " N"]  # 0 to K-1


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Data:
    """A dataset: a training, a validation and a test split.

    >>> images, labels = np.zeros((6, 28, 28, 1), np.uint8), np.array([0, 1, 0, 1, 0, 1])
    >>> split = Split(images, labels.astype(np.int32))
    >>> data = check(Data(split, None, split, "mine", "made up", ("ant", "bee")))
    >>> data.num_classes, data.image_shape
    (2, (28, 28, 1))
    >>> data
    Data(mine: train 6, test 6 of (28, 28, 1), 2 classes)
    """

    train: Split
    valid: Split | None  # None: no examples were held out
    test: Split
    name: str
    source: str  # where it was found, and how far it was verified
    class_names: tuple[str, ...]  # [K]

    def __repr__(self) -> str:
        """In a line: the images would fill pages."""
        splits = {"train": self.train, "valid": self.valid, "test": self.test}
        held = (f"{name} {len(x.labels):,}" for name, x in splits.items() if x is not None)
        shape, count = self.image_shape, self.num_classes
        return f"Data({self.name}: {', '.join(held)} of {shape}, {count} classes)"

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(H, W, C)."""
        return self.train.images.shape[1:]

    @property
    def splits(self) -> dict[str, Split]:
        """The splits by name; without valid if no examples were held out."""
        held_out = {} if self.valid is None else {"valid": self.valid}
        return {"train": self.train, **held_out, "test": self.test}

    @functools.cached_property
    def majority(self) -> float:
        """The share of the most frequent class in the test split: the accuracy of naming no other.

        1/K in a balanced dataset.
        """
        labels = np.asarray(self.test.labels)
        return float(np.bincount(labels).max() / len(labels))

    @functools.cached_property
    def fingerprint(self) -> str:
        """The sha256 of all examples in order; datasets that train alike have the same."""
        digest = hashlib.sha256()
        for split in self.splits.values():
            for array in split:
                digest.update(f"{array.dtype} {array.shape} ".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def check(data: Data) -> Data:
    """Return `data` if a network can train on it; `data.load` returns only such datasets.

    Images are uint8 [N, H, W, C] of one shape in all splits, labels int32 [N] from 0 to K-1, as
    many as images and at least one; class names are K different strings.

    Raises:
      DataError: naming the array, what was expected and found, and how to convert it.
    """
    if not isinstance(data, Data):
        raise DataError(f"data: expected a lenet.data.Data, found {type(data).__name__}")
    names = data.class_names
    if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):
        raise DataError("class_names: expected a tuple of strings, one per class")
    if len(set(names)) < len(names) or not names:
        raise DataError(f"class_names: expected different names, at least one, found {names!a:.80}")
    for name, split in data.splits.items():
        _check_split(name, split, len(names))
        if (found := split.images.shape[1:]) != data.image_shape:
            raise DataError(
                f"{name}.images: expected images of {_shape(data.image_shape)} as in train, "
                f"found {_shape(found)}"
            )
    return data


def _check_split(name: str, split: Split, classes: int) -> None:
    if not isinstance(split, Split):
        raise DataError(f"{name}: expected a lenet.data.Split, found {type(split).__name__}")
    images, labels = split
    for part, array in (("images", images), ("labels", labels)):
        if not (hasattr(array, "dtype") and hasattr(array, "shape")):
            raise DataError(f"{name}.{part}: expected an array, found {type(array).__name__}")
    if images.dtype != np.uint8:
        raise DataError(
            f"{name}.images: expected uint8, found {images.dtype}. "
            "Scale pixels to 0 to 255 and convert: images.astype(np.uint8)"
        )
    if images.ndim != 4 or not all(images.shape[1:]):
        grey = ". Add a channel axis: images[..., None]" if images.ndim == 3 else ""
        raise DataError(
            f"{name}.images: expected shape [N, H, W, C], found {_shape(images.shape)}{grey}"
        )
    if labels.dtype != np.int32:
        raise DataError(
            f"{name}.labels: expected int32, found {labels.dtype}. Convert: labels.astype(np.int32)"
        )
    if labels.shape != images.shape[:1]:
        raise DataError(
            f"{name}.labels: expected shape [{len(images)}], one label per image, "
            f"found {_shape(labels.shape)}"
        )
    if not len(images):
        none = "; use None for no validation split" if name == "valid" else ""
        raise DataError(f"{name}: expected at least one example, found none{none}")
    # A gather on the device would clamp a label that is out of range and train on it.
    values = np.asarray(labels)
    wrong = np.flatnonzero((values < 0) | (values >= classes))
    if wrong.size:
        raise DataError(
            f"{name}.labels[{wrong[0]}] is {values[wrong[0]]}: expected 0 to {classes - 1}, "
            "an index into class_names"
        )


def _shape(shape: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def hold_out(data: Data, valid: int) -> Data:
    """Move `valid` training examples to a validation split.

    They are the first `valid` of NumPy's `RandomState(0).permutation(N)`, a stream that is frozen:
    every run holds out the same examples, whatever its seed, and a larger split contains every
    smaller one. Both splits keep the order of the training set.

    Raises:
      UsageError: if that would leave no training example.
    """
    count = len(data.train.labels)
    if check_count("valid", valid, 0, count - 1, available=count) == 0:
        return data
    held = np.zeros(count, bool)
    held[np.random.RandomState(0).permutation(count)[:valid]] = True
    train, split = (
        Split(data.train.images[some], data.train.labels[some]) for some in (~held, held)
    )
    return dataclasses.replace(data, train=train, valid=split)


def blind(data: Data) -> Data:
    """Return data in which the held-out images are the test images, too.

    What trains on them can report of the test set nothing, not even by mistake.
    """
    assert data.valid is not None
    return dataclasses.replace(data, test=data.valid)


def take(data: Data, *, train: int, test: int | None = None) -> Data:
    """Return `data` with only the first `train` training and the first `test` test examples.

    For quick experiments; report the counts with the results. The published sets are shuffled.

    Raises:
      UsageError: for a count below 1, or above the number of available examples.
    """
    splits = []
    for name, split, count in (("train", data.train, train), ("test", data.test, test)):
        most = len(split.labels)
        count = most if count is None else check_count(name, count, 1, most, available=most)
        splits.append(Split(split.images[:count], split.labels[:count]))
    return dataclasses.replace(data, train=splits[0], test=splits[1])


def check_count(name: str, value: Any, low: int, high: int, *, available: int = 0) -> int:
    """Return a number of examples: an integer, Python's or NumPy's, from `low` to `high`.

    Raises:
      UsageError: naming the argument, its value and the limits.
    """
    count = value.item() if isinstance(value, np.generic) else value
    if type(count) is not int or not low <= count <= high:
        note = f"; {available:,} examples are available" if available else ""
        raise UsageError(
            f"{name}={count!a:.40}: expected an integer from {low:,} to {high:,}{note}"
        )
    return count
