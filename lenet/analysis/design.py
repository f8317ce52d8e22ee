"""The design of the comparison: which runs, in which order, and the rule that tunes.

    tuning      every cell × learning rate of its grid
    refining    the best three adjacent rates of each cell, with fresh seeds
    final       each cell at the rate that the rule chooses: fresh seeds, the same in all cells
    book        sigmoid and average pooling at the book's 0.9, with the first of these seeds
    bridge      each cell as in `final`, in the book's batches of 256: whether the size matters
    neighbours  the learning rates beside the chosen one

The registered design, with the reasons and the analysis, is `comparison_registration.json`. It was
committed before the first run; `stages` and `choose` only carry it out.
"""

import dataclasses
import functools
import itertools
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any, NamedTuple

from lenet.config import Config
from lenet.engine import chance
from lenet.records.ledger import Entry

ACTIVATIONS, POOLS = ("sigmoid", "relu"), ("avg", "max")
CELLS = tuple((activation, pool) for activation in ACTIVATIONS for pool in POOLS)
REGISTRATION = "comparison_registration.json"
STAGES = ("tuning", "refining", "final", "book", "bridge", "neighbours")

Cell = tuple[str, str]


@dataclasses.dataclass(frozen=True)
class Design:
    """What a comparison trains: numbers alone, as JSON holds them."""

    rates: Mapping[str, Sequence[float]]  # ascending grids of learning rates, by activation
    seeds: Mapping[str, int]  # per setting, by stage
    first_seed: Mapping[str, int]  # of tuning, refining and final; later stages share the latter's
    book_rate: float
    book_batch_size: int
    batch_size: int
    epochs: int
    valid: int  # examples held out in tuning and refining
    dataset: str

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values for JSON."""
        return json.loads(json.dumps(dataclasses.asdict(self)))


class Tried(NamedTuple):
    """A learning rate of a cell after tuning."""

    rate: float
    accuracies: list[float]  # on validation images, of each run; 1/K if it diverged
    collapsed: int

    @property
    def median(self) -> float:
        """The median accuracy."""
        return statistics.median(self.accuracies)


@functools.cache
def registration() -> dict[str, Any]:
    """Return what was registered before the first run."""
    path = resources.files("lenet.analysis") / REGISTRATION
    return json.loads(path.read_text(encoding="utf-8"))


def registered() -> Design:
    """Return the registered design."""
    return Design(**registration()["design"])


def stages(design: Design, entries: Iterable[Entry], num_classes: int) -> dict[str, list[Config]]:
    """Return the runs of each stage, as far as they are known.

    Runs are numbered through all stages. What the tuning decides is known once it is finished.
    """
    done = {entry.run: entry for entry in entries}
    found = {"tuning": _tuning(design)}

    def tried() -> list[Entry] | None:
        """Return the runs of all stages that are known, or None if one is not finished."""
        count = sum(map(len, found.values()))
        return [done[run] for run in range(count)] if all(r in done for r in range(count)) else None

    if (first := tried()) is None:
        return found
    found["refining"] = [
        config
        for cell in CELLS
        for rate in window(record_of(first, cell, num_classes))
        for config in _seeded(design, "refining", cell, rate, valid=design.valid)
    ]
    if (both := tried()) is None:
        return found
    rates = {cell: choose(record_of(both, cell, num_classes)) for cell in CELLS}
    chosen = list(rates.items())
    book = {"batch_size": design.book_batch_size}
    beside = [
        (cell, rate) for cell in CELLS for rate in neighbours(design.rates[cell[0]], rates[cell])
    ]
    for stage, settings, changes in (
        ("final", chosen, {}),
        ("book", [(CELLS[0], design.book_rate)], {}),
        ("bridge", chosen, book),
        ("neighbours", beside, {}),
    ):
        found[stage] = [
            config
            for cell, rate in settings
            for config in _seeded(design, stage, cell, rate, **changes)
        ]
    return found


def record_of(entries: Iterable[Entry], cell: Cell, num_classes: int) -> list[Tried]:
    """Return what tuning found for a cell, by ascending learning rate."""
    runs: dict[float, list[Entry]] = {}
    for entry in entries:
        if (entry.config.activation, entry.config.pool) == cell:
            runs.setdefault(entry.config.lr, []).append(entry)
    return [
        Tried(
            rate,
            [_valid_accuracy(entry, num_classes) for entry in runs[rate]],
            sum(_collapsed(entry, num_classes) for entry in runs[rate]),
        )
        for rate in sorted(runs)
    ]


def window(tried: Sequence[Tried], size: int = 3) -> list[float]:
    """Return the adjacent learning rates whose median accuracies sum to most; if equal, the lowest.

    >>> window([Tried(rate, [accuracy], 0) for rate, accuracy in enumerate((0.1, 0.8, 0.9, 0.7))])
    [1, 2, 3]
    """
    size = min(size, len(tried))
    starts = range(len(tried) - size + 1)
    best = max(starts, key=lambda i: sum(each.median for each in tried[i : i + size]))
    return [each.rate for each in tried[best : best + size]]


def choose(tried: Sequence[Tried]) -> float:
    """Return the learning rate that the registered rule takes: one step back from the cliff.

    Only rates with the most runs, those of the refined window, can win. Of those without a
    collapse, and with at most one collapse at the next larger rate of the grid, the one with the
    highest median accuracy; but the smallest whose median is within that one's standard error,
    s/√n. If there is none, the one with the fewest collapses, and of these the smallest.
    """
    most = max(len(each.accuracies) for each in tried)
    pairs = [
        (each, after)
        for each, after in itertools.zip_longest(tried, tried[1:])
        if len(each.accuracies) == most
    ]
    safe = [
        each
        for each, after in pairs
        if not each.collapsed and (after is None or after.collapsed <= 1)
    ]
    if not safe:
        return min((each for each, _ in pairs), key=lambda each: (each.collapsed, each.rate)).rate
    best = max(safe, key=lambda each: each.median)
    error = statistics.stdev(best.accuracies) / most**0.5 if most > 1 else 0.0
    return min(each.rate for each in safe if each.median >= best.median - error)


def neighbours(grid: Sequence[float], rate: float) -> list[float]:
    """Return the learning rates next to one on a grid.

    >>> neighbours([0.1, 0.2, 0.4], 0.4), neighbours([0.1, 0.2, 0.4], 0.2)
    ([0.2], [0.1, 0.4])
    """
    at = list(grid).index(rate)
    return [*grid[max(at - 1, 0) : at], *grid[at + 1 : at + 2]]


def _tuning(design: Design) -> list[Config]:
    return [
        config
        for cell in CELLS
        for rate in design.rates[cell[0]]
        for config in _seeded(design, "tuning", cell, rate, valid=design.valid)
    ]


def _seeded(design: Design, stage: str, cell: Cell, rate: float, **changes: Any) -> list[Config]:
    """Return the runs of a setting, one for each seed of the stage."""
    base = Config(
        activation=cell[0],
        pool=cell[1],
        lr=rate,
        epochs=design.epochs,
        batch_size=design.batch_size,
        dataset=design.dataset,
    )
    first = design.first_seed.get(stage, design.first_seed["final"])
    return [
        dataclasses.replace(base, seed=first + i, **changes) for i in range(design.seeds[stage])
    ]


def _valid_accuracy(entry: Entry, num_classes: int) -> float:
    last = None if entry.diverged else entry.rows[-1].valid_accuracy
    return 1 / num_classes if last is None else last


def _collapsed(entry: Entry, num_classes: int) -> bool:
    return bool(entry.diverged) or chance.collapsed(entry.rows[-1].train_loss, num_classes)
