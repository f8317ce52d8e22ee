"""The picture of a comparison; it needs no display."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from lenet.analysis.comparison import CELLS, POOLS, Cell, Comparison, by_rate, cell, last
from lenet.analysis.comparison_findings import NAMES
from lenet.analysis.summary import estimate
from lenet.figures import style

_LOOK = dict(zip(CELLS, zip(style.COLOURS[:4], style.LINES, "os^D", strict=True), strict=True))


def picture(comparison: Comparison, data: str) -> bytes:
    """Draw the tuning, the cells and their way there.

    On the left validation accuracy against the learning rate: the mean, and a band from the worst
    to the best seed. In the middle test accuracy at each cell's best rate: a dot a seed, means with
    95 % intervals; parallel lines would be no interaction. On the right test accuracy by epoch: the
    median seed, and a band between the quartiles, which a few runs that learn nothing do not move.

    Args:
      comparison: all runs.
      data: the name of the data set.

    Returns:
      a PNG
    """
    with style.style():
        figure = Figure(figsize=(12, 4), layout="constrained")
        tuning, cells, epochs = figure.subplots(1, 3)
        _tuning(tuning, comparison)
        _cells(cells, comparison)
        _epochs(epochs, comparison)
        for axes in (tuning, cells, epochs):
            axes.grid(color=style.GREY, alpha=0.3)
        figure.suptitle(f"LeNet on {data}, epochs: {comparison['epochs']}", fontsize=10)
        return style.png(figure)


def _name(which: Cell) -> str:
    return f"{NAMES[which[0]]}, {NAMES[which[1]]}"


def _tuning(axes: Axes, comparison: Comparison) -> None:
    for which in CELLS:
        found = by_rate(comparison["tuning"], which)
        _band(axes, which, list(found), list(found.values()))
    axes.set_xscale("log")
    axes.set_xticks(
        comparison["rates"], [f"{rate:.2g}" for rate in comparison["rates"]], rotation=45
    )
    axes.minorticks_off()
    axes.set(xlabel="learning rate", ylabel="validation accuracy")
    axes.legend()


def _cells(axes: Axes, comparison: Comparison) -> None:
    final = last(comparison["final"], "test_accuracy")
    for activation in dict.fromkeys(which[0] for which in CELLS):
        means, halves = [], []
        for at, pool in enumerate(POOLS):
            values = list(final.get((activation, pool), {0: np.nan}).values())
            found = estimate(values)
            means.append(found.mean)
            halves.append(found.half or 0)
            colour, *_ = _LOOK[activation, POOLS[0]]
            axes.plot([at] * len(values), values, ".", color=colour, alpha=0.35, zorder=1)
        colour, line, _ = _LOOK[activation, POOLS[0]]
        axes.errorbar(
            range(len(POOLS)), means, halves, color=colour, linestyle=line, capsize=5,
            label=NAMES[activation],
        )  # fmt: skip
    axes.set_xticks(range(len(POOLS)), [f"{NAMES[pool]} pooling" for pool in POOLS])
    axes.set_xlim(-0.4, len(POOLS) - 0.6)
    axes.set_ylabel("test accuracy")
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, 0), min(high, 1))  # an interval of two seeds may reach beyond
    axes.legend()


def _epochs(axes: Axes, comparison: Comparison) -> None:
    for which in CELLS:
        runs = [r["test_accuracy"] for r in comparison["final"] if cell(r) == which]
        runs = [run for run in runs if run]
        if runs:
            at = list(range(1, comparison["epochs"] + 1))
            low, middle, high = np.quantile(runs, (0.25, 0.5, 0.75), axis=0)
            _line(axes, which, at, middle, low, high)
    axes.set(xlabel="epoch", ylabel="test accuracy")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _band(axes: Axes, which: Cell, at: Sequence[float], values: Sequence[Sequence[float]]) -> None:
    means = [np.mean(v) for v in values]
    _line(axes, which, at, means, [min(v) for v in values], [max(v) for v in values])


def _line(
    axes: Axes, which: Cell, at: Sequence[float], middle: ArrayLike, low: ArrayLike, high: ArrayLike
) -> None:
    colour, line, marker = _LOOK[which]
    axes.plot(
        at, middle, color=colour, linestyle=line, marker=marker, markersize=4, label=_name(which)
    )
    axes.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)
