"""From fully connected layers to convolutions (Chinese edition 6.1, English 7.1)."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy
from jax import Array

from lenet import ops, reference
from lenet.chapter import rounding
from lenet.chapter.exercises.convolution import correlate
from lenet.chapter.page import Page
from lenet.figures import style
from lenet.inspect import transforms
from lenet.language import mark


def fully_connected(page: Page) -> None:
    """A fully connected layer with translation invariance and locality is a convolution."""
    n, delta = 6, 1
    page.say(
        "A fully connected layer from an image to an image has a weight with four indices: H[i, "
        "j] = Σ W[i, j, k, l] · X[k, l]. All weights are independent."
    )
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (n, n))
    free = jax.random.normal(keys[1], (n, n, n, n))
    page.show("dense2d(W, X).shape", reference.dense2d(free, x).shape)

    page.say(
        "Translation invariance shares the weights: W[i, j, k, l] = V[k − i, l − j], one number "
        "per offset. Locality sets V to 0 beyond Δ."
    )
    whole = jax.random.normal(keys[2], (2 * n - 1, 2 * n - 1))  # every offset there is
    local = whole[n - 1 - delta : n + delta, n - 1 - delta : n + delta]
    tied, cut = (reference.tied_weight(v, (n, n)) for v in (whole, local))
    for name, numbers in (
        (mark("independent"), free.size),
        (mark("shared"), whole.size),
        (mark("shared and local"), local.size),
    ):
        page.value("learnable weights, {kind}", numbers, kind=page.t(name))

    images = jax.random.normal(jax.random.key(3), (100, n, n))
    for v in (whole, local):
        page.check(
            "for Δ = {reach}, the layer equals conv2d with padding {reach}, up to rounding",
            (jax.vmap(excess, (None, 0))(v, images) <= 1).all(),
            reach=v.shape[0] // 2,
        )
    page.check(
        "shared weights map a shifted image to a shifted output; independent weights do not",
        all(_follows_a_shift(w, x) for w in (tied, cut)) and not _follows_a_shift(free, x),
    )

    counts = {"free": free.size, "tied": whole.size, "cut": local.size}
    with page.figure(
        "fully_connected",
        "One row per output pixel: {free}, {tied} and {cut} weights",
        (10, 3.8),
        **counts,
    ) as figure:
        titles = (page.t("independent"), page.t("translation invariance"), page.t("with locality"))
        panels = zip(figure.subplots(1, 3), (free, tied, cut), titles, strict=True)
        for axes, weight, title in panels:
            style.matrix(axes, weight.reshape(n * n, n * n), title=title, signed=True)
            axes.set(xlabel=page.t("input pixel"), ylabel=page.t("output pixel"))


def excess(v: Array, x: Array) -> Array:
    """Return how far the layer that shares V differs from conv2d, in units of its rounding bound.

    Args:
      v: weight by offset, [2Δ + 1, 2Δ + 1].
      x: image [H, W].
    """
    dense = reference.dense2d(reference.tied_weight(v, (x.shape[0], x.shape[1])), x)
    padded = jnp.pad(x, v.shape[0] // 2)
    convolved, size = correlate(padded, v), correlate(abs(padded), abs(v))
    return (abs(dense - convolved) / rounding.tolerance(v.size, size)).max()


def _follows_a_shift(weight: Array, x: Array) -> bool:
    """Return whether moving the content of the image by a pixel moves the output by one."""
    middle = jnp.zeros_like(x).at[2:4, 2:4].set(x[2:4, 2:4])

    def moved(image: Array) -> Array:
        return transforms.shift(image[None, :, :, None], 1, 1)[0, :, :, 0]

    there, here = reference.dense2d(weight, moved(middle)), moved(reference.dense2d(weight, middle))
    size = reference.dense2d(abs(weight), abs(moved(middle))).max()
    return bool((abs(there - here)[1:, 1:] <= rounding.tolerance(x.size, size)).all())


def channels(page: Page) -> None:
    """Images have channels, and the output of a layer has channels of its own: the feature maps."""
    page.say(
        "With channels the kernel has four indices: "
        "H[i, j, d] = Σ V[a, b, c, d] · X[i + a, j + b, c], summed over a, b and the channels c."
    )
    # A red, a blue and a white square on black.
    x = jnp.zeros((1, 16, 16, 3)).at[:, 1:7, 1:7, 0].set(1)
    x = x.at[:, 1:7, 10:15, 2].set(1).at[:, 10:15, 5:12, :].set(1)
    kernel = jnp.zeros((3, 3, 3, 3))
    kernel = kernel.at[:, :, :, 0].set(jnp.array([1.0, 0, -1])[None, None] / 9)  # red, not blue
    kernel = kernel.at[1, :, :, 1].set(jnp.array([1.0, 0, -1])[:, None] / 3)  # a vertical edge
    kernel = kernel.at[:, 1, :, 2].set(jnp.array([1.0, 0, -1])[:, None] / 3)  # a horizontal one
    maps = ops.conv2d(x, kernel, padding=1)
    page.show("X.shape, V.shape, H.shape", (x.shape, kernel.shape, maps.shape))
    padded = np.pad(x[0], ((1, 1), (1, 1), (0, 0)))
    sums = [
        scipy.signal.correlate(padded, kernel[..., d], "valid", "direct")[..., 0] for d in range(3)
    ]
    page.check(
        "conv2d equals this sum",
        (abs(maps[0] - np.stack(sums, axis=-1)) < 1e-6).all(),  # multiples of 1/9 up to 1
    )
    red, blue = maps[0, 3, 3, 0], maps[0, 3, 12, 0]
    page.check(
        "the first feature map is 1 in the red square and −1 in the blue square",
        jnp.allclose(jnp.array([red, blue]), jnp.array([1.0, -1.0]), rtol=1e-6),
    )
    page.check(
        "the second feature map is 0 inside a square and nonzero at its left side",
        maps[0, 3, 3, 1] == 0 and maps[0, 3, 1, 1] != 0,
    )
    with page.figure("channels", "Feature maps: colour and edges", (10, 2.9)) as figure:
        axes = figure.subplots(1, 4)
        axes[0].imshow(x[0])
        axes[0].set(xticks=[], yticks=[], title=page.t("input, 16×16×3"))
        titles = (page.t("red minus blue"), page.t("vertical edges"), page.t("horizontal edges"))
        for d, title in enumerate(titles):
            style.matrix(axes[d + 1], maps[0, :, :, d], title=title, signed=True)
