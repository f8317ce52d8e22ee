"""What makes seeds differ: luck of the test images, the last batch; and the next run foretold."""

import itertools

import numpy as np
import pytest
import record_rows

from lenet.analysis import last_batch, luck, prediction
from lenet.analysis.summary import Sweep
from lenet.config import Config


def test_what_halves_share_is_the_mean_over_all_ways_to_halve():
    correct = np.random.default_rng(0).random((5, 6)) < 0.7
    shared = []
    for half in itertools.combinations(range(6), 3):
        other = [i for i in range(6) if i not in half]
        a, b = correct[:, half].mean(1), correct[:, other].mean(1)
        shared.append(np.cov(a, b)[0, 1])
    found = luck.spread(correct)
    assert found.networks == pytest.approx(np.mean(shared))
    assert found.variance == pytest.approx(correct.mean(1).var(ddof=1))


@pytest.mark.parametrize(("coins", "share"), [(0, 0.0), (1, 0.5), (9, 0.9)])
def test_the_share_of_the_networks_is_known_to_its_interval(coins, share):
    """Skills vary so many times as much as the hits of a coin over the images do."""
    rng, inside = np.random.default_rng(1), 0
    for _ in range(100):
        skill = np.clip(rng.normal(0.8, (coins * 0.8 * 0.2 / 1000) ** 0.5, (64, 1)), 0, 1)
        found = luck.spread(rng.random((64, 1000)) < skill).share
        inside += found.low < share < found.high
    assert inside >= 88


def sweep(axis: str, values: dict, seeds: int = 64) -> Sweep:
    """Runs whose accuracy is a normal number around a mean, of each value of a setting."""
    rng = np.random.default_rng(0)
    entries = []
    for value, (mean, sd) in values.items():
        for seed in range(seeds):
            row = record_rows.row(test_accuracy=float(rng.normal(mean, sd)))
            entries.append(record_rows.entry(len(entries), [row], **{axis: value}, seed=seed))
    return Sweep(entries, [axis], Config())


def test_the_last_step_s_share_of_the_variance_and_the_equality_of_the_others():
    placed = {"last": (0.80, 0.02), "drop": (0.82, 0.01), "first": (0.82, 0.01)}
    spread, same = last_batch.place(sweep("short_batch", placed))
    assert spread.text == last_batch.SPREAD
    assert spread.values["low"] < 0.75 < spread.values["high"]
    assert same.text == last_batch.SAME
    placed["first"] = (0.84, 0.01)
    assert last_batch.place(sweep("short_batch", placed))[1].text == last_batch.OTHER


def test_a_trend_is_found_where_there_is_one():
    sizes = {251: (0.72, 0.05), 254: (0.78, 0.03), 256: (0.80, 0.02), 250: (0.82, 0.01)}
    (found,) = last_batch.size(sweep("batch_size", sizes), 60_000)
    assert found.text == last_batch.TREND
    assert found.values["p"] < 1e-6
    flat = dict.fromkeys(sizes, (0.8, 0.02))
    (none,) = last_batch.size(sweep("batch_size", flat), 60_000)
    assert none.text == last_batch.NO_TREND


def test_the_next_run_lies_in_its_interval_as_often_as_it_says():
    rng, inside = np.random.default_rng(0), 0
    for _ in range(2000):
        *seen, new = rng.normal(0.7, 0.01, 9)
        low, high = prediction.of_a_run(seen)[1:]
        inside += low < new < high
    assert 0.935 < inside / 2000 < 0.965


def test_mean_and_spread_of_some_runs_lie_where_they_are_predicted():
    rng, inside = np.random.default_rng(4), np.zeros(2)
    for _ in range(2000):
        values = rng.normal(0.7, 0.01, 18)
        said = prediction.of_some(values[:8]).values
        new = values[8:]
        inside += (
            said["low"] < new.mean() < said["high"],
            said["sd_low"] < new.std(ddof=1) < said["sd_high"],
        )
    assert ((inside / 2000 > 0.935) & (inside / 2000 < 0.965)).all()
    assert said["rate"] == pytest.approx(1 - 0.95**10 - 10 * 0.05 * 0.95**9)


def test_a_prediction_says_whether_the_published_curves_lie_within():
    runs = prediction.Runs(list(np.linspace(0.70, 0.75, 20)), [1, 2] * 10)
    narrow = prediction.Runs(list(np.linspace(0.72, 0.73, 20)), [3] * 20)
    check, *_ = prediction.said(runs, runs)
    assert check.values["inside"].text == prediction.INSIDE[True]
    check, said, _ = prediction.said(runs, narrow)
    assert check.values["inside"].text == prediction.INSIDE[False]
    assert (said.values["least"], said.values["most"]) == (1, 2)
