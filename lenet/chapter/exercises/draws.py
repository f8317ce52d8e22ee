"""Random integers as floats, so that sums of products have no rounding error."""

import jax.numpy as jnp
import numpy as np
from jax import Array


def integers(seed: int, shape: tuple[int, ...], *, least: int = -9, most: int = 9) -> Array:
    """Return random integers from `least` to `most`, as float32."""
    return jnp.asarray(np.random.default_rng(seed).integers(least, most + 1, shape), jnp.float32)
