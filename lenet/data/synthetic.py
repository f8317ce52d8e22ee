"""Generate a synthetic dataset, for tests and for demonstrations without a real one.

It is used only on request: `load("synthetic")`. Every class has a smooth random prototype. An image
is the prototype of its class, shifted by up to two pixels and scaled in contrast, blended with the
prototype of another class and with noise.
"""

import numpy as np

from lenet.data.splits import Data, Split, check_count
from lenet.errors import UsageError

SIDE = 28
CLASSES = 10
SHIFT = 2  # pixels, each way
_ROOM = SIDE + 2 * SHIFT  # a prototype's side: every shifted window lies inside
_CHUNK = 10_000  # images generated at a time, to bound memory
_MOST = 10_000_000  # images of a split


def make(train: int = 60_000, test: int = 10_000, *, seed: int = 0) -> Data:
    """Return a dataset of `train` and `test` images of 10 classes, the same on every machine.

    All randomness is the raw stream of PCG64, which NumPy keeps fixed, and all arithmetic is on
    integers. Classes are equally frequent (to within one), in random order.

    Raises:
      UsageError: for counts below 1 and a seed below 0.

    >>> make(100, 10).train.images.shape
    (100, 28, 28, 1)
    """
    train, test = check_count("train", train, 1, _MOST), check_count("test", test, 1, _MOST)
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise UsageError(f"seed={seed!a:.40}: expected an integer of at least 0")
    windows = _windows(np.random.PCG64([seed, 0]))
    splits = [_split(np.random.PCG64([seed, i]), windows, n) for i, n in ((1, train), (2, test))]
    names = tuple(f"class {k}" for k in range(CLASSES))
    return Data(
        splits[0], None, splits[1], "synthetic", f"lenet.data.synthetic (seed {seed})", names
    )


def _bytes(stream: np.random.PCG64, count: int) -> np.ndarray:
    """Draw `count` uniform bytes, as uint16 so that products of two fit."""
    words = stream.random_raw(-(-count // 8)).astype("<u8")
    return words.view(np.uint8)[:count].astype(np.uint16)


def _windows(stream: np.random.PCG64) -> np.ndarray:
    """Return every shift of every prototype: uint16 [classes, shifts, H*W], 0 to 255.

    A prototype is the part of a smooth field that rises above a level, and the level increases from
    class to class: as with clothes, some classes cover more of the image than others. Without this
    difference in mean brightness, LeNet with sigmoid and average pooling stays at chance level for
    many epochs.
    """
    field = _bytes(stream, CLASSES * _ROOM * _ROOM).reshape(CLASSES, _ROOM, _ROOM).astype(np.int64)
    for axis in (1, 2):
        for _ in range(3):  # three boxes of 5 approximate a Gaussian of 2.4 pixels
            field = np.sum([np.roll(field, shift, axis) for shift in range(-2, 3)], axis=0)
    low = field.min(axis=(1, 2), keepdims=True)
    field = (field - low) * 255 // (field.max(axis=(1, 2), keepdims=True) - low)
    level = 40 + 16 * np.arange(CLASSES)[:, None, None]
    field = np.minimum(255, np.maximum(0, field - level) * 510 // (255 - level))
    windows = np.lib.stride_tricks.sliding_window_view(field, (SIDE, SIDE), axis=(1, 2))
    return windows.reshape(CLASSES, -1, SIDE * SIDE).astype(np.uint16)


def _split(stream: np.random.PCG64, windows: np.ndarray, count: int) -> Split:
    labels = (np.arange(count) % CLASSES)[np.argsort(stream.random_raw(count), kind="stable")]
    images = np.empty((count, SIDE, SIDE, 1), np.uint8)
    for start in range(0, count, _CHUNK):
        some = labels[start : start + _CHUNK]
        images[start : start + _CHUNK] = _images(stream, windows, some)
    return Split(images, labels.astype(np.int32))


def _images(stream: np.random.PCG64, windows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mix uint8 [N,H,W,1]: 1/4 to 3/4 of the class, up to 1/4 of another, up to 1/2 noise."""
    count, shifts = len(labels), windows.shape[1]
    others = (labels + 1 + _bytes(stream, count) % (CLASSES - 1)) % CLASSES
    own = windows[labels, _bytes(stream, count) % shifts]
    other = windows[others, _bytes(stream, count) % shifts]
    contrast = 64 + _bytes(stream, count) // 2
    veil = _bytes(stream, count) // 4
    noise = _bytes(stream, count * SIDE * SIDE).reshape(count, SIDE * SIDE)
    mixed: np.ndarray = (own * contrast[:, None] >> 8) + (other * veil[:, None] >> 8) + (noise >> 1)
    return mixed.clip(max=255).astype(np.uint8).reshape(count, SIDE, SIDE, 1)
