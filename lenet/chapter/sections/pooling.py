"""Pooling (Chinese edition 6.5, English 7.5)."""

import jax.numpy as jnp

from lenet import ops, reference
from lenet.chapter.page import Page
from lenet.figures import style
from lenet.inspect import transforms


def pooling(page: Page) -> None:
    """Pooling takes the maximum or the mean of each window, which makes the output less sensitive
    to position.
    """
    x = jnp.arange(9.0).reshape(3, 3)
    highest, mean = (reference.pool2d(x, (2, 2), mode) for mode in ("max", "avg"))
    page.show("pool2d(X, (2, 2))", highest)
    page.show("pool2d(X, (2, 2), 'avg')", mean)
    page.check("the maxima are 4, 5, 7, 8", (highest == jnp.array([[4, 5], [7, 8]])).all())
    page.check("the means are 2, 3, 5, 6", (mean == jnp.array([[2, 3], [5, 6]])).all())

    page.say("Padding and stride work as for convolutions; the stride defaults to the window size.")
    x = jnp.arange(16.0).reshape(1, 4, 4, 1)
    page.show("max_pool(X, 3)", ops.max_pool(x, 3).ravel())
    page.check("one 3×3 window fits, with maximum 10", ops.max_pool(x, 3).ravel().tolist() == [10])
    padded = ops.max_pool(x, 3, padding=1, stride=2)
    page.show("max_pool(X, 3, padding=1, stride=2)", padded[0, :, :, 0])
    page.check("the maxima are 5, 7, 13, 15", padded.ravel().tolist() == [5, 7, 13, 15])
    oblong = ops.max_pool(x, (2, 3), stride=(2, 3), padding=(0, 1))
    page.show("max_pool(X, (2, 3), stride=(2, 3), padding=(0, 1))", oblong[0, :, :, 0])
    page.check("the maxima are again 5, 7, 13, 15", oblong.ravel().tolist() == [5, 7, 13, 15])
    page.say("Each channel is pooled separately, so the number of channels stays the same.")
    two = ops.max_pool(jnp.concatenate([x, x + 1], -1), 3, padding=1, stride=2)
    page.check("the second gives 6, 8, 14, 16", two[..., 1].ravel().tolist() == [6, 8, 14, 16])
    below = ops.max_pool(-x - 1, 3, padding=1, stride=2)
    page.check("padding never becomes the maximum of negative values", below.max() == -1)

    page.say("An edge moves right by one pixel. So does its detection, but hardly the pooled one.")
    edge = jnp.zeros((1, 8, 8, 1)).at[:, :, 3:].set(1)
    moved = transforms.shift(edge, 0, 1)
    found, found_moved = (abs(ops.conv2d(e, _DIFFERENCE)) for e in (edge, moved))
    wide, wide_moved = (ops.max_pool(f, 2, stride=1) for f in (found, found_moved))
    page.check("the edge is detected in another column", (found * found_moved).sum() == 0)
    page.check(
        "after 2×2 max pooling with stride 1, both outputs share a column",
        (wide * wide_moved).sum() == wide.shape[1],
    )
    with page.figure("pooling", "Edges overlap only after pooling", (9, 4.6)) as figure:
        axes = figure.subplots(2, 3)
        titles = (page.t("image"), page.t("detected edge"), page.t("max pooling, stride 1"))
        rows = ((edge, found, wide), (moved, found_moved, wide_moved))
        for row, maps in zip(axes, rows, strict=True):
            for place, values, title in zip(row, maps, titles, strict=True):
                style.matrix(place, values[0, :, :, 0], title=title)


_DIFFERENCE = jnp.array([[1.0, -1.0]])[:, :, None, None]
