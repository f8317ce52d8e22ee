"""Verify a dataset: its form, and its checksums where they are published."""

import hashlib
from typing import NamedTuple

import numpy as np

from lenet import limits
from lenet.data import idx
from lenet.data.splits import Data, Split, check
from lenet.errors import DataError
from lenet.language import mark

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
MAX_CLASSES = 256  # labels are bytes


class Raw(NamedTuple):
    """A dataset as a source returns it, before and after `verify`."""

    train_images: np.ndarray  # uint8 [N,H,W] or [N,H,W,C]
    train_labels: np.ndarray  # integer [N]; uint8 once verified
    test_images: np.ndarray  # as train_images
    test_labels: np.ndarray  # as train_labels
    source: str  # where it was found
    class_names: tuple[str, ...] = ()  # empty: unknown before verification
    sha256: tuple[str, ...] = ()  # the four digests of the source; empty: it has none
    shuffled: bool = False  # in the order of tensorflow-datasets, not of the files
    verdict: str = "not verified: no checksum published"

    def to_data(self, name: str) -> Data:
        """Return the arrays as `Data`, with a channel axis and int32 labels."""
        train, test = (
            Split(images if images.ndim == 4 else images[..., None], labels.astype(np.int32))
            for images, labels in (self[:2], self[2:4])
        )
        return Data(train, None, test, name, f"{self.source} ({self.verdict})", self.class_names)


class Known(NamedTuple):
    """Published facts about a dataset of 60,000 + 10,000 images of 28×28 pixels."""

    class_names: tuple[str, ...]
    sha256: tuple[str, ...] = ()  # of the four decompressed FILES; empty: not published
    unordered: tuple[str, ...] = ()  # `unordered_digest` of the training and the test set


KNOWN = {
    # sha256: computed from Debian's package dataset-fashion-mnist 0.0~git20200523.55506a9-1, whose
    # files are those of github.com/zalandoresearch/fashion-mnist; other projects pin the same.
    "fashion_mnist": Known(
        class_names=(
            *(mark("T-shirt/top"), mark("Trouser"), mark("Pullover"), mark("Dress"), mark("Coat")),
            *(mark("Sandal"), mark("Shirt"), mark("Sneaker"), mark("Bag"), mark("Ankle boot")),
        ),
        sha256=(
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
        unordered=(
            "fb88a2f5c1b590c907f860b47803d006e4fa7b276cdb551799af9d443accdff7",
            "0b381379398a0943a88bf3864ff3f5177903dcf178030b4b74c495294b38fa7c",
        ),
    ),
    # sha256: as pinned, alike, by independent projects that fetch the files of
    # storage.googleapis.com/cvdf-datasets/mnist and check them compressed and decompressed.
    "mnist": Known(
        class_names=tuple("0123456789"),
        sha256=(
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
    # Only the compressed files have published checksums; a download is checked against those.
    "kmnist": Known(class_names=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")),
}


def limit(name: str) -> int:
    """Return the largest size in bytes that a file of dataset `name` may declare."""
    return 60_000 * 28 * 28 if name in KNOWN else limits.DATASET_BYTES


def verify(name: str, raw: Raw) -> Raw:
    """Return `raw` verified, with uint8 labels, class names, four digests and a verdict.

    Raises:
      DataError: naming the source, the check, and what was expected and found.
    """
    known = KNOWN.get(name, Known(()))
    class_names = known.class_names or raw.class_names
    highest = max(int(labels.max(initial=0)) for labels in (raw.train_labels, raw.test_labels))
    if (classes := max(len(class_names), highest + 1)) > MAX_CLASSES:
        raise DataError(f"{raw.source}: {classes:,} classes; at most {MAX_CLASSES} are supported")
    raw = raw._replace(class_names=class_names or tuple(map(str, range(classes))))
    try:
        check(raw.to_data(name))
    except DataError as error:
        raise DataError(f"{raw.source}: {error}") from None
    raw = raw._replace(
        train_labels=raw.train_labels.astype(np.uint8), test_labels=raw.test_labels.astype(np.uint8)
    )
    found = tuple(idx.digest(array) for array in raw[:4])
    _check_digests(raw.source, FILES, found, raw.sha256)
    verdict = raw.verdict
    if raw.shuffled and known.unordered:
        splits = (raw.train_images, raw.train_labels), (raw.test_images, raw.test_labels)
        unordered = tuple(unordered_digest(*split) for split in splits)
        _check_digests(raw.source, ("training set", "test set"), unordered, known.unordered)
        verdict = "verified, in the order of tensorflow-datasets"
    elif known.sha256 and not raw.shuffled:
        _check_digests(raw.source, FILES, found, known.sha256)
        verdict = "verified"
    return raw._replace(sha256=found, verdict=verdict)


def unordered_digest(images: np.ndarray, labels: np.ndarray) -> str:
    """Return a sha256 of the examples that does not depend on their order.

    The sha256 of every example (its uint8 pixels, then its label as one byte), sorted, then the
    sha256 of their concatenation.
    """
    rows = sorted(
        hashlib.sha256(image.tobytes() + bytes((int(label),))).digest()
        for image, label in zip(images, labels, strict=True)
    )
    return hashlib.sha256(b"".join(rows)).hexdigest()


def _check_digests(
    source: str, parts: tuple[str, ...], found: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    for part, have, want in zip(parts, found, expected or found, strict=True):
        if have != want:
            raise DataError(f"{source}: {part}: expected sha256 {want[:16]}.., found {have[:16]}..")
