"""The charts of a report, as Vega-Lite specifications: text and shape, the rows come by name.

Each function takes the translation of the page's language. Colours, fonts and widths are the
page's, which knows whether it is dark; a series is told by its place in the theme's colours.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lenet.report.page import Spec, Translate

HEIGHT = 260
WHOLE = {"tickMinStep": 1, "labelExpr": "datum.value % 1 ? '' : format(datum.value, 'd')"}
"""An axis of whole numbers; Vega may put ticks between few of them."""


def _chart(data: str, description: str, **rest: Any) -> Spec:
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "description": description,
        "width": "container",
        "height": HEIGHT,
        "data": {"name": data},
        **rest,
    }


def _axis(field: str, title: str, kind: str = "quantitative", **rest: Any) -> Spec:
    return {"field": field, "type": kind, "title": title, **rest}


def _near(low: float | None = None, high: float | None = None, kind: str = "linear") -> Spec:
    """A scale that need not begin at 0."""
    scale: Spec = {"zero": False, "nice": True, "type": kind}
    if low is not None:
        scale["domainMin"] = low
    if high is not None:
        scale["domainMax"] = high
    return scale


def _named(names: Mapping[str, str]) -> Spec:
    """A transform that gives each row's series its name in this language."""
    return {"calculate": f"({json.dumps(names)})[datum.series]", "as": "name"}


def _colour(names: Mapping[str, str]) -> Spec:
    """The colour of a series; its legend shows it in full, whatever lies behind the lines."""
    return _axis("name", "", "nominal", sort=list(names.values()), legend={"symbolOpacity": 1})


def _lines(
    data: str,
    description: str,
    x: Spec,
    y: Spec,
    names: Mapping[str, str],
    tooltip: Sequence[Spec],
    behind: Sequence[Spec] = (),
) -> Spec:
    """Lines with dots, one for each series; a click in the legend leaves one alone."""
    colour = _colour(names)
    pick = {
        "name": "picked",
        "select": {"type": "point", "fields": ["name"]},
        "bind": "legend",
    }
    seen = {"condition": {"param": "picked", "value": 1}, "value": 0.12}
    return _chart(
        data,
        description,
        usermeta={"names": list(names.values())},  # for the width of the legend
        layer=[
            *behind,
            {
                "transform": [_named(names)],
                "params": [pick],
                "mark": {"type": "line", "point": {"size": 36, "filled": True}},
                "encoding": {
                    "x": x,
                    "y": y,
                    "color": colour,
                    "strokeDash": {**colour, "legend": None},
                    "opacity": seen,
                    "tooltip": [_axis("name", "", "nominal"), *tooltip],
                },
            },
        ],
    )


def _percent(field: str, title: str) -> Spec:
    return _axis(field, title, format=".2%")


def losses(t: Translate) -> Spec:
    """Training loss within each epoch, test and validation loss after it."""
    names = {
        "train": t("training"),
        "valid": t("validation"),
        "test": t("test"),
    }
    title = t("loss (nats)")
    return _lines(
        "losses",
        t("Loss by epoch"),
        _axis("epoch", t("epoch"), axis=WHOLE),
        _axis("value", title, scale={"zero": True}),
        names,
        [_axis("epoch", t("epoch"), format=".1f"), _axis("value", title, format=".4f")],
    )


def accuracies(t: Translate, *, over_band: bool) -> Spec:
    """Accuracies by epoch, and the band of the published runs behind them."""
    names = {
        "train": t("training"),
        "valid": t("validation"),
        "test": t("test"),
    }
    title = t("accuracy")
    x = _axis("epoch", t("epoch"), axis=WHOLE)
    band = {
        "data": {"name": "published_band"},
        "mark": {"type": "area", "opacity": 0.18, "interpolate": "linear"},
        "encoding": {
            "x": x,
            "y": _axis("low", title),
            "y2": {"field": "high"},
            "color": {"value": {"expr": "bandColour"}},
            "tooltip": [
                _axis("epoch", t("epoch")),
                _percent("low", t("published, 10th percentile")),
                _percent("median", t("published, median")),
                _percent("high", t("published, 90th percentile")),
            ],
        },
    }
    return _lines(
        "accuracies",
        t("Accuracy by epoch"),
        x,
        _axis("value", title, axis={"format": "%"}),
        names,
        [_axis("epoch", t("epoch"), format=".1f"), _percent("value", title)],
        behind=[band] if over_band else [],
    )


