"""What a report says of a sweep."""

from collections.abc import Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Any, NamedTuple

from lenet.analysis import findings, frameworks, published
from lenet.analysis.summary import MEASURES, Setting, ranked, selection, shown
from lenet.config import Config
from lenet.figures.run import OURS
from lenet.language import translate
from lenet.records.ledger import Entry
from lenet.report import charts, sweep_charts
from lenet.report.page import Part, Report
from lenet.report.rows import interval, published_rows, spread

MOST_LINES = 6
"""More than these cannot be told apart; the best are drawn."""
MOST_SETTINGS = 40
"""Settings of which each has a row or a line of a chart."""
MOST_ROWS = 1000
"""Settings in the table of settings, and runs in that of runs."""


class Sweep(NamedTuple):
    """A sweep as its directory has it."""

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
    there = [setting for setting in settings if setting.rows]
    placed = published.placed(sweep.entries)
    parts = [_bands(there, sweep.axes, measure)]
    if sweep.axes:
        parts.append(_settings(there, sweep.axes, measure))
    if "lr" in sweep.axes:
        parts.append(_rates(there, sweep.axes, measure))
    if len(sweep.axes) > 1:
        parts.append(_parallel(there, sweep.axes, measure))
    if placed:
        parts.append(_published(placed))
    values = {
        "sweep": sweep,
        "settings": [
            _row(rank, setting, sweep.axes) for rank, setting in enumerate(settings[:MOST_ROWS], 1)
        ],
        "ranked": len(settings),
        "diverged": sum(setting.diverged for setting in settings),
        "measures": [m for m in MEASURES if any(s.final(m) for s in settings)],
        "words": WORDS,
        "measure": measure,
        "said": frameworks.said(
            sweep.asked["flags"].get("study"),
            sweep.entries,
            sweep.axes,
            sweep.preset,
            sweep.num_classes,
        ),
        "runs": [_run(entry, sweep.axes, measure) for entry in sweep.entries[:MOST_ROWS]],
        "placed": len(placed),
        "lines": MOST_LINES,
        "most": MOST_SETTINGS,
        "synthetic": any(e.config.dataset == "synthetic" for e in sweep.entries),
        "missing": sweep.asked.get("runs", len(sweep.entries)) - len(sweep.entries),
        "environment": sweep.asked.get("environment", {}),
    }
    return Report("sweep.html", sweep.name, [Part(values), *parts])


WORDS = {
    "valid_accuracy": "validation accuracy",
    "valid_loss": "validation loss",
    "test_accuracy": "test accuracy",
    "test_loss": "test loss",
}


def _label(setting: Setting, axes: Sequence[str]) -> str:
    return translate("en", findings.label(setting, axes)) or "all runs"


def _row(rank: int, setting: Setting, axes: Sequence[str]) -> dict[str, Any]:
    """A line of the table of settings."""
    return {
        "rank": rank,
        "values": [setting.shown(axis) for axis in axes],
        "n": len(setting.rows),
        "diverged": setting.diverged,
        "stuck": setting.stuck,
        "finals": {measure: setting.final(measure) for measure in MEASURES},
    }


def _run(entry: Entry, axes: Sequence[str], measure: str) -> dict[str, Any]:
    """A line of the table of runs."""
    last = None if entry.diverged else entry.rows[-1]
    return {
        "run": entry.run,
        "seed": entry.config.seed,
        "values": [shown(getattr(entry.config, axis)) for axis in axes],
        "final": last and getattr(last, measure),
        "loss": last and last.train_loss,
        "diverged": entry.diverged,
    }


def _bands(there: Sequence[Setting], axes: Sequence[str], measure: str) -> Part:
    """Accuracy by epoch of the best settings."""
    best = {_label(setting, axes): setting for setting in there[:MOST_LINES]}
    rows = [
        spread(label, [getattr(run[i], measure) for run in setting.rows], epoch=row.epoch)
        for label, setting in best.items()
        for i, row in enumerate(setting.rows[0])
    ]
    chart = partial(sweep_charts.bands, measure=WORDS[measure], labels=list(best))
    return Part(charts={"bands": chart}, rows={"bands": rows})


