"""The charts of a sweep or a comparison, as `charts` has those of a run."""

import json
from collections.abc import Mapping, Sequence

from lenet.report.page import Spec, Translate
from lenet.report.vega import NEAR, WHOLE, channel, chart, coloured, lines, named, percent


def rates(t: Translate, measure: str, labels: Sequence[str]) -> Spec:
    """Accuracy against learning rate: the mean over seeds, and from the worst to the best."""
    names = {label: label for label in labels}
    title = t(measure)
    x = channel("lr", t("learning rate"), scale={"type": "log"}, axis={"format": "~g"})
    return _with_range(
        "rates", t("{what} against the learning rate", what=title), x, title, names,
        [channel("lr", t("learning rate"), format=".4~g")], t,
    )  # fmt: skip


def bands(t: Translate, measure: str, labels: Sequence[str]) -> Spec:
    """Accuracy by epoch: the mean over seeds, and from the worst to the best of them."""
    names = {label: label for label in labels}
    title = t(measure)
    x = channel("epoch", t("epoch"), axis=WHOLE)
    return _with_range(
        "bands", t("{what} by epoch", what=title), x, title, names,
        [channel("epoch", t("epoch"))], t,
    )  # fmt: skip


def _with_range(
    data: str,
    description: str,
    x: Spec,
    title: str,
    names: Mapping[str, str],
    tooltip: Sequence[Spec],
    t: Translate,
) -> Spec:
    area = {
        "transform": [named(names)],
        "mark": {"type": "area", "opacity": 0.15},
        "encoding": {
            "x": x,
            "y": channel("low", title, scale=NEAR),
            "y2": {"field": "high"},
            "color": coloured(names),
        },
    }
    more = [
        percent("mean", t("mean")),
        percent("low", t("lowest")),
        percent("high", t("highest")),
        channel("n", t("runs")),
    ]
    y = channel("mean", title, scale=NEAR, axis={"format": "%"})
    return lines(data, description, x, y, names, [*tooltip, *more], behind=[area])


def settings(t: Translate, measure: str, count: int) -> Spec:
    """The accuracy of each setting: a dot for each seed, the mean and its 95 % interval."""
    title = t(measure)
    y = channel("label", "", "nominal", sort={"field": "rank"}, axis={"labelLimit": 260})
    return chart(
        "settings",
        t("{what} of each setting", what=title),
        height=max(80, 26 * count),
        layer=[
            {
                "data": {"name": "seeds"},
                "mark": {"type": "point", "filled": True, "size": 22, "opacity": 0.5},
                "encoding": {
                    "x": channel("value", title, scale=NEAR, axis={"format": "%"}),
                    "y": y,
                    "tooltip": [
                        channel("label", "", "nominal"),
                        channel("seed", t("seed"), "nominal"),
                        percent("value", title),
                    ],
                },
            },
            {
                "mark": {"type": "rule", "strokeWidth": 2, "color": {"expr": "inkColour"}},
                "encoding": {"x": channel("low", title), "x2": {"field": "high"}, "y": y},
            },
            {
                "mark": {
                    "type": "point",
                    "shape": "diamond",
                    "filled": True,
                    "size": 90,
                    "color": {"expr": "inkColour"},
                },
                "encoding": {
                    "x": channel("mean", title),
                    "y": y,
                    "tooltip": [
                        channel("label", "", "nominal"),
                        percent("mean", t("mean")),
                        percent("low", t("95 % interval, from")),
                        percent("high", t("to")),
                        channel("n", t("runs")),
                    ],
                },
            },
        ],
    )


def parallel(t: Translate, measure: str, axes: Sequence[str]) -> Spec:
    """A line for each setting through its value on every axis, to its mean accuracy."""
    title = t(measure)
    names = {axis: axis for axis in axes} | {"": title}
    x: Spec = {
        "field": "axis",
        "type": "ordinal",
        "title": "",
        "sort": [*axes, ""],
        "axis": {
            "labelAngle": 0,
            "labelExpr": f"({json.dumps(names)})[datum.value]",
            "grid": True,
            "ticks": False,
        },
    }
    y = {"field": "place", "type": "quantitative", "axis": None, "scale": {"domain": [-0.05, 1.05]}}
    hover = {
        "name": "hovered",
        "select": {"type": "point", "on": "pointerover,click", "fields": ["rank"]},
    }
    tip = [
        channel("label", "", "nominal"),
        channel("rank", t("rank")),
        percent("mean", title),
    ]
    return chart(
        "parallel",
        t("Settings side by side, each line one of them"),
        height=320,
        layer=[
            {
                "params": [hover],
                "mark": {"type": "line", "strokeWidth": 2, "interpolate": "monotone"},
                "encoding": {
                    "x": x,
                    "y": y,
                    "detail": {"field": "rank", "type": "nominal"},
                    "color": channel("mean", title, legend={"format": "%"}),
                    "opacity": {"condition": {"param": "hovered", "value": 1}, "value": 0.1},
                    "tooltip": tip,
                },
            },
            {
                "data": {"name": "parallel_levels"},
                "mark": {
                    "type": "text",
                    "fontSize": 11,
                    "color": {"expr": "inkColour"},
                    "stroke": {"expr": "paperColour"},
                    "strokeWidth": 4,
                    "strokeJoin": "round",
                },
                "encoding": {"x": x, "y": y, "text": {"field": "value", "type": "nominal"}},
            },
            {
                "data": {"name": "parallel_levels"},
                "mark": {"type": "text", "fontSize": 11, "color": {"expr": "inkColour"}},
                "encoding": {"x": x, "y": y, "text": {"field": "value", "type": "nominal"}},
            },
        ],
    )
