"""XLA's general convolution, computed so that it is quick inside a compiled loop on a CPU.

There XLA compiles a convolution that is differentiated to a naive loop (github.com/jax-ml/jax,
issue 12868), but a matrix product to a call of its matrix library. So the windows that the kernel
meets become the rows of a matrix, the *patch matrix*, which one product multiplies with the kernel:

    y[n, d] = Σ_k patches[n, k] · kernel[k, d]        n: example and pixel; k: position and channel

Differentiation gives two products more, one for each gradient, and no convolution. Forms that were
measured and are no quicker for channels-last images: a product for each kernel position (1.3 times
as long with 32 channels, seven times with one), bands of outputs as one product (as in
`blocks.toeplitz`; its zeros cost what wider products gain), copies in a loop and gradients by hand
(the same time; the latter cannot be differentiated forward).
"""

import contextlib
import contextvars
import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Num

_OF_XLA = contextvars.ContextVar("of_xla", default=False)


@contextlib.contextmanager
def of_xla() -> Iterator[None]:
    """Have `conv_general_dilated` be XLA's in what is traced until the block ends.

    For a program that others read, as a convolution says more than its products; and for one that
    is not differentiated, such as evaluation, where XLA's is as quick or several times as quick.

    >>> image, kernel = jnp.ones((1, 4, 4, 1)), jnp.ones((2, 2, 1, 1))
    >>> numbers = ("NHWC", "HWIO", "NHWC")
    >>> with of_xla():
    ...     program = jax.make_jaxpr(
    ...         lambda x: conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=numbers)
    ...     )(image)
    >>> [step.primitive.name for step in program.eqns]
    ['conv_general_dilated']
    """
    token = _OF_XLA.set(True)
    try:
        yield
    finally:
        _OF_XLA.reset(token)


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
    """Return what `lax.conv_general_dilated` returns, to rounding; on a CPU by matrix products.

    Flax takes it in place of XLA's: nn.Conv(..., conv_general_dilated=ops.conv_general_dilated).
    Arguments, result and errors are those of `jax.lax.conv_general_dilated`, for any number of
    spatial dimensions. On other hardware, and for groups of a batch, it is that function.

    >>> from flax import linen as nn
    >>> layer = nn.Conv(8, (3, 3), conv_general_dilated=conv_general_dilated)
    >>> layer.init_with_output(jax.random.key(0), jnp.ones((1, 6, 6, 2)))[0].shape
    (1, 6, 6, 8)
    """
    lhs, rhs = jnp.asarray(lhs), jnp.asarray(rhs)
    of_xla = functools.partial(
        lax.conv_general_dilated,
        window_strides=window_strides,
        padding=padding,
        lhs_dilation=lhs_dilation,
        rhs_dilation=rhs_dilation,
        dimension_numbers=dimension_numbers,
        feature_group_count=feature_group_count,
        batch_group_count=batch_group_count,
        precision=precision,
        preferred_element_type=preferred_element_type,
    )
    out = jax.eval_shape(of_xla, lhs, rhs)
    if not computed_here() or batch_group_count != 1 or not out.size or not rhs.size:
        return of_xla(lhs, rhs)
    x, kernel, axes = channels_last(lhs, rhs, dimension_numbers)
    apart = tuple(rhs_dilation or (1,) * (x.ndim - 2))
    if isinstance(padding, str):
        window = [(k - 1) * d + 1 for k, d in zip(kernel.shape, apart, strict=False)]
        padding = lax.padtype_to_pads(x.shape[1:-1], window, window_strides, padding)
    sides = zip(padding, lhs_dilation or (1,) * len(apart), strict=True)
    around = ((0, 0, 0), *((low, high, d - 1) for (low, high), d in sides), (0, 0, 0))
    x = lax.pad(x, jnp.zeros((), x.dtype), around)  # which crops, too: padding may be negative
    sizes = tuple(out.shape[axis] for axis in np.argsort(axes)[1:-1])
    product = functools.partial(
        lax.dot_general, precision=precision, preferred_element_type=preferred_element_type
    )
    slices = _slices(x, kernel.shape[:-2], sizes, tuple(window_strides), apart)
    y = _product(slices, kernel, feature_group_count, product)
    return y.reshape(len(x), *sizes, -1).transpose(axes)


def computed_here() -> bool:
    """Whether a convolution is to be computed by the project, and not by XLA."""
    return jax.default_backend() == "cpu" and not _OF_XLA.get()


def channels_last(lhs: Array, rhs: Array, numbers: Any) -> tuple[Array, Array, tuple[int, ...]]:
    """Return images [B, ..., Ci], a kernel [..., Ci, Co], and the axes that undo it."""
    of_lhs, of_rhs, of_out = lax.conv_dimension_numbers(lhs.shape, rhs.shape, numbers)
    x = lhs.transpose(of_lhs[0], *of_lhs[2:], of_lhs[1])
    kernel = rhs.transpose(*of_rhs[2:], of_rhs[1], of_rhs[0])
    return x, kernel, tuple(np.argsort((of_out[0], *of_out[2:], of_out[1])).tolist())


def _slices(
    x: Array, window: Sequence[int], sizes: Sequence[int], strides: Sequence[int], apart: Any
) -> list[Array]:
    """The pixels that each position of the kernel meets: [B, *sizes, C] each, in its order."""
    found = []
    for position in itertools.product(*map(range, window)):
        first = [p * d for p, d in zip(position, apart, strict=True)]
        end = [p + (n - 1) * s + 1 for p, n, s in zip(first, sizes, strides, strict=True)]
        corner, opposite = (0, *first, 0), (x.shape[0], *end, x.shape[-1])
        found.append(lax.slice(x, corner, opposite, (1, *strides, 1)))
    return found


def _product(slices: list[Array], kernel: Array, groups: int, product: Any) -> Array:
    """Multiply patches [N, positions · channels] with the kernel, group by group: [N, Co]."""
    inputs, outputs = kernel.shape[-2], kernel.shape[-1] // groups
    patches = jnp.concatenate(slices, -1).reshape(-1, len(slices), groups, inputs)
    kernel = kernel.reshape(len(slices), inputs, groups, outputs).transpose(2, 0, 1, 3)
    kernel = kernel.reshape(groups, -1, outputs)
    # The kernel's gradient is a product, too: it is quicker with the larger operand as the second,
    # which XLA would undo without the barrier. (By a third, in the layers of benchmarks/networks.)
    if large := kernel.shape[1] > outputs:
        kernel = lax.optimization_barrier(kernel.swapaxes(1, 2))
    if groups == 1:
        patches = patches.reshape(len(patches), -1)
        return product(patches, kernel[0], (((1,), (1 if large else 0,)), ((), ())))
    patches = patches.transpose(2, 0, 1, 3).reshape(groups, len(patches), -1)
    y = product(patches, kernel, (((2,), (2 if large else 1,)), ((0,), (0,))))
    return y.transpose(1, 0, 2)
