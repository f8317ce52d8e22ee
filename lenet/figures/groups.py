"""Charts of groups of runs, alike but for their seeds: settings of a sweep, cells of a comparison.

Each takes `groups`, the numbers of each group by its key, and `parts`, the values on the axes that
the group's name in a legend is made of.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lenet.analysis.summary import estimate
from lenet.figures.terms import Translate, term, value
from lenet.figures.vega import (
    INK,
    NEAR,
    WHOLE,
    Chart,
    Spec,
    channel,
    chart,
    coloured,
    lines,
    logarithmic,
    named,
    percent,
)

MOST_SEEDS = 16
"""Runs of a group that are each drawn as a thin line."""

PERCENT = {"format": "~%", "tickCount": 6}

Parts = Mapping[str, Sequence[str]]


def rates(
    groups: Mapping[str, Mapping[float, Sequence[float | None]]],
    parts: Parts,
    axes: Sequence[str],
    measure: str,
) -> Chart:
    """Return accuracy against learning rate: means, ranges, and crosses where a run diverged.

    Args:
      groups: by learning rate what each run ended with; None if it diverged.
      parts: of each group's name, a value for each of `axes`.
      axes: names of settings.
      measure: such as "valid_accuracy".
    """
    runs = [
        (group, lr, [end for end in ends if end is not None], len(ends))
        for group, by in groups.items()
        for lr, ends in sorted(by.items())
    ]
    rows = [spread(group, ends, lr=lr) for group, lr, ends, _ in runs if ends]
    lost = [
        {"series": group, "lr": lr, "diverged": n - len(ends), "n": n}
        for group, lr, ends, n in runs
        if len(ends) < n
    ]

    def draw(t: Translate) -> Spec:
        x = logarithmic("lr", t("learning rate"), [lr for _, lr, *_ in runs])
        title = t("{what} by learning rate", what=term(t, measure))
        called = names(t, groups, parts)
        spec = _means(t, "rates", title, x, called, axes, measure, [_band(x, called, measure, t)])
        if lost:
            spec["usermeta"]["note"] = t("×: a run diverged")
            cross = {"type": "text", "text": "×", "fontSize": 16, "dy": -7, "color": INK}
            tooltip = [x, channel("diverged", t("diverged")), channel("n", t("runs"))]
            encoding = {"x": x, "y": {"value": "height"}, "tooltip": tooltip}
            layer = {"data": {"name": "diverged"}, "mark": cross, "encoding": encoding}
            spec["layer"].append(layer)
        return spec

    return Chart(draw, {"rates": rows, "diverged": lost})


def epochs(
    groups: Mapping[str, Sequence[tuple[int, Sequence[float]]]],
    parts: Parts,
    axes: Sequence[str],
    measure: str,
) -> Chart:
    """Return accuracy by epoch: means over thin lines for few runs, over their range for many.

    Args:
      groups: seed and accuracies by epoch of each run.
      parts, axes, measure: as those of `rates`.
    """
    rows = [
        spread(group, values, epoch=epoch)
        for group, runs in groups.items()
        for epoch, values in enumerate(zip(*(run for _, run in runs), strict=True), 1)
    ]
    few = {group: runs for group, runs in groups.items() if len(runs) <= MOST_SEEDS}
    single = [
        {"series": group, "run": i, "seed": seed, "epoch": epoch, "value": accuracy}
        for group, runs in few.items()
        for i, (seed, run) in enumerate(runs)
        for epoch, accuracy in enumerate(run, 1)
    ]

    def draw(t: Translate) -> Spec:
        x = channel("epoch", t("epoch"), axis=WHOLE, scale={"nice": False})
        called = names(t, groups, parts)
        band = _band(x, called, measure, t)
        band["transform"].append({"filter": {"not": {"field": "series", "oneOf": list(few)}}})
        thin = {
            "data": {"name": "runs"},
            "transform": [named(called)],
            "mark": {"type": "line", "strokeWidth": 0.8, "opacity": 0.35},
            "encoding": {
                "x": x,
                "y": channel("value", term(t, measure), scale=NEAR),
                "color": coloured(called, heading(t, axes)),
                "detail": {"field": "run", "type": "nominal"},
            },
        }
        title = t("{what} by epoch", what=term(t, measure))
        return _means(t, "epochs", title, x, called, axes, measure, [band, thin])

    return Chart(draw, {"epochs": rows, "runs": single})


def _means(
    t: Translate,
    data: str,
    title: str,
    x: Spec,
    called: Mapping[str, str],
    axes: Sequence[str],
    measure: str,
    behind: Sequence[Spec],
) -> Spec:
    y = channel("mean", term(t, measure), scale=NEAR, axis=PERCENT)
    tooltip = [
        channel(x["field"], x["title"], format=".4~g"),
        percent("mean", t("mean")),
        percent("low", t("lowest")),
        percent("high", t("highest")),
        channel("n", t("runs")),
    ]
    return lines(data, title, x, y, called, tooltip, behind, heading(t, axes))


def _band(x: Spec, called: Mapping[str, str], measure: str, t: Translate) -> Spec:
    """From the lowest to the highest run."""
    return {
        "transform": [named(called)],
        "mark": {"type": "area", "opacity": 0.15},
        "encoding": {
            "x": x,
            "y": channel("low", term(t, measure), scale=NEAR),
            "y2": {"field": "high"},
            "color": coloured(called),
        },
    }


def intervals(
    groups: Mapping[str, Sequence[tuple[int, float]]],
    parts: Parts,
    axes: Sequence[str],
    measure: str,
) -> Chart:
    """Return the accuracy of each group: a dot for each run, the mean and its 95% CI.

    Args:
      groups: seed and accuracy of each run; in their order.
      parts, axes, measure: as those of `rates`.
    """
    means = [interval(group, [end for _, end in runs]) for group, runs in groups.items()]
    single = [
        {"label": group, "seed": seed, "value": end}
        for group, runs in groups.items()
        for seed, end in runs
    ]

    def draw(t: Translate) -> Spec:
        x = channel("value", term(t, measure), scale=NEAR, axis=PERCENT)
        y = ordinal("label", heading(t, axes), names(t, groups, parts))
        y["axis"] |= {"titleAngle": 0, "titleAlign": "right", "titleX": -8, "titleY": -10}
        y["axis"] |= {"labelLimit": 260, "labelPadding": 8, "ticks": False}
        label = channel("label", heading(t, axes), "nominal")
        mean = {"type": "point", "shape": "diamond", "filled": True, "size": 90, "color": INK}
        return chart(
            "settings",
            t("{what} of each setting", what=term(t, measure)),
            usermeta={"note": t("dots: runs; diamonds: means with 95% CI")},
            height=max(80, 26 * len(groups)),
            layer=[
                {
                    "data": {"name": "dots"},
                    "mark": {"type": "point", "filled": True, "size": 22, "opacity": 0.5},
                    "encoding": {
                        "x": x,
                        "y": y,
                        "tooltip": [
                            label,
                            channel("seed", t("seed"), "nominal"),
                            percent("value", term(t, measure)),
                        ],
                    },
                },
                {
                    "mark": {"type": "rule", "strokeWidth": 2, "color": INK},
                    "encoding": {"x": x | {"field": "low"}, "x2": {"field": "high"}, "y": y},
                },
                {
                    "mark": mean,
                    "encoding": {
                        "x": x | {"field": "mean"},
                        "y": y,
                        "tooltip": [
                            label,
                            percent("mean", t("mean")),
                            percent("low", t("95% CI, from")),
                            percent("high", t("to")),
                            channel("n", t("runs")),
                        ],
                    },
                },
            ],
        )

    return Chart(draw, {"settings": means, "dots": single})


def names(t: Translate, keys: Iterable[str], parts: Parts) -> dict[str, str]:
    """Return what groups are called in a language, such as "max · 0.1"."""
    return {key: " · ".join(value(t, p) for p in parts[key]) or t("all runs") for key in keys}


def heading(t: Translate, axes: Sequence[str]) -> str:
    """Return what the parts of names are, such as "pooling · learning rate"."""
    return " · ".join(term(t, axis) for axis in axes)


def ordinal(field: str, title: str, called: Mapping[str, str]) -> Spec:
    """Return an axis of keys in their order, which shows what they are called."""
    axis = {"labelExpr": f"({json.dumps(called)})[datum.value]", "labelAngle": 0}
    return channel(field, title, "ordinal", scale={"domain": list(called)}, axis=axis)


def spread(series: str, values: Sequence[float], **at: Any) -> dict[str, Any]:
    """Return the mean of runs and the range from the worst to the best of them.

    >>> spread("max", [0.75, 0.25], epoch=1)
    {'series': 'max', 'mean': 0.5, 'low': 0.25, 'high': 0.75, 'n': 2, 'epoch': 1}
    """
    found = estimate(values)
    low, high = min(values), max(values)
    return {"series": series, "mean": found.mean, "low": low, "high": high, "n": found.n, **at}


def interval(label: str, values: Sequence[float]) -> dict[str, Any]:
    """Return the mean accuracy of runs and its 95% CI, cut to 0 to 1.

    That of two runs may reach beyond; of a single run it is that run.
    """
    found = estimate(values)
    half = found.half or 0.0
    ends = {"low": max(found.mean - half, 0.0), "high": min(found.mean + half, 1.0)}
    return {"label": label, "mean": found.mean, **ends, "n": found.n}
