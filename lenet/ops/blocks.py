"""Convolution as one matrix product, for the training loop.

The chapter derives the convolution from a fully connected layer by tying weights and cutting the
window. This module goes half-way back: a *block* of t×t neighbouring outputs is a fully connected
function of the window of (t + k − 1)² inputs that they see, with the kernel repeated at t² offsets
and zeros elsewhere (a Toeplitz matrix). Some multiply-adds meet a zero, but the whole layer becomes
one matrix product, wide enough for a CPU's vector units or a GPU's tensor cores.

Images travel as blocks:

    x[a, b, c, i, j, n]   pixel (t·i + a, t·j + b) of channel c of example n: [t, t, C, H/t, W/t, B]

so that every row of the patch matrix is a contiguous slice, a pooling window lies within a block
(pooling is a reduction over the first axes, and leaves blocks of half the size), and nothing has to
be transposed between layers.

Why at all: XLA compiles a convolution inside a loop on a CPU to code 6 to 13 times slower than
outside (github.com/jax-ml/jax, issue 12868); a matrix product has no such cliff.
"""

import functools
import math
import operator
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Num

from lenet.ops.pooling import first_max
from lenet.ops.shapes import Size


def split(
    images: Num[Array, "B H W C"], block: int, padding: tuple[Size, Size] = ((0, 0), (0, 0))
) -> Num[Array, "t t C n m B"]:
    """Pad images with zeros and lay them out as blocks of side t = `block`.

    [B, H, W, C] -> [t, t, C, ⌈H/t⌉, ⌈W/t⌉, B], with H and W after the padding ((top, bottom),
    (left, right)); more zeros follow at the bottom and the right until the blocks are whole.
    """
    batch, height, width, channels = images.shape
    (top, bottom), (left, right) = padding
    rows, columns = -(-(height + top + bottom) // block), -(-(width + left + right) // block)
    bottom, right = rows * block - height - top, columns * block - width - left
    x = images.transpose(3, 1, 2, 0)
    x = jnp.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    x = x.reshape(channels, rows, block, columns, block, batch)
    return x.transpose(2, 4, 0, 1, 3, 5)


def merge(x: Num[Array, "t t C n m B"], size: Size) -> Num[Array, "B H W C"]:
    """Lay blocks [t, t, C, n, m, B] out as images [B, H, W, C], cut to `size` = (H, W)."""
    t, _, channels, rows, columns, batch = x.shape
    images = x.transpose(5, 3, 0, 4, 1, 2).reshape(batch, rows * t, columns * t, channels)
    return images[:, : size[0], : size[1]]


def conv2d(
    x: Num[Array, "t t Ci n m B"],
    kernel: Num[Array | np.ndarray, "kh kw Ci Co"],
    bias: Num[Array | np.ndarray, " Co"],
) -> Num[Array, "t t Co no mo B"]:
    """Cross-correlate blocks with kernels and add the bias, at stride 1 and without padding.

    [t, t, Ci, n, m, B] -> [t, t, Co, n − ⌊(kh − 1)/t⌋, m − ⌊(kw − 1)/t⌋, B]. Cut to H − kh + 1 by
    W − kw + 1, this is what `ops.conv2d` gives; the rest saw the zeros that fill the last blocks.
    Differentiable in reverse mode; `ops.conv2d` is in both.
    """
    t, (q, r) = x.shape[0], _reach(kernel.shape, x.shape[0])
    rows, columns = q - 1 - (kernel.shape[0] - 1) // t, r - 1 - (kernel.shape[1] - 1) // t
    if rows or columns:  # the last outputs see a part of a block that is not there
        x = jnp.pad(x, ((0, 0),) * 3 + ((0, rows), (0, columns), (0, 0)))
    return _product(x, jnp.asarray(kernel), jnp.asarray(bias))  # which may be on the host


def activate_and_pool(
    x: Num[Array, "t t C n m B"], activation: Callable[[Array], Array], window: int, mode: str
) -> Num[Array, "s s C n m B"]:
    """Activate every pixel, then reduce each window×window to its maximum or mean.

    [t, t, C, n, m, B] -> [t/window, t/window, C, n, m, B], with mode "avg" or "max"; windows must
    divide the block.
    """
    if mode not in ("avg", "max") or x.shape[0] % window:
        raise ValueError(f"cannot pool blocks of shape {x.shape} by mode={mode!r}, {window=}")
    t, _, channels, rows, columns, batch = x.shape
    s = t // window
    # The last axes as one: XLA then walks along it without working out a row and a column, here
    # and in the gradient, which is a matrix with such rows to the convolution below.
    x = activation(x.reshape(s, window, s, window, channels, rows * columns * batch))
    x = x.mean((1, 3)) if mode == "avg" else first_max(x, (1, 3))
    return x.reshape(s, s, channels, rows, columns, batch)


def toeplitz(
    kernel: Num[Array | np.ndarray, "kh kw Ci Co"], bias: Num[Array | np.ndarray, " Co"], block: int
) -> Num[Array, "inputs outputs"]:
    """Return the matrix of the fully connected layer from a window of blocks to a block of outputs.

    Entry [(i, j, a, b, c), (u, v, d)] = kernel[t·i + a − u, t·j + b − v, c, d], zero outside; the
    last row has the bias, the weight of an input that is always 1. With t = `block`, the shape is
    [q'·r'·t·t·Ci + 1, t·t·Co], q' = 1 + ⌈(kh − 1)/t⌉ and r' = 1 + ⌈(kw − 1)/t⌉.
    """
    kh, kw, ci, co = kernel.shape
    t, (q, r) = block, _reach(kernel.shape, block)

    def shifted(u: int, v: int) -> Array:  # jnp.pad, a program in itself, takes longer to trace
        around = (u, q * t - kh - u, 0), (v, r * t - kw - v, 0), (0, 0, 0), (0, 0, 0)
        return lax.pad(kernel, jnp.zeros((), kernel.dtype), around)

    offsets = jnp.stack([shifted(u, v) for u in range(t) for v in range(t)], 3)
    offsets = offsets.reshape(q, t, r, t, ci, t * t * co)
    rows = offsets.transpose(0, 2, 1, 3, 4, 5).reshape(q * r * t * t * ci, t * t * co)
    return jnp.concatenate([rows, jnp.tile(bias, t * t)[None]])


def _reach(kernel_shape: tuple[int, ...], block: int) -> Size:
    """How many blocks, down and across, a block of outputs sees."""
    rows, columns = (1 + math.ceil((side - 1) / block) for side in kernel_shape[:2])
    return rows, columns


def _patches(x: Array, reach: Size) -> Array:
    """The patch matrix: a row for each input of a window, then one of ones; a column a window."""
    return (_copied if jax.default_backend() == "cpu" else _joined)(x, reach)


def _copied(x: Array, reach: Size) -> Array:
    """`_patches` by a loop of copies.

    As one expression XLA would fuse the reshape into it on a CPU, and work out a row and a column
    for every number.
    """
    t, _, channels, rows, columns, batch = x.shape
    n, m = rows - reach[0] + 1, columns - reach[1] + 1
    inputs, windows = t * t * channels, reach[0] * reach[1]

    def put(s: Array, patches: Array) -> Array:
        corner = (0, 0, 0, s // reach[1], s % reach[1], 0)
        part = lax.dynamic_slice(x, corner, (t, t, channels, n, m, batch))
        part = part.reshape(inputs, n, m, batch)
        return lax.dynamic_update_slice(patches, part, (s * inputs, 0, 0, 0))

    ones = jnp.ones((windows * inputs + 1, n, m, batch), x.dtype)
    return lax.fori_loop(0, windows, put, ones).reshape(-1, n * m * batch)


def _joined(x: Array, reach: Size) -> Array:
    """`_patches` as one expression: one kernel of a GPU, where each round of a loop is several."""
    t, _, channels, rows, columns, batch = x.shape
    n, m = rows - reach[0] + 1, columns - reach[1] + 1
    slices = [
        x[:, :, :, i : i + n, j : j + m].reshape(t * t * channels, n * m * batch)
        for i in range(reach[0])
        for j in range(reach[1])
    ]
    return jnp.concatenate([*slices, jnp.ones((1, n * m * batch), x.dtype)])


def _added(parts: Array, shape: tuple[int, ...], reach: Size) -> Array:
    """Add up what each slice of x gave, where it was: the gradient of the slices of `_patches`."""
    if jax.default_backend() != "cpu":
        (rows, columns), (n, m) = shape[3:5], parts.shape[4:6]

        def placed(s: int) -> Array:
            i, j = divmod(s, reach[1])
            around = ((i, rows - n - i), (j, columns - m - j))
            return jnp.pad(parts[s], ((0, 0), (0, 0), (0, 0), *around, (0, 0)))

        return functools.reduce(operator.add, map(placed, range(len(parts))))

    def add_slice(s: Array, dx: Array) -> Array:
        corner = (0, 0, 0, s // reach[1], s % reach[1], 0)
        old = lax.dynamic_slice(dx, corner, parts.shape[1:])
        return lax.dynamic_update_slice(dx, old + parts[s], corner)

    # A loop and not a sum of padded slices, which XLA would fuse into the layer below and
    # evaluate once for every pixel of its pooling window.
    return lax.fori_loop(0, reach[0] * reach[1], add_slice, jnp.zeros(shape, parts.dtype))


@jax.custom_vjp
def _product(x: Array, kernel: Array, bias: Array) -> Array:
    return _forward(x, kernel, bias)[0]


def _forward(x: Array, kernel: Array, bias: Array) -> tuple[Array, tuple]:
    t, _, _, rows, columns, batch = x.shape
    reach = _reach(kernel.shape, t)
    patches = _patches(x, reach)
    y = lax.dot_general(toeplitz(kernel, bias, t), patches, (((0,), (0,)), ((), ())))
    y = y.reshape(t, t, -1, rows - reach[0] + 1, columns - reach[1] + 1, batch)
    return y, (patches, kernel, bias, x.shape)


def _backward(saved: tuple, g: Array) -> tuple[Array, Array, Array]:
    patches, kernel, bias, shape = saved
    t, _, channels, rows, columns, batch = shape
    reach = _reach(kernel.shape, t)
    n, m = rows - reach[0] + 1, columns - reach[1] + 1
    g = g.reshape(-1, n * m * batch)
    weights, to_kernel = jax.vjp(lambda k, b: toeplitz(k, b, t), kernel, bias)
    # The matrix library is quicker with the larger operand first.
    large_first = patches @ g.T if len(patches) > len(g) else (g @ patches.T).T
    d_kernel, d_bias = to_kernel(large_first)
    d_patches = (weights[:-1] @ g).reshape(-1, t, t, channels, n, m, batch)

    return _added(d_patches, shape, reach), d_kernel, d_bias


_product.defvjp(_forward, _backward)
