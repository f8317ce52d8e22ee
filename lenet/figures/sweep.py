"""Charts of a sweep: its settings by learning rate, by epoch, one by one, and over their axes."""

import json
import math
from collections.abc import Sequence
from functools import partial
from statistics import fmean
from typing import Any

from lenet.analysis import findings, published, terms
from lenet.analysis.summary import CLASSES, SEEDS, Setting, Sweep
from lenet.figures import groups, run, vega
from lenet.figures.vega import INK, PAPER, Chart, Spec, Translate, channel, layer, percent, png
from lenet.language import listed, translate

MOST_LINES = 6
"""More than these cannot be told apart; the best are drawn."""
MOST_CELLS = 100
"""Of a map of two axes of a sweep that has more."""
MOST_SETTINGS = 40
"""Settings of which each has a row or a line of a chart."""


def pictures(sweep: Sweep, language: str = "en") -> dict[str, bytes]:
    """Draw a sweep; return PNGs, by the name of their file."""
    t = partial(translate, language)
    datasets = dict.fromkeys(entry.config.dataset for entry in sweep.entries)
    title = ", ".join(t(terms.valued(dataset)) for dataset in datasets)
    drawn = {
        f"{name}.png": png([each], language, title=title) for name, each in charts(sweep).items()
    }
    placed = published.placed(sweep.entries)
    if experiment := published.only(placed):
        drawn["published.png"] = run.among_published(placed, experiment, language)
    return drawn


def charts(sweep: Sweep) -> dict[str, Chart]:
    """Return what there is to draw of a sweep, by name."""
    found = {"curves": by_epoch(sweep)}
    if "lr" in sweep.axes:
        found["rates"] = by_rate(sweep)
    if sweep.axes:
        found["settings"] = by_setting(sweep)
    if len(sweep.axes) == 2:
        found["map"] = heat("map", sweep.settings, sweep.axes, sweep.measure)
    if len(sweep.axes) > 2:
        found["parallel"] = parallel(sweep)
        down, across, *others = sweep.axes
        # Ranked, so that the first of each pair is the best.
        best = {(s.shown(down), s.shown(across)): s for s in reversed(sweep.settings)}
        if math.prod(len(levels(sweep.settings, axis)) for axis in (down, across)) <= MOST_CELLS:
            pair = [*best.values()]
            found["map"] = heat("map", pair, (down, across), sweep.measure, others)
    if findings.crossed(sweep.entries, sweep.measure) is not None:
        apart = [Setting(e.config, [e], CLASSES) for e in sweep.entries]
        found["seeds"] = heat("pairs", apart, SEEDS, sweep.measure)
    return found


def by_rate(sweep: Sweep) -> Chart:
    """Return accuracy against learning rate, a line for each of the best other settings."""
    others = [axis for axis in sweep.axes if axis != "lr"]
    ends: dict[str, dict[float, list[float | None]]] = {}
    for setting in sweep.settings:
        by_lr = ends.setdefault(_key(setting, others), {})
        by_lr[setting.config.lr] = [*setting.finals(sweep.measure), *[None] * setting.diverged]
    best = dict(list(ends.items())[:MOST_LINES])
    labels = _labels(sweep.settings, others, sweep.measure, len(ends) - len(best))
    return groups.rates(best, labels)


def by_epoch(sweep: Sweep) -> Chart:
    """Return accuracy by epoch of the best settings."""
    best = [setting for setting in sweep.settings if setting.runs][:MOST_LINES]
    values = {
        _key(setting, sweep.axes): [
            (each.config.seed, [getattr(row, sweep.measure) for row in each.rows])
            for each in setting.runs
        ]
        for setting in best
    }
    left_out = len(sweep.settings) - len(best)
    return groups.epochs(values, _labels(best, sweep.axes, sweep.measure, left_out))


def by_setting(sweep: Sweep) -> Chart:
    """Return the accuracy of the best settings, in the order of their values."""
    best = [setting for setting in sweep.settings if setting.runs][:MOST_SETTINGS]
    best.sort(key=lambda setting: [getattr(setting.config, axis) for axis in sweep.axes])
    values = {
        _key(setting, sweep.axes): [
            (seeds[0], end) for seeds, end in setting.by_seed(sweep.measure).items()
        ]
        for setting in best
    }
    without = {_key(setting, sweep.axes) for setting in best if not setting.learned}
    left_out = len(sweep.settings) - len(best)
    return groups.intervals(values, _labels(best, sweep.axes, sweep.measure, left_out), without)


def _mean(setting: Setting, measure: str) -> float:
    return fmean(setting.by_seed(measure).values())


def _key(setting: Setting, axes: Sequence[str]) -> str:
    return translate("en", findings.label(setting, axes)) or "all runs"


def _labels(
    settings: Sequence[Setting], axes: Sequence[str], measure: str, left_out: int = 0
) -> groups.Labels:
    values = {_key(setting, axes): [setting.shown(axis) for axis in axes] for setting in settings}
    return groups.Labels(measure, axes, values, left_out=left_out)


def levels(settings: Sequence[Setting], axis: str) -> list[str]:
    """Return the values on an axis in order: numbers by size, words by the alphabet."""
    values = {setting.shown(axis): getattr(setting.config, axis) for setting in settings}
    return sorted(values, key=lambda shown: values[shown])


