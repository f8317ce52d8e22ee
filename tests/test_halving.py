"""Successive halving: decisions as functions of recorded values."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lenet.errors import UsageError
from lenet.search import rules
from lenet.search.rules import Cohort, Rule

HALVING = [name for name in rules.RULES if name != "none"]


@st.composite
def searches(draw, names=HALVING):
    """A rule, its cohorts, and what a search may have recorded: a prefix of the rungs of each."""
    eta, most = draw(st.integers(2, 4)), draw(st.integers(1, 20))
    rule = Rule(draw(st.sampled_from(names)), eta, draw(st.integers(1, most)), most)
    cohorts = list(rules.cohorts(rule, draw(st.integers(1, 24))))
    accuracies = st.sampled_from([0.1, 0.5, 0.6, 0.7, 0.8, 0.9])  # ties are likely
    values = {}
    for trials, rungs in cohorts:
        for trial in trials:
            reached = draw(st.integers(0, len(rungs)))
            values[trial] = {rung: draw(accuracies) for rung in rungs[:reached]}
    begun = {trial: max(seen, default=0) for trial, seen in values.items()}
    return rule, cohorts, values, begun


def run(rule, trials, value):
    """Follow a rule to its end; yield (values, begun) after each decision."""
    cohorts = list(rules.cohorts(rule, trials))
    values, begun = {trial: {} for trial in range(trials)}, dict.fromkeys(range(trials), 0)
    while due := {
        trial: to
        for trial, to in rules.targets(rule, cohorts, values, begun).items()
        if to not in values[trial]
    }:
        for trial, to in due.items():
            values[trial][to], begun[trial] = value(trial, to), to
        yield values, begun


def test_four_settings_are_halved_by_hand():
    rule = Rule("halving", 2, 1, 4)
    cohorts = [Cohort(range(4), (1, 2, 4))]
    begun = dict.fromkeys(range(4), 1)
    seen = {0: {1: 0.3}, 1: {1: 0.9}, 2: {1: 0.5}}
    waits = rules.targets(rule, cohorts, seen, begun)
    assert waits == dict.fromkeys(range(4), 1)  # the fourth has not got there
    seen[3] = {1: 0.5}
    assert rules.targets(rule, cohorts, seen, begun) == {0: 1, 1: 2, 2: 2, 3: 1}  # ties: the first
    seen[1][2], seen[2][2] = 0.6, 0.7
    begun |= {1: 2, 2: 2}
    assert rules.targets(rule, cohorts, seen, begun) == {0: 1, 1: 2, 2: 4, 3: 1}


def test_asha_promotes_without_waiting_by_hand():
    rule = Rule("asha", 2, 1, 4)
    cohorts = [Cohort(range(4), (1, 2, 4))]
    seen, begun = {0: {1: 0.3}}, {0: 1, 1: 1, 2: 1, 3: 1}
    assert rules.targets(rule, cohorts, seen, begun)[0] == 1  # half of one is none
    seen[1] = {1: 0.2}
    assert rules.targets(rule, cohorts, seen, begun) == {0: 2, 1: 1, 2: 1, 3: 1}
    begun[0] = 2
    seen[2] = {1: 0.9}  # better, but 1 of 3 has been promoted
    assert rules.targets(rule, cohorts, seen, begun)[2] == 1
    seen[3] = {1: 0.1}
    assert rules.targets(rule, cohorts, seen, begun) == {0: 2, 1: 1, 2: 2, 3: 1}


@given(searches())
def test_no_more_than_one_in_eta_is_promoted(search):
    rule, cohorts, values, begun = search
    targets = rules.targets(rule, cohorts, values, begun)
    for trials, rungs in cohorts:
        for rung, after in itertools.pairwise(rungs):
            here = [trial for trial in trials if rung in values[trial]]
            before = [trial for trial in here if begun[trial] > rung]
            ahead = [trial for trial in here if targets.get(trial, 0) >= after]
            most = rules.promotions(len(here), rule.eta, len(here) == len(trials))
            assert len(ahead) <= max(most, len(before), 1 if len(here) < len(trials) else 0)
            for trial in set(ahead) - set(before):  # better than all that stay
                stay = [values[x][rung] for x in here if x not in ahead]
                assert all(values[trial][rung] >= value for value in stay)


@given(st.data())
def test_a_better_value_never_stops_a_setting(data):
    rule, cohorts, values, begun = data.draw(searches())
    targets = rules.targets(rule, cohorts, values, begun)
    trial = data.draw(st.sampled_from(sorted(values)))
    if not values[trial]:
        return
    better = {**values, trial: {**values[trial], max(values[trial]): 0.95}}
    assert rules.targets(rule, cohorts, better, begun)[trial] >= targets[trial]


@given(
    st.sampled_from(HALVING),
    st.integers(1, 40),
    st.integers(2, 4),
    st.randoms(use_true_random=False),
)
def test_a_search_ends_with_a_setting_at_the_last_rung_within_its_budget(name, trials, eta, random):
    rule = Rule(name, eta, 1, 9)
    *_, (values, _) = run(rule, trials, lambda trial, rung: random.random())
    assert any(9 in seen for seen in values.values())
    spent = sum(max(seen) for seen in values.values())
    assert spent <= rules.epochs(rule, trials)
    if not rule.asynchronous:
        assert spent == rules.epochs(rule, trials)
    for cohort in rules.cohorts(rule, trials):
        for rung, after in itertools.pairwise(cohort.rungs):
            here, there = (sum(x in values[t] for t in cohort.trials) for x in (rung, after))
            assert there <= rules.promotions(here, eta, True)


@given(st.integers(1, 30), st.integers(2, 3))
def test_where_the_order_never_changes_the_best_setting_wins(trials, eta):
    for name in HALVING:
        *_, (values, _) = run(Rule(name, eta, 1, 9), trials, lambda trial, rung: trial / trials)
        if name != "asha":  # a late setting may find its place taken
            assert 9 in values[trials - 1]


@given(st.integers(1, 60), st.integers(2, 4))
def test_every_trial_is_in_one_cohort(trials, eta):
    for name in rules.RULES:
        cohorts = list(rules.cohorts(Rule(name, eta, 1, 27), trials))
        assert [trial for cohort in cohorts for trial in cohort.trials] == [*range(trials)]
        assert all(cohort.rungs[-1] == 27 for cohort in cohorts)


def test_settings_that_do_not_differ_clearly_are_contenders():
    ends = {0: [0.80, 0.90], 1: [0.81, 0.90], 2: [0.10, 0.20], 3: [0.80, 0.91]}
    assert rules.contenders(ends) == [1, 3, 0]
    assert rules.contenders({0: [0.9, 0.9], 1: [0.8, 0.8]}) == [0]


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        (Rule("asha", 1, 1, 10), "halving=1"),
        (Rule("halving", 2, 11, 10), "min_epochs=11"),
        (Rule("halving", 2, 0, 10), "min_epochs=0"),
    ],
)
def test_an_impossible_rule_is_named(rule, named):
    with pytest.raises(UsageError, match=named):
        rules.check(rule)
