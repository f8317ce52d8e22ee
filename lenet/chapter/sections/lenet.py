"""LeNet (Chinese edition 6.6, English 7.6): its shapes, parameters and cost."""

import jax
import jax.numpy as jnp

from lenet.chapter.page import Page
from lenet.figures import style
from lenet.inspect import layers as table
from lenet.inspect.activations import activations
from lenet.model import LeNet

SHAPES = {
    "conv1": (28, 28, 6),
    "pool1": (14, 14, 6),
    "conv2": (10, 10, 16),
    "pool2": (5, 5, 16),
    "dense1": (120,),
    "dense2": (84,),
    "dense3": (10,),
}
PARAMETERS = {"conv1": 156, "conv2": 2_416, "dense1": 48_120, "dense2": 10_164, "dense3": 850}
MULTIPLY_ADDS = {
    "conv1": 117_600,
    "conv2": 240_000,
    "dense1": 48_000,
    "dense2": 10_080,
    "dense3": 840,
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
    page.check("the shapes match the book", {n: v.shape[1:] for n, v in given.items()} == SHAPES)
    rows = table.layers(model, (28, 28, 1))
    page.say("Parameters, multiply-adds and receptive field of each layer:")
    page.verbatim(table.table(rows, page.t))
    count = sum(p.size for p in jax.tree.leaves(params))
    page.check(
        "the network has {count:,} parameters, the sum over the table",
        count == 61_706 == sum(row.parameters for row in rows),
        count=count,
    )
    page.check(
        "the number of parameters of each layer follows from the shapes in the book",
        {row.name: row.parameters for row in rows if row.parameters} == PARAMETERS,
    )
    cost = sum(row.multiply_adds for row in rows)
    page.check(
        "one image takes {cost:,} multiply-adds, {share:.0%} of them in the convolutional layers",
        {row.name: row.multiply_adds for row in rows if row.multiply_adds} == MULTIPLY_ADDS,
        cost=cost,
        share=sum(MULTIPLY_ADDS[name] for name in ("conv1", "conv2")) / cost,
    )
    stages = [given[name].shape for name in ("conv1", "pool1", "conv2", "pool2")]
    page.check(
        "each 2×2 pooling layer reduces the number of values to a quarter",
        all(
            4 * jnp.array(after[1:]).prod() == jnp.array(before[1:]).prod()
            for before, after in (stages[:2], stages[2:])
        ),
    )
    with page.figure("lenet", "Share of parameters and of multiply-adds", (8, 3.8)) as figure:
        axes = figure.subplots()
        total = {"parameters": count, "multiply_adds": cost}
        names = [row.name for row in rows if row.parameters]
        for offset, (what, label, hatch, colour) in enumerate(
            (
                ("parameters", page.t("parameters"), "", style.BLUE),
                ("multiply_adds", page.t("multiply-adds"), "//", style.ORANGE),
            )
        ):
            shares = [getattr(r, what) / total[what] * 100 for r in rows if r.parameters]
            at = [i + (offset - 0.5) * 0.4 for i in range(len(names))]
            bars = axes.bar(at, shares, 0.38, label=label, color=colour, hatch=hatch, ec="white")
            axes.bar_label(bars, fmt="%.1f", fontsize=8)
        axes.set_xticks(range(len(names)), names)
        axes.set(ylabel=page.t("share (%)"))
        axes.legend()
