"""What a report says of the chapter's comparison."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

from lenet.analysis import comparison_findings
from lenet.analysis.comparison import CELLS, TEXTS_RATE, Comparison, by_rate, cell, paired
from lenet.analysis.summary import CLASSES, classes
from lenet.language import translate
from lenet.report import sweep_charts
from lenet.report.page import Part, Report
from lenet.report.rows import interval, spread


class Compared(NamedTuple):
    """A comparison as its directory has it."""

    name: str  # of the directory
    runs: Comparison
    asked: Mapping[str, Any]  # compare.json


def report(found: Compared) -> Report:
    """Return the report of a finished comparison."""
    runs = found.runs
    labels = {which: translate("en", comparison_findings.named(which)) for which in CELLS}
    finals = {
        which: [r for r in runs["final"] if cell(r) == which and r["test_accuracy"]]
        for which in CELLS
    }
    texts = [run for run in runs["texts"] if run["test_accuracy"]]
    named = [
        (f"the book's ({TEXTS_RATE:g})", texts),
        *((labels[which], finals[which]) for which in CELLS),
    ]
    rows: dict[str, list[dict[str, Any]]] = {
        "rates": [
            spread(labels[which], values, lr=rate)
            for which in CELLS
            for rate, values in by_rate(runs["tuning"], which).items()
        ],
        "bands": [
            spread(label, [run["test_accuracy"][i] for run in some], epoch=i + 1)
            for label, some in named
            if some
            for i in range(runs["epochs"])
        ],
        "settings": [
            interval(label, rank, [run["test_accuracy"][-1] for run in some])
            for rank, (label, some) in enumerate(named, 1)
            if some
        ],
        "seeds": [
            {"label": label, "rank": rank, "value": run["test_accuracy"][-1], "seed": run["seed"]}
            for rank, (label, some) in enumerate(named, 1)
            for run in some
        ],
    }
    every, there = [*labels.values()], [label for label, some in named if some]
    drawn = {
        "rates": partial(sweep_charts.rates, measure="validation accuracy", labels=every),
        "bands": partial(sweep_charts.bands, measure="test accuracy", labels=there),
        "settings": partial(sweep_charts.settings, measure="test accuracy", count=len(named)),
    }
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
    return Report("comparison.html", found.name, [Part(values, drawn, rows)])
