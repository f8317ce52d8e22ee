"""Changes to images that show what a network relies on: place, or neighbourhood."""

import jax
import jax.numpy as jnp
from jax import Array


def shift(images: Array, down: int, right: int) -> Array:
    """Move images by whole pixels; zeros come in at the sides that are left free.

    y[b, i, j, c] = x[b, i − down, j − right, c]

    Args:
      images: [B, H, W, C] of any dtype.
      down, right: pixels; negative is up and left. What leaves the image is lost.

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


def permute_pixels(images: Array, key: Array) -> Array:
    """Put the pixels of every image into one random order, the same for all; channels stay.

    Nothing is lost that a fully connected network could use; what a convolution relies on is.

    Args:
      images: [B, H, W, C] of any dtype.
      key: which of the (H·W)! orders.
    """
    count, height, width, channels = images.shape
    order = jax.random.permutation(key, height * width)
    return images.reshape(count, -1, channels)[:, order].reshape(images.shape)
