"""The verdict of a report, as data: each case with 2, 10 and 100 classes."""

import itertools
import math

import pytest
import record_rows

from lenet.analysis import comparison, comparison_findings, findings, verdict
from lenet.analysis.stats import Interval
from lenet.analysis.summary import Sweep
from lenet.config import Config
from lenet.language import LANGUAGES, sentences
from lenet.records.ledger import Entry

CLASSES = (2, 10, 100)


def of_run(curve, classes, *, epochs=None, published=None) -> verdict.Verdict:
    """The verdict of (loss, accuracy) by epoch: shares of log K, and of the way from 1/K to 1."""
    rows = [
        record_rows.row(
            train_loss=loss * math.log(classes),
            test_accuracy=1 / classes + share * (1 - 1 / classes),
        )
        for loss, share in curve
    ]
    place = published and {"percentile": {"test_accuracy": published[0]}, "runs": published[1]}
    found = verdict.of_run(rows, epochs or len(curve), classes, place)
    assert found is not None
    for language in LANGUAGES:  # every {name} has its value
        assert "{" not in sentences(language, found.messages)
    return found


def texts(found: verdict.Verdict) -> list[str]:
    return [each.text for each in found.messages]


AT_CHANCE, LEARNED = (1.0, 0.0), (0.3, 0.8)


@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize(
    ("curve", "epochs", "state", "said"),
    [
        ([AT_CHANCE, LEARNED], 2, "good", [verdict.LEFT]),
        ([(1.2, 0.6)], 1, "good", [verdict.LEARNED]),  # a rough first epoch that has learned
        ([AT_CHANCE] * 3, 3, "bad", [verdict.STUCK]),
        ([LEARNED, AT_CHANCE], 2, "bad", [verdict.COLLAPSED]),
        ([(1.04, 0.001)] * 3, 3, "bad", [verdict.STUCK]),
        ([LEARNED, (2.0, 0.0)], 2, "bad", [verdict.DIVERGED]),
        ([(0.2, 0.0)], 1, "bad", [verdict.MEMORISED]),  # learned by heart
        ([AT_CHANCE, LEARNED], 5, "open", [verdict.INCOMPLETE, verdict.LEFT]),
        ([AT_CHANCE], 5, "open", [verdict.INCOMPLETE, verdict.WAITING]),
        ([AT_CHANCE] * 3, 5, "bad", [verdict.INCOMPLETE, verdict.STUCK]),
    ],
)
def test_a_run_is_judged_by_its_curve_and_its_classes(classes, curve, epochs, state, said):
    found = of_run(curve, classes, epochs=epochs)
    assert (found.state, texts(found)) == (state, said)
    assert found.messages[-1].values.get("classes", classes) == classes


@pytest.mark.parametrize(
    ("curve", "epoch"),
    [
        ([AT_CHANCE, AT_CHANCE, LEARNED, LEARNED], 3),
        ([LEARNED], 1),
        ([LEARNED, AT_CHANCE, LEARNED], 3),
        ([(1.5, 0.0), LEARNED], 2),  # steps that went too far at first are no learning
    ],
)
def test_a_run_that_leaves_the_plateau_is_told_the_epoch(curve, epoch):
    assert of_run(curve, 10).messages[0].values["left"] == epoch


def test_only_a_place_among_the_published_runs_makes_a_run_normal():
    place = (45.2, 199)
    found = of_run([AT_CHANCE, LEARNED], 10, published=place)
    assert texts(found) == [verdict.NORMAL, verdict.PLACE]
    assert "percentile 45 of 199 published" in sentences("en", found.messages)
    late, low = ([AT_CHANCE] * 2 + [LEARNED], place), ([AT_CHANCE, LEARNED], (2.0, 199))
    for curve, published in (late, low):
        assert texts(of_run(curve, 10, published=published)) == [verdict.LEFT, verdict.PLACE]


@pytest.mark.parametrize(("accuracy", "said"), [(0.9, "MAJORITY"), (0.91, "LEARNED")])
def test_nine_of_ten_are_nothing_where_one_class_has_nine_of_ten(accuracy, said):
    rows = [record_rows.row(train_loss=0.3, test_accuracy=accuracy)]
    found = verdict.of_run(rows, 1, 10, majority=0.9)
    assert texts(found) == [getattr(verdict, said)]
    assert found.state == ("bad" if said == "MAJORITY" else "good")


