"""Do the published runs of a framework share one draw of weights?

In the published pictures, the training loss within the first two epochs says when a run leaves the
plateau at ln 10. Estimand: its standard deviation over runs at each point of the pictures, beside
that over our runs with one draw of weights and other orders of examples, and with other draws.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.within.chunks import chunks
from lenet.analysis import published, published_points
from lenet.config import Config
from lenet.data import Data
from lenet.figures import vega
from lenet.figures.vega import Chart, Spec, Translate, channel
from lenet.language import Message, mark, message

POINTS = (0.2, 0.4, 0.6, 0.8, 1.0)
"""Of an epoch: where most pictures have a point, and ours are read."""
AT = 1.8
"""Epochs at which words compare: the middle of what the pictures show after the plateau."""


class Design(NamedTuple):
    """The book's network with biases of zero, as MXNet has them: weights crossed with orders."""

    weights: int = 24
    orders: int = 6
    epochs: int = 2
    first_seed: int = 6_400_000


def measure(data: Data, design: Design) -> dict[str, Any]:
    """Return the training loss, averaged since the epoch began, of each draw and order.

    Returns:
      `epochs` [P] and `losses` [weights, orders, P].
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
    losses: list[list[float]] = []
    for chunk in chunks(configs, data):
        state, found = chunk.init(), []
        for _ in range(design.epochs):
            state, steps = chunk.epoch(state)
            found.append(averages(chunk.own(steps.loss_sum), chunk.own(steps.count)))
        losses += np.concatenate(found, 1).round(5).tolist()
    shape = (design.weights, design.orders, -1)
    at = [round(epoch + point, 1) for epoch in range(design.epochs) for point in POINTS]
    return {"epochs": at, "losses": np.array(losses).reshape(shape).tolist()}


def averages(sums: NDArray[Any], counts: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean loss since the epoch began at POINTS of it, [R, P], of the steps [R, S]."""
    steps = [round(point * sums.shape[1]) - 1 for point in POINTS]
    found: NDArray[np.float64] = (np.cumsum(sums, 1, dtype=float) / np.cumsum(counts, 1))[:, steps]
    return found


class Spreads(NamedTuple):
    """Standard deviations of the training loss at a point."""

    published: dict[str, tuple[float, int]]  # by framework, with the number of runs
    order: float  # ours: one draw, other orders; root mean variance over draws
    highest: float  # of one draw, the largest of all draws
    all: float  # ours: other draws and orders


def spreads(record: dict[str, Any], epoch: float) -> Spreads:
    """Return the spreads at a point of the pictures that have a point there."""
    at = record["epochs"].index(epoch)
    ours = np.array(record["losses"])[..., at]
    within = ours.var(1, ddof=1)
    between = ours.mean(1).var(ddof=1) - within.mean() / ours.shape[1]
    found = {}
    for framework in ("mxnet", "pytorch"):
        losses = [
            loss
            for curve in published_points.curves()
            if curve.framework == framework
            for x, loss in zip(curve.epochs, curve.losses, strict=True)
            if abs(x - epoch) < 1e-3
        ]
        found[framework] = float(np.std(losses, ddof=1)), len(losses)
    return Spreads(
        found,
        float(within.mean() ** 0.5),
        float(within.max() ** 0.5),
        float((within.mean() + max(between, 0)) ** 0.5),
    )


ONE = mark(
    "After {epoch:g} epochs the training loss has a standard deviation of {mxnet:.3f} over {m} "
    "published runs of MXNet, and of {pytorch:.3f} over {p} of PyTorch. Over our runs it is "
    "{order:.3f} with one draw of weights and other orders (at most {highest:.3f}, of {draws} "
    "draws), and {all:.3f} with other draws. MXNet's runs share one draw of weights; PyTorch's do "
    "not."
)
OPEN = mark(
    "After {epoch:g} epochs the training loss has a standard deviation of {mxnet:.3f} over {m} "
    "published runs of MXNet, and of {pytorch:.3f} over {p} of PyTorch. Over our runs it is "
    "{order:.3f} with one draw of weights and other orders (at most {highest:.3f}, of {draws} "
    "draws), and {all:.3f} with other draws."
)


def said(record: dict[str, Any]) -> list[Message]:
    """Return what the pictures say beside our runs, in words."""
    found = spreads(record, AT)
    (mxnet, m), (pytorch, p) = found.published["mxnet"], found.published["pytorch"]
    one = mxnet <= found.highest < pytorch
    return [
        message(
            ONE if one else OPEN,
            epoch=AT,
            mxnet=mxnet,
            m=m,
            pytorch=pytorch,
            p=p,
            order=found.order,
            highest=found.highest,
            all=found.all,
            draws=len(record["losses"]),
        )
    ]


def table(record: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """Return heads and rows: the spread of the training loss at each point."""
    rows = []
    for epoch in record["epochs"]:
        found = spreads(record, epoch)
        values = [found.published["mxnet"][0], found.published["pytorch"][0]]
        values += [found.order, found.highest, found.all]
        rows.append([f"{epoch:g}", *(f"{value:.4f}" for value in values)])
    heads = [
        mark("epochs"),
        mark("MXNet, published"),
        mark("PyTorch, published"),
        mark("ours: one draw, other orders"),
        mark("highest of all draws"),
        mark("ours: other draws"),
    ]
    return heads, rows


def charts(record: dict[str, Any]) -> list[Chart]:
    """Return the training loss by epochs of our draws, of MXNet's runs and of PyTorch's."""
    ours = np.array(record["losses"])
    means = [("ours", dict(zip(record["epochs"], row, strict=True))) for row in ours.mean(1)]
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
