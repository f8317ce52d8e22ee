"""Figures of runs: training curves, and final results among the published ones."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from lenet.analysis import published
from lenet.analysis.published import Band
from lenet.engine.rows import Row
from lenet.figures.style import BLUE, GREEN, GREY, ORANGE, distributions, png

OURS = "lenet (JAX)"


ENDS = {
    "test_accuracy": "test accuracy after the last epoch",
    "train_loss": "training loss over the last epoch (nats)",
}


def curves(rows: Sequence[Row], *, epochs: int, title: str, band: Band | None = None) -> bytes:
    """Draw the book's figure: training loss and accuracy and test accuracy by epoch.

    Training curves are running means within an epoch, at fifths of it, as the book draws them.

    Args:
      rows: the epochs so far.
      epochs: how far the axis goes.
      title: what was run.
      band: published test accuracy, drawn behind.

    Returns:
      a PNG
    """
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.subplots()
    if band:
        axes.fill_between(
            band.epochs,
            band.low,
            band.high,
            color=GREEN,
            alpha=0.2,
            linewidth=0,
            label=f"test accuracy, 10 to 90 % of {band.runs} published runs",
        )
    points = [point for row in rows for point in row.running]
    at = [point[0] for point in points]
    epoch = [row.epoch for row in rows]
    axes.plot(at, [p[1] for p in points], "-", color=BLUE, label="training loss")
    axes.plot(at, [p[2] for p in points], "--", color=ORANGE, label="training accuracy")
    if any(row.valid_accuracy is not None for row in rows):
        accuracies = [np.nan if (a := row.valid_accuracy) is None else a for row in rows]
        axes.plot(epoch, accuracies, "x:", color="black", label="validation accuracy")
    test = [row.test_accuracy for row in rows]
    axes.plot(epoch, test, ".-.", color=GREEN, label="test accuracy", clip_on=False)
    axes.set(title=title, xlabel="epoch", ylabel="loss (nats), accuracy", xlim=(0, epochs))
    axes.set_ylim(bottom=0)
    axes.locator_params(axis="x", integer=True)
    axes.grid(color=GREY, alpha=0.3)
    axes.legend(fontsize="small", framealpha=0.9)
    return png(figure)


def among_published(ours: Mapping[str, ArrayLike]) -> bytes:
    """Draw the distributions of our runs over those of the three published frameworks.

    Args:
      ours: by a key of `published.COLUMNS`, what our runs ended with, [R].

    Returns:
      a PNG
    """
    panels = {
        label: {OURS: ours[key]}
        | {
            name: getattr(published.runs(framework), published.COLUMNS[key])
            for framework, name in published.NAMES.items()
        }
        for key, label in ENDS.items()
    }
    return distributions(panels)
