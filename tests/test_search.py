"""Spaces, proposals, the ledger of a search, and its trials in this process."""

import dataclasses
import functools
import itertools
import json
import math

import jax
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_searched import marked

from lenet import data as datasets
from lenet import runs, train
from lenet.config import Config
from lenet.data import synthetic
from lenet.data.splits import blind
from lenet.errors import RecordError, UsageError
from lenet.records import checkpoint
from lenet.search import Leg, Mark, Plan, Range, Rule, Trial, ledger, plan, proposals, space

TINY = Config(
    **{"dataset": "synthetic", "channels": (2, 3), "hidden": (8,), "batch_size": 64},
    **{"activation": "relu", "pool": "max", "valid": 50, "epochs": 4},
)
RATES = {"lr": Range(0.01, 0.5, True, False)}


@pytest.fixture(scope="module")
def held():
    return datasets.hold_out(synthetic.make(300, 60), 50)


def planned(trials=4, *, rule="halving", sampler="random", seeds=1, axes=RATES, epochs=4):
    base = dataclasses.replace(TINY, epochs=epochs)
    return Plan(base, axes, trials, seeds, Rule(rule, 2, 1, epochs), sampler, 0, 0.1)


def searched(a_plan, data, run_dir, *, leave=math.inf):
    """Search until the ledger has got longer so many times; return the trials without times."""
    run_dir.mkdir(exist_ok=True)
    ends, count, ahead = 0, 0, 0
    for news in runs.search(a_plan, data, run_dir):
        done, before = sum(trial.epochs for trial in news.trials), ends
        assert news.epochs >= done
        ahead = max(ahead, news.epochs - done)
        ends = sum(trial.epochs + len(trial.runs) for trial in news.trials)
        count += ends > before
        if count == leave:
            break
    assert ahead > 0 or not count  # rows come before the end of their leg
    return timeless(ledger.read(run_dir / ledger.LEDGER))


def timeless(trials):
    return [
        (
            trial.setting,
            {
                seed: ([mark._replace(seconds=0.0) for mark in run.marks], run.diverged)
                for seed, run in trial.runs.items()
            },
        )
        for trial in trials
    ]


def test_a_promoted_run_is_bitwise_the_run_alone(held, tmp_path):
    search = planned()
    trials = searched(search, held, tmp_path)
    (best,) = (number for number, (_, found) in enumerate(trials) if len(found[0][0]) == 4)
    stopped = [len(found[0][0]) for _, found in trials]
    assert sorted(stopped) == [1, 1, 2, 4]
    config = search.config(trials[best][0], 0)
    *_, (_, state) = train.fit(train.start(config, blind(held)))
    (path,) = (tmp_path / "states").glob(f"{best:05d}-*")
    saved = checkpoint.load(path)
    assert saved.epoch == 4
    jax.tree.map(np.testing.assert_array_equal, saved.state, state)


def test_hyperband_stops_in_each_bracket_by_its_own_rungs(held, tmp_path):
    """Of 10 settings: 4 are compared from epoch 1, 3 from epoch 2, 3 are never stopped."""
    search = planned(10, rule="hyperband")
    trials = searched(search, held, tmp_path)
    lengths = [len(found[0][0]) for _, found in trials]
    brackets = lengths[:4], lengths[4:7], lengths[7:]
    assert [sorted(each) for each in brackets] == [[1, 1, 2, 4], [2, 2, 4], [4, 4, 4]]
    best = max(range(4), key=lambda trial: trials[trial][1][0][0][0].valid_accuracy)
    assert lengths[best] > 1
    longest = max(range(4, 7), key=lengths.__getitem__)
    *_, (row, _) = train.fit(train.start(search.config(trials[longest][0], 0), blind(held)))
    assert row.valid_accuracy == trials[longest][1][0][0][-1].valid_accuracy


def test_the_search_sees_no_test_image(held):
    seen = blind(held)
    assert seen.test is held.valid
    assert seen.train is held.train


@pytest.mark.parametrize(
    "sampler",
    ["tpe", *(pytest.param(name, marks=pytest.mark.slow) for name in ("random", "sobol"))],
)
def test_a_search_that_is_left_anywhere_continues_to_the_same_trials(sampler, held, tmp_path):
    search = planned(13, rule="asha", sampler=sampler, epochs=2)
    whole = searched(search, held, tmp_path / "whole")
    for leave in (2, 9, 3):  # again and again
        searched(search, held, tmp_path / "left", leave=leave)
    assert searched(search, held, tmp_path / "left") == whole


def make(schedule):
    """An optimizer of the user's: sgd with momentum."""
    return optax.chain(optax.trace(0.5), optax.scale_by_learning_rate(schedule))


