"""What others got: 340 official runs of the chapter's experiment, printed with its notebooks.

LeNet, sigmoid, average pooling, SGD at 0.9, batches of 256, 10 epochs, Fashion-MNIST. Read from the
outputs kept in the version history of the d2l-ai notebook repositories: published_runs.csv says
which commit printed each. Accuracies by epoch (published_bands.json) were decoded from their SVG
plots, good to about 0.001.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenet.analysis import stats
from lenet.config import PRESETS, Config, LeNet
from lenet.engine.rows import Row
from lenet.errors import RecordError
from lenet.language import mark
from lenet.records.ledger import Entry

NAMES = {"pytorch": "PyTorch", "tensorflow": "TensorFlow", "mxnet": "MXNet"}
COLUMNS = {"train_loss": "loss", "train_accuracy": "train_acc", "test_accuracy": "test_acc"}
"""Fields of Row, and the columns of the published runs that hold the same."""
EPOCHS = 10
LEFT_PLATEAU_BY_EPOCH_2 = (178, 199)
"""Of 199 PyTorch runs, those whose test accuracy was off 0.10 after two epochs."""
ONE_DRAW = frozenset({"mxnet"})
"""Frameworks whose published runs very probably share one draw of the initial weights.

MXNet's generator starts from a fixed seed (apache/mxnet#7124, #7410; changed by #21058), so its
runs are one replicate of the initialisation; the order of examples comes from NumPy, unseeded.
"""
BETWEEN_DRAWS = (2.8287e-5, 5.793)
"""The variance of mean test accuracy between draws of the weights, and its degrees of freedom.

