"""Analyse {sigmoid, ReLU} × {average, max pooling} as registered: medians, collapse, epochs.

The unit of replication is the seed: of initial weights and the order of examples, the same in all
cells. No run is left out: one that collapsed or diverged counts with its accuracy.
"""

import statistics
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple, TypedDict

import numpy as np
import scipy
from numpy.typing import NDArray

from lenet.analysis import design, survival, tuning
from lenet.analysis.bootstrap import bca, simultaneous
from lenet.analysis.design import Design
from lenet.analysis.proportions import newcombe, wilson
from lenet.analysis.stats import Interval, holm
from lenet.analysis.tuning import ACTIVATIONS, CELLS, POOLS, Cell, Run, cell
from lenet.records.ledger import Entry

RECORD = "comparison_record.json"
"""The committed record of the registered comparison, beside this file."""
EFFECTS = ("activation", "pool", "interaction")
LEVEL = 0.8
"""The test accuracy whose first epoch is looked for."""
PARTS: dict[str, Callable[..., NDArray[np.float64]]] = {
    "whole": lambda book, cells: cells[1, 1] - book,
    "rate": lambda book, cells: cells[0, 0] - book,
    "activation": lambda book, cells: contrasts(cells)[0],
    "pool": lambda book, cells: contrasts(cells)[1],
}
"""What the book's own pairing changes; the last three add up to the first."""
RETUNED = 1_999
"""Resamples in which the tuning is resampled, too."""
FALSE_ALARM = 1e-4
"""Of the chapter's claim, for both contrasts together."""


class Comparison(TypedDict):
    """All runs of a comparison."""

    design: dict[str, Any]  # a Design
    runs: list[Run]


class Effect(NamedTuple):
    """A difference in median test accuracy."""

    interval: Interval  # simultaneous over EFFECTS
    clear: bool  # by Holm's step-down

    def state(self, negligible: float) -> str:
        """Return "higher", "lower", "negligible" or "open"."""
        if self.clear:
            return "higher" if self.interval.mean > 0 else "lower"
        inside = -negligible < self.interval.low and self.interval.high < negligible
        return "negligible" if inside else "open"


class Network(NamedTuple):
    """A cell, or the book's network, over its seeds; other cells against the first."""

    cell: Cell
    rate: float
    n: int
    collapsed: Interval  # the share; Wilson
    median: Interval  # test accuracy; BCa
    epochs: Interval  # to LEVEL; the Kaplan-Meier median
    reached: int  # runs that reached it
    collapse_difference: Interval | None = None  # Newcombe
    better: Interval | None = None  # share of seeds with a higher accuracy, ties left out; Wilson
    logrank: float | None = None  # p, Holm over the cells


class Neighbour(NamedTuple):
    """A learning rate beside the chosen one, with some of the final runs' seeds."""

    cell: Cell
    chosen: float
    rate: float
    n: int
    medians: float  # its median test accuracy minus that of the chosen rate's runs
    better: int  # seeds with which it is more accurate
    collapsed: int


class Analysis(NamedTuple):
    """What the registered analysis finds; intervals at 95% unless they are simultaneous."""

    networks: list[Network]  # the book's, then CELLS
    effects: dict[str, Effect]
    retuned: dict[str, Interval]  # with the tuning resampled; simultaneous
    stable: dict[Cell, float]  # the share of resampled tunings that choose the same learning rate
    learned: dict[str, Interval]  # of means, over the seeds with which all four learned
    seeds_learned: int
    pairing: dict[str, Interval]  # the book's network against ReLU with max pooling: whole, parts
    pairing_seeds: int
    bridge: dict[str, Interval]  # effects in the book's batches minus `effects`; may be empty
    bridge_seeds: int
    edges: dict[Cell, str]  # cells whose learning rate is at the "low" or "high" end of its grid
    neighbours: list[Neighbour]  # by cell and rate


def of(entries: Iterable[Entry], planned: Design, num_classes: int) -> Comparison:
    """Return what is kept of finished runs, in order."""
    entries = list(entries)
    known = design.stages(planned, entries, num_classes)
    stages = [stage for stage, configs in known.items() for _ in configs]
    runs = [tuning.kept(entry, num_classes, stages[entry.run]) for entry in entries]
    return Comparison(design=planned.to_dict(), runs=runs)


