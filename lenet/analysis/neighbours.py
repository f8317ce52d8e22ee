"""The nearest training image of each test image: how alike the two halves of a dataset are."""

import numpy as np
from jaxtyping import Float, Int, UInt8

BLOCK = 500
"""Test images whose distances are held at a time: 120 MB for 60,000 training images."""


def nearest(
    images: UInt8[np.ndarray, "N H W C"], others: UInt8[np.ndarray, "M H W C"]
) -> tuple[Float[np.ndarray, " M"], Int[np.ndarray, " M"]]:
    """Return how far the nearest of `images` is from each of `others`, and which it is.

    The distance is the root of the mean squared difference of pixels, as a share of 255; of equally
    near images the first.

    >>> one = np.zeros((1, 2, 2, 1), np.uint8)
    >>> distance, index = nearest(np.concatenate([one + 255, one + 51]), one)
    >>> round(float(distance[0]), 3), index.tolist()
    (0.2, [1])
    """
    x, y = (each.reshape(len(each), -1).astype(np.float32) / 255 for each in (images, others))
    squares = (x * x).sum(1)
    found = []
    for start in range(0, len(y), BLOCK):
        found.append((squares - 2 * y[start : start + BLOCK] @ x.T).argmin(1))
    index = np.concatenate(found)
    return np.sqrt(((y - x[index]) ** 2).mean(1)), index
