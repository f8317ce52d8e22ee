"""Max and average pooling over images [B, H, W, C], on XLA's own primitives."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Num

from lenet.ops.convolution import conv2d
from lenet.ops.shapes import Padding, Size, check_axes, geometry, pair


def max_pool(
    x: Num[Array | np.ndarray, "B H W C"],
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = 0,
) -> Num[Array, "B Ho Wo C"]:
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
    x = jnp.asarray(x)
    window, stride, sides = _pool_geometry(x, window, stride, padding)
    if stride == window and sides == ((0, 0), (0, 0)):
        return first_max(_split_windows(x, window), (2, 4))
    lowest = -jnp.inf if jnp.issubdtype(x.dtype, jnp.floating) else jnp.iinfo(x.dtype).min
    return _reduce_windows(x, lowest, lax.max, window, stride, sides)


def avg_pool(
    x: Num[Array | np.ndarray, "B H W C"],
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = 0,
    count_include_pad: bool = True,
) -> Num[Array, "B Ho Wo C"]:
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
    x = jnp.asarray(x)
    window, stride, sides = _pool_geometry(x, window, stride, padding)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        x = x.astype(jnp.float32)
    if stride == window and sides == ((0, 0), (0, 0)):
        return _split_windows(x, window).mean((2, 4))

    def window_sum(values: Array) -> Array:
        return _reduce_windows(values, 0, lax.add, window, stride, sides)

    if count_include_pad:
        return window_sum(x) / (window[0] * window[1])
    return window_sum(x) / window_sum(jnp.ones((1, *x.shape[1:3], 1), x.dtype))


def blur_pool(
    x: Num[Array | np.ndarray, "B H W C"],
    taps: Sequence[int] = (1, 2, 1),
    *,
    stride: int | Sequence[int] = 2,
    padding: Padding = 0,
) -> Num[Array, "B Ho Wo C"]:
    """Blur each channel down and across, then keep every `stride`-th pixel.

    Max pooling that changes little when the image moves by a pixel is
    blur_pool(max_pool(x, 2, stride=1)). Source: Zhang, *Making Convolutional Networks
    Shift-Invariant Again*, 2019.

    Args:
      x: images [B, H, W, C]; whole numbers become float32.
      taps: weights of the blur along an axis, [k]; they are divided by their sum.
      stride: one integer or (sh, sw).
      padding: zeros, as in `conv2d`. The source mirrors the image: pad it before.

    Returns:
      [B, H', W', C], with (H', W') from `output_shape`

    >>> x = jnp.tile(jnp.array([1, 0, 1, 0, 1, 0, 1]), (3, 1))[None, :, :, None]
    >>> blur_pool(x).ravel().tolist()
    [0.5, 0.5, 0.5]
    """
    x = jnp.asarray(x)
    check_axes(("x", x.shape, "B H W C"), ("taps", np.shape(taps), "k"))
    if not jnp.issubdtype(x.dtype, jnp.floating):
        x = x.astype(jnp.float32)
    weights = np.outer(taps, taps) / np.sum(taps) ** 2
    kernel = jnp.tile(jnp.asarray(weights, x.dtype)[:, :, None, None], (1, 1, 1, x.shape[3]))
    return conv2d(x, kernel, stride=stride, padding=padding, groups=x.shape[3])


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def first_max(x: Num[Array, "..."], axes: tuple[int, int]) -> Num[Array, "..."]:
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


def _reduce_windows(
    x: Array,
    start: float,
    reduce: Callable[[Any, Any], Any],
    window: Size,
    stride: Size,
    sides: tuple[Size, Size],
) -> Array:
    # The start is NumPy's: a traced one would hide which reduction this is.
    first = np.asarray(start, x.dtype)
    padding = ((0, 0), *sides, (0, 0))
    return lax.reduce_window(x, first, reduce, (1, *window, 1), (1, *stride, 1), padding)


def _pool_geometry(
    x: Array,
    window: int | Sequence[int],
    stride: int | Sequence[int] | None,
    padding: Padding,
) -> tuple[Size, Size, tuple[Size, Size]]:
    window = pair(window, "window", least=1)
    check_axes(("x", x.shape, "B H W C"), ("window", window, "ph pw"))
    beside = f"window of shape {window}"
    steps, sides = geometry(x, window, window if stride is None else stride, padding, beside)
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
