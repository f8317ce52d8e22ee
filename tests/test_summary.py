import csv
import dataclasses
import io
import math

import numpy as np
import pytest
import record_rows
import scipy
from hypothesis import given
from hypothesis import strategies as st

from lenet import config
from lenet.analysis import summary
from lenet.analysis.summary import Sweep
from lenet.config import Config
from lenet.records.ledger import Entry


def entry(run: int, accuracies: list[float], diverged: str | None = None, **settings) -> Entry:
    rows = [
        record_rows.row(i, valid_accuracy=a, valid_loss=1.0, test_accuracy=a / 2, test_loss=2.0)
        for i, a in enumerate(accuracies, start=1)
    ]
    return record_rows.entry(run, rows, diverged, **settings)


ENTRIES = [
    entry(0, [0.1, 0.5], lr=0.1, seed=0),
    entry(1, [0.1, 0.7], lr=0.1, seed=1),
    entry(2, [0.2, 0.8], lr=0.3, seed=0),
    entry(3, [], "diverged: ...", lr=0.3, seed=1),
    entry(4, [], "diverged: ...", lr=0.9, seed=0),
    entry(5, [0.9], "diverged: ...", lr=0.9, seed=1),
]


def test_settings_are_ranked_by_validation_and_every_run_counts():
    sweep = Sweep(ENTRIES, ["lr"], Config())
    assert [s.config.lr for s in sweep.settings] == [0.1, 0.3, 0.9]
    assert [(len(s.runs), s.diverged) for s in sweep.settings] == [(2, 0), (1, 1), (0, 2)]
    assert sweep.settings[1].final("valid_accuracy").mean == pytest.approx((0.8 + 0.1) / 2)
    assert sweep.settings[1].final("valid_accuracy").interval is None
    assert sweep.settings[1].final("valid_loss") is None
    assert sweep.measure == "valid_accuracy"
    without = [e._replace(rows=[record_rows.row()] * len(e.rows)) for e in ENTRIES]
    assert Sweep(without, ["lr"], Config()).measure == "test_accuracy"


@pytest.mark.parametrize(
    ("network", "of", "usual"),
    [
        (lambda pool: config.BNLeNet(pool), ("max", "avg"), "avg"),  # the project's default
        (lambda pool: Mine(pool), ("max", "avg"), None),  # a record does not tell
    ],
)
def test_what_is_usual_is_the_network_s_default_where_it_is_known(network, of, usual):
    entries = [
        Entry(i, Config(network(pool), seed=i), [record_rows.row()], None)
        for i, pool in enumerate(of)
    ]
    record = {"axes": {"pool": list(of)}, "preset": "book", "flags": {}}
    base = Sweep.of_record(entries, record).base
    assert (base and base.config.pool) == usual


@dataclasses.dataclass(frozen=True)
class Mine:
    """A network of the user's."""

    pool: str = "min"


@pytest.mark.parametrize("luck", [0.85, 0.95, 1.0])
def test_five_of_six_diverged_and_one_lucky_never_rank_best(luck):
    lost = [entry(i, [], "diverged: ...", lr=3.0, seed=i) for i in range(5)]
    lucky = entry(5, [luck], lr=3.0, seed=5)
    steady = [entry(6 + i, [0.5 + 0.01 * i], lr=0.9, seed=i) for i in range(6)]
    sweep = Sweep([*lost, lucky, *steady], ["lr"], Config())
    assert [s.config.lr for s in sweep.settings] == [0.9, 3.0]
    (_, worse) = sweep.settings
    assert str(worse.final("valid_accuracy")) == f"{(5 * 0.1 + luck) / 6:.4f}"
    assert worse.minus(sweep.settings[0]) is None


@pytest.mark.parametrize("num_classes", [2, 10, 100])
def test_a_run_collapses_to_the_chance_level_of_its_dataset(num_classes):
    losses = [share * math.log(num_classes) for share in (0.94, 0.96, 1.0, 1.3)]
    entries = [
        record_rows.entry(seed, [record_rows.row(train_loss=x)], dataset="mine", seed=seed)
        for seed, x in enumerate(losses)
    ]
    about = [{"name": "mine", "class_names": ["a class"] * num_classes}]
    (setting,) = Sweep(entries, [], Config(), summary.classes(about)).settings
    assert (setting.collapsed, setting.learned) == (3, False)


def test_a_record_that_names_no_classes_is_of_ten():
    entries = [record_rows.entry(0, [record_rows.row(train_loss=2.25)])]
    for about in ([], [{"name": "fashion_mnist"}], [{"name": "mnist", "class_names": ["a", "b"]}]):
        (setting,) = Sweep(entries, [], Config(), summary.classes(about)).settings
        assert setting.collapsed == 1


def test_the_interval_is_students():
    sample = np.random.default_rng(0).uniform(0.4, 0.6, 9)
    found = summary.estimate(list(sample))
    low, high = scipy.stats.t.interval(0.95, 8, sample.mean(), scipy.stats.sem(sample))
    np.testing.assert_allclose(found.interval[1:], [low, high])
    assert summary.estimate([0.5]) == (1, 0.5, None, None)


def test_runs_that_share_a_seed_count_as_one():
    """Of 8 × 8 runs that differ by the seed of the weights alone, the interval is that of 8."""
    luck = np.random.default_rng(0).uniform(0.7, 0.8, 8)
    entries = [
        entry(8 * i + j, [luck[i]], seed=i, order_seed=j) for i in range(8) for j in range(8)
    ]
    (setting,) = Sweep(entries, [], Config()).settings
    expected = scipy.stats.ttest_1samp(luck, 0).confidence_interval()
    found = setting.final("valid_accuracy")
    assert (found.n, found.interval.low) == (64, pytest.approx(expected.low))
    other = setting._replace(entries=[entry(0, [0.5], seed=i, order_seed=0) for i in range(8)])
    assert setting.minus(other, measure="valid_accuracy").high == pytest.approx(expected.high - 0.5)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8))
def test_no_interval_reaches_beyond_what_an_accuracy_can_be(accuracies):
    _, low, high = summary.estimate(accuracies).interval
    assert 0 <= low <= high <= 1
    assert summary.estimate([x + 3 for x in accuracies], high=math.inf).interval.low >= 0


def test_the_table_and_the_csv_say_the_same():
    sweep = Sweep(ENTRIES, ["lr"], Config())
    best, second, last = csv.DictReader(io.StringIO(summary.to_csv(sweep)))
    assert (second["lr"], second["n"], second["diverged"], second["valid_accuracy_high95"]) == (
        *("0.3", "2", "1", ""),
    )
    assert float(best["valid_accuracy_mean"]) == pytest.approx(0.6)
    half = 12.7062 * 0.05  # t(0.975; 1) · 0.0707 / √2, of test accuracy 0.25 and 0.35
    assert float(best["test_accuracy_high95"]) == pytest.approx(0.3 + half, rel=1e-5)
    assert float(best["test_accuracy_low95"]) == 0
    assert last["test_loss_mean"] == ""
    assert "0.6000 [0.0000, 1.0000]" in summary.table(sweep)
    assert "… 1 more" in summary.table(sweep, most=2)
