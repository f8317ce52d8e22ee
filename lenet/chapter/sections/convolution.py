"""Convolutions for images (Chinese edition 6.2, English 7.2)."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy
from jax import Array

from lenet import ops, reference
from lenet.chapter import edge
from lenet.chapter.exercises.convolution import correlate
from lenet.chapter.exercises.draws import integers
from lenet.chapter.exercises.why_convolution import PAIRED
from lenet.chapter.page import Page
from lenet.figures import style
from lenet.inspect.activations import activations
from lenet.inspect.layers import layers
from lenet.inspect.receptive_field import Window, influence
from lenet.inspect.receptive_field import receptive_field as field
from lenet.model import LeNet

convolve = np.vectorize(partial(scipy.signal.convolve2d, mode="valid"), signature=PAIRED)
"""Σ f(a, b) g(i − a, j − b) of f [..., H, W] and g [..., kh, kw], where g lies within f."""


def cross_correlation(page: Page) -> None:
    """The convolution of deep learning is a cross-correlation: the kernel is not flipped."""
    x, k = jnp.arange(9.0).reshape(3, 3), jnp.arange(4.0).reshape(2, 2)
    page.say("A kernel slides over the image; at each place, the products are summed.")
    y = reference.corr2d(x, k)
    page.show("corr2d(X, K)", y)
    page.check(
        "the first output is 0·0 + 1·1 + 3·2 + 4·3 = 19, and all four match the book",
        (y == jnp.array([[19, 25], [37, 43]])).all(),
    )
    page.check(
        "the output has n − k + 1 rows: {rows} for n = {n} and k = {k}",
        y.shape[0] == x.shape[0] - k.shape[0] + 1,
        rows=y.shape[0],
        n=x.shape[0],
        k=k.shape[0],
    )
    page.check("conv2d, with batches and channels, equals the loops", (correlate(x, k) == y).all())

    page.say("The mathematical convolution uses g(i − a, j − b): the kernel is flipped first.")
    strict = _convolve2d(x, k)
    page.show("convolve2d(X, K)", strict)
    page.check(
        "cross-correlation with the flipped kernel: (f ∗ g)(i, j) = Σ f(a, b) g(i − a, j − b)",
        (convolve(x, k) == strict).all(),
    )
    page.check(
        "for a kernel that equals its own flip, both operations agree",
        (correlate(x, k + k[::-1, ::-1]) == _convolve2d(x, k + k[::-1, ::-1])).all(),
    )
    page.say("A layer that flips its kernel learns the flipped kernel, so the output is the same.")
    images, kernels = integers(0, (1000, 6, 5)), integers(1, (1000, 3, 2))
    page.check(
        "convolution equals cross-correlation with the flipped kernel in {n} random pairs",
        (convolve(images, kernels) == jax.vmap(correlate)(images, kernels[:, ::-1, ::-1])).all(),
        n=len(images),
    )

    with page.figure("cross_correlation", "The framed window gives 19 or 5", (10, 2.8)) as figure:
        axes = figure.subplots(1, 5)
        first = [(0, 0, 2, 2)]
        style.matrix(axes[0], x, title=page.t("input X"), windows=first)
        style.matrix(axes[1], k, title=page.t("kernel K"))
        style.matrix(axes[2], y, title=page.t("cross-correlation"), windows=[(0, 0, 1, 1)])
        style.matrix(axes[3], k[::-1, ::-1], title=page.t("flipped K"))
        style.matrix(axes[4], strict, title=page.t("strict convolution"), windows=[(0, 0, 1, 1)])


def _convolve2d(x: Array, k: Array) -> Array:
    return ops.convolve2d(x[None, :, :, None], k[:, :, None, None])[0, :, :, 0]


PUBLISHED_LOSSES = {2: 23.292, 4: 8.424, 6: 3.263, 8: 1.305, 10: 0.529}
PUBLISHED_KERNEL = np.array([1.0637, -0.9139])  # after the tenth step


def edges(page: Page) -> None:
    """The kernel [1, −1] detects edges; gradient descent learns this kernel, with losses in closed
    form.
    """
    image, target = edge.problem()
    x, k = image[0, :, :, 0], jnp.array([[1.0, -1.0]])
    page.say(
        "The image is white with a black band in columns 2 to 5, counted from 0. The kernel "
        "subtracts the right neighbour of each pixel."
    )
    y = reference.corr2d(x, k)
    page.show("corr2d(X, K)[0]", y[0])
    page.check(
        "the output is 1 from white to black, −1 from black to white, 0 elsewhere",
        (y == jnp.array([[0, 1, 0, 0, 0, -1, 0]])).all(),
    )
    page.check(
        "on the transposed image, whose edges are horizontal, the kernel detects nothing",
        (reference.corr2d(x.T, k) == 0).all(),
    )
    page.check("this is the target that the layer learns below", (y == target[0, :, :, 0]).all())

    page.say("A Flax Conv2D learns the kernel by optax SGD at learning rate 0.03, from [1, 1]:")
    learned = edge.learn(jnp.ones(2), 0.03)
    for i in range(1, 10, 2):
        page.verbatim(f"epoch {i + 1}, loss {learned.losses[i]:.3f}")
    page.show("kernel", learned.kernels[-1])
    page.say(
        "The loss, the squared error summed over the 42 outputs, is quadratic in the kernel, with "
        "second derivative 60 along k₁ + k₂ and 12 along k₁ − k₂. So a step with learning rate η "
        "multiplies the error of k₁ + k₂ by 1 − 60η and the error of k₁ − k₂ by 1 − 12η: by −0.8 "
        "and 0.64 for η = 0.03."
    )
    losses, _ = edge.predict(np.ones(2), 0.03)
    worst = np.abs(np.asarray(learned.losses) / losses - 1).max()
    page.check(
        "the ten measured losses match this closed form, to a relative error of {worst:.0e}",
        worst < 1e-4,
        worst=worst,
    )
    page.check(
        "the losses in the book, 23.292 to 0.529, follow from the final kernel in the book",
        _follow_from_the_kernel(PUBLISHED_LOSSES, PUBLISHED_KERNEL),
    )
    rates = (0.01, 0.02, 0.027, edge.BEST, 0.029, 0.033, 0.034, 0.05)
    left = {rate: _slowest(rate) for rate in rates}
    page.check(
        "learning converges at rates below 1/30 and diverges above",
        all((factor < 1) == (rate < edge.LIMIT) for rate, factor in left.items()),
    )
    page.check("1/36 converges fastest", min(left, key=left.__getitem__) == edge.BEST)

    with page.figure("edges", "Measured losses match the closed form", (10, 5.4)) as figure:
        parts: Any = figure.subfigures(2, 1, height_ratios=(1, 1.5))
        top, bottom = parts
        pictures = top.subplots(1, 3, width_ratios=(8, 3, 7))
        style.matrix(pictures[0], x, title=page.t("input X"))
        style.matrix(pictures[1], k, title=page.t("kernel K"), signed=True)
        style.matrix(pictures[2], y, title=page.t("edges"), signed=True)
        axes = bottom.subplots()
        steps = np.arange(1, 21)
        for rate, marker in ((0.01, "s"), (edge.BEST, "v"), (0.03, "o"), (0.035, "^")):
            predicted = edge.predict(np.ones(2), rate, 20)[0]
            measured = np.asarray(edge.learn(jnp.ones(2), rate, 20).losses)
            (line,) = axes.semilogy(steps, predicted, lw=1.2)
            label = page.t("η = {rate:.4f}", rate=rate)
            axes.semilogy(steps, measured, marker, color=line.get_color(), ms=5, label=label)
        axes.set(xlabel=page.t("step"), ylabel=page.t("loss"), xticks=range(2, 21, 2))
        axes.set_title(page.t("measured (marks) on the closed form (lines)"))
        axes.set_ylim(1e-6, 1e4)
        axes.legend(ncols=4, loc="upper left")


def _slowest(lr: float) -> float:
    """Return the factor per step of the error in the slower of the two directions."""
    starts = np.array([(2.0, 0.0), (2.0, -2.0)])  # the sum off by 2, then the difference
    kernels = np.array([edge.learn(jnp.asarray(start), lr, 10).kernels for start in starts])
    errors = np.linalg.norm(kernels - [1, -1], axis=2)  # [direction, S + 1]
    return float(((errors[:, -1] / errors[:, 0]) ** 0.1).max())


def _follow_from_the_kernel(published: dict[int, float], kernel: np.ndarray) -> bool:
    """Return whether each printed loss is consistent with the kernel to its four decimals."""
    corners = kernel + 5e-5 * np.array([(-1, -1), (-1, 1), (1, -1), (1, 1)])
    losses = np.array([edge.predict(edge.start_of(corner, 0.03), 0.03)[0] for corner in corners])
    low, high = losses.min(0) - 5e-4, losses.max(0) + 5e-4
    return all(low[step - 1] <= loss <= high[step - 1] for step, loss in published.items())


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
    page.check(
        "the receptive field of n layers of 3×3 is 2n + 1 pixels wide",
        all(field([Window(3)] * n).size == 2 * n + 1 for n in range(1, 11)),
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
