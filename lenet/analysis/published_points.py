"""Training losses within an epoch, read from the pictures in published notebooks.

The book's notebooks print the last epoch alone, but their pictures (SVG) have the training loss
four or five times an epoch, averaged since the epoch began, to five digits.
`scripts/published_points.py` reads them from clones with their history: MXNet's of
d2l-ai/d2l-en-colab, PyTorch's of d2l-ai/d2l-pytorch-colab.
"""

import functools
import json
import re
from collections.abc import Sequence
from importlib import resources
from typing import NamedTuple

import numpy as np

RECORD = "published_points.json"
_LINE = re.compile(r'<g id="line2d_\d+">\s*<path[^>]*?d="([^"]*)"', re.DOTALL)
_POINT = re.compile(r"[ML] ([\d.]+) ([\d.]+)")


class Curve(NamedTuple):
    """The training loss of a published run, averaged since its epoch began, by epochs trained."""

    framework: str
    commit: str
    epochs: tuple[float, ...]
    losses: tuple[float, ...]


@functools.cache
def curves() -> tuple[Curve, ...]:
    """Return the committed curves, first to second epoch."""
    text = (resources.files("lenet.analysis") / RECORD).read_text(encoding="utf-8")
    found = json.loads(text)["curves"]
    return tuple(Curve(name, commit, tuple(x), tuple(y)) for name, commit, x, y in found)


def of_picture(svg: str) -> tuple[Sequence[float], Sequence[float]]:
    """Return epochs and losses of the first curve of a picture, by the ticks of its axes.

    Raises:
      ValueError: if it is no picture of the book's.
    """
    lines = [points for line in _LINE.findall(svg) if len(points := _POINT.findall(line)) >= 8]
    if not lines:
        raise ValueError("no curve in the picture")
    x, y = np.array(lines[0], float).T
    found = _scale(svg, "x", x), _scale(svg, "y", y)
    return found[0].tolist(), found[1].tolist()


def _scale(svg: str, axis: str, values: np.ndarray) -> np.ndarray:
    """Return what places in the picture stand for."""
    place = r'x="([\d.]+)"' if axis == "x" else r'x="[\d.]+"[^>]*?y="([\d.]+)"'
    tick = rf'id="{axis}tick_\d+">.*?<use[^>]*?{place}.*?<!-- ([\d.]+) -->'
    ticks = np.array(re.findall(tick, svg, re.DOTALL), float)
    if len(ticks) < 2:
        raise ValueError(f"fewer than two ticks on the {axis} axis")
    at, means = ticks.T
    return np.polyval(np.polyfit(at, means, 1), values)
