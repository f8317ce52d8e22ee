"""LeNet (Chinese edition 6.6, English 7.6): its shapes, parameters and cost."""

import jax
import numpy as np

from lenet.chapter.page import Page
from lenet.figures import style
from lenet.inspect import layers as table
from lenet.inspect.activations import activations
from lenet.model import LeNet

BOOK = {  # output shape, parameters and multiply-adds
    "conv1": ((28, 28, 6), 156, 117_600),
    "pool1": ((14, 14, 6), 0, 0),
    "conv2": ((10, 10, 16), 2_416, 240_000),
    "pool2": ((5, 5, 16), 0, 0),
    "dense1": ((120,), 48_120, 48_000),
    "dense2": ((84,), 10_164, 10_080),
    "dense3": ((10,), 850, 840),
}


def lenet(page: Page) -> None:
    """LeNet has two convolutional and three dense layers; feature maps shrink as channels
    increase.
    """
    model, image = LeNet(), jax.random.uniform(jax.random.key(0), (1, 28, 28, 1))
    params = jax.jit(model.init)(jax.random.key(1), image)["params"]
    page.say("Output shape of each layer for one image:")
    given = activations(model, params, image)
    for name, values in given.items():
        page.verbatim(f"{name} output shape: \t{values.shape}")
    shapes = {name: shape for name, (shape, _, _) in BOOK.items()}
    page.check("the shapes match the book", {n: v.shape[1:] for n, v in given.items()} == shapes)
    rows = table.layers(model, (28, 28, 1))
    page.say("Parameters, multiply-adds and receptive field of each layer:")
    page.verbatim(table.table(rows, page.t))
    count = sum(p.size for p in jax.tree.leaves(params))
    page.check(
        "the network has {count:,} parameters, the sum over the table",
        count == 61_706 == sum(row.parameters for row in rows),
        count=count,
    )
    named = {row.name: row for row in rows}
    page.check(
        "the number of parameters of each layer follows from the shapes in the book",
        all(named[name].parameters == book for name, (_, book, _) in BOOK.items()),
    )
    cost = sum(row.multiply_adds for row in rows)
    page.check(
        "one image takes {cost:,} multiply-adds, {share:.0%} of them in the convolutional layers",
        all(named[name].multiply_adds == book for name, (_, _, book) in BOOK.items()),
        cost=cost,
        share=(named["conv1"].multiply_adds + named["conv2"].multiply_adds) / cost,
    )
    page.check(
        "each 2×2 pooling layer reduces the number of values to a quarter",
        all(4 * given[f"pool{i}"].size == given[f"conv{i}"].size for i in (1, 2)),
    )
    with page.figure("lenet", "Share of parameters and of multiply-adds", (8, 3.8)) as figure:
        axes = figure.subplots()
        learned = [row for row in rows if row.parameters]
        shares = 100 * np.array([(r.parameters / count, r.multiply_adds / cost) for r in learned]).T
        at = np.arange(len(learned))
        for side, heights, label, hatch, colour in (
            (-0.2, shares[0], page.t("parameters"), "", style.BLUE),
            (0.2, shares[1], page.t("multiply-adds"), "//", style.ORANGE),
        ):
            bars = axes.bar(
                at + side, heights, 0.38, label=label, color=colour, hatch=hatch, ec="white"
            )
            axes.bar_label(bars, fmt="%.1f", fontsize=8)
        axes.set_xticks(at, [row.name for row in learned])
        axes.set(ylabel=page.t("share (%)"))
        axes.legend()
