"""The receptive field (Chinese edition 6.2, English 7.2)."""

import jax
import jax.numpy as jnp
from jax import Array

from lenet import reference
from lenet.chapter.page import Page
from lenet.figures import style
from lenet.inspect.activations import activations
from lenet.inspect.layers import layers
from lenet.inspect.receptive_field import Window, influence
from lenet.inspect.receptive_field import receptive_field as field
from lenet.model import LeNet


def receptive_field(page: Page) -> None:
    """The receptive field of a unit, the input window that it depends on, grows with
    every layer.
    """
    page.say(
        "With one 2×2 kernel on 3×3 pixels, each output depends on four pixels. With a second "
        "layer, the output depends on all nine."
    )
    x, k = jnp.arange(1.0, 10.0).reshape(3, 3), jnp.ones((2, 2))
    one = influence(lambda image: reference.corr2d(image, k), x, (0, 0))
    two = influence(lambda image: reference.corr2d(reference.corr2d(image, k), k), x, (0, 0))
    page.value("pixels that affect the only output of the second layer", two.astype(int))
    page.check("four pixels after one layer, nine after two", (one.sum(), two.sum()) == (4, 9))
    page.check(
        "the formula gives the same sizes, 2 and 3",
        (field([Window(2)]).size, field([Window(2)] * 2).size) == (2, 3),
    )
    depth = {size: field([Window(3)] * n).size for n, size in ((1, 3), (2, 5), (5, 11), (10, 21))}
    page.check(
        "the receptive field of n layers of 3×3 is 2n + 1 pixels wide",
        all(seen == size for size, seen in depth.items()),
    )

    page.say("In LeNet with positive weights, the receptive field has a nonzero gradient:")
    rows = {row.name: row for row in layers(LeNet(), (28, 28, 1))}
    units = {"conv1": 12, "pool1": 6, "conv2": 4, "pool2": 2}
    seen = {name: _seen(name, at) for name, at in units.items()}
    for name, pixels in seen.items():
        size, stride = rows[name].receptive_field, rows[name].stride
        page.value("{name}: receptive field and stride, in pixels", (size[0], stride), name=name)
        page.check(
            "a unit of {name} depends on {across}×{across} pixels",
            pixels.sum() == size[0] * size[1],
            name=name,
            across=size[0],
        )
    with page.figure("receptive_field", "One receptive field in each layer", (5.6, 5.4)) as figure:
        axes = figure.subplots()
        depth_of = sum(pixels.astype(jnp.float32) for pixels in seen.values())
        style.matrix(axes, depth_of, numbers=False)
        axes.set(xticks=range(0, 28, 4), yticks=range(0, 28, 4))
        for (name, pixels), line, colour in zip(
            seen.items(), style.LINES, style.COLOURS, strict=False
        ):
            at = jnp.argwhere(pixels)
            (top, left), (bottom, right) = at.min(0), at.max(0)
            x0, x1, y0, y1 = left - 0.5, right + 0.5, top - 0.5, bottom + 0.5
            across = rows[name].receptive_field[0]
            label = f"{name}: {across}×{across}"
            axes.plot(
                [x0, x1, x1, x0, x0], [y0, y0, y1, y1, y0], line, color=colour, lw=2.5, label=label
            )
        axes.legend(loc="upper left", labelcolor="white", handlelength=3)
        axes.set(xlabel=page.t("column (pixels)"), ylabel=page.t("row (pixels)"))


def _seen(name: str, at: int) -> Array:
    """Return the input pixels that unit (at, at) of layer `name` depends on."""
    model = LeNet()
    image = jnp.full((28, 28), 0.5)
    shapes = jax.eval_shape(model.init, jax.random.key(0), image[None, :, :, None])
    positive = jax.tree.map(lambda p: jnp.full(p.shape, 0.01), shapes["params"])

    def layer(image: Array) -> Array:
        return activations(model, positive, image[None, :, :, None])[name][0, :, :, 0]

    return influence(jax.jit(layer), image, (at, at))
