"""The effective receptive field (Luo et al., 2016): how much each pixel counts."""

from collections.abc import Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lenet import ops
from lenet.chapter.exercises.draws import normal
from lenet.chapter.page import Page
from lenet.figures import style
from lenet.inspect.receptive_field import Window, effective_size, paths
from lenet.model import WINDOW

LENET = (Window(5), Window(WINDOW, stride=WINDOW)) * 2
"""The convolutions and poolings of LeNet."""


def effective_receptive_field(page: Page) -> None:
    """Pixels at the border of a receptive field have few paths to the unit: what counts grows
    with the square root of the depth.
    """
    page.say("In how many ways does a pixel reach a unit, through layers of width 3?")
    for n in (1, 2, 3):
        page.show(f"paths([Window(3)] * {n})", paths([Window(3)] * n))
    three = paths([Window(3)] * 3)
    page.check(
        "after three layers, 27 paths: 7 from the middle pixel, 1 from each end",
        three.tolist() == [1, 3, 6, 7, 6, 3, 1] and three.sum() == 27,
    )
    page.check(
        "with all weights 1, the gradient of a unit is these counts, down times across",
        (_gradient([Window(3)] * 3) == np.outer(three, three)).all(),
    )
    page.say(
        "Each path is a sum of n steps of −1, 0 or 1, so the counts approach a bell curve of "
        "variance 2n/3 (Luo et al., 2016)."
    )
    page.check(
        "the variance is n·(k² − 1)/12 for n up to 20 layers of width k up to 5",
        all(
            np.isclose(spread(paths([Window(k)] * n)) ** 2, n * (k * k - 1) / 12, rtol=1e-9)
            for n in range(1, 21)
            for k in range(2, 6)
        ),
    )
    depths = (5, 10, 20, 36)  # 3³⁶ paths fit an integer of 64 bits
    fields = {n: paths([Window(3)] * n) for n in depths}
    rows = [(n, len(c), effective_size(c), effective_size(c) / len(c)) for n, c in fields.items()]
    page.say("The effective size is the width of the middle that has 95% of the paths:")
    page.table(rows, page.t("layers | receptive field | effective | share"), floatfmt=".2f")
    page.check(
        "the effective size grows more slowly: its share falls with each row",
        all(a[3] > b[3] for a, b in pairwise(rows)),
    )
    page.check(
        "four times the layers double the effective size, up to two pixels of rounding",
        abs(effective_size(fields[20]) - 2 * effective_size(fields[5])) <= 2,
    )
    page.say("With independent random weights, the mean square of the gradient has this shape:")
    kernels = jnp.asarray(normal(0, (4000, 3, 3)))  # draws, layers, weights
    squares = np.asarray(_squared_gradients(kernels), np.float64)
    error = squares.std(0, ddof=1) / len(squares) ** 0.5
    page.value("mean square over {n} draws", squares.mean(0), n=len(squares))
    page.check(
        "it is 1, 3, 6, 7, 6, 3, 1, within five standard errors",
        (abs(squares.mean(0) - three) < 5 * error).all(),
    )
    count = paths(LENET)
    page.say("A unit of the second pooling layer of LeNet sees 16×16 pixels. Paths along one axis:")
    page.show("paths(LENET)", count)
    page.check(
        "convolutions and poolings with weights 1 give this gradient",
        (_gradient(LENET) == np.outer(count, count)).all(),
    )
    inside = count[4:12].sum() ** 2 / count.sum() ** 2
    page.check(
        "of {n:,} paths, a corner pixel has 1; the middle 8×8, a quarter of the pixels, has "
        "{share:.0%}",
        count[0] == 1 and inside > 1 / 2,
        n=int(count.sum()) ** 2,
        share=inside,
    )
    with page.figure("effective_receptive_field", "Paths to a unit, by pixel", (9, 3.8)) as figure:
        left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
        for n, c in fields.items():
            left.plot(np.linspace(-1, 1, len(c)), c / c.max(), label=page.t("{n} layers", n=n))
        left.set(
            xlabel=page.t("position in the receptive field"), ylabel=page.t("paths (relative)")
        )
        left.legend()
        style.matrix(right, np.outer(count, count), title=page.t("LeNet, 16×16"), numbers=False)


def spread(count: np.ndarray) -> float:
    """Return the standard deviation of the position of a path, in pixels."""
    at, share = np.arange(len(count)), count / count.sum()
    return float(np.sqrt((share * (at - share @ at) ** 2).sum()))


def _gradient(windows: Sequence[Window]) -> np.ndarray:
    """Return the gradient of a unit for its receptive field, with all weights 1."""
    side = len(paths(windows))

    @jax.jit
    def unit(image: Array) -> Array:
        x = image[None, :, :, None]
        for window in windows:
            ones = jnp.ones((window.size, window.size, 1, 1))
            x = ops.conv2d(x, ones, stride=window.stride, dilation=window.dilation)
        return x[0, 0, 0, 0]

    return np.asarray(jax.grad(unit)(jnp.ones((side, side))))


@jax.jit
def _squared_gradients(kernels: Array) -> Array:
    """Return the squared gradient [draws, pixels] of a unit after layers of random kernels."""

    def unit(row: Array, layers: Array) -> Array:
        x = row[None, None, :, None]
        for kernel in layers:
            x = ops.conv2d(x, kernel[None, :, None, None])
        return x[0, 0, 0, 0]

    pixels = 1 + kernels.shape[1] * (kernels.shape[2] - 1)
    gradients = jax.vmap(jax.grad(unit), (None, 0))(jnp.ones(pixels), kernels)
    return gradients**2
