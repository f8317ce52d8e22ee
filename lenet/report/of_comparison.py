"""What a report says of the chapter's comparison."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from lenet.analysis import comparison_findings
from lenet.analysis.comparison import Comparison, paired
from lenet.analysis.summary import CLASSES, classes
from lenet.figures.comparison import charts
from lenet.report.page import Part, Report


class Compared(NamedTuple):
    """A comparison as its directory has it."""

    name: str  # of the directory
    runs: Comparison
    asked: Mapping[str, Any]  # compare.json


def report(found: Compared) -> Report:
    """Return the report of a finished comparison."""
    runs = found.runs
    dataset = found.asked["settings"]["dataset"]
    num_classes = classes(found.asked.get("data", [])).get(dataset, CLASSES)
    enough = paired(runs, "test_accuracy")[1].size >= 2
    values = {
        "compared": found,
        "heads": comparison_findings.heads(),
        "cells": comparison_findings.rows(runs),
        "effects": comparison_findings.effects(runs) if enough else [],
        "effect_heads": comparison_findings.EFFECT_HEADS,
        "effect_names": comparison_findings.EFFECTS,
        "said": comparison_findings.findings(runs, dataset, num_classes) if enough else [],
        "enough": enough,
        "synthetic": dataset == "synthetic",
        "environment": found.asked.get("environment", {}),
    }
    return Report("comparison.html", found.name, [Part(values, charts(runs))])
