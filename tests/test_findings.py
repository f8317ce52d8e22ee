import numpy as np
import pytest
from scipy import stats as scipy_stats

from lenet.analysis import findings, summary
from lenet.config import Config, to_dict
from lenet.records.ledger import Entry

PRESET = to_dict(Config())


def entry(run: int, test: float, loss: float = 1.0, valid: float | None = None, **config) -> Entry:
    row = {"test_accuracy": test, "valid_accuracy": valid, "train_loss": loss}
    row |= {"valid_loss": None, "test_loss": 1.0, "epoch": 1}
    return Entry(run=run, config=to_dict(Config(**config)), rows=[row], diverged=None)


def windows(*rows: tuple[int, list[float]]) -> list[Entry]:
    return [
        entry(10 * size + seed, test, valid=test, kernel_size=size, seed=seed)
        for size, tests in rows
        for seed, test in enumerate(tests)
    ]


def test_settings_are_compared_with_the_preset_s_by_seed():
    entries = windows((3, [0.80, 0.70, 0.75]), (5, [0.81, 0.72, 0.76]), (7, [0.1, 0.7, 0.8]))
    settings = summary.ranked(entries)
    base = findings.base(settings, ["kernel_size"], PRESET)
    assert base.config["kernel_size"] == 5
    by = {s.config["kernel_size"]: found for s, found in findings.differences(settings, base)}
    assert by.keys() == {3, 7}
    expected = scipy_stats.ttest_1samp([-0.01, -0.02, -0.01], 0).confidence_interval(0.975)
    assert (by[3].low, by[3].high) == pytest.approx(tuple(expected))
    text = " ".join(findings.sentences(entries, ["kernel_size"], PRESET))
    assert "Best in validation accuracy over these seeds: kernel_size 5" in text
    assert "it has the preset's values" in text
    assert "Better: none; worse: none; these runs cannot tell: kernel_size 3" in text
    assert "Ended no better than a guess: 1 of 3 runs of kernel_size 7." in text
    assert "selected on the test images" not in text


def test_what_is_sure_is_said_so_and_selection_on_test_is_admitted():
    entries = [
        entry(i, test, kernel_size=size, seed=seed)
        for i, (size, seed, test) in enumerate(
            [(5, 0, 0.7), (5, 1, 0.8), (3, 0, 0.75), (3, 1, 0.8501), (7, 0, 0.6), (7, 1, 0.7001)]
        )
    ]
    for language, better, worse, flattered in (
        ("en", "Better: kernel_size 3", "worse: kernel_size 7", "flattered"),
        ("zh", "更好：kernel_size 3", "更差：kernel_size 7", "因此偏高"),
    ):
        text = " ".join(findings.sentences(entries, ["kernel_size"], PRESET, language))
        assert all(part in text for part in (better, worse, flattered))


def test_a_2x2_design_gives_effects_from_the_preset_s_values_to_the_others():
    worth = {"pytorch": 0.0, "zeros": 0.1, "examples": 0.0, "batches": 0.02}
    entries = [
        entry(
            i, 0.6 + worth[bias] + worth[order] + seed / 100, bias_init=bias, order=order, seed=seed
        )
        for i, (bias, order, seed) in enumerate(
            (b, o, s) for b in ("zeros", "pytorch") for o in ("batches", "examples") for s in (0, 1)
        )
    ]
    text = " ".join(findings.sentences(entries, ["bias_init", "order"], PRESET))
    assert "bias_init zeros in place of pytorch is worth +0.1000" in text
    assert "order batches in place of examples +0.0200" in text


def test_crossed_seeds_split_the_variance():
    weights, orders = np.array([0.0, 0.1, 0.2, 0.3]), np.array([0.0, 0.01, 0.02])
    entries = [
        entry(3 * i + j, 0.5 + w + o, loss=1 + o, seed=i, order_seed=j)
        for i, w in enumerate(weights)
        for j, o in enumerate(orders)
    ]
    assert findings.crossed(entries, "test_accuracy").shape == (4, 3)
    (text,) = findings.sentences(entries, [], PRESET)
    assert "as 4 x 3 runs tell it, 99% comes from the initial weights" in text
    assert findings.crossed(entries[:-1], "test_accuracy") is None
    assert findings.sentences(entries[:-1], [], PRESET) == []


def test_runs_that_all_end_the_same_have_no_variance_to_split():
    entries = [entry(2 * i + j, 0.1, seed=i, order_seed=j) for i in (0, 1) for j in (0, 1)]
    assert findings.sentences(entries, [], PRESET) == []


def test_the_table_leaves_out_columns_without_values():
    entries = windows((3, [0.80, 0.70]), (5, [0.81, 0.72]))
    settings = summary.ranked(entries)
    head = findings.table(settings, ["kernel_size"], PRESET).splitlines()[0]
    assert "validation accuracy" in head
    assert "guess" not in head
    assert "不比瞎猜好的" in findings.table(
        summary.ranked(windows((3, [0.1, 0.1]), (5, [0.8, 0.7]))), ["kernel_size"], PRESET, "zh"
    )


def test_of_many_settings_the_best_is_compared_at_the_confidence_of_all():
    tests = {lr / 10: [0.7 + lr / 1000, 0.8 + lr / 1100, 0.75] for lr in range(1, 21)}
    entries = [
        entry(3 * i + seed, test, lr=lr, seed=seed)
        for i, (lr, each) in enumerate(tests.items())
        for seed, test in enumerate(each)
    ]
    text = " ".join(findings.sentences(entries, ["lr"], PRESET))
    assert "hold for all 19 differences together" in text
    best, base = tests[2.0], tests[0.9]
    paired = [a - b for a, b in zip(best, base, strict=True)]
    expected = scipy_stats.ttest_1samp(paired, 0).confidence_interval(1 - 0.05 / 19)
    assert f"{expected.high:+.4f}]" in text


def test_runs_that_diverged_are_named():
    entries = windows((3, [0.80, 0.70]), (5, [0.81, 0.72]))
    entries[0] = entries[0] | {"diverged": "diverged: ..."}
    text = " ".join(findings.sentences(entries, ["kernel_size"], PRESET))
    assert "Diverged, and in no mean: 1 of 2 runs of kernel_size 3." in text


def test_that_seeds_are_few_is_said_with_what_would_do():
    for count, few in ((2, True), (3, True), (4, False)):
        values = [0.8 + 0.01 * seed for seed in range(count)]
        entries = windows((3, values), (5, [value + 0.001 * count for value in values]))
        said = findings.sentences(entries, ["kernel_size"], PRESET)
        assert any("--seed=0:8 or more" in sentence for sentence in said) == few
