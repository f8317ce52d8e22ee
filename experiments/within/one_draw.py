"""Do the published runs of a framework share one draw of weights?

In the published pictures, the training loss within the first two epochs says when a run leaves the
plateau at ln 10. Estimand: its standard deviation over runs at each point of the pictures, beside
that over our runs with one draw of weights and other orders of examples, and with other draws.

Two kinds of picture have their points at other steps: after each fifth of an epoch, or after every
50 steps. The rule, which was written down before our runs: a framework's runs are like runs of one
draw where the 95% interval of their spread overlaps the spreads of our single draws, from the
lowest to the highest, and lies below the interval of the spread over other draws.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.within.chunks import chunks
from lenet.analysis import published, published_points
from lenet.analysis.bootstrap import bca
from lenet.analysis.stats import Interval
from lenet.config import Config
from lenet.data import Data
from lenet.figures import vega
from lenet.figures.vega import Chart, Spec, Translate, channel
from lenet.language import Message, mark, message

KINDS = {"fifths": (0.2, 0.4, 0.6, 0.8, 1.0), "fifties": (50, 100, 150, 200)}
"""Where the kinds of picture have points: shares of an epoch, or steps of it."""
JUDGED = {"fifths": 1.8, "fifties": 1.85}
"""Epochs at which the rule is applied: late in the second, when runs leave the plateau."""


class Design(NamedTuple):
    """The book's network with biases of zero, as MXNet has them: weights crossed with orders."""

    weights: int = 24
    orders: int = 6
    epochs: int = 2
    first_seed: int = 6_400_000


def measure(data: Data, design: Design) -> dict[str, Any]:
    """Return the training loss, averaged since the epoch began, of each draw and order.

    Returns:
      `steps` of an epoch, and `losses` by kind of picture: [weights, orders, points].
    """
    configs = [
        Config(
            dataset=data.name,
            bias_init="zeros",
            seed=design.first_seed + draw,
            order_seed=design.first_seed + order,
            epochs=design.epochs,
        )
        for draw in range(design.weights)
        for order in range(design.orders)
    ]
    losses: dict[str, list[NDArray[np.float64]]] = {kind: [] for kind in KINDS}
    for chunk in chunks(configs, data):
        state, found = chunk.init(), []
        for _ in range(design.epochs):
            state, metrics = chunk.epoch(state)
            found.append((chunk.own(metrics.loss_sum), chunk.own(metrics.count)))
        for kind in KINDS:
            losses[kind].append(np.concatenate([averages(kind, *each) for each in found], 1))
    shape = (design.weights, design.orders, -1)
    return {
        "steps": found[0][0].shape[1],
        "losses": {
            kind: np.concatenate(each).round(5).reshape(shape).tolist()
            for kind, each in losses.items()
        },
    }


