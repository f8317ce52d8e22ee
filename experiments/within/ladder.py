"""From LeNet-5 of 1998 to the book's LeNet, one change at a time: what each change does.

Estimand: of each change, the difference of median test accuracy after ten epochs on Fashion-MNIST,
each network at its own learning rate.

A rate is chosen for each network on held-out training images, by mean accuracy over seeds of the
choice; its networks are then trained on all training images with fresh seeds. A change raises or
lowers accuracy if an exact rank test of its two networks' runs (Mann and Whitney, two-sided) says
so at 5% after Holm's correction over the changes; otherwise it stays open. Before the runs an
interval of the mean of paired differences was to decide. Some runs ended at chance level, and a
mean of two kinds of runs describes neither: the ranks came afterwards. Both decide alike.
"""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from experiments.within.chunks import chunks
from lenet.analysis.stats import holm
from lenet.config import Config, LeNet5
from lenet.data import Data
from lenet.data.splits import blind, hold_out
from lenet.engine import chance
from lenet.figures import groups
from lenet.figures.vega import Chart
from lenet.language import Message, listed, mark, message

CHANGES: dict[str, dict[str, str]] = {
    "1998": {},
    "output": {"output": "dense"},
    "connections": {"connections": "full"},
    "pool": {"pool": "avg"},
    "squashing": {"squashing": "tanh"},
    "sigmoid": {"squashing": "sigmoid"},
    "pixels": {"pixels": "plain"},
    "weights": {"weights": "book"},
}
"""By name, in order: each network has the changes up to its own. The last is the book's LeNet."""
NAMES = {
    "1998": mark("LeNet-5 of 1998"),
    "output": mark("a dense layer in place of radial basis functions"),
    "connections": mark("C3 sees all maps of S2"),
    "pool": mark("average pooling in place of trainable subsampling"),
    "squashing": mark("tanh without its scale"),
    "sigmoid": mark("sigmoid"),
    "pixels": mark("pixels from 0 to 1"),
    "weights": mark("the book's initial weights (now it is the book's LeNet)"),
}


class Design(NamedTuple):
    """Networks, rates and seeds that nothing else uses."""

    rates: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
    held_out: int = 10_000
    tuning_seeds: int = 2
    seeds: int = 8
    first_seed: int = 6_600_000
    epochs: int = 10
    batch_size: int = 256


def network(name: str) -> LeNet5:
    """Return the settings of the network with the changes up to `name`."""
    names = list(CHANGES)
    changed: dict[str, str] = {}
    for each in names[: names.index(name) + 1]:
        changed |= CHANGES[each]
    return LeNet5(**changed)


def measure(data: Data, design: Design) -> dict[str, Any]:
    """Return the accuracy of each rate on held-out images, and of the chosen one on test images.

    Returns:
      `networks`, by name of CHANGES: `tuning`, on held-out images [rates, seeds]; `rate`, the
      chosen one; `test` [seeds].
    """
    held = blind(hold_out(data, design.held_out))
    found = {}
    for name in CHANGES:
        first = design.first_seed
        seeds = range(first, first + design.tuning_seeds)
        runs = [(lr, seed) for lr in design.rates for seed in seeds]
        shares = _accuracies(name, runs, held, design).reshape(len(design.rates), -1)
        rate = design.rates[best(shares)]
        fresh = range(seeds.stop, seeds.stop + design.seeds)
        test = _accuracies(name, [(rate, seed) for seed in fresh], data, design)
        found[name] = {"tuning": shares.tolist(), "rate": rate, "test": test.tolist()}
    return {"networks": found}


def best(shares: NDArray[np.float64]) -> int:
    """Return which rate has the highest mean accuracy, [rates, seeds]; the lowest of equal ones."""
    return int(shares.mean(1).argmax())


