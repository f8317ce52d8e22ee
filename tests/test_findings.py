import numpy as np
import pytest
import record_rows
from scipy import stats as scipy_stats

from lenet.analysis import findings, terms
from lenet.analysis.stats import Interval
from lenet.analysis.summary import Sweep
from lenet.config import Config
from lenet.language import LANGUAGES, Message, listed, translate
from lenet.records.ledger import Entry

PRESET = Config()


def entry(run: int, test: float, loss: float = 1.0, valid: float | None = None, **config) -> Entry:
    row = record_rows.row(test_accuracy=test, valid_accuracy=valid, train_loss=loss)
    return record_rows.entry(run, [row], **config)


def windows(*rows: tuple[int, list[float]]) -> list[Entry]:
    return [
        entry(10 * size + seed, test, valid=test, kernel_size=size, seed=seed)
        for size, tests in rows
        for seed, test in enumerate(tests)
    ]


def window(size: int):
    """What the setting of a window is called."""
    return listed([terms.setting("kernel_size", str(size))])


def of_windows(entries: list[Entry], **classes: int) -> dict[str, dict]:
    """The values of each finding, by its text."""
    return dict(findings.findings(Sweep(entries, ["kernel_size"], PRESET, classes)))


def names(group: Message) -> list:
    """The settings of a group of AGAINST."""
    return [] if group == findings.NONE else [each.values["label"] for each in group.items]


def test_settings_are_compared_with_the_preset_s_by_seed():
    entries = windows((3, [0.80, 0.70, 0.75]), (5, [0.81, 0.72, 0.76]), (7, [0.1, 0.7, 0.8]))
    sweep = Sweep(entries, ["kernel_size"], PRESET)
    assert sweep.base.config.kernel_size == 5
    by = {s.config.kernel_size: found for s, found in findings.differences(sweep)}
    assert by.keys() == {3, 7}
    expected = scipy_stats.ttest_1samp([-0.01, -0.02, -0.01], 0).confidence_interval(0.975)
    assert (by[3].low, by[3].high) == pytest.approx(tuple(expected))
    found = of_windows(entries)
    best = found[findings.BEST["valid_accuracy"]]
    assert (best["label"], best["preset"]) == (window(5), Message(findings.ITSELF))
    against = found[findings.AGAINST]
    assert (against["base"], against["count"]) == (window(5), 2)
    assert [names(against[group]) for group in ("better", "worse")] == [[], []]
    assert sorted(names(against["open"]), key=str) == [window(3), window(7)]
    assert findings.ON_TEST not in found


def test_a_collapsed_run_is_counted_with_an_interval_and_its_setting_not_compared():
    entries = windows((3, [0.10, 0.70, 0.75]), (5, [0.81, 0.72, 0.76]), (7, [0.82, 0.75, 0.77]))
    entries[0].rows[-1] = record_rows.row(test_accuracy=0.1, valid_accuracy=0.1, train_loss=2.3)
    found = of_windows(entries)
    (run,) = found[findings.STUCK]["runs"].items
    assert (run.values["some"], run.values["n"], run.values["label"]) == (1, 3, window(3))
    assert run.values["median"] == 0.70
    low, high = scipy_stats.binomtest(1, 3).proportion_ci(method="wilson")
    assert (run.values["low"], run.values["high"]) == pytest.approx((low, high))
    assert found[findings.APART]["settings"].items == (window(3),)
    against = found[findings.AGAINST]
    assert window(3) not in [n for g in ("better", "worse", "open") for n in names(against[g])]


def test_how_sure_the_best_is_and_what_choosing_adds_is_said():
    near = of_windows(windows((3, [0.80, 0.70, 0.75, 0.76]), (5, [0.81, 0.72, 0.74, 0.76])))
    said = near[findings.SELECTED]
    assert said["label"] == window(5)
    assert 0.5 < said["share"] < 1
    assert near[findings.OPTIMISM]["count"] == 2
    assert near[findings.OPTIMISM]["optimism"] > 0
    assert near[findings.LEAD]["lead"].mean == pytest.approx(0.02 / 4)
    clear = of_windows(windows((3, [0.60, 0.50, 0.55, 0.5]), (5, [0.81, 0.72, 0.76, 0.8])))
    assert clear[findings.SELECTED]["share"] == 1
    assert findings.OPTIMISM not in clear  # nothing to correct at four decimals
    single = of_windows(windows((3, [0.60]), (5, [0.81])))
    assert findings.SELECTED not in single


def test_effects_of_a_design_with_collapsed_runs_are_not_given_as_means():
    entries = [
        entry(i, 0.6, bias_init=bias, order=order, seed=seed)
        for i, (bias, order, seed) in enumerate(
            (b, o, s) for b in ("zeros", "pytorch") for o in ("batches", "examples") for s in (0, 1)
        )
    ]
    entries[3].rows[-1] = record_rows.row(train_loss=2.3)
    found = dict(findings.findings(Sweep(entries, ["bias_init", "order"], PRESET)))
    assert findings.EFFECTS not in found
    assert found[findings.NO_EFFECTS] == {"lost": 1, "n": 8}


