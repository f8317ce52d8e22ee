"""Convolution by a kernel of our own on a CPU, compiled where it runs.

The matrix products of `lenet.ops.blocks` and `lenet.ops.general` copy every input into a patch
matrix; those of blocks also multiply with the zeros of a Toeplitz matrix. `native.cc` does neither.
Its images are blocks, as `blocks.split` lays them out, or have channels last, as in Flax.
`lenet.ops.compiled` makes it for this processor.
"""

import functools
import logging
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float, Num

from lenet.ops import compiled, general
from lenet.ops.compiled import call
from lenet.ops.shapes import Size

log = logging.getLogger("lenet")


def conv2d(
    x: Float[Array, "t t Ci n m B"],
    kernel: Float[Array | np.ndarray, "kh kw Ci Co"],
    bias: Float[Array | np.ndarray, " Co"],
    block: int = 1,
) -> Float[Array, "s s Co no mo B"]:
    """Cross-correlate float32 blocks with kernels and add the bias, at stride 1, without padding.

    [t, t, Ci, n, m, B] -> [s, s, Co, ⌊(t·n − kh + 1)/s⌋, ⌊(t·m − kw + 1)/s⌋, B] with s = `block`:
    what `ops.conv2d` gives for these images, without the last rows and columns that fill no block.
    Differentiable in reverse mode.

    Raises:
      MissingError: if the kernel cannot be compiled here.
    """
    compiled.library()
    height, width = (
        x.shape[0] * side - k + 1 for side, k in zip(x.shape[3:5], kernel.shape, strict=False)
    )
    if height < block or width < block:
        raise ValueError(f"blocks of shape {x.shape}: no block of {block} after {kernel.shape}")
    return _convolved(x, jnp.asarray(kernel), jnp.asarray(bias), block)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _convolved(x: Array, kernel: Array, bias: Array, block: int) -> Array:
    height, width = (x.shape[0] * x.shape[3 + i] - kernel.shape[i] + 1 for i in range(2))
    shape = (block, block, kernel.shape[3], height // block, width // block, x.shape[5])
    return _correlated(x, kernel, bias, shape, (0, 0))


def _forward(x: Array, kernel: Array, bias: Array, block: int) -> tuple[Array, tuple[Array, Array]]:
    return _convolved(x, kernel, bias, block), (x, kernel)


def _backward(block: int, saved: tuple[Array, Array], dy: Array) -> tuple[Array, Array, Array]:
    x, kernel = saved
    # The input's gradient is a correlation, too: with the kernel turned, and windows that begin
    # outside. For the images, whose gradient nobody takes, JAX drops it.
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    corner = (kernel.shape[0] - 1, kernel.shape[1] - 1)
    dx = _correlated(dy, turned, jnp.zeros(x.shape[2], x.dtype), x.shape, corner)
    shapes = (kernel.shape, (kernel.shape[3],))
    out = [jax.ShapeDtypeStruct(shape, x.dtype) for shape in shapes]
    return dx, *call("kernel_gradient", out, _flat(x), _flat(dy), **_grids(x.shape, dy.shape))


_convolved.defvjp(_forward, _backward)


def _correlated(
    x: Array, kernel: Array, bias: Array, shape: tuple[int, ...], corner: Size
) -> Array:
    """Return blocks of `shape`; the first window begins `corner` pixels outside the images."""
    out = jax.ShapeDtypeStruct((*shape[:3], math.prod(shape[3:])), x.dtype)
    numbers = _grids(x.shape, shape) | _corner(corner)
    return call("correlate", out, _flat(x), kernel, bias, **numbers).reshape(shape)


def _flat(x: Array) -> Array:
    """Return blocks with their last axes as one, for the reason that `blocks` has."""
    return x.reshape(*x.shape[:3], -1)


def _grids(before: tuple[int, ...], after: tuple[int, ...]) -> dict[str, Any]:
    return {"from": np.array(before[3:5], np.int64), "to": np.array(after[3:5], np.int64)}


def conv_general_dilated(
    lhs: Num[Array | np.ndarray, "..."],
    rhs: Num[Array | np.ndarray, "..."],
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    batch_group_count: int = 1,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Num[Array, "..."]:
    """Return `ops.conv_general_dilated`, by the compiled kernel where it has such a convolution.

    That is one of float32 images at stride 1, without dilation and groups, padded by less than the
    kernel, on a CPU with a C++ compiler; it is differentiable once, in reverse mode. Any other is
    computed as `ops.conv_general_dilated` does, which is differentiable in any way.

    Flax takes it in place of XLA's: nn.Conv(..., conv_general_dilated=native.conv_general_dilated).
    """
    lhs, rhs = jnp.asarray(lhs), jnp.asarray(rhs)
    plain = (
        lhs.ndim == rhs.ndim == 4
        and lhs.dtype == rhs.dtype == jnp.float32
        and preferred_element_type in (None, jnp.float32)
        and feature_group_count == batch_group_count == 1
        and {tuple(n or (1, 1)) for n in (window_strides, lhs_dilation, rhs_dilation)} == {(1, 1)}
    )
    if plain and general.computed_here() and _there():
        x, kernel, axes = general.channels_last(lhs, rhs, dimension_numbers)
        if sides := _sides(x.shape, kernel.shape, padding):
            return _convolved_last(x, kernel, sides).transpose(axes)
    return general.conv_general_dilated(
        lhs,
        rhs,
        window_strides,
        padding,
        lhs_dilation,
        rhs_dilation,
        dimension_numbers,
        feature_group_count,
        batch_group_count,
        precision,
        preferred_element_type,
    )


def _sides(
    images: tuple[int, ...], kernel: tuple[int, ...], padding: str | Sequence[tuple[int, int]]
) -> tuple[Size, Size] | None:
    """Return the padding above and below, left and right; None: the kernel does not compute it."""
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(images[1:3], kernel[:2], (1, 1), padding)
    (top, bottom), (left, right) = padding
    sizes = zip(images[1:3], padding, kernel, strict=False)
    fits = all(0 <= p < k for sides, k in zip(padding, kernel, strict=False) for p in sides)
    whole = images[3] == kernel[2] and math.prod((*images, *kernel)) > 0
    if not (fits and whole and all(n + sum(sides) >= k for n, sides, k in sizes)):
        return None
    return (top, bottom), (left, right)


@functools.cache
def _there() -> bool:
    """Whether there is a kernel; a line says once why there is none."""
    if why := compiled.missing():
        log.warning("warning: direct convolution: %s. Using matrix products", why)
    return why is None


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _convolved_last(x: Array, kernel: Array, padding: tuple[Size, Size]) -> Array:
    height, width = (
        n + sum(sides) - k + 1
        for n, sides, k in zip(x.shape[1:3], padding, kernel.shape, strict=False)
    )
    corner = (padding[0][0], padding[1][0])
    return _correlated_last(x, kernel, (len(x), height, width, kernel.shape[3]), corner)


def _forward_last(
    x: Array, kernel: Array, padding: tuple[Size, Size]
) -> tuple[Array, tuple[Array, Array]]:
    return _convolved_last(x, kernel, padding), (x, kernel)


def _backward_last(
    padding: tuple[Size, Size], saved: tuple[Array, Array], dy: Array
) -> tuple[Array, Array]:
    x, kernel = saved
    corner = (padding[0][0], padding[1][0])
    around = (kernel.shape[0] - 1 - corner[0], kernel.shape[1] - 1 - corner[1])
    dx = _correlated_last(dy, kernel[::-1, ::-1].swapaxes(2, 3), x.shape, around)
    out = jax.ShapeDtypeStruct(kernel.shape, x.dtype)
    return dx, call("kernel_gradient_last", out, x, dy, **_corner(corner))


_convolved_last.defvjp(_forward_last, _backward_last)


def _correlated_last(x: Array, kernel: Array, shape: tuple[int, ...], corner: Size) -> Array:
    """Return images of `shape`; the first window begins `corner` pixels outside the images."""
    out = jax.ShapeDtypeStruct(shape, x.dtype)
    return call("correlate_last", out, x, kernel, **_corner(corner))


def _corner(corner: Size) -> dict[str, Any]:
    return {"top": np.int64(corner[0]), "left": np.int64(corner[1])}