From the study `variance` (8 draws × 8 orders): (MS_rows − MS_rest)/8, by Satterthwaite.
"""

EQUIVALENT = (mark("not shown to be equal"), mark("equal"))
"""What is said of means, by `stats.Equality.equivalent`."""

_LINE = re.compile(
    rf"({'|'.join(NAMES)}),"
    r"\d\.\d{3},[01]\.\d{3},[01]\.\d{3},"  # loss and accuracies, as printed
    r"(\d+\.\d)?,[^,]*,"  # examples/s and device, which the first notebooks did not print
    r"\d{4}-\d\d-\d\d,d2l-ai/[\w-]+,[0-9a-f]{8}"
)


class Newer(NamedTuple):
    """The curves of the newer edition: learning rate 0.1, batches of 128, with a short one."""

    runs: int
    low: float  # test accuracy after the last epoch
    high: float
    stuck: tuple[int, int]  # epochs at 0.10: least, most


NEWER = Newer(27, 0.709, 0.743, (2, 4))
"""Decoded from the pictures of 27 versions of its notebooks: 11 PyTorch, 11 TensorFlow, 5 JAX."""


class Band(NamedTuple):
    """Test accuracy of the published runs after each epoch."""

    runs: int
    epochs: list[int]
    low: list[float]  # 10th percentile
    median: list[float]
    high: list[float]  # 90th percentile


class Runs(NamedTuple):
    """Published runs, a column each, [R]; numbers as printed: losses and accuracies to 0.001."""

    framework: NDArray[np.str_]
    loss: NDArray[np.float64]  # running means over the last epoch
    train_acc: NDArray[np.float64]
    test_acc: NDArray[np.float64]  # after the last epoch
    examples_per_sec: NDArray[np.float64]  # nan where not printed
    device: NDArray[np.str_]  # empty where not printed
    first_date: NDArray[np.str_]  # the source: day, repository and commit
    repo: NDArray[np.str_]
    commit: NDArray[np.str_]


def runs(framework: str | None = None) -> Runs:
    """Return the published runs of one framework (a key of NAMES), or of all.

    Raises:
      ValueError: for another framework.
      RecordError: if the file is damaged.

    >>> mxnet = runs("mxnet")
    >>> len(mxnet.test_acc), float(mxnet.test_acc.min()), float(mxnet.test_acc.max())
    (89, 0.7, 0.836)
    """
    if framework not in (None, *NAMES):
        raise ValueError(f"framework {framework!r}: expected one of {', '.join(NAMES)}")
    found = _parse(_file("published_runs.csv"))
    if framework is None:
        return found
    return Runs(*(column[found.framework == framework] for column in found))


def as_printed(values: ArrayLike) -> NDArray[np.float64]:
    """Round our losses or accuracies as the published ones are, so that equal ones tie.

    >>> as_printed([0.80351, 0.8044]).tolist()
    [0.804, 0.804]
    """
    return np.asarray(values, np.float64).round(3)


def place(config: Config, row: Row) -> dict[str, Any] | None:
    """Return the percentiles of a run, by its last row; None if it was another experiment.

    They are those among PyTorch's runs, because our biases start as PyTorch's do.

    >>> row = Row(10, 0.1, 0.9, None, None, 0.2, 0.9, 60_000, 2.0, 30_000.0, [])  # better than all
    >>> place(Config(), row)["percentile"]
    {'train_loss': 0.0, 'train_accuracy': 100.0, 'test_accuracy': 100.0}
    """
    if not comparable(config) or config.epochs != EPOCHS:
        return None
    others = runs("pytorch")
    percentile = {
        ours: stats.place(float(as_printed(getattr(row, ours))), getattr(others, theirs))
        for ours, theirs in COLUMNS.items()
    }
    return {"framework": "pytorch", "runs": len(others.framework), "percentile": percentile}


def placed(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """Return the runs that are the published experiment: run, seed, how they ended and `place`.

    The numbers are those of COLUMNS, each with its percentile; `others` is how many PyTorch's are.
    """
    found = []
    for entry in entries:
        at = None if entry.diverged else place(entry.config, entry.rows[-1])
        if at is not None:
            row = {"run": entry.run, "seed": entry.config.seed}
            for key, percentile in at["percentile"].items():
                row |= {key: getattr(entry.rows[-1], key), f"{key}_percentile": percentile}
            found.append(row | {"others": at["runs"]})
    return found


def equality(ours: Mapping[str, ArrayLike]) -> dict[str, stats.Equality]:
    """Test whether what our runs ended with, [R] by a key of COLUMNS, is distributed as PyTorch's.

    Raises:
      ValueError: as `stats.equality`.
    """
    others = runs("pytorch")
    return {
        key: stats.equality(as_printed(values), getattr(others, COLUMNS[key]))
        for key, values in ours.items()
    }


def band(framework: str = "pytorch") -> Band:
    """Return the band of one framework: "pytorch", "tensorflow" or "mxnet".

    >>> band().runs, band().median[-1]
    (199, 0.806)
    """
    runs = json.loads(_file("published_bands.json"))[framework]
    rows = runs["test_acc_by_epoch"]
    columns = ([row[key] for row in rows] for key in ("epoch", "p10", "median", "p90"))
    return Band(runs["n"], *columns)


def comparable(config: Config) -> bool:
    """Whether `config` is the published experiment, whatever its seed and length.

    >>> comparable(Config(seed=3)), comparable(Config(dataset="synthetic"))
    (True, False)
    """
    if not isinstance(config.network, LeNet):
        return False
    free = {name: getattr(config, name) for name in ("seed", "order_seed", "epochs", "conv")}
    return config == Config(**PRESETS["book"], **free)


def _file(name: str) -> str:
    return resources.files("lenet.analysis").joinpath(name).read_text(encoding="utf-8")


def _parse(text: str) -> Runs:
    """Read published_runs.csv; raise a RecordError unless it is whole."""
    head, _, body = text.partition("\n")
    lines = body.splitlines()
    if head.split(",") != list(Runs._fields):
        raise RecordError(f"published_runs.csv: columns {head}: expected {','.join(Runs._fields)}")
    for number, line in enumerate(lines, start=2):
        if not _LINE.fullmatch(line):
            raise RecordError(f"published_runs.csv: line {number}: not a run: {line}")
    counts = Counter(line.partition(",")[0] for line in lines)
    for framework in NAMES:
        if (found := counts[framework]) != (runs := band(framework).runs):
            raise RecordError(f"published_runs.csv: {found} {framework} runs: expected {runs}")
    columns = zip(*csv.reader(lines), strict=True)
    numbers = (*COLUMNS.values(), "examples_per_sec")
    return Runs(
        *(
            np.array([float(value or "nan") for value in column] if name in numbers else column)
            for name, column in zip(Runs._fields, columns, strict=True)
        )
    )
