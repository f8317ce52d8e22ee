"""Replay a rule of early stopping on runs that were all trained to the end.

Only then is it known what a stopped setting would have reached. The rule decides as in a search:
by `lenet.search.rules`, here with the time of an epoch as the unit and a number of workers.
"""

import heapq
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from lenet.search import rules
from lenet.search.rules import Rule


class Replay(NamedTuple):
    """What a rule did to settings whose curves are known."""

    reached: list[int]  # epochs that each setting was trained for
    selected: int  # of those that reached the last epoch, the best there


class Judged(NamedTuple):
    """How a replay compares with training every setting to the end."""

    spent: float  # share of all epochs
    regret: float  # how much more accurate the best setting would have been
    lost: bool  # whether the best setting was stopped
    at_chance: bool  # and was at chance level when it was stopped
    stopped: int  # settings
    wrongly: int  # of them, those that would have ended above the selected one
    best_stopped: float  # share of the best tenth of settings that was stopped


def replay(rule: Rule, curves: Float[np.ndarray, "T E"], workers: int = 4) -> Replay:
    """Return what a rule does when settings come in order and all epochs take as long.

    A free worker continues the setting that is due and furthest, otherwise it begins the next.

    Args:
      rule: with `most` = E.
      curves: validation accuracy of each setting after each epoch.
      workers: runs at a time.

    >>> found = replay(Rule("halving", 2, 1, 2), np.array([[0.1, 0.9], [0.2, 0.3]]), 1)
    >>> found.reached, found.selected
    ([1, 2], 1)
    """
    trials = len(curves)
    cohorts = [*rules.cohorts(rule, trials)]
    values: dict[int, dict[int, float]] = {}
    begun: dict[int, int] = {}
    running: list[tuple[int, int, int]] = []  # when it ends, trial, the epoch it is trained to
    done, now = dict.fromkeys(range(trials), 0), 0
    while True:
        while len(running) < workers:
            wanted = rules.targets(rule, cohorts, values, begun)
            due = [(-until, trial) for trial, until in wanted.items() if until > begun[trial]]
            if not due and len(begun) == trials:
                break
            if not due:
                begun[len(begun)] = 0
                continue
            until, trial = -min(due)[0], min(due)[1]
            heapq.heappush(running, (now + until - done[trial], trial, until))
            begun[trial] = until
        if not running:
            break
        now, trial, until = heapq.heappop(running)
        done[trial] = until
        values.setdefault(trial, {})[until] = float(curves[trial, until - 1])
    return of_reached([done[trial] for trial in range(trials)], curves)


def of_reached(reached: list[int], curves: Float[np.ndarray, "T E"]) -> Replay:
    """Return a replay by the epochs that each setting was trained for; at least one to the end."""
    ended = [trial for trial, epochs in enumerate(reached) if epochs == curves.shape[1]]
    return Replay(reached, max(ended, key=lambda trial: (curves[trial, -1], -trial)))


def judge(found: Replay, curves: Float[np.ndarray, "T E"], chance: float) -> Judged:
    """Return how a replay compares with training every setting to the end.

    Args:
      found: of `curves`.
      curves: as in `replay`.
      chance: an accuracy up to which a setting is at chance level.
    """
    ends, reached = curves[:, -1], np.array(found.reached)
    best, last = int(ends.argmax()), curves.shape[1]
    stopped = reached < last
    tenth = np.argsort(-ends, kind="stable")[: -(-len(ends) // 10)]
    lost = bool(stopped[best])
    return Judged(
        spent=float(reached.sum() / curves.size),
        regret=float(ends[best] - ends[found.selected]),
        lost=lost,
        at_chance=lost and bool(curves[best, reached[best] - 1] <= chance),
        stopped=int(stopped.sum()),
        wrongly=int((stopped & (ends > ends[found.selected])).sum()),
        best_stopped=float(stopped[tenth].mean()),
    )


def summary(judged: list[Judged]) -> Mapping[str, float]:
    """Return means over replays; of kills and of lost winners, shares of all of them."""
    spent, regret, lost, at_chance, stopped, wrongly, tenth = np.array(judged, np.float64).T
    return {
        "n": len(judged),
        "spent": float(spent.mean()),
        "regret": float(regret.mean()),
        "regret_95": float(np.quantile(regret, 0.95)),
        "lost": int(lost.sum()),
        "at_chance": int(at_chance.sum()),
        "wrongly": float(wrongly.sum() / max(stopped.sum(), 1)),
        "best_stopped": float(tenth.mean()),
    }
