"""When to stop a setting early: successive halving as pure functions of recorded values.

A rung is an epoch at which settings are compared. Of n settings that have reached a rung, at most
the best ⌊n/η⌋ are promoted: they continue to the next rung, from the state they were paused in.

synchronous   a rung is decided once all its settings have reached it (successive halving)
asynchronous  it is decided whenever a worker is free, over those that have reached it (ASHA)
hyperband     either, in brackets: some settings begin at higher rungs, for early values mislead

Unlike ASHA as published, where what has been promoted may exceed n/η while the order changes, no
more than ⌊n/η⌋ are promoted at any time. At least one setting reaches the last rung.
(Jamieson and Talwalkar 2016, arXiv 1502.07943; Li et al. 2018, arXiv 1603.06560 and 1810.05934.)
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import scipy

from lenet.errors import UsageError

RULES = ("none", "halving", "asha", "hyperband", "async_hyperband")
"""By name."""

Values = Mapping[int, Mapping[int, float]]
"""By trial and epoch: the validation accuracy, at rungs that the trial has reached."""


class Rule(NamedTuple):
    """A rule of early stopping."""

    name: str  # one of RULES
    eta: int  # one in so many is promoted
    least: int  # epochs of the first rung
    most: int  # epochs of the last

    @property
    def asynchronous(self) -> bool:
        """Whether a rung is decided before all its settings have reached it."""
        return self.name in ("asha", "async_hyperband")

    @property
    def rungs(self) -> tuple[int, ...]:
        """The epochs at which settings are compared; the last ends their training.

        >>> Rule("asha", 2, 2, 10).rungs, Rule("none", 2, 1, 10).rungs
        ((2, 4, 8, 10), (10,))
        """
        if self.name == "none":
            return (self.most,)
        below = itertools.takewhile(
            lambda epoch: epoch < self.most, (self.least * self.eta**k for k in itertools.count())
        )
        return (*below, self.most)


class Cohort(NamedTuple):
    """Trials that are compared with one another."""

    trials: range
    rungs: tuple[int, ...]


def check(rule: Rule) -> Rule:
    """Return a rule if its numbers are possible; raise a UsageError that names the wrong one."""
    if rule.name != "none" and rule.eta < 2:
        raise UsageError(f"halving={rule.eta}: must be at least 2, so that one in two continues")
    if rule.name != "none" and not 1 <= rule.least <= rule.most:
        raise UsageError(f"min_epochs={rule.least}: must be from 1 to epochs={rule.most}")
    return rule


def cohorts(rule: Rule, trials: int) -> Iterator[Cohort]:
    """Yield the cohorts of a search: one, or the brackets of Hyperband until all trials have one.

    Bracket s of Hyperband, from the one with most rungs, has ⌈(S + 1)/(s + 1) · ηˢ⌉ settings.

    >>> [(len(x.trials), x.rungs) for x in cohorts(Rule("hyperband", 3, 1, 9), 20)]
    [(9, (1, 3, 9)), (5, (3, 9)), (3, (9,)), (3, (1, 3, 9))]
    """
    last = len(rule.rungs) - 1
    sizes = [trials]
    if rule.name.endswith("hyperband"):
        sizes = [-(-(last + 1) * rule.eta**s // (s + 1)) for s in range(last, -1, -1)]
    begin = 0
    for bracket, size in itertools.cycle(enumerate(sizes)):
        if begin >= trials:
            return
        yield Cohort(range(begin, min(begin + size, trials)), rule.rungs[bracket:])
        begin += size


def targets(
    rule: Rule, cohorts: Sequence[Cohort], values: Values, begun: Mapping[int, int]
) -> dict[int, int]:
    """Return the epoch to which each trial is to be trained, of those that are to be trained.

    Args:
      rule: of the search.
      cohorts: of the search.
      values: of trials at rungs.
      begun: the epoch to which each trial has been trained, or is being trained.
    """
    found: dict[int, int] = {}
    for trials, rungs in cohorts:
        found |= dict.fromkeys((trial for trial in trials if trial in begun), rungs[0])
        members, decided = [*trials], True
        for rung, after in itertools.pairwise(rungs):
            here = {
                trial: values[trial][rung] for trial in members if rung in values.get(trial, {})
            }
            decided &= len(here) == len(members)
            ahead = [trial for trial in here if begun.get(trial, 0) > rung]
            chosen = []
            if decided or rule.asynchronous:
                room = promotions(len(here), rule.eta, decided) - len(ahead)
                rest = sorted(here.keys() - ahead, key=lambda trial: (-here[trial], trial))
                chosen = rest[: max(room, 0)]
            members = [*ahead, *chosen]
            found |= dict.fromkeys(members, after)
    return found


def epochs(rule: Rule, trials: int) -> int:
    """Return how many epochs a rule trains one seed of all trials for, at most.

    >>> epochs(Rule("halving", 2, 2, 10), 8), epochs(Rule("none", 2, 1, 10), 8)
    (34, 80)
    """
    total = 0
    for some, rungs in cohorts(rule, trials):
        left, before = len(some), 0
        for rung in rungs:
            total += left * (rung - before)
            left, before = promotions(left, rule.eta, True), rung
    return total


def promotions(reached: int, eta: int, decided: bool) -> int:
    """Return how many of the trials that reached a rung are promoted, at most.

    >>> [promotions(n, 2, False) for n in (1, 2, 5)], promotions(1, 2, True)
    ([0, 1, 2], 1)
    """
    return max(reached // eta, 1 if decided and reached else 0)


def contenders(ends: Mapping[int, Sequence[float]], most: int = 4) -> list[int]:
    """Return the trials that could be the best, by their accuracies of each seed at the end.

    They are the one with the best mean, and those from which it does not differ clearly: the 95%
    interval of the mean difference, paired by seed, contains 0. One trial: the best is known.

    Args:
      ends: [seeds] of each trial, at least 2 of each, the same seeds in the same order.
      most: of them, the best ones.
    """
    order = sorted(ends, key=lambda trial: (-math.fsum(ends[trial]) / len(ends[trial]), trial))
    best = np.asarray(ends[order[0]])
    close = [
        trial
        for trial in order[1:]
        if len(ends[trial]) == len(best) and not _clear(best - np.asarray(ends[trial]))
    ]
    return [order[0], *close][:most]


def _clear(differences: np.ndarray) -> bool:
    """Whether the 95% interval of a mean lies above 0."""
    n = len(differences)
    error = differences.std(ddof=1) / math.sqrt(n)
    return bool(differences.mean() > scipy.stats.t.ppf(0.975, n - 1) * error)
