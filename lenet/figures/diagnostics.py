"""Charts of diagnosis: the statistics of layers, calibration and robustness."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lenet.figures import vega
from lenet.figures.vega import INK, WHOLE, Chart, Spec, Translate, channel, layer, percent
from lenet.inspect.predictions import Calibration
from lenet.language import mark

# By what is done to the images: title, and the axis of how much.
ROBUSTNESS: dict[str, tuple[str, str, Spec]] = {
    "shift": (mark("Accuracy on shifted images"), mark("shift (pixels)"), WHOLE),
    "noise": (
        mark("Accuracy on noisy images"),
        mark("noise (standard deviation, % of the pixel range)"),
        {"format": "%"},
    ),
}
SQUARE = {"width": 300, "height": 300}
STATISTICS = {  # what is drawn of statistics.jsonl: title, and whether by powers of ten
    "across": (mark("Variation across images (std)"), True),
    "gradient": (mark("Weight gradient (RMS)"), True),
    "saturated": (mark("Saturated activations (%)"), False),
    "dead": (mark("Dead units (%)"), False),
}


def statistics(rows: Sequence[Mapping[str, Any]], measure: str, layers: Sequence[str]) -> Chart:
    """Return what some layers did before the first epoch (0) and after each.

    Args:
      rows: one for each epoch and layer, its `series`, with all measures.
      measure: a key of STATISTICS.
      layers: to draw.
    """
    text, powers = STATISTICS[measure]
    y = channel(measure, "", axis={"format": "%"}, scale={"domain": [0, 1]})
    shown = [row[measure] for row in rows if row["series"] in layers and (row[measure] or 0) > 0]
    if powers and shown:
        y = vega.logarithmic(measure, "", shown)

    def draw(t: Translate) -> Spec:
        spec = vega.lines(
            "statistics",
            t(text),
            channel("epoch", t("epoch"), axis=WHOLE),
            y,
            {layer: layer for layer in layers},
            f"format(datum.{measure}, '{'.3~g' if powers else '.1%'}')",
            among=list(dict.fromkeys(row["series"] for row in rows)),
        )
        # The logarithm of 0 is nowhere.
        keep = f"isValid(datum.{measure}) && datum.{measure} {'>' if powers else '>='} 0"
        among = {"field": "series", "oneOf": list(layers)}
        spec["transform"] = [{"filter": {"and": [keep, among]}}]
        return spec

    return Chart(draw, {"statistics": rows})


def calibration(found: Calibration) -> Chart:
    """Return accuracy against confidence, of the bins that are not empty."""
    bins = len(found.counts)
    rows = [
        {
            "low": i / bins,
            "high": (i + 1) / bins,
            "accuracy": float(found.accuracy[i]),
            "confidence": float(found.confidence[i]),
            "count": int(found.counts[i]),
        }
        for i in np.flatnonzero(found.counts).tolist()
    ]

    def draw(t: Translate) -> Spec:
        title = t("confidence: the largest probability")
        x = channel("low", title, bin={"binned": True, "step": 0.1})
        x |= {"scale": {"domain": [0, 1]}, "axis": {"format": "%"}}
        bars = layer(
            {"type": "bar", "tooltip": True},
            x=x,
            x2={"field": "high"},
            y=channel("accuracy", t("accuracy"), scale={"domain": [0, 1]}, axis={"format": "%"}),
            opacity=channel("count", t("predictions"), scale={"range": [0.35, 1]}, legend=None),
            tooltip=[
                percent("confidence", t("mean confidence")),
                percent("accuracy", t("accuracy")),
                channel("count", t("predictions"), format=","),
            ],
        )
        diagonal = layer(
            {"type": "line", "strokeDash": [6, 4], "color": INK},
            x={"field": "x", "type": "quantitative"},
            y={"field": "y", "type": "quantitative"},
        ) | {"data": {"values": [{"x": 0, "y": 0}, {"x": 1, "y": 1}]}}
        title = t("Accuracy by confidence")
        return vega.chart("calibration", title, layer=[bars, diagonal]) | SQUARE

    return Chart(draw, {"calibration": rows})


def robustness(what: str, accuracies: Mapping[float, float]) -> Chart:
    """Return accuracy on images that were moved or are noisy.

    Args:
      what: a key of ROBUSTNESS.
      accuracies: by pixels, or by standard deviation of the noise.
    """
    title, amount, axis = ROBUSTNESS[what]
    rows = [{"amount": amount, "accuracy": share} for amount, share in accuracies.items()]

    def draw(t: Translate) -> Spec:
        x = channel("amount", t(amount), axis=axis | {"values": list(accuracies)})
        accuracy = percent("accuracy", t("test accuracy"))
        y = channel("accuracy", t("test accuracy"), scale={"zero": True}, axis={"format": "%"})
        return vega.chart(
            what,
            t(title),
            mark={"type": "line", "point": {"size": 50, "filled": True}},
            encoding={"x": x, "y": y, "tooltip": [x | {"axis": None}, accuracy]},
        )

    return Chart(draw, {what: rows})
