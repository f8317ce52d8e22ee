"""Bound the rounding difference between two correct computations of one sum of products."""

import jax.numpy as jnp
from jax import Array


def tolerance(terms: int, magnitude: Array) -> Array:
    """Bound |a − b| for two results of one sum Σ x·y of `terms` products, in any order each.

    Each lies within γ·Σ|x·y| of the exact sum, with γ = nu/(1 − nu) and u half the distance from 1
    to the next number (Higham, *Accuracy and Stability of Numerical Algorithms*, 2002, section
    3.1), so they differ by at most twice that; `magnitude`, itself computed, is too small by a
    factor of 1 − γ at most. That makes 2nu/(1 − 2nu), for all inputs: no draw breaks it. Left out
    are underflow, and hardware that rounds the factors (TF32).

    Args:
      terms: n, products in the sum; one more for each further addition or multiplication.
      magnitude: Σ|x·y|, in the dtype of the computation.

    Returns:
      the bound, of the shape and dtype of `magnitude`

    Raises:
      ValueError: for so many terms that there is no bound in this dtype.

    >>> x = jnp.array([1e8, 1.0, -1e8])
    >>> bool(abs((x[0] + x[1]) + x[2] - x.sum()) <= tolerance(3, abs(x).sum()))
    True
    """
    unit = float(jnp.finfo(magnitude.dtype).eps) / 2
    if 2 * terms * unit >= 1:
        raise ValueError(f"{terms} terms have no bound in {magnitude.dtype}: add in a longer one")
    return 2 * terms * unit / (1 - 2 * terms * unit) * magnitude
