"""Edge detection, with a given and a learned kernel (Chinese edition 6.2, English 7.2)."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from lenet import reference
from lenet.chapter import edge
from lenet.chapter.page import Page
from lenet.figures import style

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
