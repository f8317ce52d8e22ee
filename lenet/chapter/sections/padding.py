"""Padding, after "Padding and Stride" of the chapter (Chinese edition 6.3, English 7.3)."""

import jax.numpy as jnp

from lenet import ops
from lenet.chapter.page import Page
from lenet.figures import style
from lenet.inspect.receptive_field import uses
from lenet.ops.shapes import same_padding


def padding(page: Page) -> None:
    """Padding an image with zeros restores the rows and columns lost to a convolution."""
    page.say("A window of k rows has n − k + 1 places in n rows: a convolution shrinks the image.")
    x, kernel = jnp.ones((1, 8, 8, 1)), jnp.ones((3, 3, 1, 1))
    page.show("conv2d(x, kernel).shape", ops.conv2d(x, kernel).shape)
    page.say("One row or column of zeros on each side, p = 2 in total, keeps 8×8:")
    same = ops.conv2d(x, kernel, padding=1)
    page.show("conv2d(x, kernel, padding=1).shape", same.shape)
    page.check("8×8 stays 8×8 with a 3×3 kernel and padding 1", same.shape == (1, 8, 8, 1))
    tall = ops.conv2d(x, jnp.ones((5, 3, 1, 1)), padding=(2, 1))
    page.show("conv2d(x, kernel_5x3, padding=(2, 1)).shape", tall.shape)
    page.check("for a 5×3 kernel, padding (2, 1) keeps 8×8", tall.shape == (1, 8, 8, 1))

    page.say("The size is kept for p = k − 1. If p is odd, the larger half, ⌈p/2⌉, goes above.")
    page.show("same_padding((4, 5))", same_padding((4, 5)))
    kept = all(
        ops.output_shape((n, n), k, padding=same_padding(k)) == (n, n)
        for n in range(1, 33)
        for k in range(1, 33)
    )
    page.check("this padding keeps every size up to 32 with every kernel up to 32", kept)

    page.say("For an odd kernel, the window of output (i, j) is then centred on input (i, j).")
    image = jnp.zeros((1, 5, 5, 1)).at[0, 1, 3, 0].set(1)
    centre = jnp.zeros((3, 3, 1, 1)).at[1, 1].set(1)
    page.check(
        "a kernel that is 1 in the centre and 0 elsewhere returns the image unchanged",
        (ops.conv2d(image, centre, padding=1) == image).all(),
    )

    used = uses((5, 5), 3, padding=1)
    page.check(
        "even with padding 1, a corner is used {corner:.0f} times, the centre {centre:.0f} times",
        (used[0, 0], used[2, 2]) == (4, 9),
        corner=used[0, 0],
        centre=used[2, 2],
    )

    with page.figure("padding", "Windows that use each pixel, by padding", (9, 3.4)) as figure:
        for axes, p in zip(figure.subplots(1, 3), (0, 1, 2), strict=True):
            title = page.t("padding {p}: output {n}×{n}", p=p, n=3 + 2 * p)
            style.matrix(axes, uses((5, 5), 3, padding=p), title=title, limits=(0, 9))
