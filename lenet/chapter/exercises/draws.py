"""Random inputs. Sums of products of integers have no rounding error, as floats."""

import jax.numpy as jnp
import numpy as np
from jax import Array


def integers(seed: int, shape: tuple[int, ...], *, least: int = -9, most: int = 9) -> Array:
    """Return random integers from `least` to `most`, as float32."""
    return jnp.asarray(np.random.default_rng(seed).integers(least, most + 1, shape), jnp.float32)


def normal(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Draw from the standard normal distribution, in float32."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)
