"""Who computes what: the parts of a batch, on one device or shared among several."""

import jax
import jax.numpy as jnp
from jax import Array, lax


def parts() -> int:
    """Return how many parts a batch is cut into: 2 on a CPU, otherwise 1."""
    return 2 if jax.default_backend() == "cpu" else 1


def share(x: Array, dimension: int, axis: str | None) -> Array:
    """Return what a device takes of a dimension, filled up with zeros so that all take as much.

    Args:
      x: the whole, on each of the devices.
      dimension: to divide, such as that of examples.
      axis: of the devices that share it; None for one that takes all.
    """
    x = fill(x, dimension, parts())
    if axis is None:
        return x
    size = x.shape[dimension] // lax.axis_size(axis)
    return lax.dynamic_slice_in_dim(x, lax.axis_index(axis) * size, size, dimension)


def fill(x: Array, axis: int, multiple: int) -> Array:
    """Append zeros until the size of an axis is a multiple."""
    widths = [(0, 0)] * x.ndim
    widths[axis] = (0, -x.shape[axis] % multiple)
    return jnp.pad(x, widths)