@pytest.mark.slow
def test_a_search_of_own_optimizers_continues_from_their_states(held, tmp_path):
    axes = {**RATES, "optimizer": ("sgd", "test_search:make")}
    search = dataclasses.replace(planned(6, axes=axes), code={"test_search:make": make})
    whole = searched(search, held, tmp_path / "whole")
    furthest = max(whole, key=lambda trial: len(trial[1][0][0]))
    assert {setting["optimizer"] for setting, _ in whole} == {"sgd", "test_search:make"}
    for leave in (2, 3, 2):
        searched(search, held, tmp_path / "left", leave=leave)
    assert searched(search, held, tmp_path / "left") == whole
    own = next(trial for trial in whole if trial[0]["optimizer"] == "test_search:make")
    epochs = train.fit(train.start(search.config(own[0], 0), blind(held)))
    *_, (row, _) = itertools.islice(epochs, len(own[1][0][0]))
    assert row.valid_accuracy == own[1][0][0][-1].valid_accuracy
    assert len(furthest[1][0][0]) == 4


@pytest.mark.slow
def test_a_torn_line_is_trained_again(held, tmp_path):
    search = planned(2, rule="none", epochs=1)
    whole = searched(search, held, tmp_path / "whole")
    searched(search, held, tmp_path / "torn")
    path = tmp_path / "torn" / ledger.LEDGER
    path.write_bytes(path.read_bytes()[:-20])
    assert searched(search, held, tmp_path / "torn") == whole


def test_close_settings_get_more_seeds(held, tmp_path):
    near = {"lr": Range(0.1, 0.11, False, False)}
    search = planned(2, rule="none", seeds=2, axes=near, epochs=1)
    trials = searched(search, held, tmp_path)
    assert [len(found) for _, found in trials] == [8, 8]
    assert [search.config({}, seed).seed for seed in range(3)] == [0, 1, 2]


def test_the_epochs_of_more_seeds_count_once_all_settings_are_decided():
    search = planned(3, rule="none", seeds=2)
    close = [marked(0, 0.9, 0.8), marked(1, 0.9, 0.8), marked(2, 0.1, 0.1)]
    assert search.epochs([]) == search.epochs(close[:2]) == 3 * 2 * 4
    assert search.epochs([*close[:2], marked(2, 0.1)]) == 3 * 2 * 4  # its second seed is missing
    assert search.epochs(close) == (3 * 2 + 2 * 2) * 4  # four seeds for the two that are close
    close[0] = marked(0, 0.9, 0.8, 0.9)
    assert search.epochs(close) == (3 * 2 + 2 * 2) * 4
    apart = [marked(0, 0.9, 0.9, 0.9, 0.9), marked(1, 0.8, 0.85, 0.8, 0.8), close[2]]
    assert search.epochs(apart) == (3 * 2 + 2 * 2) * 4  # as many as they were trained for


@pytest.mark.slow
def test_a_setting_that_cannot_be_trained_is_one_that_failed(held, tmp_path):
    sizes = {"kernel_size": (3, 5, 20)}
    search = planned(3, rule="none", axes=sizes, epochs=1)
    trials = searched(search, held, tmp_path)
    reasons = {setting["kernel_size"]: found[0][1] for setting, found in trials}
    assert reasons[3] is None
    assert "impossible: " in reasons[20]


def test_a_setting_that_diverged_is_never_promoted_before_another():
    """Also before one that is below chance level, where the diverged one counts."""
    search = planned(2, rule="halving")
    trials = [marked(0, 0.9, diverged="at step 3", until=0), marked(1, 0.05, until=1)]
    assert search.targets(trials, {0: 0, 1: 1})[1] == 2


@pytest.mark.slow
def test_a_setting_that_cannot_be_trained_gets_no_more_seeds(held, tmp_path):
    """Though the best of two seeds is not clearly above chance level."""
    axes = {"kernel_size": (3, 20)}
    search = planned(2, rule="none", seeds=2, axes=axes, epochs=1)
    trials = searched(search, held, tmp_path)
    assert sorted(len(found) for _, found in trials) == [2, 2]


def test_the_ledger_refuses_what_does_not_follow(tmp_path):
    path = tmp_path / ledger.LEDGER
    first = Trial(0, {"lr": 0.1, "channels": [6, 16]})
    legs = [Leg(0, 0, (Mark(n, 2.3, 2.3, 0.1, 50, 1.0),), None) for n in (1, 3)]
    ledger.append(path, [first, legs[0]])
    assert ledger.read(path)[0].value(1, 1, 0.1) == 0.1
    ledger.append(path, legs[1:])
    with pytest.raises(RecordError, match=r"line 3: .*epochs \[3\] of trial 0, expected 2"):
        ledger.read(path)
    path.write_text(json.dumps({"trial": 1, "setting": {}}) + "\n")
    with pytest.raises(RecordError, match=r"line 1: .*trial 1, expected 0"):
        ledger.read(path)


def trials_of(axes, sampler, count, values=lambda setting: 0.5):
    """Propose one setting after another, each trained at once."""
    found, attributes = [], {}
    for _ in range(count):
        seen = [{1: values(trial.setting)} for trial in found]
        done = [True] * len(found)
        found.append(proposals.propose(axes, sampler, 0, found, seen, done, attributes))
    return found


