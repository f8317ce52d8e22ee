"""Count the arithmetic operations of a computation."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def operations(function: Callable[..., Any], *arguments: Any) -> float:
    """Return the number of arithmetic operations that XLA counts; a multiply-add is two.

    It counts what the program says, before it is optimised; products with the zeros of a
    convolution's padding are left out. Nothing is run.

    Args:
      function: of arrays.
      arguments: arrays, or `floats` in their place.

    >>> operations(jnp.dot, floats(2, 3), floats(3, 4))  # 2 · 3 · 4 multiply-adds
    48.0
    """
    with jax.default_device(jax.local_devices(backend="cpu")[0]):  # XLA's GPU client counts nothing
        analysis: Any = jax.jit(function).lower(*arguments).cost_analysis()
    return float(analysis["flops"])


def floats(*shape: int) -> jax.ShapeDtypeStruct:
    """Return a float32 array without values, for functions that need only shapes."""
    return jax.ShapeDtypeStruct(shape, jnp.float32)
