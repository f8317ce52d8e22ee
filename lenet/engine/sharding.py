"""Divide a batch among devices, and add up what they computed.

On a CPU each batch is cut into two parts, whose gradients are added. Two cores, which JAX sees as
two devices, compute one part each: quicker than both cores sharing every product. On one device the
parts follow one another. The sum is bitwise identical either way.

`axis` names the devices that share a batch, as in `lax.psum`; None means one device computes all.
"""

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Int, Shaped

from lenet.engine import metrics
from lenet.engine.metrics import Sums


def parts() -> int:
    """Return how many parts a batch is cut into: 2 on a CPU, otherwise 1."""
    return 2 if jax.default_backend() == "cpu" else 1


def share(x: Shaped[Array, "..."], dimension: int, axis: str | None) -> Shaped[Array, "..."]:
    """Return this device's slice of a dimension, zero-padded so that all slices are equal in size.

    `x` is the whole array, on each of the devices that share it.
    """
    x = fill(x, dimension, parts())
    if axis is None:
        return x
    size = x.shape[dimension] // lax.axis_size(axis)
    return lax.dynamic_slice_in_dim(x, lax.axis_index(axis) * size, size, dimension)


def cut(x: Shaped[Array, "B ..."], axis: str | None) -> Shaped[Array, "P part ..."]:
    """Cut this device's share [B, ...] of a batch into its parts: [P, B/P, ...]."""
    count = parts() if axis is None else parts() // lax.axis_size(axis)
    x = fill(x, 0, count)
    return x.reshape(count, -1, *x.shape[1:])


def own(axis: str | None) -> slice | Int[Array, " P"]:
    """Return which of all parts this device computes."""
    if axis is None:
        return slice(None)
    count = parts() // lax.axis_size(axis)
    return lax.axis_index(axis) * count + jnp.arange(count)


def total(of_parts: Sums, axis: str | None) -> Sums:
    """Add up over the parts [P, ...] of a device, then over the devices that share the batch."""
    sums = metrics.total(of_parts)
    if axis is None:
        return sums
    flat, unravel = ravel_pytree(sums)  # as one array: devices wait for each other at each
    return unravel(lax.psum(flat, axis))


def gather(shares: Sums, axis: str | None) -> Sums:
    """Return the shares of all devices, joined along the first dimension."""
    return shares if axis is None else lax.all_gather(shares, axis, tiled=True)


def fill(x: Shaped[Array, "..."], dimension: int, multiple: int) -> Shaped[Array, "..."]:
    """Append zeros until the size of a dimension is a multiple."""
    widths = [(0, 0)] * x.ndim
    widths[dimension] = (0, -x.shape[dimension] % multiple)
    return jnp.pad(x, widths)
