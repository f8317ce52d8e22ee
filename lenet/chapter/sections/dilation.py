"""Dilated convolutions (not in the book's chapter; Yu and Koltun, 2016)."""

from collections.abc import Sequence
from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
from jax import Array

from lenet import ops, reference
from lenet.chapter import cost
from lenet.chapter.page import Page
from lenet.figures import style
from lenet.inspect.receptive_field import Window, influence, receptive_field


def dilation(page: Page) -> None:
    """A dilation of δ puts the weights of a kernel δ pixels apart: the window sees more, with no
    weight more.
    """
    x, k = jnp.arange(16.0).reshape(4, 4), jnp.arange(4.0).reshape(2, 2)
    page.say("With dilation 2, the four weights of a 2×2 kernel meet the corners of 3×3 pixels.")
    y = reference.corr2d(x, k, dilation=2)
    page.show("corr2d(X, K, dilation=2)", y)
    page.check(
        "the first output is 0·0 + 2·1 + 8·2 + 10·3 = 48; the others are 54, 72, 78",
        y.ravel().tolist() == [48, 54, 72, 78],
    )
    spread = jnp.zeros((3, 3)).at[::2, ::2].set(k)
    page.value("K with zeros between its weights", spread)
    same = reference.corr2d(x, spread)
    page.check("this 3×3 kernel gives the same without dilation", (same == y).all())
    page.check(
        "conv2d with dilation 2 equals the loops",
        (ops.conv2d(x[None, :, :, None], k[:, :, None, None], dilation=2)[0, :, :, 0] == y).all(),
    )
    page.say("The output has the size for a window of δ·(k − 1) + 1 pixels.")
    page.check(
        "XLA gives this size for n up to 12, k up to 4 and δ up to 4",
        all(
            _rows(n, k, d) == ops.output_shape((n, n), d * (k - 1) + 1)[0]
            for n, k, d in product(range(1, 13), range(1, 5), range(1, 5))
            if d * (k - 1) < n
        ),
    )
    page.say("Three 3×3 layers have 27 weights, whatever their dilations. What does a unit see?")
    cases = ((1, 1, 1), (1, 2, 4), (2, 2, 2))
    sizes = {c: receptive_field([Window(3, dilation=d) for d in c]).size for c in cases}
    seen = {c: _seen(c) for c in cases}
    page.value("width of the receptive field, by dilations", sizes)
    page.check(
        "dilations 1, 2, 4 see all of 15×15 pixels, where dilation 1 sees 7×7",
        [(sizes[c] ** 2, int(seen[c].sum())) for c in cases[:2]] == [(49, 49), (225, 225)],
    )
    page.check(
        "dilations 2, 2, 2 span 13×13 pixels but see only every second one, 7×7 (gridding)",
        (sizes[2, 2, 2], int(seen[2, 2, 2].sum())) == (13, 49),
    )
    with page.figure("dilation", "Pixels that the unit in the middle sees", (9, 3.3)) as figure:
        for axes, case in zip(figure.subplots(1, 3), cases, strict=True):
            title = page.t("dilations {a}, {b}, {c}", **dict(zip("abc", case, strict=True)))
            style.matrix(axes, seen[case], title=title, numbers=False, limits=(0, 1))


def _rows(n: int, k: int, d: int) -> int:
    """Return the rows that XLA gives for n rows, a kernel of k and dilation d; nothing is run."""
    convolve = partial(ops.conv2d, dilation=d)
    return jax.eval_shape(convolve, cost.floats(1, n, n, 1), cost.floats(k, k, 1, 1)).shape[1]


def _seen(dilations: Sequence[int]) -> Array:
    """Return the pixels of 15×15 that the middle unit of 3×3 layers with these dilations sees."""

    @jax.jit
    def stack(image: Array) -> Array:
        x = image[None, :, :, None]
        for d in dilations:
            x = ops.conv2d(x, jnp.ones((3, 3, 1, 1)), padding=d, dilation=d)
        return x[0, :, :, 0]

    return influence(stack, jnp.ones((15, 15)), (7, 7)).astype(jnp.float32)
