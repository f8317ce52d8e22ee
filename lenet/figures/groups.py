"""Charts of groups of runs: the settings of a sweep, the cells of a comparison."""

import json
import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from statistics import fmean, median
from typing import Any, Literal, NamedTuple

import numpy as np

from lenet.analysis import terms
from lenet.analysis.bootstrap import bca
from lenet.analysis.stats import Interval
from lenet.analysis.summary import estimate
from lenet.figures import vega
from lenet.figures.vega import INK, Chart, Spec, Translate, channel, layer, percent
from lenet.language import Message, listed, mark

MOST_SEEDS = 16
"""Runs of a group that are each drawn, as a thin line or a dot."""
MOST_TICKS = 8
"""Learning rates that each have a tick; more have those of powers of ten."""

PERCENT = {"format": "~%", "tickCount": 6}

CENTRES: dict[str, Callable[[Sequence[float]], float]] = {"mean": fmean, "median": median}
BANDS = {
    "mean": mark("lines: means; bands: the middle half of the runs"),
    "median": mark("lines: medians; bands: the middle half of the runs"),
}
DOTS = {
    "mean": mark("lines: means; dots: runs"),
    "median": mark("lines: medians; dots: runs"),
}
THICK = {
    "mean": mark("thick lines: means; thin lines: runs"),
    "median": mark("thick lines: medians; thin lines: runs"),
}
DIAMONDS = {
    "mean": mark("dots: runs; diamonds: means with 95% CI"),
    "median": mark("dots: runs; diamonds: medians with 95% CI"),
}
"""What a chart draws, by the centre of its groups."""


class Labels(NamedTuple):
    """What a chart of groups is labelled with."""

    measure: str  # such as "valid_accuracy"
    axes: Sequence[str]  # names of settings
    values: Mapping[str, Sequence[str | Message]]  # of each group by its key, one of each axis
    centre: Literal["mean", "median"] = "mean"  # of runs
    left_out: int = 0  # groups that are not drawn

    def names(self, t: Translate, keys: Iterable[str]) -> dict[str, str]:
        """Return what groups are called in a language, such as "max · 0.1"."""
        parts = {key: [t(_valued(each)) for each in self.values[key]] for key in keys}
        return {key: " · ".join(some) or t("all runs") for key, some in parts.items()}

    def note(self, t: Translate, parts: Sequence[str]) -> str:
        """Return what a chart draws, and how much it leaves out."""
        more = [t("{n} more not drawn", n=self.left_out)] if self.left_out else []
        return t(listed([*parts, *more], "; "))

    def heading(self, t: Translate) -> str:
        """Return what the parts of names are, such as "pooling · learning rate"."""
        return " · ".join(t(terms.named(axis)) for axis in self.axes)


def _valued(value: str | Message) -> Message:
    return value if isinstance(value, Message) else terms.valued(value)


def rates(groups: Mapping[str, Mapping[float, Sequence[float | None]]], labels: Labels) -> Chart:
    """Return accuracy against learning rate: centres over the runs, of many their middle half.

    `groups` has by learning rate what each run ended with; None if it diverged, which is a cross.
    """
    runs = [
        (group, lr, [end for end in ends if end is not None], len(ends))
        for group, by in groups.items()
        for lr, ends in sorted(by.items())
    ]
    tried = sorted({lr for _, lr, *_ in runs})
    rows = [spread(group, ends, labels.centre, lr=lr) for group, lr, ends, _ in runs if ends]
    few = max((n for *_, n in runs), default=0) <= MOST_SEEDS
    single = [
        {"series": group, "lr": lr, "value": end}
        for group, lr, ends, _ in (runs if few else ())
        for end in ends
    ]
    lost = [
        {"series": group, "lr": lr, "diverged": n - len(ends), "n": n}
        for group, lr, ends, n in runs
        if len(ends) < n
    ]

    def draw(t: Translate) -> Spec:
        ticks = tried if len(tried) <= MOST_TICKS else ()
        x = vega.logarithmic("lr", t("learning rate"), tried, ticks)
        title = t("{what} by learning rate", what=terms.named(labels.measure))
        names, notes = labels.names(t, groups), [t((DOTS if few else BANDS)[labels.centre])]
        if few:
            dot = {"type": "point", "filled": True, "size": 22}
            behind = _behind(t, "rates", dot, 0.5, "value", names, labels, data="ends")
        else:
            behind = _band(t, "rates", names, labels)
        spec = _means(t, "rates", title, x, names, labels, [behind])
        if lost:
            notes.append(t("×: a run diverged"))
            cross = {"type": "text", "text": "×", "fontSize": 16, "dy": 8, "color": INK}
            tooltip = [x, channel("diverged", t("diverged")), channel("n", t("runs"))]
            top = {"value": 0}
            spec["layer"].append(layer(cross, data="diverged", y=top, tooltip=tooltip))
        spec["usermeta"]["note"] = labels.note(t, notes)
        return spec

    return Chart(draw, {"rates": rows, "ends": single, "diverged": lost})