def published(t: Translate, field: str, *, marked: bool) -> Spec:
    """Runs among the published ones: a mark for each, by framework; a line for `this_run`."""
    title = t("test accuracy") if field == "test_accuracy" else t("training loss (nats)")
    marks = {
        "mark": {"type": "tick", "opacity": 0.45, "thickness": 1.5},
        "encoding": {
            "x": _axis(field, title, scale=_near()),
            "y": _axis("framework", "", "nominal"),
            "color": _axis("framework", "", "nominal", legend=None),
            "tooltip": [_axis("framework", "", "nominal"), _axis(field, title)],
        },
    }
    line = {
        "data": {"name": "this_run"},
        "mark": {"type": "rule", "strokeWidth": 3, "color": {"expr": "inkColour"}},
        "encoding": {
            "x": {"field": field, "type": "quantitative"},
            "tooltip": [_axis(field, t("this run"), format=".4f")],
        },
    }
    return _chart(
        "published",
        t("Among the published runs: {what}", what=title),
        height=120,
        layer=[marks, line] if marked else [marks],
    )


STATISTICS = {  # what is drawn of statistics.jsonl: title, and whether by powers of ten
    "across": ("how far units differ over images (standard deviation)", True),
    "gradient": ("gradient of the kernel (root mean square)", True),
    "saturated": ("saturated: share of values near an end of the activation", False),
    "dead": ("dead: share of units that give one value for all images", False),
}


def statistics(t: Translate, measure: str, layers: Sequence[str]) -> Spec:
    """What each of some layers did before the first epoch (0) and after each."""
    text, powers = STATISTICS[measure]
    y = _axis(measure, "", axis={"format": "%"}, scale={"domain": [0, 1]})
    if powers:
        y |= {"scale": {"type": "log"}, "axis": {"format": "~e", "tickCount": 6}}
    spec = _lines(
        "statistics",
        t(text),
        _axis("epoch", t("epoch"), axis=WHOLE),
        y,
        {layer: layer for layer in layers},
        [_axis("epoch", t("epoch")), _axis(measure, t("value"), format=".3~e")],
    )
    # The logarithm of 0 is nowhere.
    keep = f"isValid(datum.{measure}) && datum.{measure} {'>' if powers else '>='} 0"
    among = {"field": "series", "oneOf": list(layers)}
    spec["transform"] = [{"filter": {"and": [keep, among]}}]
    return spec


def calibration(t: Translate) -> Spec:
    """Accuracy against confidence, by tenths of confidence."""
    x = _axis("low", t("confidence: the largest probability"), bin={"binned": True, "step": 0.1})
    x |= {"scale": {"domain": [0, 1]}, "axis": {"format": "%"}}
    y = _axis("accuracy", t("accuracy"), scale={"domain": [0, 1]}, axis={"format": "%"})
    return _chart(
        "calibration",
        t("Accuracy by confidence"),
        layer=[
            {
                "mark": {"type": "bar", "tooltip": True},
                "encoding": {
                    "x": x,
                    "x2": {"field": "high"},
                    "y": y,
                    "opacity": _axis(
                        "count", t("predictions"), scale={"range": [0.35, 1]}, legend=None
                    ),
                    "tooltip": [
                        _percent("confidence", t("mean confidence")),
                        _percent("accuracy", t("accuracy")),
                        _axis("count", t("predictions"), format=","),
                    ],
                },
            },
            {
                "data": {"values": [{"x": 0, "y": 0}, {"x": 1, "y": 1}]},
                "mark": {"type": "line", "strokeDash": [6, 4], "color": {"expr": "inkColour"}},
                "encoding": {
                    "x": {"field": "x", "type": "quantitative"},
                    "y": {"field": "y", "type": "quantitative"},
                },
            },
        ],
    )


