"""Count the arithmetic operations of a computation."""

from collections.abc import Callable
from typing import Any

import jax


def operations(function: Callable[..., Any], *arguments: Any) -> float:
    """Return the number of arithmetic operations that XLA counts; a multiply-add is two.

    It counts what the program says, before it is optimised; products with the zeros of a
    convolution's padding are left out. Nothing is run.

    Args:
      function: of arrays.
      arguments: arrays, or `jax.ShapeDtypeStruct`s in their place.

    >>> import jax.numpy as jnp
    >>> operations(jnp.dot, jnp.ones((2, 3)), jnp.ones((3, 4)))  # 2 · 3 · 4 multiply-adds
    48.0
    """
    analysis: Any = jax.jit(function).lower(*arguments).cost_analysis()
    return float(analysis["flops"])
