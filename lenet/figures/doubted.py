"""The images whose labels many runs contradict."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from matplotlib.figure import Figure

from lenet.analysis.ensemble import Doubt
from lenet.figures import style

COLUMNS = 8


def picture(
    images: UInt8[np.ndarray, "N H W C"], doubts: Sequence[Doubt], class_names: Sequence[str]
) -> bytes:
    """Return a PNG of images, each with its label and, below, what the runs say in its place."""
    rows = -(-len(doubts) // COLUMNS)
    with style.style():
        figure = Figure(figsize=(1.25 * COLUMNS, 1.75 * rows), layout="constrained")
        grid = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
        for axes in grid:
            axes.set_axis_off()
        for axes, doubt in zip(grid, doubts, strict=False):
            image = images[doubt.image, :, :, 0]
            axes.imshow(image, cmap="gray_r", vmin=0, vmax=255)
            title = f"{class_names[doubt.label]}\n→ {class_names[doubt.vote]}"
            axes.set_title(title, fontsize=8)
        return style.png(figure)