def analyse(comparison: Comparison) -> Analysis:
    """Return the registered analysis of a comparison whose final runs are there.

    Raises:
      ValueError: if fewer than two seeds have a run in each cell.
    """
    final, seeds = _accuracies(comparison, "final")
    if len(seeds) < 2:
        raise ValueError("fewer than two seeds with a run in each cell")
    statistics_ = [partial(_median_effect, i) for i in range(len(EFFECTS))]
    effects = [Effect(*found) for found in simultaneous(final, statistics_)]
    retuned, stable = _retuned(comparison)
    whole = ~_collapsed(comparison, seeds).any((0, 1))
    learned = final[..., whole]
    pairing, pairing_seeds = _pairing(comparison)
    bridge, bridge_seeds = _bridge(comparison)
    return Analysis(
        networks=_networks(comparison),
        effects=dict(zip(EFFECTS, effects, strict=True)),
        retuned=retuned,
        stable=stable,
        learned={
            name: bca(learned, partial(_mean_effect, i))[0]
            for i, name in enumerate(EFFECTS)
            if whole.sum() >= 2
        },
        seeds_learned=int(whole.sum()),
        pairing=pairing,
        pairing_seeds=pairing_seeds,
        bridge=bridge,
        bridge_seeds=bridge_seeds,
        edges=_edges(comparison),
        neighbours=_neighbours(comparison),
    )


