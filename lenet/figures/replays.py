"""Charts of replayed rules of early stopping: what they cost, and what they save."""

from collections.abc import Mapping, Sequence
from typing import Any

from lenet.figures import vega
from lenet.figures.vega import Chart, Spec, Translate, channel
from lenet.language import Message, mark

NAMES = {
    "none": mark("fewer settings, none stopped"),
    "halving": mark("successive halving"),
    "asha": "ASHA",
    "hyperband": "Hyperband",
    "async_hyperband": mark("asynchronous Hyperband"),
    "median": mark("median rule"),
}
"""By the name of a rule."""


def regret(rows: Sequence[Mapping[str, Any]], title: Message, series: str) -> Chart:
    """Return the mean regret against the share of epochs that were trained, a line for each rule.

    Args:
      rows: with `rule`, `spent` and `regret`.
      title: of the chart.
      series: the name of its rows.
    """
    drawn = [{"series": row["rule"], **{k: row[k] for k in ("spent", "regret")}} for row in rows]

    def draw(t: Translate) -> Spec:
        x = channel("spent", t("share of all epochs trained"), axis={"format": "~%"})
        y = channel("regret", t("validation accuracy lost"), axis={"format": "~%"})
        names = {name: t(said) for name, said in NAMES.items()}
        return vega.lines(series, t(title), x, y, names, "format(datum.regret, '.2%')")

    return Chart(draw, {series: drawn})
