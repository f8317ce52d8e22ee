"""The chapter's operations as it defines them: plain loops over windows, in its own layout.

These are definitions to read and to test against; `lenet.ops` holds the same operations for use.
Source: Zhang et al., Dive into Deep Learning, sections "Convolutions for Images" to "Pooling".
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Num

from lenet.ops.shapes import check_axes, output_shape


def dense2d(
    w: Num[ArrayLike, "Ho Wo H W"] | Sequence[Any], x: Num[ArrayLike, "H W"] | Sequence[Any]
) -> Num[Array, "Ho Wo"]:
    """Apply a fully connected layer that keeps the image an image.

    y[i, j] = Σ_k Σ_l w[i, j, k, l] · x[k, l]

    The weight [H', W', H, W] has an image of weights for each output pixel: [H, W] -> [H', W'].
    """
    w, x = jnp.asarray(w), jnp.asarray(x)
    check_axes(("x", x.shape, "H W"), ("w", w.shape, "H' W' H W"))
    return jnp.einsum("ijkl,kl->ij", w, x)


def tied_weight(
    v: Num[ArrayLike, "kh kw"] | Sequence[Any], size: tuple[int, int]
) -> Num[Array, "H W H W"]:
    """Return the weight of a fully connected layer whose units all share one window of weights.

    w[i, j, k, l] = v[k − i + Δ, l − j + Δ'] where that lies in v, and 0 elsewhere: tied by
    translation invariance, cut off by locality. `dense2d` with it is a convolution.

    v [2Δ + 1, 2Δ' + 1] has the weights by offset; with Δ ≥ H − 1 nothing is cut off. Image and
    output have the size (H, W): [H, W, H, W].

    Raises:
      ValueError: for an even side of v.

    >>> tied_weight([[1, 2, 3]], (1, 4))[0, :, 0].tolist()
    [[2, 3, 0, 0], [1, 2, 3, 0], [0, 1, 2, 3], [0, 0, 1, 2]]
    """
    v = jnp.asarray(v)
    check_axes(("v", v.shape, "2Δ+1 2Δ+1"), ("size", size, "H W"))
    if not all(side % 2 for side in v.shape):
        raise ValueError(f"v must have odd sides, 2Δ + 1, not shape {v.shape}")
    rows, row_in = _offsets(size[0], v.shape[0])
    columns, column_in = _offsets(size[1], v.shape[1])
    inside = row_in[:, None, :, None] & column_in[None, :, None, :]
    return jnp.where(inside, v[rows[:, None, :, None], columns[None, :, None, :]], 0)


def _offsets(size: int, side: int) -> tuple[Array, Array]:
    """[n, n] the index into a window for output i and input k, and whether it lies in it."""
    index = jnp.arange(size)[None, :] - jnp.arange(size)[:, None] + side // 2
    return index.clip(0, side - 1), (index >= 0) & (index < side)


def corr2d(
    x: Num[ArrayLike, "H W"] | Sequence[Any],
    k: Num[ArrayLike, "kh kw"] | Sequence[Any],
    dilation: int = 1,
) -> Num[Array, "Ho Wo"]:
    """Cross-correlate one image with one kernel, whose weights are `dilation` = δ pixels apart.

    y[i, j] = Σ_a Σ_b k[a, b] · x[i + δ·a, j + δ·b]

    x [H, W], k [kh, kw] -> [H − δ·(kh − 1), W − δ·(kw − 1)]

    Raises:
      ValueError: for another rank, or a kernel larger than the image.

    >>> corr2d([[0, 1, 2], [3, 4, 5], [6, 7, 8]], [[0, 1], [2, 3]]).tolist()
    [[19, 25], [37, 43]]
    >>> corr2d([[0, 1, 2], [3, 4, 5], [6, 7, 8]], [[0, 1], [2, 3]], dilation=2).tolist()
    [[38]]
    """
    x, k = jnp.asarray(x), jnp.asarray(k)
    check_axes(("x", x.shape, "H W"), ("k", k.shape, "kh kw"))
    size = tuple(dilation * (side - 1) + 1 for side in k.shape)
    return _slide(x, size, lambda window: (window[::dilation, ::dilation] * k).sum())


def corr2d_multi_in(
    x: Num[ArrayLike, "Ci H W"] | Sequence[Any], k: Num[ArrayLike, "Ci kh kw"] | Sequence[Any]
) -> Num[Array, "Ho Wo"]:
    """Cross-correlate each input channel with its own kernel and add the results.

    x [Ci, H, W], k [Ci, kh, kw] -> [H − kh + 1, W − kw + 1]

    >>> corr2d_multi_in([[[1, 2], [3, 4]], [[5, 6], [7, 8]]], [[[1]], [[10]]]).tolist()
    [[51, 62], [73, 84]]
    """
    x, k = jnp.asarray(x), jnp.asarray(k)
    check_axes(("x", x.shape, "Ci H W"), ("k", k.shape, "Ci kh kw"))
    return jnp.stack([corr2d(xc, kc) for xc, kc in zip(x, k, strict=True)]).sum(0)


def corr2d_multi_in_out(
    x: Num[ArrayLike, "Ci H W"] | Sequence[Any], k: Num[ArrayLike, "Co Ci kh kw"] | Sequence[Any]
) -> Num[Array, "Co Ho Wo"]:
    """Stack one multi-channel cross-correlation for each output channel.

    x [Ci, H, W], k [Co, Ci, kh, kw] -> [Co, H − kh + 1, W − kw + 1]
    """
    x, k = jnp.asarray(x), jnp.asarray(k)
    check_axes(("x", x.shape, "Ci H W"), ("k", k.shape, "Co Ci kh kw"))
    return jnp.stack([corr2d_multi_in(x, kernel) for kernel in k])


def corr2d_grouped(
    x: Num[ArrayLike, "Ci H W"] | Sequence[Any],
    k: Num[ArrayLike, "Co Cg kh kw"] | Sequence[Any],
    groups: int,
) -> Num[Array, "Co Ho Wo"]:
    """Split the channels into groups, and cross-correlate each group by itself.

    x [Ci, H, W], k [Co, Cg, kh, kw] -> [Co, H − kh + 1, W − kw + 1], with Cg = Ci / groups.
    With groups = Ci, the convolution is depthwise: each input channel has kernels of its own.

    >>> corr2d_grouped([[[1, 2], [3, 4]], [[5, 6], [7, 8]]], [[[[1]]], [[[10]]]], 2).tolist()
    [[[1, 2], [3, 4]], [[50, 60], [70, 80]]]
    """
    x, k = jnp.asarray(x), jnp.asarray(k)
    parts = zip(jnp.split(x, groups), jnp.split(k, groups), strict=True)
    return jnp.concatenate([corr2d_multi_in_out(part, kernels) for part, kernels in parts])


def corr2d_backward(
    x: Num[ArrayLike, "H W"] | Sequence[Any],
    k: Num[ArrayLike, "kh kw"] | Sequence[Any],
    g: Num[ArrayLike, "Ho Wo"] | Sequence[Any],
) -> tuple[Num[Array, "H W"], Num[Array, "kh kw"]]:
    """Return the gradients of a loss for x and k, given its gradient g for y = corr2d(x, k).

    dx[i, j] = Σ_a Σ_b k[a, b] · g[i − a, j − b]   the strict convolution, wherever the two overlap
    dk[a, b] = Σ_i Σ_j g[i, j] · x[i + a, j + b]   a cross-correlation of x with g

    >>> dx, dk = corr2d_backward([[1, 2, 3]], [[10, 1]], [[1, 2]])
    >>> dx.tolist(), dk.tolist()
    ([[10, 21, 2]], [[5, 8]])
    """
    x, k, g = jnp.asarray(x), jnp.asarray(k), jnp.asarray(g)
    check_axes(("k", k.shape, "kh kw"), ("g", g.shape, "H' W'"))
    kh, kw = k.shape
    return corr2d(jnp.pad(g, ((kh - 1, kh - 1), (kw - 1, kw - 1))), k[::-1, ::-1]), corr2d(x, g)


def corr2d_multi_in_out_1x1(
    x: Num[ArrayLike, "Ci H W"] | Sequence[Any], k: Num[ArrayLike, "Co Ci 1 1"] | Sequence[Any]
) -> Num[Array, "Co H W"]:
    """Convolve with 1×1 kernels: one matrix product over the channels, at every pixel alike.

    x [Ci, H, W], k [Co, Ci, 1, 1] -> [Co, H, W]
    """
    x, k = jnp.asarray(x), jnp.asarray(k)
    check_axes(("x", x.shape, "Ci H W"), ("k", k.shape, "Co Ci 1 1"))
    if k.shape[2:] != (1, 1):
        raise ValueError(f"k must end in 1×1, not shape {k.shape} (beside x of shape {x.shape})")
    channels, height, width = x.shape
    y = k.reshape(-1, channels) @ x.reshape(channels, height * width)
    return y.reshape(-1, height, width)


def pool2d(
    x: Num[ArrayLike, "H W"] | Sequence[Any], pool_size: tuple[int, int], mode: str = "max"
) -> Num[Array, "Ho Wo"]:
    """Replace each window by its maximum or its mean, at stride 1.

    x [H, W] -> [H − ph + 1, W − pw + 1], with pool_size (ph, pw) and mode "max" or "avg"

    >>> pool2d([[0, 1, 2], [3, 4, 5], [6, 7, 8]], (2, 2)).tolist()
    [[4, 5], [7, 8]]
    """
    x = jnp.asarray(x)
    check_axes(("x", x.shape, "H W"), ("pool_size", pool_size, "ph pw"))
    if mode not in ("max", "avg"):
        raise ValueError(f'mode must be "max" or "avg", not {mode!r}')
    return _slide(x, tuple(pool_size), jnp.max if mode == "max" else jnp.mean)


def max_pool2d_backward(
    x: Num[ArrayLike, "H W"] | Sequence[Any],
    pool_size: tuple[int, int],
    g: Num[ArrayLike, "Ho Wo"] | Sequence[Any],
) -> Num[Array, "H W"]:
    """Return the gradient of a loss for x, given its gradient g for pool2d(x, pool_size).

    Each number of g is added at the maximum of its window, the first in row-major order.

    >>> max_pool2d_backward([[1, 3, 2], [0, 1, 5]], (2, 2), [[10, 1]]).tolist()
    [[0, 10, 0], [0, 0, 1]]
    """
    x, g = jnp.asarray(x), jnp.asarray(g)
    check_axes(("x", x.shape, "H W"), ("g", g.shape, "H' W'"))
    first, dx = _slide(x, pool_size, jnp.argmax), jnp.zeros(x.shape, g.dtype)
    for i, row in enumerate(g):
        for j, value in enumerate(row):
            a, b = divmod(first[i, j], pool_size[1])
            dx = dx.at[i + a, j + b].add(value)
    return dx


def _slide(x: Array, size: tuple[int, ...], reduce: Callable[[Array], Array]) -> Array:
    """Return `reduce` of each window of an image, at stride 1."""
    height, width = output_shape(x.shape, size)
    return jnp.stack(
        [
            # x[i : i + kh, j : j + kw], as one program for all places: a slice compiles at each.
            jnp.stack([reduce(lax.dynamic_slice(x, (i, j), size)) for j in range(width)])
            for i in range(height)
        ]
    )
