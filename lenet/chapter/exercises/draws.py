"""Random whole numbers, whose sums of products float32 holds without rounding."""

import jax.numpy as jnp
import numpy as np
from jax import Array


def integers(seed: int, shape: tuple[int, ...], *, least: int = -9, most: int = 9) -> Array:
    """Draw whole numbers from `least` to `most`, as floats."""
    return jnp.asarray(np.random.default_rng(seed).integers(least, most + 1, shape), jnp.float32)