def heat(
    data: str,
    settings: Sequence[Setting],
    axes: Sequence[str],
    measure: str,
    others: Sequence[str] = (),
) -> Chart:
    """Return the mean accuracy over two axes as a map; crosses where every run diverged.

    Args:
      data: the name of its rows.
      settings: to draw.
      axes: down and across.
      measure: such as "valid_accuracy".
      others: axes over which the setting of each cell is the best.
    """
    down, across = axes
    order = {axis: levels(settings, axis) for axis in axes}
    rows: list[dict[str, Any]] = [
        {axis: setting.shown(axis) for axis in axes}
        | {"mean": _mean(setting, measure) if setting.runs else None, "n": len(setting.entries)}
        for setting in settings
    ]

    def draw(t: Translate) -> Spec:
        x, y = (
            groups.ordinal(
                axis, t(terms.named(axis)), {each: t(terms.valued(each)) for each in order[axis]}
            )
            for axis in (across, down)
        )
        title = t("mean {what}", what=terms.named(measure))
        best = listed([terms.named(axis) for axis in others])
        note = t("each cell: the best over {axes}", axes=best) if others else ""
        colour = channel("mean", title, scale={"zero": False}, legend={"format": "~%"})
        on = "contrast(scale('color', datum.mean), '{}')".format
        ink = {"expr": f"{on('#111')} > {on('#fff')} ? '#111' : '#fff'"}  # of either paper
        nothing = {"test": "!isValid(datum.mean)", "value": INK}
        shown = "isValid(datum.mean) ? format(datum.mean, '.1%') : '×'"
        return vega.chart(
            data,
            title,
            usermeta={"ramp": True, "note": note},
            height=max(100, 34 * len(order[down])),
            encoding={"x": x, "y": y},
            layer=[
                layer(
                    {"type": "rect"},
                    transform=[{"filter": "isValid(datum.mean)"}],
                    color=colour,
                ),
                layer(
                    {"type": "text", "fontSize": 11},
                    transform=[{"calculate": shown, "as": "text"}],
                    text={"field": "text", "type": "nominal"},
                    color={"condition": nothing, "value": ink},
                    tooltip=[x, y, percent("mean", title), channel("n", t("runs"))],
                ),
            ],
        )

    return Chart(draw, {data: rows})


def parallel(sweep: Sweep) -> Chart:
    """Return a line for each setting through its value on every axis, to its mean accuracy."""
    axes, measure = sweep.axes, sweep.measure
    best = [setting for setting in sweep.settings if setting.runs][:MOST_SETTINGS]
    order = {axis: levels(best, axis) for axis in axes}
    means = [_mean(setting, measure) for setting in best]
    low, high = min(means, default=0.0), max(means, default=1.0)

    def place(axis: str, shown: str) -> float:
        return order[axis].index(shown) / max(len(order[axis]) - 1, 1)

    def height(mean: float) -> float:
        return (mean - low) / (high - low) if high > low else 0.5

    through = [
        {"rank": rank, "axis": axis, "place": at, "mean": mean, "label": _key(setting, axes)}
        for rank, (setting, mean) in reversed([*enumerate(zip(best, means, strict=True), 1)])
        for aside in [0.06 * ((rank - 0.5) / len(best) - 0.5)]  # so that no line hides another
        for axis, at in [
            *((axis, place(axis, setting.shown(axis)) + aside) for axis in axes),
            ("", height(mean)),
        ]
    ]
    marks: list[dict[str, Any]] = [
        {"axis": axis, "place": place(axis, shown), "value": shown}
        for axis in axes
        for shown in order[axis]
    ] + [{"axis": "", "place": height(x), "value": f"{x:.1%}"} for x in sorted({low, high})]

    def draw(t: Translate) -> Spec:
        title = t("mean {what}", what=terms.named(measure))
        called = {axis: t(terms.named(axis)) for axis in axes} | {"": title}
        x = groups.ordinal("axis", "", called)
        x["axis"] |= {"grid": True, "ticks": False}
        y: Spec = channel("place", "", axis=None, scale={"domain": [-0.05, 1.05]})
        select = {
            "type": "point",
            "on": "pointerover,click",
            "clear": "pointerout",
            "fields": ["rank"],
        }
        label = channel("label", _labels(best, axes, measure).heading(t), "nominal")
        rank = {"field": "rank", "type": "nominal"}
        line = layer(
            {"type": "line", "strokeWidth": 2},
            detail=rank,
            color=channel("mean", title, legend={"format": "~%"}),
            opacity={"condition": {"param": "hovered", "value": 1}, "value": 0.1},
        )
        # Vega looks for the first point of a line, which says all that the line stands for.
        wide = layer(
            {"type": "line", "strokeWidth": 12, "opacity": 0},
            detail=rank,
            tooltip=[label, channel("rank", t("rank")), percent("mean", title)],
        )
        shown = {mark["value"]: t(terms.valued(mark["value"])) for mark in marks}
        text, halo = (
            layer(
                {"type": "text", "fontSize": 11, "color": INK, **more},
                data="parallel_levels",
                transform=[{"calculate": f"({json.dumps(shown)})[datum.value]", "as": "text"}],
                text={"field": "text", "type": "nominal"},
            )
            for more in ({}, {"stroke": PAPER, "strokeWidth": 4, "strokeJoin": "round"})
        )
        hover = {"params": [{"name": "hovered", "select": select}]}
        return vega.chart(
            "parallel",
            t("Settings side by side, each line one of them"),
            usermeta={"ramp": True},
            height=320,
            encoding={"x": x, "y": y},
            layer=[line, halo, text, wide | hover],
        )

    return Chart(draw, {"parallel": through, "parallel_levels": marks})
