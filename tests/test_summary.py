import csv
import io

import numpy as np
import pytest
import record_rows
import scipy

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


def test_settings_are_ranked_by_validation_and_seeds_are_taken_together():
    sweep = Sweep(ENTRIES, ["lr"], Config())
    assert [s.config.lr for s in sweep.settings] == [0.3, 0.1, 0.9]
    assert [(len(s.runs), s.diverged) for s in sweep.settings] == [(1, 1), (2, 0), (0, 2)]
    assert sweep.measure == "valid_accuracy"
    without = [e._replace(rows=[record_rows.row()] * len(e.rows)) for e in ENTRIES]
    assert Sweep(without, ["lr"], Config()).measure == "test_accuracy"


@pytest.mark.parametrize(
    ("num_classes", "accuracies", "stuck"),
    [(10, (0.10, 0.15, 0.16), 2), (2, (0.50, 0.55, 0.56), 2), (100, (0.010, 0.015, 0.05), 2)],
)
def test_a_run_is_stuck_at_the_chance_level_of_its_dataset(num_classes, accuracies, stuck):
    entries = [
        record_rows.entry(seed, [record_rows.row(test_accuracy=a)], dataset="mine", seed=seed)
        for seed, a in enumerate(accuracies)
    ]
    about = [{"name": "mine", "class_names": ["a class"] * num_classes}]
    (setting,) = Sweep(entries, [], Config(), summary.classes(about)).settings
    assert setting.stuck == stuck


def test_a_record_that_names_no_classes_is_of_ten():
    entries = [record_rows.entry(0, [record_rows.row(test_accuracy=0.15)])]
    for about in ([], [{"name": "fashion_mnist"}], [{"name": "mnist", "class_names": ["a", "b"]}]):
        (setting,) = Sweep(entries, [], Config(), summary.classes(about)).settings
        assert setting.stuck == 1


def test_the_interval_is_students():
    sample = np.random.default_rng(0).normal(size=9)
    found = summary.estimate(list(sample))
    low, high = scipy.stats.t.interval(0.95, 8, sample.mean(), scipy.stats.sem(sample))
    np.testing.assert_allclose([found.mean - found.half, found.mean + found.half], [low, high])
    assert summary.estimate([0.5]) == (1, 0.5, None, None)


def test_the_table_and_the_csv_say_the_same():
    sweep = Sweep(ENTRIES, ["lr"], Config())
    best, second, last = csv.DictReader(io.StringIO(summary.to_csv(sweep)))
    assert (best["lr"], best["n"], best["diverged"], best["valid_accuracy_sd"]) == (
        *("0.3", "1", "1", ""),
    )
    assert float(second["valid_accuracy_mean"]) == pytest.approx(0.6)
    half = 12.7062 * 0.1  # t(0.975; 1) · 0.1414 / √2
    assert float(second["valid_accuracy_high95"]) == pytest.approx(0.6 + half, rel=1e-5)
    assert last["test_loss_mean"] == ""
    assert "0.6000 ± 1.2706" in summary.table(sweep)
    assert "… 1 more" in summary.table(sweep, most=2)
