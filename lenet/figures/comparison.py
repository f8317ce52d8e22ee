"""Charts of a comparison: its tuning, its networks, and how they got there."""

from functools import partial

from lenet.analysis import terms
from lenet.analysis.comparison import CELLS, Cell, Comparison, cell
from lenet.figures import groups
from lenet.figures.vega import Chart, png
from lenet.language import translate

AXES = ("activation", "pool", "lr")


def picture(comparison: Comparison, data: str, language: str = "en") -> bytes:
    """Return a PNG of `charts` beside one another; `data` is the name of the dataset."""
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
    there = {
        key: trained
        for key, runs in finals.items()
        if (trained := [run for run in runs if run["test_accuracy"]])
    }
    parts = {
        key: [*cell(runs[0]), f"{runs[0]['lr']:.2g}", *(["book"] if key not in tuned else [])]
        for key, runs in there.items()
    }
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
