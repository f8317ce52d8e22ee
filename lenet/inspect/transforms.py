"""Transformations of images that show what a network relies on: position, or neighbourhood."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Key, Num


def shift(
    images: Num[Array | np.ndarray, "B H W C"], down: int, right: int
) -> Num[Array, "B H W C"]:
    """Shift images by whole pixels; zeros fill the sides that become free.

    y[b, i, j, c] = x[b, i − down, j − right, c]

    Negative is up and left. What leaves the image is lost.

    >>> shift(jnp.arange(1, 5).reshape(1, 2, 2, 1), 0, 1).ravel().tolist()
    [0, 1, 0, 3]
    """
    height, width = images.shape[1:3]
    down, right = (max(-n, min(n, d)) for n, d in ((height, down), (width, right)))
    padded = jnp.pad(
        images, ((0, 0), (max(down, 0), max(-down, 0)), (max(right, 0), max(-right, 0)), (0, 0))
    )
    top, left = max(-down, 0), max(-right, 0)
    return padded[:, top : top + height, left : left + width]


def permute_pixels(
    images: Num[Array | np.ndarray, "B H W C"], key: Key[Array, ""]
) -> Num[Array, "B H W C"]:
    """Put the pixels of every image into one random order, the same for all; channels stay.

    A fully connected network loses nothing it could use; a convolution loses what it relies on.
    """
    count, height, width, channels = images.shape
    order = jax.random.permutation(key, height * width)
    pixels = jnp.asarray(images).reshape(count, -1, channels)
    return pixels[:, order].reshape(images.shape)
