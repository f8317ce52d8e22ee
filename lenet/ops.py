"""The chapter's operations for use: batched, with channels, on XLA's own primitives.

Layout: images [B, H, W, C], kernels [kh, kw, Ci, Co]. Every function is pure and may be
differentiated, jitted and vmapped. `lenet.blocks` holds a faster form for training.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from lenet.shapes import (
    Padding,
    Size,
    check_channels,
    check_rank,
    explicit_padding,
    output_shape,
    pair,
)

__all__ = [
    "avg_pool",
    "conv2d",
    "conv_transpose2d",
    "convolve2d",
    "first_max",
    "max_pool",
    "output_shape",
    "patches",
]


def conv2d(
    x: Array,
    kernel: Array,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
) -> Array:
    """Cross-correlate images with kernels: what deep learning calls a convolution.

    y[b, i, j, d] = Σ_u Σ_v Σ_c kernel[u, v, c, d] · x[b, s·i + u, s·j + v, c]

    Args:
      x: images [B, H, W, Ci].
      kernel: [kh, kw, Ci, Co].
      stride: one integer or (sh, sw).
      padding: zeros around the images: an integer, (ph, pw) on each side,
        ((top, bottom), (left, right)), "SAME" or "VALID".

    Returns:
      feature maps [B, H', W', Co], with (H', W') = `output_shape((H, W), (kh, kw), ...)`

    Raises:
      ValueError: wrong rank or channels, a stride of 0, a window larger than the padded images.

    >>> x, kernel = jnp.arange(9.0).reshape(1, 3, 3, 1), jnp.arange(4.0).reshape(2, 2, 1, 1)
    >>> conv2d(x, kernel)[0, :, :, 0].tolist()
    [[19.0, 25.0], [37.0, 43.0]]
    """
    check_rank("x", x.shape, "B H W Ci", "kernel", kernel.shape)
    check_rank("kernel", kernel.shape, "kh kw Ci Co", "x", x.shape)
    check_channels(x.shape, x.shape[3], kernel.shape, kernel.shape[2])
    window = (kernel.shape[0], kernel.shape[1])
    steps, sides = _geometry(x, window, stride, padding, f"kernel of shape {kernel.shape}")
    if any(low >= k for (low, _), k in zip(sides, window, strict=True)):
        # The gradient of such a convolution is one of negative padding, for which XLA reads
        # outside its buffers on a CPU (github.com/openxla/xla, issue 48713).
        x, sides = jnp.pad(x, ((0, 0), *sides, (0, 0))), ((0, 0), (0, 0))
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=steps,
        padding=sides,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def convolve2d(
    x: Array,
    kernel: Array,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
) -> Array:
    """Convolve strictly, in the sense of mathematics: cross-correlate with the flipped kernel.

    y[b, i, j, d] = Σ_u Σ_v Σ_c kernel[kh − 1 − u, kw − 1 − v, c, d] · x[b, s·i + u, s·j + v, c]

    Arguments, result and errors are those of `conv2d`.
    """
    check_rank("kernel", kernel.shape, "kh kw Ci Co", "x", x.shape)
    return conv2d(x, kernel[::-1, ::-1], stride=stride, padding=padding)


def conv_transpose2d(
    y: Array,
    kernel: Array,
    *,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int | Sequence[int]] = 0,
) -> Array:
    """Transpose `conv2d`: spread each pixel over a window, windows `stride` apart, and add.

    x[b, s·i + u − p, s·j + v − q, c] += Σ_d kernel[u, v, c, d] · y[b, i, j, d]

    As a matrix it is the transpose of that of `conv2d` with the same arguments, so that
    ⟨conv2d(x), y⟩ = ⟨x, conv_transpose2d(y)⟩. With stride s it is what is called a convolution of
    stride 1/s. The same as torch.nn.functional.conv_transpose2d.

    Args:
      y: feature maps [B, H', W', Co].
      kernel: [kh, kw, Ci, Co], as `conv2d` takes it.
      stride: one integer or (sh, sw).
      padding: what is cut off at the sides: an integer, (p, q) or ((top, bottom), (left, right)).

    Returns:
      images [B, H, W, Ci] with H = (H' − 1)·s + kh − top − bottom

    Raises:
      ValueError: wrong rank or channels, a stride of 0, or padding that leaves nothing.

    >>> conv_transpose2d(jnp.array([[1.0, 2.0]]).reshape(1, 1, 2, 1), jnp.ones((1, 2, 1, 1)),
    ...                  stride=2).ravel().tolist()
    [1.0, 1.0, 2.0, 2.0]
    """
    check_rank("y", y.shape, "B H W Co", "kernel", kernel.shape)
    check_rank("kernel", kernel.shape, "kh kw Ci Co", "y", y.shape)
    check_channels(y.shape, y.shape[3], kernel.shape, kernel.shape[3])
    kh, kw = kernel.shape[:2]
    steps = pair(stride, "stride", least=1)
    (top, bottom), (left, right) = explicit_padding(y.shape[1:3], (kh, kw), padding=padding)
    whole = lax.conv_general_dilated(
        y,
        kernel[::-1, ::-1],
        window_strides=(1, 1),
        padding=((kh - 1, kh - 1), (kw - 1, kw - 1)),
        lhs_dilation=steps,
        dimension_numbers=("NHWC", "HWOI", "NHWC"),
    )
    height, width = whole.shape[1:3]
    if top + bottom >= height or left + right >= width:
        raise ValueError(
            f"padding {((top, bottom), (left, right))} leaves nothing of {(height, width)} "
            f"(y of shape {y.shape}, kernel of shape {kernel.shape})"
        )
    return whole[:, top : height - bottom, left : width - right]


def patches(
    x: Array,
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
) -> Array:
    """Return the pixels under each window as a row, so that a convolution is a matrix product.

    patches(x, (kh, kw)) @ kernel.reshape(-1, Co) = conv2d(x, kernel): what is called im2col.

    Args:
      x: images [B, H, W, Ci].
      window: one integer or (kh, kw).
      stride, padding: as in `conv2d`.

    Returns:
      [B, H', W', kh·kw·Ci], each row in the order of a kernel's axes

    >>> patches(jnp.arange(9.0).reshape(1, 3, 3, 1), 2)[0, 0, 1].tolist()
    [1.0, 2.0, 4.0, 5.0]
    """
    window = pair(window, "window", least=1)
    check_rank("x", x.shape, "B H W Ci", "window", window)
    steps, sides = _geometry(x, window, stride, padding, f"window of shape {window}")
    height, width = output_shape(x.shape[1:3], window, stride=steps, padding=padding)
    x = jnp.pad(x, ((0, 0), *sides, (0, 0)))
    shifted = [
        x[:, u : u + steps[0] * height : steps[0], v : v + steps[1] * width : steps[1]]
        for u in range(window[0])
        for v in range(window[1])
    ]
    return jnp.concatenate(shifted, axis=-1)


def max_pool(
    x: Array,
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = 0,
) -> Array:
    """Return the maximum of each window, channel by channel.

    Padding counts as −∞, so it never wins. The gradient goes to the first maximum of a window in
    row-major order, as in PyTorch.

    Args:
      x: images [B, H, W, C].
      window: one integer or (ph, pw).
      stride: defaults to the window.
      padding: as in `conv2d`, and smaller than the window on every side.

    Returns:
      [B, H', W', C], with (H', W') from `output_shape`

    >>> max_pool(jnp.arange(16.0).reshape(1, 4, 4, 1), 3, stride=2, padding=1).ravel().tolist()
    [5.0, 7.0, 13.0, 15.0]
    """
    window, stride, sides = _pool_geometry(x, window, stride, padding)
    if stride == window and sides == ((0, 0), (0, 0)):
        return first_max(_split_windows(x, window), (2, 4))
    lowest = -jnp.inf if jnp.issubdtype(x.dtype, jnp.floating) else jnp.iinfo(x.dtype).min
    return lax.reduce_window(
        x,
        np.asarray(lowest, x.dtype),  # of numpy: a traced one would hide that this is a maximum
        lax.max,
        window_dimensions=(1, *window, 1),
        window_strides=(1, *stride, 1),
        padding=((0, 0), *sides, (0, 0)),
    )


def avg_pool(
    x: Array,
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = 0,
    count_include_pad: bool = True,
) -> Array:
    """Return the mean of each window, channel by channel.

    Args:
      x: images [B, H, W, C]; whole numbers become float32.
      window: one integer or (ph, pw).
      stride: defaults to the window.
      padding: zeros, as in `conv2d`, and smaller than the window on every side.
      count_include_pad: divide by the window's size; if false, by the pixels that are not padding.

    Returns:
      [B, H', W', C], with (H', W') from `output_shape`

    >>> avg_pool(jnp.arange(16.0).reshape(1, 4, 4, 1), 2).ravel().tolist()
    [2.5, 4.5, 10.5, 12.5]
    """
    window, stride, sides = _pool_geometry(x, window, stride, padding)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        x = x.astype(jnp.float32)
    if stride == window and sides == ((0, 0), (0, 0)):
        return _split_windows(x, window).mean((2, 4))

    def window_sum(values: Array) -> Array:
        return lax.reduce_window(
            values,
            np.zeros((), values.dtype),
            lax.add,
            window_dimensions=(1, *window, 1),
            window_strides=(1, *stride, 1),
            padding=((0, 0), *sides, (0, 0)),
        )

    if count_include_pad:
        return window_sum(x) / (window[0] * window[1])
    return window_sum(x) / window_sum(jnp.ones((1, *x.shape[1:3], 1), x.dtype))


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def first_max(x: Array, axes: tuple[int, int]) -> Array:
    """Return the maximum over two axes; its derivative is that of the first maximum, row by row.

    `jnp.max` would share the gradient of a tie. A window of ReLU outputs is often all ties, so the
    rule decides how a network trains; this one is PyTorch's and XLA's.
    """
    return x.max(axes)


@first_max.defjvp
def _first_max_jvp(
    axes: tuple[int, int], primals: tuple[Array], tangents: tuple[Array]
) -> tuple[Array, Array]:
    # Comparisons instead of XLA's select-and-scatter, which is many times slower on a CPU.
    (x,), (dx,) = primals, tangents
    top = x.max(axes)
    open_, rows = jnp.expand_dims(jnp.ones(top.shape, bool), axes), []
    for row in jnp.split(x == jnp.expand_dims(top, axes), x.shape[axes[0]], axes[0]):
        cells = []
        for hit in jnp.split(row, x.shape[axes[1]], axes[1]):
            cells.append(hit & open_)
            open_ &= ~hit
        rows.append(jnp.concatenate(cells, axes[1]))
    return top, jnp.where(jnp.concatenate(rows, axes[0]), dx, 0).sum(axes)


def _geometry(
    x: Array, window: Size, stride: int | Sequence[int], padding: Padding, beside: str
) -> tuple[Size, tuple[Size, Size]]:
    """Stride and padding of a window over images, or a ValueError that names both shapes."""
    try:
        steps = pair(stride, "stride", least=1)
        output_shape(x.shape[1:3], window, stride=steps, padding=padding)
        return steps, explicit_padding(x.shape[1:3], window, stride=steps, padding=padding)
    except ValueError as error:
        raise ValueError(f"{error} (images of shape {x.shape}, {beside})") from None


def _pool_geometry(
    x: Array,
    window: int | Sequence[int],
    stride: int | Sequence[int] | None,
    padding: Padding,
) -> tuple[Size, Size, tuple[Size, Size]]:
    window = pair(window, "window", least=1)
    check_rank("x", x.shape, "B H W C", "window", window)
    beside = f"window of shape {window}"
    steps, sides = _geometry(x, window, window if stride is None else stride, padding, beside)
    if any(side >= size for axis, size in zip(sides, window, strict=True) for side in axis):
        raise ValueError(
            f"padding {sides} must be smaller than the window on every side, for a window that "
            f"sees only padding has no value (images of shape {x.shape}, {beside})"
        )
    return window, steps, sides


def _split_windows(x: Array, window: Size) -> Array:
    """[B, H, W, C] -> [B, H', ph, W', pw, C], dropping the rows and columns that fill no window."""
    (ph, pw), (b, h, w, c) = window, x.shape
    whole = x[:, : h // ph * ph, : w // pw * pw]
    return whole.reshape(b, h // ph, ph, w // pw, pw, c)
