"""The report of a search, from its ledgers."""

from collections.abc import Mapping
from typing import Any

from lenet import records
from lenet.analysis import following, searched
from lenet.analysis.searched import Searched
from lenet.analysis.terms import TERMS, VALUES, shown
from lenet.analysis.verdict import Verdict
from lenet.figures import searched as charts
from lenet.language import message
from lenet.report.page import Part, Report

MOST_ROWS = 1000
"""Rows of the table of settings, at most."""


def report(name: str, found: Searched, asked: Mapping[str, Any]) -> Report:
    """Return the report of a search; `asked` is its search.json."""
    said = searched.findings(found)
    test = found.final and found.final.final("test_accuracy")
    values = {
        "command": asked["command"],
        "commands": following.of_search(found, asked["flags"]),
        "verdict": Verdict("good" if found.winner else "bad", tuple(said[:1])),
        "said": said[1:],
        "test": test,
        "rows": found.ranked[:MOST_ROWS],
        "measured": searched.HEADS[found.plan.seeds > 1],
        "reached": len(found.ranked),
        "trials": found.trials,
        "axes": list(found.plan.space),
        "words": TERMS,
        "values": VALUES,
        "shown": shown,
        "synthetic": found.plan.base.dataset == "synthetic",
        "environment": asked["environment"],
        "changes": records.changes(asked),
    }
    result = test and message("{mean:.3f} test accuracy", mean=test.mean)
    drawn = charts.charts(found)
    plain = list(drawn.values())[:2]
    return Report("search.html", name, [Part(values, drawn)], result, plain)
