"""Divide a batch among devices, and add up what they computed.

On a CPU each batch is cut into parts, whose gradients are added in pairs, then pairs of pairs.
Cores, which JAX sees as devices, compute a part or more each: quicker than if all of them shared
every product. A device that has more than one computes them one after the other. The sum is bitwise
identical for any number of devices that divides the number of parts.

`axis` names the devices that share a batch, as in `lax.psum`; None means one device computes all.
"""

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Int, Shaped

from lenet.config import Config
from lenet.engine.metrics import Sums

EXAMPLES = 16
"""Fewest examples of a third or later part: shorter products gain nothing."""


def parts(config: Config) -> int:
    """Return how many parts a batch is cut into, a power of two: `config.parts`, or fewer.

    Fewer, but not below two, where a part would have less than EXAMPLES; one unless on a CPU.
    """
    if jax.default_backend() != "cpu":
        return 1
    most = max(2, config.batch_size // EXAMPLES)
    return min(config.parts, 1 << (most.bit_length() - 1))


def share(
    x: Shaped[Array, "..."], dimension: int, multiple: int, axis: str | None
) -> Shaped[Array, "..."]:
    """Return this device's slice of a dimension that is zero-padded to a multiple.

    `x` is the whole array, on each of the devices that share it, whose number divides `multiple`.
    """
    x = fill(x, dimension, multiple)
    if axis is None:
        return x
    size = x.shape[dimension] // lax.axis_size(axis)
    return lax.dynamic_slice_in_dim(x, lax.axis_index(axis) * size, size, dimension)


def cut(x: Shaped[Array, "B ..."], parts: int, axis: str | None) -> Shaped[Array, "P part ..."]:
    """Cut this device's share [B, ...] of a batch into its own of all parts: [P, B/P, ...]."""
    count = parts if axis is None else parts // lax.axis_size(axis)
    x = fill(x, 0, count)
    return x.reshape(count, -1, *x.shape[1:])


def own(parts: int, axis: str | None) -> slice | Int[Array, " P"]:
    """Return which of all parts this device computes."""
    if axis is None:
        return slice(None)
    count = parts // lax.axis_size(axis)
    return lax.axis_index(axis) * count + jnp.arange(count)


def total(of_parts: Sums, axis: str | None) -> Sums:
    """Add up over the parts [P, ...] of a device, then over the devices that share the batch."""
    sums = jax.tree.map(_in_pairs, of_parts)
    if axis is None:
        return sums
    flat, unravel = ravel_pytree(sums)  # as one array: devices wait for each other at each
    return unravel(_in_pairs(lax.all_gather(flat, axis)))


def _in_pairs(x: Shaped[Array, "P ..."]) -> Shaped[Array, "..."]:
    """Return the sum over the first axis: neighbours are added, then neighbouring sums."""
    while len(x) > 1:
        x = x[::2] + x[1::2]
    return x[0]


def gather(shares: Sums, axis: str | None) -> Sums:
    """Return the shares of all devices, joined along the first dimension."""
    return shares if axis is None else lax.all_gather(shares, axis, tiled=True)


def fill(x: Shaped[Array, "..."], dimension: int, multiple: int) -> Shaped[Array, "..."]:
    """Append zeros until the size of a dimension is a multiple."""
    widths = [(0, 0)] * x.ndim
    widths[dimension] = (0, -x.shape[dimension] % multiple)
    return jnp.pad(x, widths)