def test_what_is_sure_is_said_so_and_selection_on_test_is_admitted():
    entries = [
        entry(i, test, kernel_size=size, seed=seed)
        for i, (size, seed, test) in enumerate(
            [(5, 0, 0.7), (5, 1, 0.8), (3, 0, 0.75), (3, 1, 0.8501), (7, 0, 0.6), (7, 1, 0.7001)]
        )
    ]
    found = of_windows(entries)
    against = found[findings.AGAINST]
    assert (names(against["better"]), names(against["worse"])) == ([window(3)], [window(7)])
    assert findings.ON_TEST in found
    assert next(iter(found)) == findings.BEST["test_accuracy"]  # the conclusion first


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
    sweep = Sweep(entries, ["bias_init", "order"], PRESET)
    found = dict(findings.findings(sweep))[findings.EFFECTS]
    assert [translate("en", found[axis]) for axis in ("first", "second")] == [
        "bias initialisation all zero instead of PyTorch",
        "shuffling of batches instead of examples",
    ]
    means = [effect.mean for effect in found["effects"]]
    assert means == pytest.approx([0.1, 0.02, 0.0])
    assert found["n"] == 2


def test_crossed_seeds_split_the_variance_the_largest_source_first():
    weights, orders = np.array([0.0, 0.1, 0.2, 0.3]), np.array([0.0, 0.01, 0.02])
    entries = [
        entry(3 * i + j, 0.5 + w + o, loss=1 + o, seed=i, order_seed=j)
        for i, w in enumerate(weights)
        for j, o in enumerate(orders)
    ]
    assert findings.crossed(entries, "test_accuracy").shape == (4, 3)
    accuracy, loss = findings.findings(Sweep(entries, [], PRESET))
    assert (accuracy.values["rows"], accuracy.values["columns"]) == (4, 3)
    first = accuracy.values["sources"].items[0]
    assert first.text == findings.SOURCES["rows"]
    assert first.values["share"] > 0.99
    assert loss.values["sources"].items[0].text == findings.SOURCES["columns"]
    assert findings.crossed(entries[:-1], "test_accuracy") is None
    assert findings.findings(Sweep(entries[:-1], [], PRESET)) == []


def test_runs_that_all_end_the_same_have_no_variance_to_split():
    entries = [entry(2 * i + j, 0.1, seed=i, order_seed=j) for i in (0, 1) for j in (0, 1)]
    assert findings.findings(Sweep(entries, [], PRESET)) == []


def test_the_table_leaves_out_columns_without_values():
    def head(entries: list[Entry], language: str) -> str:
        sweep = Sweep(entries, ["kernel_size"], PRESET)
        return findings.table(sweep, language).splitlines()[0]

    learned = windows((3, [0.80, 0.70]), (5, [0.81, 0.72]))
    assert "validation accuracy" in head(learned, "en")
    assert "chance" not in head(learned, "en")
    learned[0].rows[-1] = record_rows.row(valid_accuracy=0.1, train_loss=2.3)
    assert "随机猜测" in head(learned, "zh")


def test_of_many_settings_the_best_is_compared_at_the_confidence_of_all():
    tests = {lr / 10: [0.7 + lr / 1000, 0.8 + lr / 1100, 0.75] for lr in range(1, 21)}
    entries = [
        entry(3 * i + seed, test, lr=lr, seed=seed)
        for i, (lr, each) in enumerate(tests.items())
        for seed, test in enumerate(each)
    ]
    against = dict(findings.findings(Sweep(entries, ["lr"], PRESET)))[findings.AGAINST]
    assert against["count"] == 19
    paired = [a - b for a, b in zip(tests[2.0], tests[0.9], strict=True)]
    expected = scipy_stats.ttest_1samp(paired, 0).confidence_interval(1 - 0.05 / 19)
    (only,) = against["open"].items
    assert only.values["difference"].high == pytest.approx(expected.high)


def test_runs_that_diverged_are_named():
    entries = windows((3, [0.80, 0.70]), (5, [0.81, 0.72]))
    entries[0] = entries[0]._replace(diverged="diverged: ...")
    (run,) = of_windows(entries)[findings.DIVERGED]["runs"].items
    assert (run.values["some"], run.values["n"], run.values["label"]) == (1, 2, window(3))


def test_that_seeds_are_few_is_said_with_what_would_do():
    for count, few in ((2, True), (3, True), (4, False)):
        values = [0.8 + 0.01 * seed for seed in range(count)]
        entries = windows((3, values), (5, [value + 0.001 * count for value in values]))
        found = of_windows(entries)
        assert (findings.TOO_FEW in found) == few
        assert (findings.SELECTED in found) == (not few)  # how sure, where it can be known
        assert findings.LEAD in found


@pytest.mark.parametrize("language", LANGUAGES)
def test_findings_are_prose_in_both_languages(language):
    entries = windows((3, [0.1, 0.70]), (5, [0.81, 0.72]))
    entries[0].rows[-1] = record_rows.row(test_accuracy=0.1, valid_accuracy=0.1, train_loss=2.3)
    entries.append(entry(99, 0.5, valid=0.5, kernel_size=7)._replace(diverged="..."))
    sweep = Sweep(entries, ["kernel_size"], PRESET)
    said = [translate(language, each) for each in findings.findings(sweep)]
    assert {
        "en": "Highest mean validation accuracy: kernel size 5 (test accuracy 0.7650 [0.1932, "
        "1.0000]; the preset's own setting).",
        "zh": "平均验证精度最高：卷积核大小 5（测试精度 0.7650 [0.1932, 1.0000]；即预设的取值）。",
    }[language] == said[0]
    assert {
        "en": "Ended at chance level (training loss within 5% of ln K, or above): 1 of 2 runs of "
        "kernel size 3 (95% CI 9% to 91%; median accuracy of all 2: 0.400).",
        "zh": "结束时停留在随机猜测水平（训练损失与 ln K 相差不到 5%，或更高）："
        "卷积核大小 3 的 2 次训练中的 1 次"
        "（95% 置信区间 9% 到 91%；全部 2 次的精度中位数：0.400）。",
    }[language] in said
    assert str(Interval(-0.01, -0.02, 0.0)) == "−0.0100 [−0.0200, +0.0000]"