def epochs(groups: Mapping[str, Sequence[tuple[int, Sequence[float]]]], labels: Labels) -> Chart:
    """Return accuracy by epoch: centres over thin lines for few runs, of many their middle half.

    `groups` has the seed of each run and its accuracies by epoch.
    """
    rows = [
        spread(group, values, labels.centre, epoch=epoch)
        for group, runs in groups.items()
        for epoch, values in enumerate(zip(*(run for _, run in runs), strict=True), 1)
    ]
    few = [group for group, runs in groups.items() if len(runs) <= MOST_SEEDS]
    single = [
        {"series": group, "run": i, "seed": seed, "epoch": epoch, "value": accuracy}
        for group in few
        for i, (seed, run) in enumerate(groups[group])
        for epoch, accuracy in enumerate(run, 1)
    ]

    def draw(t: Translate) -> Spec:
        x = channel("epoch", t("epoch"), axis=vega.WHOLE, scale={"nice": False})
        names, behind = labels.names(t, groups), []
        if len(few) < len(groups):  # Vega warns of a layer without rows
            many = {"filter": {"not": {"field": "series", "oneOf": few}}}
            behind.append(_band(t, "epochs", names, labels, many))
        if few:
            thin = {"type": "line", "strokeWidth": 0.8}
            run = {"data": "runs", "detail": {"field": "run", "type": "nominal"}}
            behind.append(_behind(t, "epochs", thin, 0.35, "value", names, labels, **run))
        title = t("{what} by epoch", what=terms.named(labels.measure))
        spec = _means(t, "epochs", title, x, names, labels, behind)
        notes = [t(THICK[labels.centre])] if few else []
        notes += [t(BANDS[labels.centre])] if len(few) < len(groups) else []
        spec["usermeta"]["note"] = labels.note(t, notes)
        return spec

    return Chart(draw, {"epochs": rows, "runs": single})


def _means(
    t: Translate,
    data: str,
    title: str,
    x: Spec,
    names: Mapping[str, str],
    labels: Labels,
    behind: Sequence[Spec],
) -> Spec:
    y = channel(labels.centre, t(terms.named(labels.measure)), scale=vega.NEAR, axis=PERCENT)
    middle, low, high = (f"format(datum.{each}, '.1%')" for each in (labels.centre, "low", "high"))
    names_of = {each: f"{{{each}}}" for each in ("middle", "low", "high", "n")}
    said = t("{middle}; runs from {low} to {high}, n = {n}", **names_of)  # a range, no interval
    parts = {"{middle}": middle, "{low}": low, "{high}": high, "{n}": "datum.n"}
    pieces = (parts.get(each) or json.dumps(each) for each in re.split(r"(\{\w+\})", said) if each)
    shown = " + ".join(pieces)
    return vega.lines(data, title, x, y, names, shown, behind, labels.heading(t))


def _band(t: Translate, data: str, names: Mapping[str, str], labels: Labels, *keep: Spec) -> Spec:
    """Between the quartiles of the runs."""
    ends = {"transform": [vega.named(names), *keep], "y2": {"field": "upper"}}
    return _behind(t, data, {"type": "area"}, 0.15, "lower", names, labels, **ends)


def _behind(
    t: Translate,
    chart: str,
    mark: Spec,
    opacity: float,
    y: str,
    names: Mapping[str, str],
    labels: Labels,
    **more: Any,
) -> Spec:
    """What is paler than the lines of a chart, and left alone with them by its legend."""
    given: dict[str, Any] = {"transform": [vega.named(names)]} | more
    return layer(
        mark,
        y=channel(y, t(terms.named(labels.measure)), scale=vega.NEAR),
        color=vega.coloured(names, labels.heading(t)),
        opacity=vega.picking(chart, opacity)[1],
        **given,
    )


