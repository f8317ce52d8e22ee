"""The report of a run, from its records, parameters and test set."""

import functools
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from flax import linen as nn

from lenet.analysis import published, terms, verdict
from lenet.config import Config
from lenet.data import Data
from lenet.engine import chance
from lenet.engine.forward import Params
from lenet.engine.rows import Row
from lenet.figures import diagnostics
from lenet.figures import run as curves
from lenet.figures.vega import Chart
from lenet.inspect import snapshot
from lenet.inspect.diagnostics import SAMPLE
from lenet.inspect.layers import Layers, layers
from lenet.language import LANGUAGES, message, translate
from lenet.model import LeNet
from lenet.report import examples, names, network
from lenet.report.page import Part, Report

ENDS = ("test_accuracy", "valid_accuracy", "train_accuracy", "test_loss", "train_loss")
"""What two runs are compared by on a page, after the last epoch."""
FAR_BELOW = 5
"""Factor by which the variation of a layer is smaller when its outputs are called alike."""
MOST_KERNELS, MOST_ALONG, MOST_WEIGHTS = 4_096, 2_048, 400_000
"""Kernels of a layer, weights along its picture, and weights on a page, at most; a layer with more
is left out, as no browser draws a picture of any size."""
MOST_SERIES = 12
"""Layers of a chart of statistics, at most."""


class Run(NamedTuple):
    """The records and parameters of a run."""

    name: str  # of the directory
    config: Config
    rows: list[Row]  # metrics.jsonl; empty for an imported network
    statistics: list[dict[str, Any]]  # statistics.jsonl
    about: Mapping[str, Any]  # config.json
    environment: Mapping[str, Any]  # of the training, once it is finished
    model: nn.Module
    params: Params
    image_shape: tuple[int, ...]
    class_names: tuple[str, ...]


def report(run: Run, data: Data | None, why: str = "", *, brief: bool = False) -> Report:
    """Return the report of a run.

    Args:
      run: with the parameters to look into.
      data: the training data; without it, sections that evaluate the network are missing.
      why: reason for which there is no data, shown to the reader.
      brief: without the sections that evaluate the network on the whole test set, as they take
        seconds.
    """
    test = data.test if data else None
    last = run.rows[-1] if run.rows else None
    drawn = _curves(run)
    rows = _layers(run.model, run.image_shape)
    parts = [
        _records(run, rows, why),
        drawn,
        _statistics(run),
        _kernels(run, [row.name for row in rows]),
        examples.part(run.model, run.params, test, run.class_names)
        if test and not brief
        else Part({"confusion": None, "plane": None, "robust": None}),
        network.part(run.model, run.params, run.image_shape, run.class_names, test),
    ]
    result = message("{accuracy:.3f} test accuracy", accuracy=last.test_accuracy) if last else None
    plain = [drawn.charts[name] for name in ("losses", "accuracies") if last]
    return Report("run.html", run.name, parts, result, plain)


_layers = functools.lru_cache(maxsize=8)(layers)  # a page that grows shows the same table


def _records(run: Run, rows: Layers, why: str) -> Part:
    """The lead, the tiles and the configuration."""
    classes = names.classes(run.config.dataset, run.class_names)
    settings = _shown(run.about["config"])
    last = run.rows[-1] if run.rows else None
    ends = {name: getattr(last, name) for name in ENDS} if last else {}
    words = {
        each: {name: translate(each, terms.named(name)) for name in (*ENDS, *settings)}
        for each in LANGUAGES
    }
    return Part(
        {
            "run": run,
            "why": why,
            "names": classes,
            "network_name": terms.network(run.config),
            "dataset": terms.valued(run.config.dataset),
            "last": last,
            "layers": rows,
            "synthetic": run.config.dataset == "synthetic",
            "settings": settings,
            "words": terms.TERMS,
            "data_about": _shown(run.about["data"]),
            "environment": run.environment,
            "sampled": min(SAMPLE, int(run.about["data"].get("train", SAMPLE))),
            "guess": chance.loss(len(run.class_names)),
        },
        payload={
            "class_names": classes,
            "run": {"name": run.name, "ends": ends, "settings": settings},
            "terms": words,
        },
    )


def _shown(values: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in values.items()
    }


