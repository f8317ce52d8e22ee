"""Replays of early stopping: what a rule would have done to settings whose ends are known."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lenet.analysis import replay
from lenet.search.rules import RULES, Rule

EPOCHS = 10


def curves(seed: int, trials: int, epochs: int = EPOCHS) -> np.ndarray:
    return np.random.default_rng(seed).random((trials, epochs))


def by_hand(values: np.ndarray, rungs: tuple[int, ...]) -> list[int]:
    """Successive halving in rounds: of those at a rung, the better half goes on."""
    left, reached = list(range(len(values))), [rungs[0]] * len(values)
    for rung, after in itertools.pairwise(rungs):
        left = sorted(left, key=lambda trial: (-values[trial, rung - 1], trial))
        left = left[: max(len(left) // 2, 1)]
        for trial in left:
            reached[trial] = after
    return reached


@given(st.integers(0, 99), st.integers(1, 40), st.integers(1, 9), st.integers(1, 4))
@settings(max_examples=40)
def test_halving_in_rounds_is_what_the_rule_replays(seed, trials, workers, least):
    rule = Rule("halving", 2, least, EPOCHS)
    values = curves(seed, trials)
    found = replay.replay(rule, values, workers)
    assert found.reached == by_hand(values, rule.rungs)


@given(st.sampled_from(RULES), st.integers(0, 99), st.integers(1, 40), st.integers(1, 9))
@settings(max_examples=40)
def test_every_rule_ends_and_selects_the_best_of_those_that_it_trained_to_the_end(
    name, seed, trials, workers
):
    rule, values = Rule(name, 2, 1, EPOCHS), curves(seed, trials)
    found = replay.replay(rule, values, workers)
    assert set(found.reached) <= set(rule.rungs)
    ended = [trial for trial, epochs in enumerate(found.reached) if epochs == EPOCHS]
    assert values[found.selected, -1] == max(values[trial, -1] for trial in ended)
    judged = replay.judge(found, values, 0.15)
    assert judged.stopped == trials - len(ended)
    assert judged.lost == (values[:, -1].argmax() not in ended)
    assert judged.regret >= 0
    assert (judged.regret > 0) == judged.lost
    assert judged.spent == pytest.approx(sum(found.reached) / values.size)
    if name == "none":
        assert (judged.spent, judged.lost, judged.wrongly) == (1, False, 0)


def test_a_late_winner_is_stopped_at_chance_level_and_counted():
    values = np.array([[0.1, 0.1, 0.9], [0.5, 0.6, 0.6], [0.3, 0.3, 0.7], [0.2, 0.2, 0.2]])
    found = replay.replay(Rule("halving", 2, 1, 3), values, 2)
    assert found.reached == [1, 3, 2, 1]
    judged = replay.judge(found, values, 0.15)
    assert judged.lost
    assert judged.at_chance
    assert judged.stopped == 3
    assert judged.wrongly == 2  # 0.9 and 0.7 are above 0.6
    assert judged.regret == pytest.approx(0.3)
    assert judged.best_stopped == 1
    assert not replay.judge(found, values, 0.05).at_chance
    summed = replay.summary([judged, judged])
    assert summed["lost"] == summed["at_chance"] == 2
    assert summed["wrongly"] == pytest.approx(2 / 3)