def intervals(
    groups: Mapping[str, Sequence[tuple[int, float]]],
    labels: Labels,
    without: Container[str] = (),
) -> Chart:
    """Return the accuracy of each group: a dot for each run, the centre and its 95% CI.

    `groups` has, in their order, the seed and accuracy of each run; those in `without` get no CI.
    """
    centres = [
        interval(group, [end for _, end in runs], labels.centre) for group, runs in groups.items()
    ]
    for each in centres:
        if each["label"] in without:
            each |= {"low": each[labels.centre], "high": each[labels.centre]}
    single = [
        {"label": group, "seed": seed, "value": end}
        for group, runs in groups.items()
        for seed, end in runs
    ]

    def draw(t: Translate) -> Spec:
        what, heading = t(terms.named(labels.measure)), labels.heading(t)
        x = channel("value", what, scale=vega.NEAR, axis=PERCENT)
        y = ordinal("label", heading, labels.names(t, groups))
        y["axis"] |= {"titleAngle": 0, "titleAlign": "right", "titleX": -8, "titleY": -10}
        y["axis"] |= {"labelLimit": 260, "labelPadding": 8, "ticks": False}
        label, seed = (channel("label", heading, "nominal"), channel("seed", t("seed"), "nominal"))
        ends = [percent("low", t("95% CI, from")), percent("high", t("to"))]
        middle = percent(labels.centre, t(labels.centre))
        dot = {"type": "point", "filled": True}
        diamond = dot | {"shape": "diamond", "size": 90, "color": INK}
        return vega.chart(
            "settings",
            t("{what} of each setting", what=what),
            usermeta={"note": labels.note(t, [t(DIAMONDS[labels.centre])])},
            height=max(80, 26 * len(groups)),
            encoding={"y": y},
            layer=[
                layer(
                    dot | {"size": 22, "opacity": 0.5},
                    data="dots",
                    x=x,
                    tooltip=[label, seed, percent("value", what)],
                ),
                layer(
                    {"type": "rule", "strokeWidth": 2, "color": INK},
                    x=x | {"field": "low"},
                    x2={"field": "high"},
                ),
                layer(
                    diamond,
                    x=x | {"field": labels.centre},
                    tooltip=[label, middle, *ends, channel("n", t("runs"))],
                ),
            ],
        )

    return Chart(draw, {"settings": centres, "dots": single})


def ordinal(field: str, title: str, called: Mapping[str, str]) -> Spec:
    """Return an axis of keys in their order, which shows what they are called."""
    axis = {"labelExpr": f"({json.dumps(called)})[datum.value]", "labelAngle": 0}
    return channel(field, title, "ordinal", scale={"domain": list(called)}, axis=axis)


def spread(series: str, values: Sequence[float], centre: str = "mean", **at: Any) -> dict[str, Any]:
    """Return the centre of runs, their quartiles, and the worst and the best of them.

    >>> spread("max", [0.75, 0.25], epoch=1)["low"], spread("max", [0.75, 0.25])["upper"]
    (0.25, 0.625)
    """
    middle = {centre: CENTRES[centre](values)}
    lower, upper = np.quantile(values, (0.25, 0.75)).tolist()
    return {
        "series": series,
        **middle,
        "low": min(values),
        "lower": lower,
        "upper": upper,
        "high": max(values),
        "n": len(values),
        **at,
    }


def interval(label: str, values: Sequence[float], centre: str = "mean") -> dict[str, Any]:
    """Return the centre of the accuracies of runs and its 95% CI: Student's, or the median's BCa.

    Of a single run it is that run.
    """
    n, middle = len(values), CENTRES[centre](values)
    at = Interval(middle, middle, middle)
    if centre == "median" and n > 1:
        _, low, high = bca(values, lambda runs: np.median(runs, -1))[0]
        at = Interval(middle, low, high)
    elif found := estimate(values).interval:
        at = found
    return {"label": label, centre: middle, "low": at.low, "high": at.high, "n": n}
