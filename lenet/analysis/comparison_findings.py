"""What a comparison says, and what it does not: tables, and findings as Messages."""

import math
import statistics
from collections.abc import Sequence

from tabulate import tabulate

from lenet.analysis import comparison, terms
from lenet.analysis.comparison import CELLS, Cell, Comparison, Run, cell
from lenet.analysis.findings import NONE
from lenet.analysis.stats import Interval
from lenet.analysis.summary import CLASSES, estimate
from lenet.engine import chance
from lenet.language import Listed, Message, listed, mark, message, translate

LEVELS = (0.7, 0.75, 0.8, 0.85)
"""Test accuracies whose first epoch is looked for."""

HEADS = (
    mark("activation"),
    mark("pooling"),
    mark("learning rate"),
    mark("near-optimal learning rates"),
    "n",
    mark("test accuracy"),
    mark("test loss"),
)
REACHED = mark("epochs to {level:.2f}")
EFFECT_HEADS = (mark("effect (95% CI)"), mark("test accuracy"), mark("test loss"))

EFFECTS = {
    "whole": mark("total: from the book's network to ReLU with max pooling"),
    "rate": mark("of it, the learning rate: tuned instead of 0.9"),
    "activation": mark("of it, the activation: ReLU instead of sigmoid (main effect)"),
    "pool": mark("of it, the pooling: max instead of average (main effect)"),
    "interaction": mark("interaction of activation and pooling"),
}
SHORT = {
    "whole": mark("the total change"),
    "rate": mark("the learning rate"),
    "activation": mark("the activation"),
    "pool": mark("the pooling"),
    "interaction": mark("the interaction"),
}
VERDICT = mark("Clear effects on test accuracy: {clear}. Inconclusive: {open}.")
LIMITS = (
    mark(
        "CIs are at 95%, over {n} seeds and paired: with one seed, all networks see the same "
        "examples in the same order. An interval that contains 0 is inconclusive."
    ),
    mark(
        "Results are for one network on {data} after {epochs} epochs. Learning rates were tuned "
        "with few seeds, so the true optimum may be a neighbour among the {rates} grid points. "
        "These results do not cover longer training, other networks or other data."
    ),
)
EDGE = {
    "low": mark(
        "The best learning rate of {cells} is the lowest of the grid; a lower one may be better."
    ),
    "high": mark(
        "The best learning rate of {cells} is the highest of the grid; a higher one may be better."
    ),
}
STUCK = mark(
    "{stuck} of {n} runs of {cell} stayed at chance level (learning rate {rate:.3g}); they lower "
    "its mean and widen the intervals."
)
LOST = mark("{n} seeds are left out because one of their runs diverged.")


def table(runs: Comparison, language: str = "en") -> str:
    """Return `rows` under `heads`, as Markdown."""
    return _markdown(rows(runs), heads(), language)


def effects_table(runs: Comparison, language: str = "en") -> str:
    """Return `effects` under EFFECT_HEADS, as Markdown."""
    cells: list[list[str | Message]] = [
        [Message(EFFECTS[name]), str(accuracy), str(loss)]
        for name, (accuracy, loss) in effects(runs).items()
    ]
    return _markdown(cells, [Message(head) for head in EFFECT_HEADS], language)


def heads() -> list[Message]:
    """Return what the columns of `rows` are."""
    return [*map(Message, HEADS), *(message(REACHED, level=level) for level in LEVELS)]


def rows(runs: Comparison) -> list[list[str | Message]]:
    """Return the book's network and the four cells: mean ± 95% CI over seeds."""
    cells = [_row(runs, runs["final"], which, near=True) for which in CELLS]
    return [_row(runs, runs["texts"], CELLS[0], near=False), *cells]


def effects(runs: Comparison) -> dict[str, tuple[Interval, Interval]]:
    """Return what each part, by a key of EFFECTS, adds to test accuracy and to test loss.

    Raises:
      ValueError: as `comparison.parts`.
    """
    both = (comparison.parts(runs, measure) for measure in ("test_accuracy", "test_loss"))
    return dict(zip(comparison.Parts._fields, zip(*both, strict=True), strict=True))


def findings(runs: Comparison, data: str, num_classes: int = CLASSES) -> list[Message]:
    """Return what the runs on the dataset `data` say: the verdict first, then what limits it.

    Raises:
      ValueError: as `comparison.parts`.
    """
    n = comparison.paired(runs, "test_accuracy")[1].size
    lost = len({run["seed"] for run in runs["final"]}) - n
    changes = comparison.parts(runs, "test_accuracy")._asdict().items()
    clear = [
        message("{name} ({change})", name=Message(SHORT[name]), change=change)
        for name, change in changes
        if change.side != "open"
    ]
    open_ = [Message(SHORT[name]) for name, change in changes if change.side == "open"]
    lists = {"clear": listed(clear) if clear else NONE, "open": listed(open_) if open_ else NONE}
    found = [message(VERDICT, **lists)]
    for which in CELLS:
        mine = [r["test_accuracy"] for r in runs["final"] if cell(r) == which]
        ends = [accuracies[-1] for accuracies in mine if accuracies]
        if stuck := sum(chance.at_level(accuracy, num_classes) for accuracy in ends):
            rate = comparison.best_rate(runs["tuning"], which)
            found.append(message(STUCK, stuck=stuck, n=len(ends), cell=named(which), rate=rate))
    for end, rate in (("low", min(runs["rates"])), ("high", max(runs["rates"]))):
        at = [w for w in CELLS if comparison.best_rate(runs["tuning"], w) == rate]
        if at:
            found.append(message(EDGE[end], cells=listed(map(named, at))))
    found += [message(LOST, n=lost)] if lost else []
    values = {"data": data, "epochs": runs["epochs"], "rates": len(runs["rates"])}
    return [*found, message(LIMITS[0], n=n), message(LIMITS[1], **values)]


def named(which: Cell) -> Listed:
    """Return what a cell is called, such as "ReLU + average"."""
    return listed(map(terms.valued, which), " + ")


def _markdown(
    cells: Sequence[Sequence[str | Message]], heads: Sequence[Message], language: str
) -> str:
    shown = [[translate(language, value) for value in row] for row in (heads, *cells)]
    return tabulate(shown[1:], shown[0], tablefmt="github", disable_numparse=True)


def _row(runs: Comparison, among: Sequence[Run], which: Cell, *, near: bool) -> list[str | Message]:
    mine = [run for run in among if cell(run) == which]
    rates = comparison.rates_near_best(runs["tuning"], which)
    row: list[str | Message] = [
        *map(terms.valued, which),
        f"{mine[0]['lr']:.3g}",
        ", ".join(f"{rate:.3g}" for rate in rates) if near else "",
        str(sum(bool(run["test_accuracy"]) for run in mine)),
    ]
    for measure in ("test_accuracy", "test_loss"):
        values = [run[measure][-1] for run in mine if run[measure]]
        row.append(str(estimate(values)) if values else message("diverged"))
    return row + [_reached(mine, level) for level in LEVELS]


def _reached(runs: Sequence[Run], level: float) -> str:
    """The epochs of the median run to a test accuracy, and how many got there where not all did."""
    epochs = [
        next((i for i, x in enumerate(run["test_accuracy"], 1) if x >= level), math.inf)
        for run in runs
    ]
    median, there = statistics.median(epochs), sum(map(math.isfinite, epochs))
    shown = f"{median:g}" if math.isfinite(median) else "-"
    return shown if there == len(epochs) else f"{shown} ({there}/{len(epochs)})"
