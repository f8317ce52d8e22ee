"""Cross-correlation and strict convolution (Chinese edition 6.1 and 6.2, English 7.1 and 7.2)."""

import jax
import jax.numpy as jnp
import numpy as np

from lenet import ops, reference
from lenet.chapter.exercises.convolution import correlate
from lenet.chapter.exercises.draws import integers
from lenet.chapter.exercises.why_convolution import convolve
from lenet.chapter.page import Page
from lenet.figures import style


def cross_correlation(page: Page) -> None:
    """The convolution of deep learning is a cross-correlation: the kernel is not flipped."""
    x, k = jnp.arange(9.0).reshape(3, 3), jnp.arange(4.0).reshape(2, 2)
    page.say("A kernel slides over the image; at each place, the products are summed.")
    y = reference.corr2d(x, k)
    page.show("corr2d(X, K)", y)
    page.check(
        "the first output is 0·0 + 1·1 + 3·2 + 4·3 = 19, and all four match the book",
        (y == jnp.array([[19, 25], [37, 43]])).all(),
    )
    page.check(
        "the output has n − k + 1 rows: {rows} for n = {n} and k = {k}",
        y.shape[0] == x.shape[0] - k.shape[0] + 1,
        rows=y.shape[0],
        n=x.shape[0],
        k=k.shape[0],
    )
    page.check("conv2d, with batches and channels, equals the loops", (correlate(x, k) == y).all())

    page.say("The mathematical convolution uses g(i − a, j − b): the kernel is flipped first.")
    strict = _convolve2d(x, k)
    page.show("convolve2d(X, K)", strict)
    page.check(
        "cross-correlation with the flipped kernel: (f ∗ g)(i, j) = Σ f(a, b) g(i − a, j − b)",
        (_by_definition(x[None], k[None])[0] == strict).all(),
    )
    page.check(
        "for a kernel that equals its own flip, both operations agree",
        (correlate(x, k + k[::-1, ::-1]) == _convolve2d(x, k + k[::-1, ::-1])).all(),
    )
    page.say("A layer that flips its kernel learns the flipped kernel, so the output is the same.")
    page.check(
        "convolution equals cross-correlation with the flipped kernel in {n} random pairs",
        _same_outputs(1000),
        n=1000,
    )

    with page.figure("cross_correlation", "The framed window gives 19 or 5", (10, 2.8)) as figure:
        axes = figure.subplots(1, 5)
        first = [(0, 0, 2, 2)]
        style.matrix(axes[0], x, title=page.t("input X"), windows=first)
        style.matrix(axes[1], k, title=page.t("kernel K"))
        style.matrix(axes[2], y, title=page.t("cross-correlation"), windows=[(0, 0, 1, 1)])
        style.matrix(axes[3], k[::-1, ::-1], title=page.t("flipped K"))
        style.matrix(axes[4], strict, title=page.t("strict convolution"), windows=[(0, 0, 1, 1)])


def _convolve2d(x: jax.Array, k: jax.Array) -> jax.Array:
    return ops.convolve2d(x[None, :, :, None], k[:, :, None, None])[0, :, :, 0]


def _same_outputs(draws: int) -> bool:
    """Return whether both agree exactly on random integers."""
    x, k = integers(0, (draws, 6, 5)), integers(1, (draws, 3, 2))
    return bool((_by_definition(x, k) == jax.vmap(correlate)(x, k[:, ::-1, ::-1])).all())


def _by_definition(f: jax.Array, g: jax.Array) -> np.ndarray:
    """Return Σ f(a, b) g(i − a, j − b), pair by pair, where g lies within f."""
    (_, height, width), (_, kh, kw) = f.shape, g.shape
    return convolve(np.asarray(f), np.asarray(g))[:, kh - 1 : height, kw - 1 : width]
