"""The report of a sweep, from its ledger."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lenet.analysis import frameworks, published, verdict
from lenet.analysis.summary import MEASURES, Setting, ranked, selection, shown
from lenet.analysis.terms import TERMS, VALUES
from lenet.config import Config
from lenet.figures import run
from lenet.figures import sweep as sweep_charts
from lenet.language import message
from lenet.records.ledger import Entry
from lenet.report.page import Part, Report

MOST_ROWS = 1000
"""Rows of the table of settings and of the table of runs, at most."""


class Sweep(NamedTuple):
    """The records of a sweep."""

    name: str  # of the directory
    entries: Sequence[Entry]  # the finished runs
    axes: Sequence[str]  # what varies, seeds apart
    preset: Config
    num_classes: Mapping[str, int]  # by dataset
    asked: Mapping[str, Any]  # sweep.json


def report(sweep: Sweep) -> Report:
    """Return the report of a sweep with at least one finished run that did not diverge."""
    settings = ranked(sweep.entries, sweep.num_classes)
    measure = selection(sweep.entries)
    placed = published.placed(sweep.entries)
    drawn = sweep_charts.charts(sweep.entries, sweep.axes)
    missing = sweep.asked.get("runs", len(sweep.entries)) - len(sweep.entries)
    concluded = verdict.of_sweep(settings, sweep.axes, sweep.preset, measure, missing)
    said = frameworks.said(
        sweep.asked["flags"].get("study"),
        sweep.entries,
        sweep.axes,
        sweep.preset,
        sweep.num_classes,
    )
    if placed:
        drawn |= {f"published_{end}": run.published(end, placed) for end in run.ENDS}
    values = {
        "sweep": sweep,
        "settings": [
            _row(rank, setting, sweep.axes) for rank, setting in enumerate(settings[:MOST_ROWS], 1)
        ],
        "ranked": len(settings),
        "diverged": sum(setting.diverged for setting in settings),
        "measures": [m for m in MEASURES if any(s.final(m) for s in settings)],
        "words": TERMS,
        "values": VALUES,
        "measure": measure,
        "verdict": concluded,
        "said": [each for each in said if each not in concluded.messages],
        "runs": [_run(entry, sweep.axes, measure) for entry in sweep.entries[:MOST_ROWS]],
        "placed": len(placed),
        "lines": sweep_charts.MOST_LINES,
        "most": sweep_charts.MOST_SETTINGS,
        "synthetic": any(e.config.dataset == "synthetic" for e in sweep.entries),
        "environment": sweep.asked.get("environment", {}),
    }
    best = settings[0].final(measure)
    result = best and message(
        "{mean:.3f} best mean {measure}", mean=best.mean, measure=message(TERMS[measure])
    )
    return Report("sweep.html", sweep.name, [Part(values, drawn)], result)


def _row(rank: int, setting: Setting, axes: Sequence[str]) -> dict[str, Any]:
    """A row of the table of settings."""
    return {
        "rank": rank,
        "values": [setting.shown(axis) for axis in axes],
        "n": len(setting.rows),
        "diverged": setting.diverged,
        "stuck": setting.stuck,
        "finals": {measure: setting.final(measure) for measure in MEASURES},
    }


def _run(entry: Entry, axes: Sequence[str], measure: str) -> dict[str, Any]:
    """A row of the table of runs."""
    last = None if entry.diverged else entry.rows[-1]
    return {
        "run": entry.run,
        "seed": entry.config.seed,
        "values": [shown(getattr(entry.config, axis)) for axis in axes],
        "final": last and getattr(last, measure),
        "loss": last and last.train_loss,
        "diverged": entry.diverged,
    }
