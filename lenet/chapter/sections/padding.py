"""Padding and stride (Chinese edition 6.3, English 7.3)."""

from itertools import product

import jax.numpy as jnp

from lenet import ops
from lenet.chapter.exercises.padding import shape_by_lax
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


def stride(page: Page) -> None:
    """A stride of s reduces height and width by a factor of s."""
    x = jnp.arange(64.0).reshape(1, 8, 8, 1)
    page.say("A 3×3 kernel with padding 1 keeps 8×8; a stride of 2 halves height and width.")
    half = ops.conv2d(x, jnp.ones((3, 3, 1, 1)), padding=1, stride=2)
    page.show("conv2d(x, kernel, padding=1, stride=2).shape", half.shape)
    page.check("8×8 becomes 4×4", half.shape == (1, 4, 4, 1))
    odd = ops.conv2d(x, jnp.ones((3, 5, 1, 1)), padding=(0, 1), stride=(3, 4))
    page.show("conv2d(x, kernel_3x5, padding=(0, 1), stride=(3, 4)).shape", odd.shape)
    page.check("height and width may differ in stride: 2×2", odd.shape == (1, 2, 2, 1))

    page.say("In general, the size is ⌊(n − k + p + s) / s⌋, with p the padding of both sides.")
    cases = product(range(1, 13), range(1, 6), range(1, 5), range(3))
    page.check(
        "XLA gives the same size for n up to 12, k up to 5, s up to 4, padding up to 2",
        all(
            shape_by_lax(n, k, (p, p), s) == (n - k + 2 * p + s) // s
            for n, k, s, p in cases
            if n + 2 * p >= k
        ),
    )
    page.check(
        "for p = k − 1, the size is ⌊(n + s − 1) / s⌋, and n / s if s divides n",
        all(
            ops.output_shape((n, n), k, stride=s, padding=(k - 1) // 2)[0] == (n + s - 1) // s
            for n, k, s in product(range(1, 65), (1, 3, 5, 7), range(1, 9))
        ),
    )
    kernel = jnp.array([[0.0, 1], [2, 3]])[:, :, None, None]
    every, some = ops.conv2d(x, kernel), ops.conv2d(x, kernel, stride=2)
    page.check("stride 2 keeps every second output", (every[:, ::2, ::2] == some).all())

    with page.figure("stride", "3×5 windows at stride (3, 4)", (9, 3.9)) as figure:
        before, after = figure.subplots(1, 2)
        padded = jnp.pad(x[0, :, :, 0], ((0, 0), (1, 1)))
        windows = [(0, 0, 3, 5), (0, 4, 3, 5), (3, 0, 3, 5), (3, 4, 3, 5)]
        style.matrix(before, padded, title=page.t("input, padded"), windows=windows)
        style.matrix(after, odd[0, :, :, 0], title=page.t("sums of the windows"))
