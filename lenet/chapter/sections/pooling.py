"""Pooling (Chinese edition 6.5, English 7.5), and pooling with a blur (Zhang, 2019)."""

import itertools

import jax.numpy as jnp

from lenet import ops, reference
from lenet.chapter.exercises.further import blurred, highest
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


def blur_pool(page: Page) -> None:
    """A stride skips pixels, so a shift by one pixel can change all outputs; a blur before the
    stride prevents this.
    """
    stripes = jnp.array([1.0, 0, 1, 0, 1, 0])
    moved = jnp.roll(stripes, 1)
    page.say("A row of pixels whose ends meet, and the same row moved by one pixel:")
    page.show("row, moved", jnp.stack([stripes, moved]).astype(int))
    every, every_moved = stripes[::2], moved[::2]
    page.check(
        "a stride of 2 gives 1, 1, 1 before the move and 0, 0, 0 after it",
        (every.tolist(), every_moved.tolist()) == ([1, 1, 1], [0, 0, 0]),
    )
    page.say("A blur with weights 1/4, 1/2, 1/4 first (Zhang, 2019):")
    page.show("blur_pool(row)", blurred(stripes))
    page.check(
        "at a 1, it gives (0 + 2·1 + 0)/4, and at a 0, (1 + 2·0 + 1)/4: always one half",
        (blurred(stripes) == 1 / 2).all() and (blurred(moved) == 1 / 2).all(),
    )
    page.check(
        "max pooling gives 1, 1, 1 both times, but for another reason: each window has a 1",
        all((highest(row)[::2] == 1).all() for row in (stripes, moved)),
    )
    page.say("Pairs of equal pixels show what max pooling does, the maximum at every second pixel:")
    pairs = jnp.array([0.0, 0, 1, 1, 0, 0, 1, 1])
    moved = jnp.roll(pairs, -1)
    pooled, pooled_moved = highest(pairs)[::2], highest(moved)[::2]
    page.show("max_pool(row), max_pool(moved)", jnp.stack([pooled, pooled_moved]).astype(int))
    page.check(
        "it gives 0, 1, 0, 1 before the move and 1, 1, 1, 1 after it",
        (pooled.tolist(), pooled_moved.tolist()) == ([0, 1, 0, 1], [1, 1, 1, 1]),
    )
    soft, soft_moved = blurred(highest(pairs)), blurred(highest(moved))
    page.show("blur_pool(max_pool(row, stride=1))", soft)
    page.show("blur_pool(max_pool(moved, stride=1))", soft_moved)
    page.check(
        "with a blur between maximum and stride, outputs change by 1/4 instead of 1",
        abs(soft - soft_moved).max() == 1 / 4 and abs(pooled - pooled_moved).max() == 1,
    )
    rows = jnp.asarray(list(itertools.product((0.0, 1.0), repeat=8)))
    before, after = (blurred(highest(r)).mean(-1) for r in (rows, jnp.roll(rows, 1, axis=-1)))
    page.check(
        "for all {n} rows of 8 pixels, the mean of the blurred outputs is the same after the move",
        (before == after).all(),
        n=len(rows),
    )
    changed = highest(rows)[:, ::2].mean(-1) != highest(jnp.roll(rows, 1, -1))[:, ::2].mean(-1)
    page.check(
        "without the blur, it changes for {share:.0%} of them",
        changed.mean() > 0.4,
        share=changed.mean(),
    )
    with page.figure(
        "blur_pool", "A row and its poolings, before and after a move", (9, 3)
    ) as figure:
        titles = (page.t("row"), page.t("max pooling"), page.t("max pooling with blur"))
        values = ((pairs, moved), (pooled, pooled_moved), (soft, soft_moved))
        axes = figure.subplots(1, 3, width_ratios=(2, 1, 1))
        for place, title, pair in zip(axes, titles, values, strict=True):
            style.matrix(place, jnp.stack(pair), title=title, limits=(0, 1))
            place.set_yticks((0, 1), (page.t("before"), page.t("after")))
