"""The 1×1 convolution (Chinese edition 6.4, English 7.4)."""

from typing import Any

import jax
import jax.numpy as jnp

from experiments.page import Page
from lenet import ops, plots, reference, rounding


def one_by_one(page: Page) -> None:
    """A 1×1 convolution is a fully connected layer over the channels, at every pixel alike."""
    draws = 2000
    x_key, k_key = jax.random.split(jax.random.key(0))
    x = jax.random.normal(x_key, (draws, 3, 3, 3))
    k = jax.random.normal(k_key, (draws, 2, 3, 1, 1))
    page.say("Three channels to two, on 3×3 pixels: as a matrix product, and as a convolution.")
    page.show("corr2d_multi_in_out_1x1(X, K).shape", (2, 3, 3))
    product = jax.jit(jax.vmap(reference.corr2d_multi_in_out_1x1))(x, k)
    loop = jax.jit(jax.vmap(reference.corr2d_multi_in_out))(x, k)
    size = jax.vmap(reference.corr2d_multi_in_out_1x1)(abs(x), abs(k))
    page.check(
        "in {draws} random draws both agree to the rounding of a sum of three",
        (abs(product - loop) <= rounding.tolerance(3, size)).all(),
        draws=draws,
    )
    pixel = jnp.einsum("dc,c->d", k[0, :, :, 0, 0], x[0, :, 1, 2])
    bound = rounding.tolerance(3, size[0, :, 1, 2])
    page.check(
        "at each pixel it is one fully connected layer, the same everywhere",
        (abs(product[0, :, 1, 2] - pixel) <= bound).all(),
    )
    weights = ops.conv2d(jnp.zeros((1, 3, 3, 3)), jnp.zeros((1, 1, 3, 2)))
    page.show("conv2d(x, kernel_1x1).shape", weights.shape)
    page.check(
        "its weight has co·ci = {n} numbers, whatever the image",
        k[0].size == 6,
        n=k[0].size,
    )
    caption = (
        "Every output pixel is made of the three numbers of its own pixel, and of no neighbour"
    )
    with page.figure("one_by_one", caption, size=(10, 3.4)) as figure:
        parts: Any = figure.subfigures(1, 3, width_ratios=(3, 1.3, 2))
        left, middle, right = parts
        for c, axes in enumerate(left.subplots(1, 3)):
            title = page.t("input channel {c}", c=c)
            plots.matrix(axes, x[0, c].round(1), title=title, windows=[(1, 2, 1, 1)], signed=True)
        plots.matrix(
            middle.subplots(), k[0, :, :, 0, 0].round(1), title=page.t("kernel"), signed=True
        )
        for d, axes in enumerate(right.subplots(1, 2)):
            title = page.t("output channel {d}", d=d)
            maps = product[0, d].round(1)
            plots.matrix(axes, maps, title=title, windows=[(1, 2, 1, 1)], signed=True)
