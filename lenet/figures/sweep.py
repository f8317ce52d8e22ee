"""Pictures of a sweep, drawn from its settings; none needs a display."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from lenet.analysis.summary import CLASSES, Setting, estimate, shown
from lenet.figures import style
from lenet.records.ledger import Entry

MOST_LINES = 6
"""More than these cannot be told apart; the best are drawn."""

MOST_ROWS = 40
"""Settings of which each has a row."""


def by_rate(settings: Sequence[Setting], axes: Sequence[str], measure: str) -> bytes:
    """Draw accuracy against learning rate, a line for each of the best other settings.

    Lines are means over the seeds, bands reach from the worst to the best of them; rates at which
    every run diverged are marked on the axis.

    Args:
      settings: ranked.
      axes: names of what varies between them.
      measure: such as "valid_accuracy".

    Returns:
      a PNG
    """
    others = [axis for axis in axes if axis != "lr"]
    lines: dict[str, list[Setting]] = {}
    for setting in settings:
        lines.setdefault(_label(setting, others), []).append(setting)
    with style.style():
        figure, drawn = _figure(settings, "learning rate", measure)
        for (label, points), marker in zip(lines.items(), itertools.cycle("os^Dvx")):
            if len(drawn.get_lines()) >= MOST_LINES:
                break
            points = sorted((p for p in points if p.rows), key=lambda p: p.config.lr)
            if not points:
                continue
            rates = [point.config.lr for point in points]
            values = [point.finals(measure) for point in points]
            _band(drawn, rates, values, label, marker)
        lost = [s.config.lr for s in settings if not s.rows]
        if lost:
            at = drawn.get_xaxis_transform()
            drawn.plot(lost, [0] * len(lost), "kx", transform=at, clip_on=False, label="diverged")
        drawn.set_xscale("log")
        return _png(figure, drawn)


def curves(settings: Sequence[Setting], axes: Sequence[str], measure: str) -> bytes:
    """Draw accuracy by epoch of the best settings: the mean over seeds, and their range.

    Args and the return are those of `by_rate`.
    """
    with style.style():
        figure, drawn = _figure(settings, "epoch", measure)
        best = [setting for setting in settings if setting.rows][:MOST_LINES]
        for setting, marker in zip(best, itertools.cycle("os^Dvx")):
            epochs = [row.epoch for row in setting.rows[0]]
            by_epoch = zip(*setting.rows, strict=True)
            values = [[getattr(row, measure) for row in rows] for rows in by_epoch]
            _band(drawn, epochs, values, _label(setting, axes), marker)
        drawn.locator_params(axis="x", integer=True)
        return _png(figure, drawn)


def by_setting(settings: Sequence[Setting], axes: Sequence[str], measure: str) -> bytes:
    """Draw the accuracy of each setting: a dot for each seed, their mean and its 95 % interval.

    Settings are in the order of their values, the best MOST_ROWS of them at most. Args and the
    return are those of `by_rate`.
    """
    drawn_settings = [setting for setting in settings if setting.rows][:MOST_ROWS]
    for axis in reversed(axes):  # stable: by the first axis, then by the second
        order = _levels(settings, axis)
        drawn_settings.sort(key=lambda s: order.index(s.shown(axis)))
    with style.style():
        figure = Figure(figsize=(6.4, 1.6 + 0.32 * len(drawn_settings)), layout="constrained")
        drawn = figure.subplots()
        for at, setting in enumerate(drawn_settings):
            values = setting.finals(measure)
            drawn.plot(
                values, [at + 0.2] * len(values), "o", color=style.SKY, markersize=3, alpha=0.7
            )
            found = estimate(values)
            drawn.errorbar(
                found.mean, at, xerr=found.half, fmt="D", color=style.BLUE, markersize=5, capsize=4
            )
        drawn.set_yticks(range(len(drawn_settings)), [_label(s, axes) for s in drawn_settings])
        drawn.invert_yaxis()
        drawn.set(title=f"{_data(settings)}: seeds, mean and 95 % interval", xlabel=words(measure))
        drawn.grid(axis="x", color=style.GREY, alpha=0.3)
        return style.png(figure)


def parallel(settings: Sequence[Setting], axes: Sequence[str], measure: str) -> bytes:
    """Draw a line for each setting through its value on every axis, to its mean accuracy.

    Args and the return are those of `by_rate`.
    """
    levels = [_levels(settings, axis) for axis in axes]
    lines, ends = [], []
    for setting in reversed(settings):  # the best is drawn last, above the others
        final = setting.final(measure)
        if final is None:
            continue
        places = (
            level.index(setting.shown(axis)) / max(len(level) - 1, 1)
            for axis, level in zip(axes, levels, strict=True)
        )
        lines.append(list(places))
        ends.append(final.mean)
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    scale = Normalize(low, high)
    with style.style():
        figure = Figure(figsize=(2 + 1.5 * len(axes), 4.4), layout="constrained")
        drawn = figure.subplots()
        for i, (line, end) in enumerate(zip(lines, ends, strict=True)):
            aside = 0.06 * ((i + 0.5) / len(lines) - 0.5)  # so that no line hides another
            line = [place + aside for place in line]
            at_end = (end - low) / (high - low) if high > low else 0.5
            colour = colormaps["cividis"](scale(end))
            drawn.plot(range(len(axes) + 1), [*line, at_end], "-", color=colour, linewidth=1.5)
        for at, level in enumerate(levels):
            drawn.axvline(at, color=style.GREY, linewidth=1)
            for i, value in enumerate(level):
                box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
                height = i / max(len(level) - 1, 1)
                drawn.text(at, height, value, ha="center", va="center", fontsize=8, bbox=box)
        drawn.set_xticks(range(len(axes) + 1), [*axes, f"mean {words(measure)}"])
        drawn.set_yticks([])
        drawn.set(title=f"{_data(settings)}: means over seeds", xlim=(-0.3, len(axes) + 0.05))
        for side in ("left", "bottom"):
            drawn.spines[side].set_visible(False)
        figure.colorbar(ScalarMappable(scale, "cividis"), ax=drawn, label=f"mean {words(measure)}")
        return style.png(figure)


def seeds(entries: Sequence[Entry], measure: str) -> bytes:
    """Draw an accuracy of runs that cross both seeds: a row for the weights, a column an order."""
    apart = [
        Setting(entry.config, [entry.rows], 0, [()], CLASSES) for entry in entries if entry.rows
    ]
    return heat(apart, ("seed", "order_seed"), measure)


def heat(settings: Sequence[Setting], axes: tuple[str, str], measure: str) -> bytes:
    """Draw the mean accuracy over two axes as a map; crosses where every run diverged.

    Args and the return are those of `by_rate`.
    """
    down, across = (_levels(settings, axis) for axis in axes)
    values = np.full((len(down), len(across)), np.nan)
    for setting in settings:
        at = (
            down.index(setting.shown(axes[0])),
            across.index(setting.shown(axes[1])),
        )
        final = setting.final(measure)
        values[at] = np.nan if final is None else final.mean
    with style.style():
        figure = Figure(
            figsize=(2.4 + 0.7 * len(across), 1.8 + 0.5 * len(down)), layout="constrained"
        )
        drawn = figure.subplots()
        image = drawn.imshow(values, cmap="cividis", aspect="auto")
        middle = (np.nanmin(values) + np.nanmax(values)) / 2 if np.isfinite(values).any() else 0
        for (i, j), value in np.ndenumerate(values):
            colour = "black" if not value < middle else "white"
            text = "×" if np.isnan(value) else f"{value:.3f}"
            drawn.text(j, i, text, ha="center", va="center", color=colour, fontsize=8)
        drawn.set_xticks(range(len(across)), across)
        drawn.set_yticks(range(len(down)), down)
        drawn.set(title=_data(settings), xlabel=axes[1], ylabel=axes[0])
        figure.colorbar(image, label=f"mean {words(measure)}")
        return style.png(figure)


def _figure(settings: Sequence[Setting], xlabel: str, measure: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.set(title=f"{_data(settings)}: mean and range over seeds")
    axes.set(xlabel=xlabel, ylabel=words(measure))
    axes.grid(color=style.GREY, alpha=0.3)
    return figure, axes


def _band(
    axes: Axes, at: Sequence[float], values: list[list[float]], label: str, sign: str
) -> None:
    (line,) = axes.plot(at, [np.mean(v) for v in values], marker=sign, markersize=4, label=label)
    low, high = [min(v) for v in values], [max(v) for v in values]
    axes.fill_between(at, low, high, color=line.get_color(), alpha=0.2, linewidth=0)


def _png(figure: Figure, axes: Axes) -> bytes:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="small")
    return style.png(figure)


def _label(setting: Setting, axes: Sequence[str]) -> str:
    return ", ".join(f"{axis} {setting.shown(axis)}" for axis in axes) or "every run"


def _levels(settings: Sequence[Setting], axis: str) -> list[str]:
    """The values of an axis: numbers by size, others as they come."""
    values: list[Any] = [getattr(setting.config, axis) for setting in settings]
    if all(isinstance(value, int | float) for value in values):
        values.sort()
    return list(dict.fromkeys(shown(value) for value in values))


def _data(settings: Sequence[Setting]) -> str:
    names = dict.fromkeys(setting.config.dataset for setting in settings)
    return ", ".join("SYNTHETIC DATA" if name == "synthetic" else name for name in names)


def words(measure: str) -> str:
    """Return a measure as a label says it, such as "validation accuracy"."""
    return measure.replace("_", " ").replace("valid ", "validation ")