def _curves(run: Run) -> Part:
    """The verdict, and the curves and the end of the run beside the published runs."""
    finished = len(run.rows) == run.config.epochs
    place = published.place(run.config, run.rows[-1]) if finished else None
    experiment = published.experiment(run.config) if run.rows else None
    band = published.band() if experiment == published.BOOK else None
    concluded = verdict.of_run(
        run.rows,
        run.config.epochs,
        len(run.class_names),
        place,
        run.about["data"].get("majority", 0.0),
    )
    drawn: dict[str, Chart] = {}
    if run.rows:
        drawn["losses"] = curves.losses(run.rows, run.config.epochs)
        drawn["accuracies"] = curves.accuracies(run.rows, run.config.epochs, band)
        drawn |= {f"both_{what}": curves.both(what) for what in ("losses", "accuracies")}
    if experiment:
        last = {end: getattr(run.rows[-1], end) for end in curves.ENDS}
        drawn |= {
            f"published_{end}": curves.published(end, experiment, one=last) for end in curves.ENDS
        }
    about = {"place": place, "band": band, "experiment": experiment}
    return Part({"verdict": concluded, **about}, drawn)


def _statistics(run: Run) -> Part:
    """Statistics of each layer, epoch by epoch."""
    rows = [
        {"epoch": row["epoch"], "series": layer}
        | {name: x and float(f"{x:.5g}") for name, x in numbers.items()}
        for row in run.statistics
        for layer, numbers in row["layers"].items()
    ]
    drawn = {
        measure: diagnostics.statistics(rows, measure, shown)
        for measure in (diagnostics.STATISTICS if run.statistics else ())
        if (shown := _measured(run, measure))
    }
    snapshots = [
        {"epoch": row["epoch"], **row["snapshot"]} for row in run.statistics if "snapshot" in row
    ]
    timed = len(snapshots) > 1
    values = {"plateau": _plateau(run), "timed": timed, "diagnosed": [*drawn]}
    return Part(values, drawn, {"snapshots": snapshots})


def _kernels(run: Run, order: list[str]) -> Part:
    """The kernels of the convolutions, by the names of their modules in the order of the layers."""
    all_of = snapshot.kernels(run.params)
    found: list[dict[str, Any]] = []  # a dictionary of a page is sorted by its names
    left = MOST_WEIGHTS
    for name in sorted(all_of, key=lambda name: order.index(name) if name in order else len(order)):
        kernel = all_of[name]
        height, width, inputs, outputs = kernel.shape
        wide = max(inputs * height, outputs * width) > MOST_ALONG
        if not wide and inputs * outputs <= MOST_KERNELS and kernel.size <= left:
            trained = snapshot.packed(kernel)
            found.append({"name": name, "shape": kernel.shape, "trained": trained})
            left -= kernel.size
    kept = any("snapshot" in row and row["snapshot"]["kernels"] for row in run.statistics)
    return Part({"kernels": found, "kernels_kept": kept}, payload={"kernels": found})


def _measured(run: Run, measure: str) -> list[str]:
    """The layers that a chart of statistics shows; of many, some with kernels."""
    of_layers = run.statistics[0]["layers"]
    names = [name for name, numbers in of_layers.items() if numbers[measure] is not None]
    if measure not in ("across", "gradient"):
        # Logits have no end to be saturated at, and LeNet's pools are as its convolutions are.
        names = [name for name in names[:-1] if not name.startswith("pool")]
    if len(names) > MOST_SERIES:
        names = [name for name in names if of_layers[name]["gradient"] is not None] or names
    places = np.linspace(0, len(names) - 1, min(MOST_SERIES, len(names))).round().astype(int)
    return [names[place] for place in places]


def _plateau(run: Run) -> dict[str, Any] | None:
    """Epochs at chance level, and the statistics of the layers after them.

    None without statistics, without a hidden layer, or where the first loss is above chance level;
    and of another network than LeNet, which may normalise between its layers.
    """
    if not isinstance(run.model, LeNet):
        return None
    classes = len(run.class_names)
    epochs = 0
    for row in run.rows:
        if not chance.on_plateau(row.train_loss, row.test_accuracy, classes):
            break
        epochs += 1
    at = next((row["layers"] for row in run.statistics if row["epoch"] == epochs), None)
    left = epochs or (run.rows and run.rows[0].train_loss < chance.loss(classes))
    if at is None or not left:
        return None
    kernels = [name for name, each in at.items() if each["gradient"] is not None]
    if len(kernels) < 2 or not at[kernels[0]]["across"] or at[kernels[-2]]["across"] is None:
        return None
    first, hidden, end = kernels[0], kernels[-2], kernels[-1]
    found = {
        "epochs": epochs,
        "loss": run.rows[max(epochs, 1) - 1].train_loss,
        "first": first,
        "hidden": hidden,
        "end": end,
        "first_across": at[first]["across"],
        "hidden_across": at[hidden]["across"],
        "ratio": at[end]["gradient"] / at[first]["gradient"] if at[first]["gradient"] else None,
        "dead": max(at[name]["dead"] or 0 for name in kernels[:-1]),
    }
    return found | {"alike": found["hidden_across"] * FAR_BELOW < found["first_across"]}
