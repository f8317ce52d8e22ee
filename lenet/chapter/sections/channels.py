"""Multiple input and output channels (Chinese edition 6.4, English 7.4)."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from lenet import ops, reference
from lenet.chapter import cost, rounding
from lenet.chapter.exercises.draws import integers
from lenet.chapter.page import Page
from lenet.figures import style


def multiple_channels(page: Page) -> None:
    """A convolution sums over input channels; each output channel has its own kernel."""
    x = jnp.stack([jnp.arange(9.0), jnp.arange(1.0, 10)]).reshape(2, 3, 3)
    k = jnp.stack([jnp.arange(4.0), jnp.arange(1.0, 5)]).reshape(2, 2, 2)
    page.say("Each input channel is cross-correlated with its own kernel; the results are added.")
    one = reference.corr2d_multi_in(x, k)
    page.show("corr2d_multi_in(X, K)", one)
    page.check(
        "the first is (1·1 + 2·2 + 4·3 + 5·4) + (0·0 + 1·1 + 3·2 + 4·3) = 56; all match the book",
        (one == jnp.array([[56, 72], [104, 120]])).all(),
    )
    page.say("Three kernels K, K + 1, K + 2 give three output channels.")
    kernels = jnp.stack([k, k + 1, k + 2])
    page.show("K.shape", kernels.shape)
    three = reference.corr2d_multi_in_out(x, kernels)
    page.show("corr2d_multi_in_out(X, K)", three)
    chapter = [[[56, 72], [104, 120]], [[76, 100], [148, 172]], [[96, 128], [192, 224]]]
    page.check("all twelve outputs match the book", (three == jnp.array(chapter)).all())
    # from [Ci, H, W] and [Co, Ci, kh, kw] to [B, H, W, Ci] and [kh, kw, Ci, Co]
    fast = ops.conv2d(x.transpose(1, 2, 0)[None], kernels.transpose(2, 3, 1, 0))
    page.check("conv2d, channels last, gives the same", (fast[0].transpose(2, 0, 1) == three).all())
    with page.figure("multiple_channels", "Two input, three output channels", (10, 3.6)) as figure:
        axes = figure.subplots(2, 4)
        for c in range(2):
            title = page.t("input channel {c}", c=c)
            style.matrix(axes[c, 0], x[c], title=title, windows=[(0, 0, 2, 2)])
            style.matrix(axes[c, 1], k[c], title=page.t("kernel for channel {c}", c=c))
        for d, place in enumerate((axes[0, 2], axes[0, 3], axes[1, 2])):
            style.matrix(place, three[d], title=page.t("output channel {d}", d=d))
        axes[1, 3].remove()


def one_by_one(page: Page) -> None:
    """A 1×1 convolution is a fully connected layer over the channels, applied to each pixel."""
    draws = 2000
    x_key, k_key = jax.random.split(jax.random.key(0))
    x = jax.random.normal(x_key, (draws, 3, 3, 3))
    k = jax.random.normal(k_key, (draws, 2, 3, 1, 1))
    page.say("Three channels to two on 3×3 pixels, as a matrix product and as a convolution:")
    product = jax.jit(jax.vmap(reference.corr2d_multi_in_out_1x1))(x, k)
    page.show("corr2d_multi_in_out_1x1(X, K).shape", product.shape[1:])
    loop = jax.jit(jax.vmap(reference.corr2d_multi_in_out))(x, k)
    size = jax.vmap(reference.corr2d_multi_in_out_1x1)(abs(x), abs(k))
    bound = rounding.tolerance(3, size)
    page.check(
        "in {draws} random draws, both agree up to the rounding of a sum of three terms",
        (abs(product - loop) <= bound).all(),
        draws=draws,
    )
    dense = jnp.einsum("ndc,nchw->ndhw", k[..., 0, 0], x)
    page.check(
        "one fully connected layer, applied to the channels of each pixel, agrees too",
        (abs(product - dense) <= bound).all(),
    )
    kernel = k.transpose(0, 3, 4, 2, 1)  # [draws, 1, 1, Ci, Co]
    convolved = jax.vmap(ops.conv2d)(x.transpose(0, 2, 3, 1)[:, None], kernel)[:, 0]
    page.check(
        "conv2d agrees too; its kernel shape, {shape}, does not depend on the image size",
        (abs(convolved.transpose(0, 3, 1, 2) - product) <= bound).all(),
        shape=kernel.shape[1:],
    )
    # whole numbers, so that the picture can be checked by hand
    x = jnp.array(
        [[1, 2, 0, 1, 3, 1, 0, 2, 1], [0, 1, 2, 2, 0, 1, 1, 1, 0], [2, 0, 1, 0, 1, 2, 3, 0, 1]]
    )
    x, k = x.reshape(3, 3, 3), jnp.array([[1, -2, 1], [2, 1, -1]])[:, :, None, None]
    product = reference.corr2d_multi_in_out_1x1(x, k)
    with page.figure("one_by_one", "Each pixel depends on itself alone", (10, 3.4)) as figure:
        parts: Any = figure.subfigures(1, 3, width_ratios=(3, 1.3, 2))
        left, middle, right = parts
        for c, axes in enumerate(left.subplots(1, 3)):
            title = page.t("input channel {c}", c=c)
            style.matrix(axes, x[c], title=title, windows=[(1, 2, 1, 1)], signed=True)
        style.matrix(middle.subplots(), k[:, :, 0, 0], title=page.t("kernel"), signed=True)
        for d, axes in enumerate(right.subplots(1, 2)):
            title = page.t("output channel {d}", d=d)
            style.matrix(axes, product[d], title=title, windows=[(1, 2, 1, 1)], signed=True)


def grouped(page: Page) -> None:
    """In a grouped convolution, an output channel sees the input channels of its group only; a
    depthwise-separable one mixes them afterwards.
    """
    x = jnp.stack([jnp.arange(9.0), jnp.arange(1.0, 10)]).reshape(2, 3, 3)
    k = jnp.stack([jnp.arange(4.0), jnp.arange(1.0, 5)]).reshape(2, 2, 2)
    page.say("With a group for each input channel, the convolution is depthwise: nothing is added.")
    depthwise = reference.corr2d_grouped(x, k[:, None], 2)
    page.show("corr2d_grouped(X, K[:, None], 2)", depthwise)
    page.check(
        "the first channel gives 19, 25, 37, 43, and the second 37, 47, 67, 77",
        depthwise.reshape(2, 4).tolist() == [[19, 25, 37, 43], [37, 47, 67, 77]],
    )
    page.check(
        "their sum is the convolution with both channels: 56, 72, 104, 120",
        (depthwise.sum(0) == reference.corr2d_multi_in(x, k)).all()
        and depthwise.sum(0).ravel().tolist() == [56, 72, 104, 120],
    )
    images = integers(0, (10, 4, 4, 4))
    loops = jax.jit(jax.vmap(reference.corr2d_grouped, (0, None, None)), static_argnums=2)
    page.check(
        "for 1, 2 and 4 groups of 4 channels, conv2d equals the loops, exactly",
        all(
            (
                ops.conv2d(images, kernel, groups=g).transpose(0, 3, 1, 2)
                == loops(images.transpose(0, 3, 1, 2), kernel.transpose(3, 2, 0, 1), g)
            ).all()
            for g in (1, 2, 4)
            for kernel in (integers(g, (3, 3, 4 // g, 4)),)
        ),
    )
    page.say(
        "A 1×1 convolution after it adds the channels: together they are depthwise-separable "
        "(Howard et al., MobileNets, 2017)."
    )
    depth, point = integers(1, (3, 3, 1, 4)), integers(2, (1, 1, 4, 8))
    one = jnp.einsum("abc,cd->abcd", depth[:, :, 0], point[0, 0])
    page.check(
        "it equals one full convolution, with the kernel V[a, b, c, d] = D[a, b, c] · P[c, d]",
        (ops.conv2d(ops.conv2d(images, depth, groups=4), point) == ops.conv2d(images, one)).all(),
    )
    page.say("Multiply-adds for one output pixel, 3×3, from 128 to 128 channels, as XLA counts:")
    pixel = cost.floats(1, 3, 3, 128)
    groups = {g: _products(pixel, cost.floats(3, 3, 128 // g, 128), g) for g in (1, 4, 128)}
    separable = groups[128] + _products(cost.floats(1, 1, 1, 128), cost.floats(1, 1, 128, 128), 1)
    page.value("by number of groups", groups)
    page.value("depthwise-separable", separable)
    page.check("g groups take k²·Ci·Co/g", all(g * n == 9 * 128**2 for g, n in groups.items()))
    page.check(
        "separable, the convolution takes 1/Co + 1/k² = {share:.1%} of the full one",
        separable * 9 * 128 == groups[1] * (9 + 128),
        share=separable / groups[1],
    )
    with page.figure("grouped", "Inputs (down) that outputs (across) see", (9, 3.3)) as figure:
        for axes, g in zip(figure.subplots(1, 3), (1, 2, 8), strict=True):
            sees = jnp.kron(jnp.eye(g), jnp.ones((8 // g, 8 // g)))
            title = page.t("groups: {g}, weights for 3×3: {n}", g=g, n=9 * int(sees.sum()))
            style.matrix(axes, sees, title=title, numbers=False, limits=(0, 1))


def _products(image: jax.ShapeDtypeStruct, kernel: jax.ShapeDtypeStruct, groups: int) -> int:
    """Return the multiply-adds of a convolution in groups."""
    return int(cost.operations(partial(ops.conv2d, groups=groups), image, kernel) / 2)
