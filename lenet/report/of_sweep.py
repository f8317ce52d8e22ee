"""The report of a sweep, from its ledger."""

from collections.abc import Mapping
from typing import Any

from lenet import records
from lenet.analysis import findings, following, published, verdict
from lenet.analysis.summary import MEASURES, Sweep
from lenet.analysis.terms import TERMS, VALUES, shown
from lenet.figures import run
from lenet.figures import sweep as sweep_charts
from lenet.language import message
from lenet.report.page import Part, Report, scale

MOST_ROWS = 1000
"""Rows of the table of settings and of the table of runs, at most."""

ROWS = {
    "rates": "rates",
    "map": "map",
    "settings": "settings",
    "curves": "epochs",
    "seeds": "pairs",
    "parallel": "parallel",
}
"""The rows of each chart, in the order of the page: the first two that there are say most."""


def report(name: str, sweep: Sweep, asked: Mapping[str, Any]) -> Report:
    """Return the report of a sweep with a run that did not diverge; `asked` is its sweep.json."""
    settings, measure = sweep.settings, sweep.measure
    placed = published.placed(sweep.entries)
    drawn = sweep_charts.charts(sweep)
    concluded = verdict.of_sweep(sweep, asked["runs"] - len(sweep.entries))
    if experiment := published.only(placed):
        drawn |= {f"published_{end}": run.published(end, experiment, placed) for end in run.ENDS}
    values = {
        "sweep": sweep,
        "rows": ROWS,
        "command": asked["command"],
        "commands": following.of_sweep(sweep, asked["flags"]),
        "settings": settings[:MOST_ROWS],
        "ranked": len(settings),
        "diverged": sum(setting.diverged for setting in settings),
        "measures": [m for m in MEASURES if any(s.final(m) for s in settings)],
        "words": TERMS,
        "values": VALUES,
        "measure": measure,
        "verdict": concluded,
        "scale": scale([s.final(measure) for s in settings[:MOST_ROWS]]),
        "said": [x for x in findings.findings(sweep) if x not in concluded.messages],
        "runs": sweep.entries[:MOST_ROWS],
        "shown": shown,
        "placed": experiment is not None,
        "synthetic": any(e.config.dataset == "synthetic" for e in sweep.entries),
        "environment": asked["environment"],
        "changes": records.changes(asked),
    }
    best = settings[0].final(measure)
    result = best and message(
        "{mean:.3f} best mean {measure}", mean=best.mean, measure=message(TERMS[measure])
    )
    plain = [drawn[each] for each in ROWS if each in drawn][:2]
    return Report("sweep.html", name, [Part(values, drawn)], result, plain)