def robustness(t: Translate, what: str) -> Spec:
    """Accuracy on images that were moved or are noisy."""
    x = (
        _axis("amount", t("moved by (pixels)"), axis=WHOLE)
        if what == "shift"
        else _axis("amount", t("noise (standard deviation, share of white)"), axis={"format": "%"})
    )
    return _chart(
        what,
        t("Accuracy on moved images") if what == "shift" else t("Accuracy on noisy images"),
        mark={"type": "line", "point": {"size": 50, "filled": True}},
        encoding={
            "x": x,
            "y": _axis(
                "accuracy", t("test accuracy"), scale={"domainMin": 0}, axis={"format": "%"}
            ),
            "tooltip": [x | {"axis": None}, _percent("accuracy", t("test accuracy"))],
        },
    )


def rates(t: Translate, measure: str, labels: Sequence[str]) -> Spec:
    """Accuracy against learning rate: the mean over seeds, and from the worst to the best."""
    names = {label: label for label in labels}
    title = t(measure)
    x = _axis("lr", t("learning rate"), scale={"type": "log"}, axis={"format": "~g"})
    return _with_range(
        "rates", t("{what} against the learning rate", what=title), x, title, names,
        [_axis("lr", t("learning rate"), format=".4~g")], t,
    )  # fmt: skip


def bands(t: Translate, measure: str, labels: Sequence[str]) -> Spec:
    """Accuracy by epoch: the mean over seeds, and from the worst to the best of them."""
    names = {label: label for label in labels}
    title = t(measure)
    x = _axis("epoch", t("epoch"), axis=WHOLE)
    return _with_range(
        "bands", t("{what} by epoch", what=title), x, title, names,
        [_axis("epoch", t("epoch"))], t,
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
        "transform": [_named(names)],
        "mark": {"type": "area", "opacity": 0.15},
        "encoding": {
            "x": x,
            "y": _axis("low", title, scale=_near()),
            "y2": {"field": "high"},
            "color": _colour(names),
        },
    }
    more = [
        _percent("mean", t("mean")),
        _percent("low", t("lowest")),
        _percent("high", t("highest")),
        _axis("n", t("runs")),
    ]
    y = _axis("mean", title, scale=_near(), axis={"format": "%"})
    return _lines(data, description, x, y, names, [*tooltip, *more], behind=[area])


def settings(t: Translate, measure: str, count: int) -> Spec:
    """The accuracy of each setting: a dot for each seed, the mean and its 95 % interval."""
    title = t(measure)
    y = _axis("label", "", "nominal", sort={"field": "rank"}, axis={"labelLimit": 260})
    return _chart(
        "settings",
        t("{what} of each setting", what=title),
        height=max(80, 26 * count),
        layer=[
            {
                "data": {"name": "seeds"},
                "mark": {"type": "point", "filled": True, "size": 22, "opacity": 0.5},
                "encoding": {
                    "x": _axis("value", title, scale=_near(), axis={"format": "%"}),
                    "y": y,
                    "tooltip": [
                        _axis("label", "", "nominal"),
                        _axis("seed", t("seed"), "nominal"),
                        _percent("value", title),
                    ],
                },
            },
            {
                "mark": {"type": "rule", "strokeWidth": 2, "color": {"expr": "inkColour"}},
                "encoding": {"x": _axis("low", title), "x2": {"field": "high"}, "y": y},
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
                    "x": _axis("mean", title),
                    "y": y,
                    "tooltip": [
                        _axis("label", "", "nominal"),
                        _percent("mean", t("mean")),
                        _percent("low", t("95 % interval, from")),
                        _percent("high", t("to")),
                        _axis("n", t("runs")),
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
        _axis("label", "", "nominal"),
        _axis("rank", t("rank")),
        _percent("mean", title),
    ]
    return _chart(
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
                    "color": _axis("mean", title, legend={"format": "%"}),
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
