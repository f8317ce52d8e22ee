"""Charts of a search: its history, its rungs, and what mattered."""

import json
from typing import Any

from lenet.analysis import terms
from lenet.analysis.searched import Place, Searched, setting_of
from lenet.figures import vega
from lenet.figures.vega import QUIET, Chart, Spec, Translate, channel, layer, percent
from lenet.language import mark, translate

NAMES = {
    "ended": mark("trained to the end"),
    "stopped": mark("stopped"),
    "failed": mark("failed"),
}


def pictures(found: Searched, language: str = "en") -> dict[str, bytes]:
    """Draw a search; return PNGs, by the name of their file."""
    title = translate(language, terms.valued(found.plan.base.dataset))
    return {
        f"{name}.png": vega.png([each], language, title=title)
        for name, each in charts(found).items()
    }


def charts(found: Searched) -> dict[str, Chart]:
    """Return what there is to draw of a search, by name."""
    drawn = {"history": history(found), "rungs": rungs(found)} if found.ranked else {}
    if found.importances:
        drawn["importances"] = importances(found)
    return drawn


def _names(found: Searched, t: Translate) -> dict[str, str]:
    there = {_series(found, place) for place in found.ranked}
    return {name: t(each) for name, each in NAMES.items() if name in there}


def _series(found: Searched, place: Place) -> str:
    if place.trial.diverged:
        return "failed"
    return "ended" if place.epochs == found.plan.rule.most else "stopped"


def history(found: Searched) -> Chart:
    """Return the accuracy of each setting in the order of proposal, and the best so far."""
    rows = [
        {
            "trial": place.trial.number,
            "label": translate("en", setting_of(place.trial)),
            "epoch": place.epochs,
            "value": place.mean,
            "series": _series(found, place),
        }
        for place in sorted(found.ranked, key=lambda place: place.trial.number)
    ]
    best: list[dict[str, Any]] = []
    for row in rows:
        if row["series"] == "ended" and (not best or row["value"] > best[-1]["value"]):
            best.append({"trial": row["trial"], "value": row["value"]})
    if best:
        best.append({"trial": len(found.trials) - 1, "value": best[-1]["value"]})

    def draw(t: Translate) -> Spec:
        names = _names(found, t)
        x = channel("trial", t("trial"), axis=vega.WHOLE, scale={"nice": False})
        y = channel(
            "value", t(terms.named("valid_accuracy")), axis={"format": "~%"}, scale=vega.NEAR
        )
        tooltip = [
            channel("label", t("setting"), "nominal"),
            channel("epoch", t("epochs")),
            percent("value", t(terms.named("valid_accuracy"))),
        ]
        colour, shapes = vega.coloured(names), {"expr": "scale('shape', datum.value)"}
        symbols = {"symbols": {"shape": {"value": shapes}}}
        legend = {"symbolOpacity": 1, "symbolSize": 80, "encoding": symbols}
        pick, opacity = vega.picking("history", 0.85)
        points = layer(
            {"type": "point", "filled": True, "size": 50},
            transform=[vega.named(names)],
            y=y,
            color=colour | {"legend": legend},
            shape=colour | {"legend": None},
            opacity=opacity,
            tooltip=tooltip,
        ) | {"params": [pick]}
        line = {"type": "line", "interpolate": "step-after", "color": QUIET, "strokeWidth": 1.5}
        layers = [layer(line, data="best_so_far", y=y)] if best else []
        note = t("each dot a setting, after as many epochs as it got; line: the best so far")
        return vega.chart(
            "history",
            t("Optimisation history"),
            usermeta={"names": list(names.values()), "note": note},
            encoding={"x": x},
            layer=[*layers, points],
        )

    return Chart(draw, {"history": rows, **({"best_so_far": best} if best else {})})


def rungs(found: Searched) -> Chart:
    """Return the accuracy of each setting by epoch, those that were stopped apart."""
    plan = found.plan
    rows: list[dict[str, Any]] = []
    for place in found.ranked:
        trial, series = place.trial, _series(found, place)
        for epoch in range(1, place.epochs + 1):
            value = trial.value(epoch, plan.seeds, plan.chance)
            row = {"trial": trial.number, "epoch": epoch, "value": value, "series": series}
            rows.append(row | {"label": translate("en", setting_of(trial))})
    marks = [{"rung": rung} for rung in plan.rule.rungs[:-1]]

    def draw(t: Translate) -> Spec:
        names = _names(found, t)
        x = channel("epoch", t("epoch"), axis=vega.WHOLE, scale={"nice": False})
        y = channel(
            "value", t(terms.named("valid_accuracy")), axis={"format": "~%"}, scale=vega.NEAR
        )
        pick, opacity = vega.picking("rungs", 0.7)
        lines = layer(
            {"type": "line", "strokeWidth": 1.2, "point": {"size": 12}},
            transform=[vega.named(names)],
            x=x,
            y=y,
            color=vega.coloured(names),
            detail={"field": "trial", "type": "nominal"},
            opacity=opacity,
            tooltip=[channel("label", t("setting"), "nominal"), x, percent("value", y["title"])],
        ) | {"params": [pick]}
        dashes = layer(
            {"type": "rule", "strokeDash": [4, 4], "color": QUIET},
            data="rung_marks",
            x=channel("rung", t("epoch")),
        )
        return vega.chart(
            "rungs",
            t("Rungs"),
            usermeta={
                "names": list(names.values()),
                "note": t("dashed: epochs at which settings were compared"),
            },
            layer=[*([dashes] if marks else []), lines],
        )

    return Chart(draw, {"rungs": rows, **({"rung_marks": marks} if marks else {})})


def importances(found: Searched) -> Chart:
    """Return how much each axis matters for being among the best settings."""
    rows = [{"axis": name, "share": share} for name, share in found.importances.items()]

    def draw(t: Translate) -> Spec:
        called = {name: t(terms.named(name)) for name in found.importances}
        title = t("importance")
        named = {"calculate": f"({json.dumps(called)})[datum.axis]", "as": "name"}
        bars = layer(
            {"type": "bar"},
            transform=[named],
            x=channel("share", title, axis={"format": "~%"}),
            y=channel("name", "", "nominal", sort=list(called.values())),
            tooltip=[channel("name", "", "nominal"), percent("share", title)],
        )
        return vega.chart(
            "importances",
            t("What matters for being among the best settings"),
            height=max(80, 34 * len(rows)),
            layer=[bars],
        )

    return Chart(draw, {"importances": rows})
