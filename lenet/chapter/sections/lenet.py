"""LeNet (Chinese edition 6.6, English 7.6): its shapes, parameters and cost."""

import math

import jax
import numpy as np
from jax import Array

from lenet import ops
from lenet.chapter.page import Page
from lenet.engine.forward import Params
from lenet.figures import style
from lenet.inspect import layers as table
from lenet.inspect.activations import activations
from lenet.model import ACTIVATIONS, POOLS, WINDOW, LeNet
from lenet.ops.shapes import same_padding

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


def budget(page: Page) -> None:
    """Nearly four fifths of LeNet's parameters are in its first dense layer, and only these grow
    with the image.
    """
    rows = {row.name: row for row in table.layers(LeNet(), (28, 28, 1))}
    count = {name: row.parameters for name, row in rows.items() if row.parameters}
    page.say("A layer has a weight for each input of an output, and a bias for each output:")
    by_hand = {
        "conv1": (5 * 5 * 1 + 1) * 6,
        "conv2": (5 * 5 * 6 + 1) * 16,
        "dense1": (5 * 5 * 16 + 1) * 120,
        "dense2": (120 + 1) * 84,
        "dense3": (84 + 1) * 10,
    }
    page.verbatim("(5·5·1 + 1)·6, (5·5·6 + 1)·16, (5·5·16 + 1)·120, (120 + 1)·84, (84 + 1)·10")
    page.show("parameters", by_hand)
    total = sum(count.values())
    page.check("their sum is {total:,}", by_hand == count and total == 61_706, total=total)
    page.check(
        "dense1 has {dense:.0%} of the parameters, the two convolutions {convolutions:.1%}",
        math.isclose(count["dense1"] / total, 0.78, abs_tol=0.005),
        dense=count["dense1"] / total,
        convolutions=(count["conv1"] + count["conv2"]) / total,
    )
    page.say("What conv1 would take without shared weights, and without locality:")
    outputs = math.prod(rows["conv1"].output_shape)
    page.show("28·28·6·(5·5 + 1), 28·28·6·(28·28 + 1)", (outputs * 26, outputs * 785))
    page.check(
        "sharing saves a factor of 28·28 = 784, and locality a further {factor:.0f}",
        outputs * 26 == 784 * count["conv1"],
        factor=785 / 26,
    )
    page.say("On larger images, the same network has:")
    sides = (28, 56, 112, 224)
    larger = {n: {r.name: r for r in table.layers(LeNet(), (n, n, 1))} for n in sides}
    shown = [
        (f"{n}×{n}", f"{_convolved(each):,}", f"{each['dense1'].parameters:,}")
        for n, each in larger.items()
    ]
    align = ("left", "right", "right")
    headers = page.t("image | convolutions | dense1")
    page.table(shown, headers, colalign=align, disable_numparse=True)
    page.check(
        "the convolutions keep 2,572 parameters",
        {_convolved(each) for each in larger.values()} == {2_572},
    )
    page.check(
        "dense1 has 16·(n/4 − 2)²·120 + 120: at 224×224, {most:,}",
        all(
            each["dense1"].parameters == 16 * (n // 4 - 2) ** 2 * 120 + 120
            for n, each in larger.items()
        ),
        most=larger[224]["dense1"].parameters,
    )
    with page.figure("budget", "Parameters by image size", (7, 3.6)) as figure:
        axes = figure.subplots()
        for name, values, marker in (
            ("dense1", [each["dense1"].parameters for each in larger.values()], "s"),
            (page.t("convolutions"), [_convolved(each) for each in larger.values()], "o"),
        ):
            axes.loglog(sides, values, marker=marker, label=name)
        axes.set_xticks(sides, [f"{n}×{n}" for n in sides])
        axes.minorticks_off()
        axes.set(xlabel=page.t("image"), ylabel=page.t("parameters"))
        axes.legend()


def _convolved(rows: dict[str, table.Layer]) -> int:
    """Return the parameters of the convolutions."""
    return rows["conv1"].parameters + rows["conv2"].parameters


def dense_head(page: Page) -> None:
    """A dense layer on a feature map is a convolution with a window of its size, so LeNet can slide
    over a larger image.
    """
    draw = np.random.default_rng(0)
    model, digits = LeNet(conv="lax"), draw.random((16, 28, 28, 1), np.float32)
    params = jax.jit(model.init)(jax.random.key(1), digits[:1])["params"]
    page.say("The 400 inputs of dense1 are 5×5 pixels of 16 channels: a 5×5 window sees them all.")
    whole = as_convolutions(params)
    page.value(
        "dense kernels as windows", {n: p["kernel"].shape for n, p in whole.items() if n[0] == "d"}
    )
    page.check(
        "the number of parameters stays 61,706",
        sum(p.size for p in jax.tree.leaves(whole)) == 61_706,
    )
    logits = jax.jit(lambda images: model.apply({"params": params}, images))(digits)
    sliding = jax.jit(lambda images: slide(whole, images))
    page.check(
        "on 28×28 pixels, it gives 1×1 logits: those of LeNet, up to rounding",
        np.allclose(sliding(digits)[:, 0, 0], logits, rtol=1e-5, atol=1e-5),
    )
    page.say("On 40×40 pixels, it gives 4×4 logits, one for each window of 28×28, 4 pixels apart.")
    places = [(i, j) for i in range(4) for j in range(4)]
    canvas = np.zeros((16, 40, 40, 1), np.float32)
    for n, (i, j) in enumerate(places):
        canvas[n, 4 * i : 4 * i + 28, 4 * j : 4 * j + 28] = digits[n]
    maps = np.asarray(sliding(canvas))
    page.show("slide(images_40x40).shape", maps.shape)
    found = np.stack([maps[n, i, j] for n, (i, j) in enumerate(places)])
    page.check(
        "an image on black, at any of the 16 places, has its logits there",
        np.allclose(found, logits, rtol=1e-5, atol=1e-5),
    )
    alone = sum(row.multiply_adds for row in table.layers(model, (28, 28, 1)))
    products = 40**2 * 150 + 16**2 * 2_400 + 16 * (48_000 + 10_080 + 840)
    page.check(
        "it takes {times:.1f} times fewer multiply-adds than LeNet on each of the 16 windows",
        16 * alone > 3 * products,
        times=16 * alone / products,
    )
    page.say(
        "Or drop the dense head: average each feature map, and classify the 16 means with one "
        "dense layer (global average pooling; Lin, Chen and Yan, 2014)."
    )
    convolved = 156 + 2_416
    heads = {
        page.t("two hidden dense layers"): 61_706 - convolved,
        page.t("one dense layer"): 400 * 10 + 10,
        page.t("global average pooling"): 16 * 10 + 10,
    }
    page.value("parameters of the head", heads)
    few = convolved + 170
    page.check(
        "LeNet then has {few:,} parameters, {times:.1f} times fewer, for images of any size",
        few == 2_742,
        few=few,
        times=61_706 / few,
    )
    means = draw.random((5, 5, 16), np.float32)
    shuffled = draw.permutation(means.reshape(25, 16))
    page.check(
        "the price: the means forget where in the feature map a value was, up to rounding",
        np.allclose(means.mean((0, 1)), shuffled.mean(0), atol=1e-6),
    )
    with page.figure("dense_head", "Parameters by head", (7, 2.6)) as figure:
        axes = figure.subplots()
        names, values = list(heads), list(heads.values())
        axes.barh(names, [convolved] * 3, color=style.GREY, label=page.t("convolutions"))
        bars = axes.barh(names, values, left=convolved, color=style.BLUE, label=page.t("head"))
        axes.bar_label(bars, [f"{value + convolved:,}" for value in values], padding=4)
        axes.set(xlabel=page.t("parameters"), xlim=(0, 75_000))
        axes.invert_yaxis()
        axes.legend(loc="lower right")


def as_convolutions(params: Params) -> Params:
    """Return LeNet's parameters with its dense kernels as windows [kh, kw, Ci, Co]."""
    windows = {"dense1": (5, 5, 16, 120), "dense2": (1, 1, 120, 84), "dense3": (1, 1, 84, 10)}
    return {
        name: layer | {"kernel": layer["kernel"].reshape(windows[name])}
        if name in windows
        else layer
        for name, layer in params.items()
    }


def slide(params: Params, images: Array) -> Array:
    """Apply LeNet, its dense layers as convolutions: [B, H, W, 1] -> logits [B, H', W', 10]."""
    x, activation = images, ACTIVATIONS["sigmoid"]
    for name, layer in params.items():
        padding = same_padding(5) if name == "conv1" else 0
        x = ops.conv2d(x, layer["kernel"], padding=padding) + layer["bias"][None, None, None]
        x = x if name == "dense3" else activation(x)
        x = POOLS["avg"](x, WINDOW) if name.startswith("conv") else x
    return x