def averages(kind: str, sums: NDArray[Any], counts: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean loss since an epoch began at its points, [R, P], of its steps [R, S]."""
    at = [step - 1 for step in _steps(kind, sums.shape[1])]
    found: NDArray[np.float64] = (np.cumsum(sums, 1, dtype=float) / np.cumsum(counts, 1))[:, at]
    return found


def _steps(kind: str, steps: int) -> list[int]:
    points = KINDS[kind]
    if kind == "fifties":
        return [int(point) for point in points if point <= steps]
    return [round(point * steps) for point in points]


def epochs_of(kind: str, steps: int, epochs: int) -> list[float]:
    """Return the epochs trained at the points of a kind of picture, as its axis has them.

    The pictures with a point after every 50 steps place it one step before.
    """
    late = 1 if kind == "fifties" else 0
    return [
        round(epoch + (step - late) / steps, 4)
        for epoch in range(epochs)
        for step in _steps(kind, steps)
    ]


class Spreads(NamedTuple):
    """Standard deviations of the training loss at a point of one kind of picture."""

    published: dict[str, tuple[Interval, int]]  # by framework, with the number of runs
    single: tuple[float, float, float]  # ours, of one draw: lowest, root mean square, highest
    all: Interval  # ours: other draws and orders


def spreads(record: dict[str, Any], kind: str, point: int) -> Spreads:
    """Return the spreads at a point, by its place among those of the first two epochs."""
    ours = np.array(record["losses"][kind])[..., point]
    within = ours.var(1, ddof=1)
    found = {}
    for framework in ("mxnet", "pytorch"):
        losses = [curve.losses[point] for curve in of_kind(kind, framework)]
        found[framework] = bca([losses], lambda y: y[0].std(-1, ddof=1))[0], len(losses)
    lowest, highest = within.min() ** 0.5, within.max() ** 0.5

    def total(y: NDArray[np.float64]) -> NDArray[np.float64]:
        means, within = y[0], y[1].mean(-1)
        between = (means.var(-1, ddof=1) - within / ours.shape[1]).clip(0)
        return np.sqrt(within + between)

    everything = bca([ours.mean(1), within], total)[0]
    middle = float(within.mean() ** 0.5)
    return Spreads(found, (float(lowest), middle, float(highest)), everything)


def of_kind(kind: str, framework: str) -> list[published_points.Curve]:
    """Return the published curves of a kind of picture."""
    fifths = kind == "fifths"
    return [
        curve
        for curve in published_points.curves()
        if curve.framework == framework and (abs(curve.epochs[0] - 0.2) < 1e-3) == fifths
    ]


ONE = mark(
    "After {epochs} epochs the training loss has a standard deviation of {mxnet} over {m} "
    "published runs of MXNet, and of {pytorch} over {p} of PyTorch. Over ours with one draw of "
    "weights and other orders it is {order:.3f} ({low:.3f} to {high:.3f}, by draw), and with "
    "other draws {all}. "
    "MXNet's runs are like runs that share one draw of weights."
)
OPEN = mark(
    "After {epochs} epochs the training loss has a standard deviation of {mxnet} over {m} "
    "published runs of MXNet, and of {pytorch} over {p} of PyTorch. Over ours with one draw of "
    "weights and other orders it is {order:.3f} ({low:.3f} to {high:.3f}, by draw), and with "
    "other draws {all}. "
    "Whether MXNet's runs share one draw of weights is not shown."
)


def said(record: dict[str, Any]) -> list[Message]:
    """Return what the pictures say beside our runs, in words: for each kind of picture."""
    sentences = []
    for kind, epoch in JUDGED.items():
        at = epochs_of(kind, record["steps"], 2)
        found = spreads(record, kind, int(np.argmin(np.abs(np.array(at) - epoch))))
        (mxnet, m), (pytorch, p) = found.published["mxnet"], found.published["pytorch"]
        low, order, high = found.single
        one = mxnet.high < found.all.low and mxnet.low <= high and mxnet.high >= low
        sentences.append(
            message(
                ONE if one else OPEN,
                epochs=epoch,
                mxnet=mxnet.shown(".3f"),
                m=m,
                pytorch=pytorch.shown(".3f"),
                p=p,
                order=order,
                low=low,
                high=high,
                all=found.all.shown(".3f"),
            )
        )
    return sentences


def table(record: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """Return heads and rows: the spread of the training loss at each point."""
    rows = []
    for kind in KINDS:
        for point, epoch in enumerate(epochs_of(kind, record["steps"], 2)):
            found = spreads(record, kind, point)
            low, order, high = found.single
            rows.append(
                [
                    f"{epoch:.2f}",
                    *(found.published[name][0].shown(".3f") for name in ("mxnet", "pytorch")),
                    f"{order:.4f} ({low:.4f}, {high:.4f})",
                    found.all.shown(".3f"),
                ]
            )
    heads = [
        mark("epochs"),
        mark("MXNet, published [95% CI]"),
        mark("PyTorch, published [95% CI]"),
        mark("ours: one draw, other orders (lowest, highest)"),
        mark("ours: other draws [95% CI]"),
    ]
    return heads, rows


def charts(record: dict[str, Any]) -> list[Chart]:
    """Return the training loss by epochs of our draws, of MXNet's runs and of PyTorch's."""
    ours = np.array(record["losses"]["fifths"])
    at = epochs_of("fifths", record["steps"], 2)
    means = [("ours", dict(zip(at, row, strict=True))) for row in ours.mean(1)]
    theirs = [
        (curve.framework, dict(zip(curve.epochs, curve.losses, strict=True)))
        for curve in published_points.curves()
    ]
    rows = [
        {"series": series, "run": run, "epoch": epoch, "loss": loss}
        for run, (series, points) in enumerate([*theirs, *means])
        for epoch, loss in points.items()
    ]

    def draw(t: Translate) -> Spec:
        title = t(mark("training loss, averaged since the epoch began"))
        names = {"pytorch": published.NAMES["pytorch"], "mxnet": published.NAMES["mxnet"]}
        names["ours"] = t(mark("ours, a line for each draw of weights"))
        line = vega.layer(
            {"type": "line", "opacity": 0.6, "strokeWidth": 1},
            transform=[vega.named(names)],
            x=channel("epoch", t(mark("epochs"))),
            y=channel("loss", title, scale={"zero": False}),
            detail={"field": "run"},
            color=vega.coloured(names),
        )
        return vega.chart("draws", title, layer=[line])

    return [Chart(draw, {"draws": rows})]