EVERY = {
    "lr": Range(0.01, 1.0, True, False),
    "batch_size": Range(32, 256, False, True),
    "optimizer": ("sgd", "adam"),
    "channels": ((2, 3), (6, 16)),
}


@pytest.mark.parametrize("sampler", proposals.SAMPLERS)
def test_proposals_lie_in_the_space_and_differ(sampler):
    if sampler == "gp":
        pytest.importorskip("torch")
    found = trials_of(EVERY, sampler, 13)
    assert len({space.key(trial.setting) for trial in found}) == 13
    for trial in found:
        assert 0.01 <= trial.setting["lr"] <= 1
        assert type(trial.setting["batch_size"]) is int
        assert trial.setting["optimizer"] in ("sgd", "adam")
        assert trial.setting["channels"] in ((2, 3), (6, 16))


def test_a_batch_proposed_at_once_differs():
    found, attributes = trials_of(RATES, "tpe", 12), {}
    waiting = list(found)
    for _ in range(8):
        seen = [{1: 0.5}] * 12 + [{}] * (len(waiting) - 12)
        new = proposals.propose(RATES, "tpe", 0, waiting, seen, [True] * len(seen), attributes)
        waiting.append(new)
    assert len({trial.setting["lr"] for trial in waiting}) == 20


def test_a_small_space_is_searched_whole():
    few = {"pool": ("avg", "max"), "kernel_size": Range(3, 4, False, True)}
    assert space.size(few) == 4
    assert len({space.key(trial.setting) for trial in trials_of(few, "tpe", 4)}) == 4


def test_tpe_and_cmaes_find_a_peak_better_than_chance():
    peak = functools.partial(lambda setting: -abs(math.log(setting["lr"] / 0.1)))
    mean = {
        sampler: np.mean([peak(t.setting) for t in trials_of(RATES, sampler, 40, peak)[20:]])
        for sampler in ("random", "tpe", "cmaes")
    }
    assert mean["tpe"] > mean["random"] + 0.2
    assert mean["cmaes"] > mean["random"] + 0.2


@pytest.mark.filterwarnings("ignore:QMCSampler is experimental")
def test_sobol_is_the_sequence_of_optuna():
    import optuna

    sampler = optuna.samplers.QMCSampler(seed=0, scramble=True)
    study = optuna.create_study(sampler=sampler)
    study.add_trial(proposals.frozen(RATES, Trial(0, {"lr": 0.1}), {1: 0.5}, True))
    axes = {"lr": proposals._distribution(RATES["lr"])}
    expected = [study.ask(axes).params["lr"] for _ in range(5)]
    found = trials_of(RATES, "sobol", 5)[1:]
    assert [trial.setting["lr"] for trial in found] == pytest.approx(expected[1:], rel=1e-5)


def test_what_matters_is_what_decides():
    values = lambda setting: -abs(math.log(setting["lr"] / 0.1))  # noqa: E731
    trials = trials_of({**RATES, "momentum": Range(0.0, 0.9, False, False)}, "random", 40, values)
    axes = {**RATES, "momentum": Range(0.0, 0.9, False, False)}
    found = proposals.importances(axes, trials, [{1: values(t.setting)} for t in trials])
    assert sum(found.values()) == pytest.approx(1)
    assert found["lr"] > 0.8
    assert proposals.importances(axes, trials[:9], [{1: 0.5}] * 9) == {}


@pytest.mark.parametrize(
    ("text", "whole", "said"),
    [
        ("1..0.1", False, "lr=1..0.1: the lower end comes first: lr=0.1..1"),
        ("1..1", False, "two different ends; for one value write lr=1"),
        ("0..1:log", False, "a log range starts above 0, such as 0.01..1:log"),
        ("a..1", False, "expected a range of numbers"),
        ("0..inf", False, "both ends must be finite"),
        ("1.5..3", True, "expected a range of whole numbers"),
    ],
)
def test_a_range_that_is_none_is_named(text, whole, said):
    with pytest.raises(UsageError) as raised:
        space.parse("lr", text, whole=whole)
    assert said in str(raised.value)


@given(st.floats(1e-6, 1e6), st.floats(1.001, 1e6), st.booleans(), st.floats(0, 1))
def test_numbers_stay_in_their_range(low, ratio, log, at):
    axis = Range(low, low * ratio, log, False)
    assert axis.low <= axis.number(low + at * (axis.high - low)) <= axis.high
    assert (axis.share(axis.low), axis.share(axis.high)) == (0, 1)


def test_a_plan_is_read_back():
    search = planned(axes=EVERY)
    written = plan.to_dict(search)
    assert json.loads(json.dumps(written)) == written
    assert plan.from_dict(written) == search
    with pytest.raises(ValueError, match="not the plan of a search"):
        plan.from_dict({"rule": {}})