def test_nothing_is_said_without_records_or_classes():
    assert verdict.of_run([], 2, 10) is None
    assert verdict.of_run([record_rows.row(train_loss=0.0, test_accuracy=1.0)], 1, 1) is None


# ---- sweeps ----


def setting(
    lr: float, *accuracies: float, valid: float | None = None, loss: float = 1.0
) -> list[Entry]:
    return [
        record_rows.entry(
            seed,
            [record_rows.row(test_accuracy=each, valid_accuracy=valid, train_loss=loss)],
            "diverged: ..." if math.isnan(each) else None,
            lr=lr,
            seed=seed,
        )
        for seed, each in enumerate(accuracies)
    ]


def of_sweep(*settings: list[Entry], missing: int = 0, classes: int = 10) -> verdict.Verdict:
    sweep = Sweep([*itertools.chain(*settings)], ["lr"], Config(), {"fashion_mnist": classes})
    found = verdict.of_sweep(sweep, missing)
    for language in LANGUAGES:
        assert "{" not in sentences(language, found.messages)
    return found


BEST = findings.BEST["test_accuracy"]


def test_the_best_setting_is_compared_with_the_preset_s():
    base = setting(0.9, 0.80, 0.81, 0.80)
    better, near = setting(0.5, 0.90, 0.911, 0.901), setting(0.5, 0.83, 0.80, 0.81)
    assert texts(of_sweep(better, base)) == [BEST, verdict.AGAINST["higher"]]
    assert texts(of_sweep(near, base)) == [BEST, verdict.AGAINST["open"]]
    assert texts(of_sweep(base, setting(0.5, 0.79, 0.82, 0.79))) == [BEST, verdict.CLOSE]
    assert texts(of_sweep(base, setting(0.5, 0.60, 0.61, 0.60))) == [BEST]
    assert texts(of_sweep(setting(0.5, 0.9), setting(0.1, 0.89))) == [BEST]  # one seed: no interval
    assert texts(of_sweep(better, setting(0.1, 0.8, 0.8))) == [BEST]
    # Ranked by validation accuracy, the best may be worse on the test set.
    worse = setting(0.5, 0.70, 0.711, 0.70, valid=0.9)
    held_out = of_sweep(worse, setting(0.9, 0.80, 0.81, 0.80, valid=0.8))
    assert texts(held_out) == [findings.BEST["valid_accuracy"], verdict.AGAINST["lower"]]
    assert sentences("en", of_sweep(better, base).messages).startswith(
        "Highest mean test accuracy: learning rate 0.5 (0.9040 [0."
    )


@pytest.mark.parametrize("classes", CLASSES)
def test_a_sweep_that_learned_nothing_says_so(classes):
    stuck = setting(0.1, 1 / classes, 1 / classes, loss=math.log(classes))
    found = of_sweep(stuck, setting(9.0, math.nan, math.nan), classes=classes)
    assert (found.state, texts(found)) == ("bad", [verdict.LOST])
    assert found.messages[0].values["runs"] == 4


def test_one_setting_and_missing_runs_are_said():
    good = setting(0.5, 0.8, 0.8)
    assert texts(of_sweep(good)) == [verdict.ONE]
    found = of_sweep(good, missing=3)
    assert (found.state, texts(found)) == ("open", [verdict.MISSING, verdict.ONE])


# ---- the comparison ----


@pytest.mark.parametrize(
    ("effect", "clear", "said", "state"),
    [
        (Interval(0.06, 0.05, 0.07), True, "higher", "good"),
        (Interval(-0.06, -0.07, -0.05), True, "lower", "good"),
        (Interval(0.01, -0.01, 0.03), True, "higher", "good"),  # by Holm's step-down alone
        (Interval(0.0, -0.01, 0.01), False, "open", "open"),
        (Interval(0.0, -0.004, 0.004), False, "negligible", "good"),  # within the margin
    ],
)
def test_a_comparison_says_what_each_effect_is(effect, clear, said, state):
    analysis = comparison.analyse(record_rows.compared())
    effects = dict.fromkeys(comparison.EFFECTS, comparison.Effect(effect, clear))
    found = verdict.of_comparison(analysis._replace(effects=effects))
    assert found.state == state
    texts_said = [comparison_findings.SAID[name][said] for name in comparison.EFFECTS]
    assert texts(found) == [*texts_said, comparison_findings.HOW]
    assert str(effect) in sentences("en", found.messages)
