"""Charts of a comparison: its tuning, its networks, and how they got there."""

from collections.abc import Sequence
from functools import partial

from lenet.analysis import terms
from lenet.analysis.comparison import CELLS, Cell, Comparison, Run, cell
from lenet.figures import groups
from lenet.figures.vega import Chart, png
from lenet.language import translate

AXES = ("activation", "pool", "lr")


def picture(comparison: Comparison, data: str, language: str = "en") -> bytes:
    """Draw the tuning of the learning rates, the networks, and their way there.

    Args:
      comparison: all runs.
      data: the name of the dataset.
      language: of the text.

    Returns:
      a PNG
    """
    t = partial(translate, language)
    title = t("LeNet, {dataset}, {n} epochs", dataset=terms.valued(data), n=comparison["epochs"])
    return png(list(charts(comparison).values()), language, title=title)


def charts(comparison: Comparison) -> dict[str, Chart]:
    """Return what there is to draw of a comparison, by name.

    rates: validation accuracy by learning rate, of the tuning. settings: test accuracy of each cell
    at its best rate, then of the book's network at the book's. curves: theirs by epoch.
    """
    tuned: dict[str, dict[float, list[float | None]]] = {}
    for run in comparison["tuning"]:
        ends = tuned.setdefault(_key(cell(run)), {}).setdefault(run["lr"], [])
        ends.append(run["valid_accuracy"][-1] if run["valid_accuracy"] else None)
    finals = {_key(which): [r for r in comparison["final"] if cell(r) == which] for which in CELLS}
    finals["the book's"] = comparison["texts"]
    there = {key: [run for run in runs if run["test_accuracy"]] for key, runs in finals.items()}
    there = {key: runs for key, runs in there.items() if runs}
    parts = {key: _parts(runs[0], ["book"] * (key not in tuned)) for key, runs in there.items()}
    last = {key: [(r["seed"], r["test_accuracy"][-1]) for r in runs] for key, runs in there.items()}
    whole = {key: [(r["seed"], r["test_accuracy"]) for r in runs] for key, runs in there.items()}
    tuning = groups.Labels("valid_accuracy", AXES[:2], {_key(which): which for which in CELLS})
    labels = groups.Labels("test_accuracy", AXES, parts)
    return {
        "rates": groups.rates(tuned, tuning),
        "settings": groups.intervals(last, labels),
        "curves": groups.epochs(whole, labels),
    }


def _key(which: Cell) -> str:
    return " + ".join(which)


def _parts(run: Run, more: Sequence[str]) -> list[str]:
    return [*cell(run), f"{run['lr']:.2g}", *more]
