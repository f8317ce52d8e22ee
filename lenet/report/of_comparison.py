"""The report of the comparison of activations and poolings."""

from collections.abc import Mapping
from typing import Any

from lenet.analysis import comparison, comparison_findings, verdict
from lenet.analysis.comparison import Comparison
from lenet.analysis.terms import valued
from lenet.analysis.tuning import ACTIVATIONS, POOLS
from lenet.figures.comparison import charts
from lenet.language import message
from lenet.report.page import Part, Report, scale


def report(name: str, asked: Mapping[str, Any]) -> Report:
    """Return the report of a finished comparison, of which `asked` is the compare.json."""
    runs: Comparison = asked["comparison"]
    dataset, epochs = runs["design"]["dataset"], runs["design"]["epochs"]
    found = comparison.analyse(runs)
    whole = found.pairing["whole"].mean
    concluded = verdict.of_comparison(found)
    said = comparison_findings.findings(found, runs, dataset)
    effects = comparison_findings.effect_rows(found)
    parts = comparison_findings.part_rows(found)
    values = {
        "square": {each.cell: each for each in found.networks[1:]},
        "activations": ACTIVATIONS,
        "pools": POOLS,
        "valued": valued,
        "command": asked["command"],
        "registered": comparison_findings.registered(asked),
        "cell_heads": comparison_findings.heads(),
        "cells": comparison_findings.rows(found, epochs),
        "caption": comparison_findings.caption(epochs),
        "effect_heads": comparison_findings.EFFECT_HEADS,
        "effects": effects,
        "forest": [row[:2] for row in effects],
        "parts": parts,
        "scale": scale([value for row in (*effects, *parts) for value in row], 0.0),
        "said": [each for each in said if each not in concluded.messages],
        "verdict": concluded,
        "whole": f"{100 * whole:+.1f}".replace("-", "\u2212"),
        "synthetic": dataset == "synthetic",
        "environment": asked["environment"],
    }
    result = message("ReLU with max pooling {whole:+.3f} in test accuracy", whole=whole)
    drawn = charts(runs)
    return Report("comparison.html", name, [Part(values, drawn)], result, [*drawn.values()][:3])