def contrasts(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ReLU, max pooling and interaction [3, ...] of numbers of the cells [2, 2, ...].

    With m_ij of activation i and pooling j: (m_10 + m_11 − m_00 − m_01)/2,
    (m_01 + m_11 − m_00 − m_10)/2 and (m_11 − m_10) − (m_01 − m_00).

    >>> contrasts(np.array([[0.0, 2.0], [5.0, 8.0]]))
    array([5.5, 2.5, 1. ])
    """
    (m00, m01), (m10, m11) = cells
    return np.stack(
        [(m10 + m11 - m00 - m01) / 2, (m01 + m11 - m00 - m10) / 2, m11 - m10 - m01 + m00]
    )


def claim(
    comparison: Comparison,
) -> tuple[Literal["true", "partly", "false"], dict[str, tuple[int, int, float]]]:
    """Decide the claim that ReLU and max pooling work better, by exact sign tests over seeds.

    Returns:
      "true" if both contrasts within a seed are positive more often than not, at FALSE_ALARM by
      Holm; "partly" if one is, or their sum; else "false". And by contrast: seeds in favour, seeds
      without ties, p
    """
    first, second, _ = contrasts(_accuracies(comparison, "final")[0])
    tests = {
        name: _sign_test(values)
        for name, values in (("activation", first), ("pool", second), ("sum", first + second))
    }
    both = [p <= FALSE_ALARM for p in holm([tests[name][2] for name in EFFECTS[:2]])]
    one = any(both) or tests["sum"][2] <= FALSE_ALARM
    return "true" if all(both) else "partly" if one else "false", tests


def tuned_rates(comparison: Comparison) -> dict[Cell, float]:
    """Return the learning rate of each cell's final runs."""
    return {which: runs_of(comparison, "final", which)[0]["lr"] for which in CELLS}


def runs_of(comparison: Comparison, stage: str, which: Cell) -> list[Run]:
    """Return the runs of a cell in a stage."""
    return [r for r in comparison["runs"] if r["stage"] == stage and cell(r) == which]


def _sign_test(values: NDArray[np.float64]) -> tuple[int, int, float]:
    higher, n = int((values > 0).sum()), int((values != 0).sum())
    p = scipy.stats.binomtest(higher, n, alternative="greater").pvalue if n else 1.0
    return higher, n, float(p)


def _mean_effect(i: int, cells: NDArray[np.float64]) -> NDArray[np.float64]:
    return contrasts(cells.mean(-1))[i]


def _change(i: int, both: NDArray[np.float64]) -> NDArray[np.float64]:
    return _median_effect(i, both[1]) - _median_effect(i, both[0])


def _part(
    part: Callable[..., NDArray[np.float64]], networks: NDArray[np.float64]
) -> NDArray[np.float64]:
    book, *cells = np.median(networks, -1)
    return part(book, np.reshape(cells, (2, 2, *book.shape)))


def _median_effect(i: int, cells: NDArray[np.float64]) -> NDArray[np.float64]:
    return contrasts(np.median(cells, -1))[i]


def _accuracies(comparison: Comparison, stage: str) -> tuple[NDArray[np.float64], list[int]]:
    """Return test accuracy after the last epoch [2, 2, R], of the seeds that all cells have."""
    found = {
        (cell(run), run["seed"]): run["test_accuracy"][-1]
        for run in comparison["runs"]
        if run["stage"] == stage
    }
    seeds = sorted({seed for _, seed in found})
    seeds = [seed for seed in seeds if all((which, seed) in found for which in CELLS)]
    cells = [[[found[(a, p), seed] for seed in seeds] for p in POOLS] for a in ACTIVATIONS]
    return np.array(cells, np.float64), seeds


def _collapsed(comparison: Comparison, seeds: Sequence[int]) -> NDArray[np.bool_]:
    found = {
        (cell(run), run["seed"]): run["collapsed"]
        for run in comparison["runs"]
        if run["stage"] == "final"
    }
    return np.array([[[found[(a, p), seed] for seed in seeds] for p in POOLS] for a in ACTIVATIONS])


def _networks(comparison: Comparison) -> list[Network]:
    last = comparison["design"]["epochs"]
    finals = [runs_of(comparison, "final", which) for which in CELLS]
    networks = [_network(runs, last) for runs in (runs_of(comparison, "book", CELLS[0]), *finals)]
    first, epochs = finals[0], [[_reached(run) for run in runs] for runs in finals]
    ps = holm([survival.logrank(each, epochs[0], last) for each in epochs[1:]])
    for i, (runs, p) in enumerate(zip(finals[1:], ps, strict=True), start=2):
        shares = [(sum(run["collapsed"] for run in each), len(each)) for each in (runs, first)]
        networks[i] = networks[i]._replace(
            collapse_difference=newcombe(shares[0], shares[1]),
            better=_better(runs, first),
            logrank=p,
        )
    return networks


def _network(runs: Sequence[Run], last: int) -> Network:
    ends = [run["test_accuracy"][-1] for run in runs]
    epochs = [_reached(run) for run in runs]
    return Network(
        cell=cell(runs[0]),
        rate=runs[0]["lr"],
        n=len(runs),
        collapsed=wilson(sum(run["collapsed"] for run in runs), len(runs)),
        median=bca(ends, lambda y: np.median(y, -1))[0],
        epochs=survival.median(epochs, last),
        reached=int(np.isfinite(epochs).sum()),
    )


def _reached(run: Run) -> float:
    return survival.first_epoch(run["test_accuracy"], LEVEL)


def _better(runs: Sequence[Run], others: Sequence[Run]) -> Interval | None:
    """Return the share of seeds with which the first network is more accurate than the second."""
    theirs = {run["seed"]: run["test_accuracy"][-1] for run in others}
    gains = [run["test_accuracy"][-1] - theirs[run["seed"]] for run in runs]
    higher, n, _ = _sign_test(np.array(gains))
    return wilson(higher, n) if n else None


def _pairing(comparison: Comparison) -> tuple[dict[str, Interval], int]:
    """Take the book's own pairing apart: whole = rate + activation + pool, exactly."""
    final, seeds = _accuracies(comparison, "final")
    book = {r["seed"]: r["test_accuracy"][-1] for r in runs_of(comparison, "book", CELLS[0])}
    both = [i for i, seed in enumerate(seeds) if seed in book]
    values = np.stack([[book[seeds[i]] for i in both], *final[..., both].reshape(4, -1)])
    found = {name: bca(values, partial(_part, part))[0] for name, part in PARTS.items()}
    return found, len(both)


def _bridge(comparison: Comparison) -> tuple[dict[str, Interval], int]:
    """Return the effects in the book's batches minus those in the design's, with the same seeds."""
    final, seeds = _accuracies(comparison, "final")
    other, shared = _accuracies(comparison, "bridge")
    if len(shared) < 2:
        return {}, 0
    values = np.stack([final[..., [seeds.index(seed) for seed in shared]], other])
    found = {name: bca(values, partial(_change, i))[0] for i, name in enumerate(EFFECTS)}
    return found, len(shared)


def _retuned(comparison: Comparison) -> tuple[dict[str, Interval], dict[Cell, float]]:
    """Return the effects of tuned networks: tuning seeds and final seeds are both resampled."""
    rng, chosen = np.random.default_rng(0), tuned_rates(comparison)
    seeds = {
        stage: sorted({run["seed"] for run in comparison["runs"] if run["stage"] == stage})
        for stage in ("tuning", "refining", "final")
    }
    tried = {which: _by_rate(comparison, which, ("tuning", "refining")) for which in CELLS}
    ended = {which: _by_rate(comparison, which, ("final", "neighbours")) for which in CELLS}
    found, same = np.empty((RETUNED, len(EFFECTS))), dict.fromkeys(CELLS, 0)
    for i in range(RETUNED):
        drawn = {stage: rng.choice(some, len(some)) for stage, some in seeds.items()}
        medians = []
        for which in CELLS:
            again = [
                by_seed[seed]
                for by_seed in tried[which].values()
                for stage in ("tuning", "refining")
                for seed in drawn[stage]
                if seed in by_seed
            ]
            rate = tuning.choose(tuning.record_of(again, which))
            same[which] += rate == chosen[which]
            ends = ended[which][min(ended[which], key=lambda lr: abs(np.log(lr / rate)))]
            few = len(ends) < len(drawn["final"])
            own = rng.choice(sorted(ends), len(ends)) if few else drawn["final"]
            medians.append(statistics.median([ends[seed]["test_accuracy"][-1] for seed in own]))
        found[i] = contrasts(np.reshape(medians, (2, 2)))
    tails = [0.025 / len(EFFECTS), 1 - 0.025 / len(EFFECTS)]
    estimate = contrasts(np.median(_accuracies(comparison, "final")[0], -1))
    intervals = {
        name: Interval(float(estimate[i]), *map(float, np.quantile(found[:, i], tails)))
        for i, name in enumerate(EFFECTS)
    }
    return intervals, {which: count / RETUNED for which, count in same.items()}


def _neighbours(comparison: Comparison) -> list[Neighbour]:
    """Return the rates beside the chosen ones, over the seeds that both have."""
    found = []
    for which, chosen in tuned_rates(comparison).items():
        final = _by_rate(comparison, which, ("final",))[chosen]
        for rate, beside in sorted(_by_rate(comparison, which, ("neighbours",)).items()):
            if not (shared := sorted(beside.keys() & final.keys())):
                continue
            ends, before = (
                np.array([runs[seed]["test_accuracy"][-1] for seed in shared])
                for runs in (beside, final)
            )
            medians = float(np.median(ends) - np.median(before))
            collapsed = sum(beside[seed]["collapsed"] for seed in shared)
            better = int((ends > before).sum())
            found.append(Neighbour(which, chosen, rate, len(shared), medians, better, collapsed))
    return found


def _by_rate(
    comparison: Comparison, which: Cell, stages: tuple[str, ...]
) -> dict[float, dict[int, Run]]:
    """Return the runs of a cell in some stages, by learning rate and seed."""
    found: dict[float, dict[int, Run]] = {}
    for stage in stages:
        for run in runs_of(comparison, stage, which):
            found.setdefault(run["lr"], {})[run["seed"]] = run
    return found


def _edges(comparison: Comparison) -> dict[Cell, str]:
    grids = comparison["design"]["rates"]
    ends = {
        which: {min(grids[which[0]]): "low", max(grids[which[0]]): "high"}.get(rate)
        for which, rate in tuned_rates(comparison).items()
    }
    return {which: end for which, end in ends.items() if end}
