"""What a report says of one run."""

import json
import math
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

from lenet import published
from lenet.config import Config
from lenet.data import Data
from lenet.layers import layers
from lenet.model import LeNet
from lenet.report import charts, examples, network
from lenet.report.page import Part, Report
from lenet.report.rows import published_rows
from lenet.sgd import Params

PLATEAU = 0.05
"""A loss within this share of log K is that of a guess."""


class Run(NamedTuple):
    """A run as its directory has it."""

    name: str  # of the directory
    config: Config
    rows: list[dict[str, Any]]  # metrics.jsonl
    statistics: list[dict[str, Any]]  # statistics.jsonl
    about: Mapping[str, Any]  # config.json
    result: Mapping[str, Any] | None  # result.json, once it is finished
    model: LeNet
    params: Params
    image_shape: tuple[int, ...]
    class_names: tuple[str, ...]


def report(run: Run, data: Data | None, why: str = "") -> Report:
    """Return the report of a run.

    Args:
      run: with the parameters to look into.
      data: what it was trained on; without it there are no pictures and no accuracies anew.
      why: there are no data, for the reader.
    """
    compares = published.comparable(run.config)
    test = data.test if data else None
    parts = [
        Part({"run": run, "why": why}, payload={"class_names": run.class_names}),
        _records(run),
        _curves(run, compares),
        _published(run) if compares else Part({"place": None}),
        _statistics(run),
        examples.part(run.model, run.params, test, run.class_names)
        if test
        else Part({"confusion": None, "robust": None}),
        network.part(run.model, run.params, run.image_shape, run.class_names, test),
    ]
    return Report("run.html", run.name, parts)


def _records(run: Run) -> Part:
    """What the records say."""
    return Part(
        {
            "last": run.rows[-1],
            "layers": layers(run.model, run.image_shape),
            "synthetic": run.config.dataset == "synthetic",
            "settings": _shown(run.about["config"]),
            "data_about": _shown(run.about["data"]),
            "environment": (run.result or {}).get("environment", {}),
            "guess": math.log(len(run.class_names)),
        }
    )


def _shown(values: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in values.items()
    }


def _curves(run: Run, compares: bool) -> Part:
    """Loss and accuracy by epoch, over the band of the published runs."""
    band = published.band() if compares else None
    behind = [
        {"epoch": epoch, "low": low, "median": median, "high": high}
        for epoch, low, median, high in (zip(*band[1:], strict=True) if band else ())
    ]

    def series(what: str, place: int) -> list[dict[str, Any]]:
        rows = [
            {"epoch": point[0], "value": point[place], "series": "train"}
            for row in run.rows
            for point in row["running"]
        ]
        return rows + [
            {"epoch": row["epoch"], "value": row[f"{name}_{what}"], "series": name}
            for row in run.rows
            for name in ("valid", "test")
            if row[f"{name}_{what}"] is not None
        ]

    return Part(
        {"band": band},
        {
            "losses": charts.losses,
            "accuracies": partial(charts.accuracies, over_band=band is not None),
        },
        {
            "losses": series("loss", 1),
            "accuracies": series("accuracy", 2),
            "published_band": behind,
        },
    )


def _published(run: Run) -> Part:
    """Where the run lies among the published ones."""
    fields = ("test_accuracy", "train_loss")
    return Part(
        {"place": published.place(run.config, run.rows[-1])},
        {
            f"published_{field}": partial(charts.published, field=field, marked=True)
            for field in fields
        },
        {
            "published": published_rows(),
            "this_run": [{field: run.rows[-1][field] for field in fields}],
        },
    )


def _statistics(run: Run) -> Part:
    """What the layers did, epoch by epoch."""
    rows = [
        {"epoch": row["epoch"], "series": layer, **numbers}
        for row in run.statistics
        for layer, numbers in row["layers"].items()
    ]
    drawn = {
        measure: partial(
            charts.statistics,
            measure=measure,
            layers=_measured(run.statistics[0]["layers"], measure),
        )
        for measure in (charts.STATISTICS if run.statistics else ())
    }
    return Part({"plateau": _plateau(run)}, drawn, {"statistics": rows})


def _measured(of_layers: Mapping[str, Any], measure: str) -> list[str]:
    """The layers of which a chart of statistics says anything."""
    names = [name for name, numbers in of_layers.items() if numbers[measure] is not None]
    # Logits have no end to be saturated at, and pools are as their convolutions are.
    ended = [name for name in names[:-1] if not name.startswith("pool")]
    return names if measure in ("across", "gradient") else ended


def _plateau(run: Run) -> dict[str, Any] | None:
    """For how many epochs the loss was that of a guess, and what the layers did then."""
    guess = math.log(len(run.class_names))
    epochs = 0
    for row in run.rows:
        if abs(row["train_loss"] - guess) > PLATEAU * guess:
            break
        epochs += 1
    at = next((row for row in run.statistics if row["epoch"] == epochs), None)
    if at is None:
        return None
    of_layers = at["layers"]
    kernels = [name for name, each in of_layers.items() if each["gradient"] is not None]
    if len(kernels) < 2 or any(of_layers[name]["across"] is None for name in kernels):
        return None
    first, hidden, end = kernels[0], kernels[-2], kernels[-1]
    if not of_layers[first]["gradient"]:
        ratio = None
    else:
        ratio = of_layers[end]["gradient"] / of_layers[first]["gradient"]
    return {
        "epochs": epochs,
        "first": first,
        "hidden": hidden,
        "end": end,
        "first_across": of_layers[first]["across"],
        "hidden_across": of_layers[hidden]["across"],
        "ratio": ratio,
        "dead": max(of_layers[name]["dead"] for name in kernels[:-1]),
    }
