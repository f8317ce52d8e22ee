"""From fully connected layers to convolutions (Chinese edition 6.1, English 7.1)."""

import jax
import jax.numpy as jnp

from lenet import ops, reference
from lenet.chapter import rounding
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

    for v, weight in ((whole, tied), (local, cut)):
        reach = v.shape[0] // 2
        page.check(
            "for Δ = {reach}, the layer equals conv2d with padding {reach}, up to rounding",
            _agrees(v, weight),
            reach=reach,
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


def _agrees(v: jax.Array, weight: jax.Array) -> bool:
    """Return whether the dense layer and the convolution agree on a hundred images."""
    x = jax.random.normal(jax.random.key(3), (100, *weight.shape[2:]))
    dense = jax.vmap(reference.dense2d, (None, 0))(weight, x)
    kernel, padding = v[:, :, None, None], (v.shape[0] // 2, v.shape[1] // 2)
    convolved = ops.conv2d(x[..., None], kernel, padding=padding)[..., 0]
    size = ops.conv2d(abs(x)[..., None], abs(kernel), padding=padding)[..., 0]
    return bool((abs(dense - convolved) <= rounding.tolerance(v.size, size)).all())


def _follows_a_shift(weight: jax.Array, x: jax.Array) -> bool:
    """Return whether moving the content of the image by a pixel moves the output by one."""
    middle = jnp.zeros_like(x).at[2:4, 2:4].set(x[2:4, 2:4])

    def moved(image: jax.Array) -> jax.Array:
        return transforms.shift(image[None, :, :, None], 1, 1)[0, :, :, 0]

    there, here = reference.dense2d(weight, moved(middle)), moved(reference.dense2d(weight, middle))
    size = reference.dense2d(abs(weight), abs(moved(middle))).max()
    return bool((abs(there - here)[1:, 1:] <= rounding.tolerance(x.size, size)).all())