def _accuracies(
    name: str, runs: Sequence[tuple[float, int]], data: Data, design: Design
) -> NDArray[np.float64]:
    """Train runs of (rate, seed); return their accuracy on the test images of `data`."""
    configs = [
        Config(
            network(name),
            dataset=data.name,
            lr=lr,
            seed=seed,
            epochs=design.epochs,
            batch_size=design.batch_size,
            valid=0 if data.valid is None else len(data.valid.labels),
        )
        for lr, seed in runs
    ]
    right = [chunk.evaluate(chunk.train(design.epochs))[0] for chunk in chunks(configs, data)]
    return np.concatenate(right) / len(data.test.labels)


SIDES = {
    "higher": mark("Raises test accuracy: {names}."),
    "lower": mark("Lowers test accuracy: {names}."),
    "open": mark("No effect on test accuracy was detected: {names}."),
}
AT_EDGE = mark(
    "The chosen rate is the highest or the lowest that was tried, so a better one may lie beyond: "
    "{names}."
)
DECIDED = 0.05
"""Adjusted p-value below which a change is said to do something."""


class Change(NamedTuple):
    """What a change does to test accuracy."""

    medians: float  # their difference
    p: float  # of the exact rank test, Holm's over the changes
    side: str  # a key of SIDES


def said(record: dict[str, Any]) -> list[Message]:
    """Return what the changes do, in words."""
    found = changes(record)
    groups = {
        text: [name for name, change in found.items() if change.side == side]
        for side, text in SIDES.items()
    }
    ends = (record["design"]["rates"][0], record["design"]["rates"][-1])
    groups[AT_EDGE] = [name for name in CHANGES if record["networks"][name]["rate"] in ends]
    return [
        message(text, names=listed([message(NAMES[name]) for name in names]))
        for text, names in groups.items()
        if names
    ]


def changes(record: dict[str, Any]) -> dict[str, Change]:
    """Return what each change does to test accuracy."""
    pairs = list(itertools.pairwise(accuracies(record, name) for name in CHANGES))
    medians = [float(np.median(after) - np.median(before)) for before, after in pairs]
    every = scipy.stats.PermutationMethod(n_resamples=np.inf)  # exact with ties, too
    tests = [scipy.stats.mannwhitneyu(after, before, method=every) for before, after in pairs]
    found = {}
    for name, median, test, p in zip(
        [*CHANGES][1:], medians, tests, holm([test.pvalue for test in tests]), strict=True
    ):
        higher = test.statistic > np.prod([len(each) for each in pairs[0]]) / 2
        side = "open" if p >= DECIDED else "higher" if higher else "lower"
        found[name] = Change(median, p, side)
    return found


def accuracies(record: dict[str, Any], name: str) -> NDArray[np.float64]:
    """Return the test accuracies of a network, in the order of the seeds."""
    return np.array(record["networks"][name]["test"])


def table(record: dict[str, Any]) -> tuple[list[str | Message], list[list[Any]]]:
    """Return heads and rows: each network, its rate, its accuracies, and what its change did."""
    heads: list[str | Message] = [
        mark("the network before, changed"),
        mark("learning rate"),
        mark("median test accuracy (lowest, highest)"),
        mark("change of the median"),
        mark("p (rank test, Holm)"),
        message("runs with an accuracy of at most {most}", most=0.15),
    ]
    found = changes(record)
    rows: list[list[Any]] = []
    for name in CHANGES:
        test = accuracies(record, name)
        change = found.get(name)
        rows.append(
            [
                NAMES[name],
                f"{record['networks'][name]['rate']:g}",
                f"{np.median(test):.4f} ({test.min():.4f}, {test.max():.4f})",
                f"{change.medians:+.4f}".replace("-", "−") if change else "",
                f"{change.p:.2g}" if change else "",
                f"{sum(chance.at_level(each, 10) for each in test.tolist())} / {len(test)}",
            ]
        )
    return heads, rows


def charts(record: dict[str, Any]) -> list[Chart]:
    """Return the test accuracies of each network, with their means."""
    design = record["design"]
    first = design["first_seed"] + design["tuning_seeds"]
    runs = {name: list(enumerate(accuracies(record, name), first)) for name in CHANGES}
    names = {name: [message(NAMES[name])] for name in CHANGES}
    return [
        groups.intervals(runs, groups.Labels("test_accuracy", ["network"], names, centre="median"))
    ]
