"""How far two correct computations of one sum of products may lie apart in floating point."""

import jax.numpy as jnp
from jax import Array


def tolerance(terms: int, magnitude: Array) -> Array:
    """Bound |a − b| for two results of one sum Σ x·y of `terms` products, in any order each.

    Each lies within γ·Σ|x·y| of the exact sum, with γ = nε/(1 − nε) and ε half the distance from 1
    to the next number (Higham, *Accuracy and Stability of Numerical Algorithms*, 2002, section
    3.1), so that they differ by at most twice that. It holds for all inputs: no draw breaks it.

    Args:
      terms: n, products in the sum; one more for each further addition or multiplication.
      magnitude: Σ|x·y|, in the dtype of the computation.

    Returns:
      the bound, of the shape and dtype of `magnitude`

    >>> x = jnp.array([1e8, 1.0, -1e8])
    >>> bool(abs((x[0] + x[1]) + x[2] - x.sum()) <= tolerance(3, abs(x).sum()))
    True
    """
    n = terms + 1  # for the rounding of `magnitude` itself
    epsilon = float(jnp.finfo(magnitude.dtype).eps) / 2
    return 2 * n * epsilon / (1 - n * epsilon) * magnitude
