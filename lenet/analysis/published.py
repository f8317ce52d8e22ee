"""What others got: official runs of the book's experiments, printed with its notebooks.

340 of LeNet: sigmoid, average pooling, SGD at 0.9, batches of 256, 10 epochs, Fashion-MNIST; and
610 of LeNet with batch normalisation, at a learning rate of 1.0 (24 of them at 0.5, for 20 epochs).
Read from the outputs kept in the version history of the d2l-ai notebook repositories:
published_runs.csv and published_bn_runs.csv say which commit printed each. Accuracies by epoch
(published_bands.json) were decoded from their SVG plots, good to about 0.001.
"""

import csv
import functools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenet.analysis import stats
from lenet.config import PRESETS, BNLeNet, Config, LeNet
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

BOOK = "book"
BN_RUNS = 610
EXPERIMENTS = {
    BOOK: mark("the book's run"),
    "bn_avg": mark("the book's run with batch normalisation and average pooling"),
    "bn_max": mark("the book's run with batch normalisation and max pooling"),
}

EVAL, NO_GRAD = "2020-07-09", "2021-06-16"
"""Days since which the book's PyTorch code normalises test images by running statistics.

Before, it left the network in training mode, so that each batch of test images had its own. EVAL:
`net.eval()`, which PyTorch's layers heed (d2l-ai/d2l-en 16f8d3ec, #1110); NO_GRAD: also without
gradients, which is what the book's own layers ask for (83d4e6ef, #1786).
"""

_LINE = (
    rf"({'|'.join(NAMES)}),"
    r"\d\.\d{3},[01]\.\d{3},[01]\.\d{3},"  # loss and accuracies, as printed
    r"(\d+\.\d)?,[^,]*,"  # examples/s and device, which the first notebooks did not print
    r"\d{4}-\d\d-\d\d,d2l-ai/[\w-]+,[0-9a-f]{8}"
)
_LINE_BN = _LINE + r",(scratch|concise),(avg|max),(1\.0,10|0\.5,20)"


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
    kind: NDArray[np.str_]  # of batch normalisation: "scratch", or "concise", the framework's layer

    def where(self, chosen: NDArray[np.bool_]) -> "Runs":
        """Return the chosen runs."""
        return self._replace(**{name: x[chosen] for name, x in self._asdict().items()})


def runs(framework: str | None = None, experiment: str = BOOK) -> Runs:
    """Return the published runs of one framework (a key of NAMES), or of all.

    Args:
      framework: of NAMES, or None.
      experiment: of EXPERIMENTS.

    Raises:
      ValueError: for another framework or experiment.
      RecordError: if the file is damaged.

    >>> mxnet = runs("mxnet")
    >>> len(mxnet.test_acc), float(mxnet.test_acc.min()), float(mxnet.test_acc.max())
    (89, 0.7, 0.836)
    >>> len(runs("pytorch", "bn_avg").test_acc)
    168
    """
    for given, known in ((framework, (None, *NAMES)), (experiment, EXPERIMENTS)):
        if given not in known:
            raise ValueError(f"{given!r}: expected one of {', '.join(filter(None, known))}")
    if experiment == BOOK:
        found = _parse(_file("published_runs.csv"))
    else:
        found = _parse_bn(_file("published_bn_runs.csv"), experiment.removeprefix("bn_"))
    return found if framework is None else found.where(found.framework == framework)


def by_running(runs: Runs) -> NDArray[np.bool_]:
    """Return whether test images were normalised by running statistics, [R]; see EVAL, NO_GRAD.

    True for all runs without batch normalisation, and for other frameworks than PyTorch.

    >>> max_pooling = runs("pytorch", "bn_max")
    >>> int(by_running(max_pooling).sum()), len(max_pooling.kind)
    (71, 130)
    """
    since = np.where(runs.kind == "scratch", NO_GRAD, EVAL)
    return (runs.first_date > since) | (runs.kind == "") | (runs.framework != "pytorch")


@functools.cache
def alike(framework: str | None, experiment: str) -> Runs:
    """Return `runs` without those that normalised test images by their own statistics."""
    found = runs(framework, experiment)
    return found.where(by_running(found))


def as_printed(values: ArrayLike) -> NDArray[np.float64]:
    """Round our losses or accuracies as the published ones are, so that equal ones tie.

    >>> as_printed([0.80351, 0.8044]).tolist()
    [0.804, 0.804]
    """
    return np.asarray(values, np.float64).round(3)


