"""A dataset in memory: what to learn from, what to choose by, what to report on."""

import dataclasses
import functools
import hashlib
from typing import NamedTuple

import numpy as np

from lenet.errors import UsageError


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
