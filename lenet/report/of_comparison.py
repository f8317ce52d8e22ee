"""The report of the comparison of activations and poolings."""

from collections.abc import Mapping
from typing import Any

from lenet.analysis import comparison, comparison_findings, verdict
from lenet.analysis.comparison import TEXTS_RATE, Comparison, paired
from lenet.analysis.summary import CLASSES, classes
from lenet.figures.comparison import charts
from lenet.language import message
from lenet.report.page import Part, Report


def report(name: str, asked: Mapping[str, Any]) -> Report:
    """Return the report of a finished comparison, of which `asked` is the compare.json."""
    runs: Comparison = asked["comparison"]
    dataset = asked["settings"]["dataset"]
    num_classes = classes(asked.get("data", [])).get(dataset, CLASSES)
    enough = paired(runs, "test_accuracy")[1].size >= 2
    whole = comparison.parts(runs, "test_accuracy").whole if enough else None
    values = {
        "command": asked["command"],
        "cell_heads": comparison_findings.heads(),
        "cells": comparison_findings.rows(runs),
        "effects": comparison_findings.effects(runs) if enough else {},
        "effect_heads": comparison_findings.EFFECT_HEADS,
        "effect_names": comparison_findings.EFFECTS,
        "said": comparison_findings.findings(runs, dataset, num_classes) if enough else [],
        "enough": enough,
        "verdict": whole and verdict.of_comparison(whole),
        "rate": f"{TEXTS_RATE:g}",
        "synthetic": dataset == "synthetic",
        "environment": asked["environment"],
    }
    result = whole and message("{whole:+.3f} test accuracy", whole=whole.mean)
    return Report("comparison.html", name, [Part(values, charts(runs))], result)
