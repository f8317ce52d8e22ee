"""How matplotlib draws the chapter, layers and benchmarks; it needs no display."""

import contextlib
import functools
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

# Okabe and Ito's colours, told apart by colour-blind readers; line styles differ as well.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#999999"
PURPLE, YELLOW, SKY = "#CC79A7", "#E69F00", "#56B4E9"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, YELLOW, SKY, "black")
LINES = ("-", "--", "-.", ":")


CHINESE = Path(__file__).parent / "fonts" / "DroidSansFallback-GB2312.ttf"


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draw and save figures within this: colours and line styles together, Chinese with a font."""
    _add_font()
    cycle = cycler(color=COLOURS[:6]) + cycler(linestyle=(*LINES, *LINES[:2]))
    settings: Any = {
        "font.family": ["DejaVu Sans", "Droid Sans Fallback"],
        "font.size": 10,
        "axes.titlesize": 10,
        "axes.prop_cycle": cycle,
        "axes.grid": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.fontsize": 9,
        "legend.frameon": False,
    }
    with mpl.rc_context(settings):
        yield


@functools.cache
def _add_font() -> None:
    font_manager.fontManager.addfont(CHINESE)


def matrix(
    axes: Axes,
    values: Any,
    *,
    title: str = "",
    numbers: bool | None = None,
    windows: Iterable[tuple[int, int, int, int]] = (),
    signed: bool = False,
    limits: tuple[float, float] | None = None,
) -> AxesImage:
    """Draw a matrix as a picture: its numbers in the cells, windows framed.

    Args:
      axes: where.
      values: [H, W].
      title: above it.
      numbers: write each value into its cell; by default where there are at most 100.
      windows: frames, each (top, left, height, width) in pixels.
      signed: colours that put 0 in the middle, for kernels and derivatives.
      limits: the values of black and white; by default the lowest and the highest.
    """
    values = np.asarray(values, np.float64)
    most = max(np.abs(values).max(), 1e-12)
    low, high = limits or ((-most, most) if signed else (values.min(), values.max()))
    if low == high:  # nothing to tell apart: white
        low = high - 1
    image = axes.imshow(values, cmap="PuOr_r" if signed else "gray", vmin=low, vmax=high)
    if numbers if numbers is not None else values.size <= 100:
        for (i, j), value in np.ndenumerate(values):
            bright = (value - low) / (high - low)
            dark_text = 0.2 < bright < 0.8 if signed else bright > 0.5
            colour = "black" if dark_text else "white"
            axes.text(
                j,
                i,
                f"{value:.3g}".replace("-", "−"),
                ha="center",
                va="center",
                color=colour,
                fontsize=9,
            )
    for top, left, rows, columns in windows:
        corner, size = (left - 0.5, top - 0.5), (columns, rows)
        frame = Rectangle(corner, *size, fill=False, edgecolor=ORANGE, lw=2.5, clip_on=False)
        axes.add_patch(frame).set_zorder(3)
    axes.set_title(title)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color=GREY)
    return image


def png(figure: Figure, dpi: int = 120) -> bytes:
    """Return a figure as a PNG."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=dpi)
    return picture.getvalue()
