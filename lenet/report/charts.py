"""The charts of a run. Each function takes the translation of the page's language."""

from collections.abc import Sequence

from lenet.report.page import Spec, Translate
from lenet.report.vega import NEAR, WHOLE, channel, chart, lines, percent


def _splits(t: Translate) -> dict[str, str]:
    return {"train": t("training"), "valid": t("validation"), "test": t("test")}


def losses(t: Translate) -> Spec:
    """Training loss within each epoch, test and validation loss after it."""
    title = t("loss (nats)")
    return lines(
        "losses",
        t("Loss by epoch"),
        channel("epoch", t("epoch"), axis=WHOLE),
        channel("value", title, scale={"zero": True}),
        _splits(t),
        [channel("epoch", t("epoch"), format=".1f"), channel("value", title, format=".4f")],
    )


def accuracies(t: Translate, *, over_band: bool) -> Spec:
    """Accuracies by epoch, and the band of the published runs behind them."""
    title = t("accuracy")
    x = channel("epoch", t("epoch"), axis=WHOLE)
    band = {
        "data": {"name": "published_band"},
        "mark": {"type": "area", "opacity": 0.18, "interpolate": "linear"},
        "encoding": {
            "x": x,
            "y": channel("low", title),
            "y2": {"field": "high"},
            "color": {"value": {"expr": "bandColour"}},
            "tooltip": [
                channel("epoch", t("epoch")),
                percent("low", t("published, 10th percentile")),
                percent("median", t("published, median")),
                percent("high", t("published, 90th percentile")),
            ],
        },
    }
    return lines(
        "accuracies",
        t("Accuracy by epoch"),
        x,
        channel("value", title, axis={"format": "%"}),
        _splits(t),
        [channel("epoch", t("epoch"), format=".1f"), percent("value", title)],
        behind=[band] if over_band else [],
    )


def published(t: Translate, field: str, *, marked: bool) -> Spec:
    """Runs among the published ones: a mark for each, by framework; a line for `this_run`."""
    title = t("test accuracy") if field == "test_accuracy" else t("training loss (nats)")
    marks = {
        "mark": {"type": "tick", "opacity": 0.45, "thickness": 1.5},
        "encoding": {
            "x": channel(field, title, scale=NEAR),
            "y": channel("framework", "", "nominal"),
            "color": channel("framework", "", "nominal", legend=None),
            "tooltip": [channel("framework", "", "nominal"), channel(field, title)],
        },
    }
    line = {
        "data": {"name": "this_run"},
        "mark": {"type": "rule", "strokeWidth": 3, "color": {"expr": "inkColour"}},
        "encoding": {
            "x": {"field": field, "type": "quantitative"},
            "tooltip": [channel(field, t("this run"), format=".4f")],
        },
    }
    return chart(
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
    y = channel(measure, "", axis={"format": "%"}, scale={"domain": [0, 1]})
    if powers:
        y |= {"scale": {"type": "log"}, "axis": {"format": "~e", "tickCount": 6}}
    spec = lines(
        "statistics",
        t(text),
        channel("epoch", t("epoch"), axis=WHOLE),
        y,
        {layer: layer for layer in layers},
        [channel("epoch", t("epoch")), channel(measure, t("value"), format=".3~e")],
    )
    # The logarithm of 0 is nowhere.
    keep = f"isValid(datum.{measure}) && datum.{measure} {'>' if powers else '>='} 0"
    among = {"field": "series", "oneOf": list(layers)}
    spec["transform"] = [{"filter": {"and": [keep, among]}}]
    return spec


def calibration(t: Translate) -> Spec:
    """Accuracy against confidence, by tenths of confidence."""
    x = channel("low", t("confidence: the largest probability"), bin={"binned": True, "step": 0.1})
    x |= {"scale": {"domain": [0, 1]}, "axis": {"format": "%"}}
    y = channel("accuracy", t("accuracy"), scale={"domain": [0, 1]}, axis={"format": "%"})
    return chart(
        "calibration",
        t("Accuracy by confidence"),
        layer=[
            {
                "mark": {"type": "bar", "tooltip": True},
                "encoding": {
                    "x": x,
                    "x2": {"field": "high"},
                    "y": y,
                    "opacity": channel(
                        "count", t("predictions"), scale={"range": [0.35, 1]}, legend=None
                    ),
                    "tooltip": [
                        percent("confidence", t("mean confidence")),
                        percent("accuracy", t("accuracy")),
                        channel("count", t("predictions"), format=","),
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
    if what == "shift":
        x = channel("amount", t("moved by (pixels)"), axis=WHOLE)
    else:
        title = t("noise (standard deviation, share of white)")
        x = channel("amount", title, axis={"format": "%"})
    return chart(
        what,
        t("Accuracy on moved images") if what == "shift" else t("Accuracy on noisy images"),
        mark={"type": "line", "point": {"size": 50, "filled": True}},
        encoding={
            "x": x,
            "y": channel(
                "accuracy", t("test accuracy"), scale={"domainMin": 0}, axis={"format": "%"}
            ),
            "tooltip": [x | {"axis": None}, percent("accuracy", t("test accuracy"))],
        },
    )