def place(config: Config, row: Row) -> dict[str, Any] | None:
    """Return the percentiles of a run, by its last row; None if it was another experiment.

    They are those among PyTorch's runs, because our biases start as PyTorch's do, and with batch
    normalisation among those whose test images were normalised as ours are.

    >>> row = Row(10, 0.1, 0.9, None, None, 0.2, 0.9, 60_000, 2.0, 30_000.0, [])  # better than all
    >>> place(Config(), row)["percentile"]
    {'train_loss': 0.0, 'train_accuracy': 100.0, 'test_accuracy': 100.0}
    """
    of = experiment(config)
    if of is None or config.epochs != EPOCHS:
        return None
    others = alike("pytorch", of)
    percentile = {
        ours: stats.place(float(as_printed(getattr(row, ours))), getattr(others, theirs))
        for ours, theirs in COLUMNS.items()
    }
    return {
        "experiment": of,
        "framework": "pytorch",
        "runs": len(others.framework),
        "percentile": percentile,
    }


def placed(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """Return the runs that are a published experiment: run, seed, how they ended and `place`.

    The numbers are those of COLUMNS, each with its percentile; `others` is how many PyTorch's are.
    """
    found = []
    for entry in entries:
        at = None if entry.diverged else place(entry.config, entry.rows[-1])
        if at is not None:
            row = {"run": entry.run, "seed": entry.config.seed, "experiment": at["experiment"]}
            for key, percentile in at["percentile"].items():
                row |= {key: getattr(entry.rows[-1], key), f"{key}_percentile": percentile}
            found.append(row | {"others": at["runs"]})
    return found


def only(placed: Iterable[Mapping[str, Any]]) -> str | None:
    """Return the experiment that all runs of `placed` repeat; None for several, or for none."""
    experiments = {row["experiment"] for row in placed}
    return experiments.pop() if len(experiments) == 1 else None


def equality(ours: Mapping[str, ArrayLike], experiment: str = BOOK) -> dict[str, stats.Equality]:
    """Test whether what our runs ended with, [R] by a key of COLUMNS, is distributed as PyTorch's.

    Raises:
      ValueError: as `runs` and `stats.equality`.
    """
    others = alike("pytorch", experiment)
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


def experiment(config: Config) -> str | None:
    """Return which published experiment `config` is: of EXPERIMENTS.

    Its seed, its length and how a machine computes it do not matter.

    >>> experiment(Config(seed=3, parts=4)), experiment(Config(dataset="synthetic"))
    ('book', None)
    >>> experiment(Config("bn_lenet", lr=1.0, pool="max", parts=8))
    'bn_max'
    """
    free = {name: getattr(config, name) for name in ("seed", "order_seed", "epochs", "parts")}
    match config.network:
        case LeNet() if config == Config(**PRESETS[BOOK], **free, conv=config.conv):
            return BOOK
        case BNLeNet(pool=pool) if config == Config(**PRESETS["book-bn"], **free, pool=pool):
            return f"bn_{pool}"
    return None


def _file(name: str) -> str:
    return resources.files("lenet.analysis").joinpath(name).read_text(encoding="utf-8")


def _parse(text: str) -> Runs:
    """Read published_runs.csv; raise a RecordError unless it is whole."""
    columns = _columns("published_runs.csv", text, Runs._fields[:-1], _LINE)
    for framework in NAMES:
        found, expected = columns["framework"].count(framework), band(framework).runs
        if found != expected:
            raise RecordError(f"published_runs.csv: {found} {framework} runs: expected {expected}")
    return _runs(columns | {"kind": ["" for _ in columns["framework"]]})


def _parse_bn(text: str, pool: str) -> Runs:
    """Read published_bn_runs.csv; raise a RecordError unless it is whole."""
    name = "published_bn_runs.csv"
    columns = _columns(name, text, (*Runs._fields, "pool", "lr", "epochs"), _LINE_BN)
    if (found := len(columns["pool"])) != BN_RUNS:
        raise RecordError(f"{name}: {found} runs: expected {BN_RUNS}")
    same = (np.array(columns["pool"]) == pool) & (np.array(columns["epochs"]) == str(EPOCHS))
    return _runs(columns).where(same)


def _columns(name: str, text: str, heads: tuple[str, ...], line: str) -> dict[str, list[str]]:
    head, _, body = text.partition("\n")
    if head.split(",") != [*heads]:
        raise RecordError(f"{name}: columns {head}: expected {','.join(heads)}")
    lines = body.splitlines()
    for number, each in enumerate(lines, start=2):
        if not re.fullmatch(line, each):
            raise RecordError(f"{name}: line {number}: not a run: {each}")
    columns = map(list, zip(*csv.reader(lines), strict=True))
    return dict(zip(heads, columns, strict=True))


def _runs(columns: Mapping[str, Sequence[str]]) -> Runs:
    numbers = (*COLUMNS.values(), "examples_per_sec")
    return Runs(
        *(
            np.array([float(value or "nan") for value in columns[name]])
            if name in numbers
            else np.array(columns[name])
            for name in Runs._fields
        )
    )
