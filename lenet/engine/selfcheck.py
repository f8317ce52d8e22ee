"""Refuse to train with a version of JAX that computes wrong results.

jax 0.10.2 took the wrong rows of a product that is reduced at once (github.com/jax-ml/jax, issue
39103), and threads have raced in a sum over a broadcast array (tensorflow, issue 126812, which is
XLA's). Whole numbers that float32 holds exactly leave no doubt.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lenet.errors import UsageError

ROWS = 32_769
"""One more than the product is right for in jax 0.10.2."""


def check() -> None:
    """Compute a matrix product and two sums, and compare each with whole numbers.

    Raises:
      UsageError: naming what was wrong.
    """
    rows = np.arange(ROWS) % 1021
    left, right = np.arange(64 * 48).reshape(64, 48) % 17, np.arange(48 * 32).reshape(48, 32) % 13
    expected = (left @ right, rows**2, np.array(1 << 21))
    names = ("a matrix product", "a product that is reduced", "a sum")
    for name, found, exact in zip(names, _computed(left, right, rows), expected, strict=True):
        if not np.array_equal(found, exact):
            raise UsageError(
                f"jax {jax.__version__} computes {name} wrongly on this "
                f"{jax.default_backend()}: install another version (the project pins one that is "
                "right)"
            )


@jax.jit
def _computed(left: Array, right: Array, rows: Array) -> tuple[Array, Array, Array]:
    left, right, rows = (x.astype(jnp.float32) for x in (left, right, rows))
    points = jnp.stack([rows, jnp.zeros_like(rows), jnp.zeros_like(rows)], axis=1)
    with jax.default_matmul_precision("highest"):
        product = left @ right
        squares = jax.vmap(lambda point: jnp.sum((jnp.eye(3) @ point) ** 2))(points)
    ones = jnp.broadcast_to(jnp.minimum(left[:1, 1:2], 1), (2, 1024, 1024))
    return product, squares, ones.sum()
