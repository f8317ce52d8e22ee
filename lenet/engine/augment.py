"""Change training images at random, within the compiled step: shift, flip, erase.

Every draw is a function of (seed, step, place in the batch). So a resumed run has the same bits,
and so has a run on another number of devices.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Key, Num

from lenet.config import augmentations


def augment(
    text: str, keys: Key[Array, " B"], images: Num[Array, "B H W C"]
) -> Num[Array, "B H W C"]:
    """Return images after each of the changes that `text` lists, with a key for each image.

    >>> image = jnp.arange(1, 10).reshape(1, 3, 3, 1)
    >>> keys = jax.random.split(jax.random.key(3), 1)
    >>> augment("shift:1", keys, image)[0, :, :, 0].tolist()
    [[0, 0, 0], [2, 3, 0], [5, 6, 0]]
    """
    for place, (name, amount) in enumerate(augmentations(text)):
        own = jax.vmap(partial(jax.random.fold_in, data=place))(keys)
        images = jax.vmap(partial(CHANGES[name], amount))(own, images)
    return images


def shift(most: int, key: Key[Array, ""], image: Num[Array, "H W C"]) -> Num[Array, "H W C"]:
    """Move an image by up to `most` pixels down and across; zeros come in."""
    padded = jnp.pad(image, ((most, most), (most, most), (0, 0)))
    start = jax.random.randint(key, (2,), 0, 2 * most + 1)
    return lax.dynamic_slice(padded, (start[0], start[1], jnp.zeros_like(start[0])), image.shape)


def flip(_: int, key: Key[Array, ""], image: Num[Array, "H W C"]) -> Num[Array, "H W C"]:
    """Mirror every other image, left to right."""
    return jnp.where(jax.random.bernoulli(key), image[:, ::-1], image)


def erase(side: int, key: Key[Array, ""], image: Num[Array, "H W C"]) -> Num[Array, "H W C"]:
    """Set a square of `side` pixels to zero, anywhere in the image or in part beyond its edge.

    Cutout, DeVries and Taylor (arXiv 1708.04552).
    """
    rows, columns = image.shape[:2]
    top, left = jax.random.randint(key, (2,), 1 - side, jnp.array([rows, columns]))
    row, column = jnp.arange(rows)[:, None, None], jnp.arange(columns)[None, :, None]
    inside = (row >= top) & (row < top + side) & (column >= left) & (column < left + side)
    return jnp.where(inside, jnp.zeros_like(image), image)


CHANGES: dict[str, Callable[..., Array]] = {"shift": shift, "flip": flip, "erase": erase}
