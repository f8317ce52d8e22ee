"""Charts of a comparison: its tuning, its networks, and how they got there."""

from functools import partial

from lenet.analysis import terms
from lenet.analysis.comparison import Comparison, runs_of
from lenet.analysis.tuning import CELLS, Cell, cell
from lenet.figures import groups
from lenet.figures.vega import Chart, png
from lenet.language import translate

AXES = ("activation", "pool", "lr")


def picture(comparison: Comparison, data: str, language: str = "en") -> bytes:
    """Return a PNG of `charts` beside one another; `data` is the name of the dataset."""
    t, epochs = partial(translate, language), comparison["design"]["epochs"]
    title = t("LeNet, {dataset}, {n} epochs", dataset=terms.valued(data), n=epochs)
    return png(list(charts(comparison).values()), language, title=title)


def charts(comparison: Comparison) -> dict[str, Chart]:
    """Return what there is to draw of a comparison, by name.

    rates: validation accuracy by learning rate, of both stages of tuning. settings: test accuracy
    of each cell at its chosen rate, then of the book's network. curves: theirs by epoch.
    """
    tuned: dict[str, dict[float, list[float | None]]] = {}
    for run in comparison["runs"]:
        if run["stage"] in ("tuning", "refining"):
            ends = tuned.setdefault(_key(cell(run)), {}).setdefault(run["lr"], [])
            ends.append(None if run["diverged"] else run["valid_accuracy"])
    finals = {_key(which): runs_of(comparison, "final", which) for which in CELLS}
    finals["the book's"] = runs_of(comparison, "book", CELLS[0])
    parts = {
        key: [*cell(runs[0]), f"{runs[0]['lr']:.3g}", *(["book"] if key not in tuned else [])]
        for key, runs in finals.items()
    }
    whole = {
        key: [(run["seed"], run["test_accuracy"]) for run in runs] for key, runs in finals.items()
    }
    last = {
        key: [(seed, accuracies[-1]) for seed, accuracies in runs] for key, runs in whole.items()
    }
    of_cells = {_key(which): which for which in CELLS}
    tuning = groups.Labels("valid_accuracy", AXES[:2], of_cells, "median")
    labels = groups.Labels("test_accuracy", AXES, parts, "median")
    return {
        "rates": groups.rates(tuned, tuning),
        "settings": groups.intervals(last, labels),
        "curves": groups.epochs(whole, labels),
    }


def _key(which: Cell) -> str:
    return " + ".join(which)