def _settings(there: Sequence[Setting], axes: Sequence[str], measure: str) -> Part:
    """Every run of the best settings, with means and intervals."""
    some = there[:MOST_SETTINGS]
    ranked_labels = [(rank, _label(setting, axes)) for rank, setting in enumerate(some, 1)]
    means = [
        interval(label, rank, setting.finals(measure))
        for (rank, label), setting in zip(ranked_labels, some, strict=True)
    ]
    seeds = [
        {"label": label, "rank": rank, "value": value, "seed": seeds[0]}
        for (rank, label), setting in zip(ranked_labels, some, strict=True)
        for value, seeds in zip(setting.finals(measure), setting.seeds, strict=True)
    ]
    chart = partial(sweep_charts.settings, measure=WORDS[measure], count=len(some))
    return Part(charts={"settings": chart}, rows={"settings": means, "seeds": seeds})


def _rates(there: Sequence[Setting], axes: Sequence[str], measure: str) -> Part:
    """Accuracy against the learning rate, a line for each of the best other settings."""
    others = [axis for axis in axes if axis != "lr"]
    lines: dict[str, list[Setting]] = {}
    for setting in there:
        lines.setdefault(_label(setting, others), []).append(setting)
    best = dict(list(lines.items())[:MOST_LINES])
    rows = [
        spread(label, setting.finals(measure), lr=setting.config.lr)
        for label, some in best.items()
        for setting in sorted(some, key=lambda s: s.config.lr)
    ]
    chart = partial(sweep_charts.rates, measure=WORDS[measure], labels=list(best))
    return Part(charts={"rates": chart}, rows={"rates": rows})


def _parallel(there: Sequence[Setting], axes: Sequence[str], measure: str) -> Part:
    """A line for each setting through its values; the last axis, "", is the accuracy."""
    there = there[:MOST_SETTINGS]
    levels = {axis: _levels(there, axis) for axis in axes}
    means = [fmean(setting.finals(measure)) for setting in there]
    low, high = min(means), max(means)

    def place(values: Sequence[str], value: str) -> float:
        return values.index(value) / (len(values) - 1) if len(values) > 1 else 0.5

    def height(mean: float) -> float:
        return (mean - low) / (high - low) if high > low else 0.5

    lines = [
        {"rank": rank, "axis": axis, "place": at, "mean": mean, "label": _label(setting, axes)}
        for rank, (setting, mean) in enumerate(zip(there, means, strict=True), 1)
        for axis, at in [
            *((axis, place(levels[axis], setting.shown(axis))) for axis in axes),
            ("", height(mean)),
        ]
    ]
    marks = [
        {"axis": axis, "place": place(values, value), "value": value}
        for axis, values in levels.items()
        for value in values
    ]
    marks += [{"axis": "", "place": height(x), "value": f"{x:.3f}"} for x in sorted({low, high})]
    chart = partial(sweep_charts.parallel, measure=WORDS[measure], axes=list(axes))
    return Part(charts={"parallel": chart}, rows={"parallel": lines, "parallel_levels": marks})


def _levels(settings: Sequence[Setting], axis: str) -> list[str]:
    """The values on an axis: numbers by size, others in the order of the alphabet."""
    values: dict[str, Any] = {s.shown(axis): getattr(s.config, axis) for s in settings}
    numeric = all(isinstance(value, int | float) for value in values.values())
    return sorted(values, key=(lambda value: values[value]) if numeric else None)


def _published(placed: Sequence[Mapping[str, Any]]) -> Part:
    """Our runs beside the published ones."""
    ours = [
        {
            "framework": OURS,
            "test_accuracy": round(row["test_accuracy"], 4),
            "train_loss": round(row["train_loss"], 4),
        }
        for row in placed
    ]
    fields = ("test_accuracy", "train_loss")
    drawn = {
        f"published_{field}": partial(charts.published, field=field, marked=False)
        for field in fields
    }
    return Part(charts=drawn, rows={"published": published_rows() + ours})
