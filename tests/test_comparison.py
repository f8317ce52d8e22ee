import io

import pytest
import record_rows
from PIL import Image

from lenet.analysis import comparison, comparison_findings
from lenet.analysis.comparison import CELLS, Comparison, Run
from lenet.figures import comparison as comparison_plots
from lenet.language import Message, listed, message, translate

# Test accuracy in the cells for seeds 0 and 1, worked by hand; the texts' network has 0.10 less
# than the first cell.
FINAL = {
    ("sigmoid", "avg"): (0.50, 0.60),
    ("sigmoid", "max"): (0.60, 0.66),
    ("relu", "avg"): (0.70, 0.84),
    ("relu", "max"): (0.80, 0.94),
}


def run(which, lr, seed, *accuracies, valid=()) -> Run:
    losses = [1 - a for a in accuracies]
    return record_rows.compared_run(which, lr, seed, accuracies, valid=valid, loss=losses)


@pytest.fixture
def runs() -> Comparison:
    tuned = {0.1: (0.80, 0.82), 0.3: (0.90, 0.80), 1.0: (0.84, 0.83), 3.0: (0.99,)}
    return Comparison(
        epochs=2,
        rates=list(tuned),
        tuning=[
            run(which, lr, 1000 + seed, 0.1, valid=[0.5, value])
            for which in CELLS
            for lr, values in tuned.items()
            for seed, value in enumerate(values)
        ]
        + [run(which, 3.0, 1001) for which in CELLS],  # diverged
        final=[
            run(w, 0.3, seed, 0.3, a) for w, pair in FINAL.items() for seed, a in enumerate(pair)
        ],
        texts=[run(CELLS[0], 0.9, seed, 0.3, a - 0.1) for seed, a in enumerate(FINAL[CELLS[0]])],
    )


def test_a_cell_takes_the_rate_with_the_best_mean_and_a_run_that_diverged_counts_as_nothing(runs):
    assert comparison.best_rate(runs["tuning"], CELLS[0]) == 0.3  # 0.85 against 0.81, 0.835, 0.495
    assert comparison.rates_near_best(runs["tuning"], CELLS[0]) == [0.3, 1.0]
    equal = [run(CELLS[0], lr, 0, 0.1, valid=[0.5]) for lr in (3.0, 0.1, 1.0)]
    assert comparison.best_rate(equal, CELLS[0]) == 0.1


def test_effects_are_contrasts_within_a_seed(runs):
    found = comparison.parts(runs, "test_accuracy")
    assert found.activation.mean == pytest.approx((0.20 + 0.26) / 2)
    assert found.pool.mean == pytest.approx((0.10 + 0.08) / 2)
    assert found.interaction.mean == pytest.approx((0.00 + 0.04) / 2)
    loss = comparison.parts(runs, "test_loss")
    assert loss.activation.mean == pytest.approx(-found.activation.mean)


def test_the_parts_add_up_to_the_whole(runs):
    parts = comparison.parts(runs, "test_accuracy")
    assert parts.whole.mean == pytest.approx((0.40 + 0.44) / 2)
    assert parts.rate.mean == pytest.approx(0.1)
    assert sum(part.mean for part in parts[1:4]) == pytest.approx(parts.whole.mean)


def test_a_seed_of_which_a_run_diverged_is_left_out_everywhere(runs):
    for seed in (2, 3):
        runs["final"] += [run(which, 0.3, seed, 0.3, 0.4) for which in CELLS]
        runs["texts"].append(run(CELLS[0], 0.9, seed, 0.3, 0.4))
    runs["final"][-1] = run(CELLS[-1], 0.3, 3)
    cells, texts = comparison.paired(runs, "test_accuracy")
    assert cells.shape == (2, 2, 3)
    assert texts.shape == (3,)
    assert message(comparison_findings.LOST, n=1) in comparison_findings.findings(runs, "data")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_tables_say_the_numbers(runs, language):
    table = comparison_findings.table(runs, language).splitlines()
    assert len(table) == 2 + 1 + 4
    assert all(len(line.split("|")) == len(table[0].split("|")) for line in table)
    assert "0.4500" in table[2]  # the book's
    assert "0.8700" in table[-1]
    total, _, activation, *_ = comparison_findings.effects_table(runs, language).splitlines()[2:]
    assert "+0.4200" in total
    assert "+0.2300" in activation
    assert "−0.2300" in activation  # the loss


def test_the_verdict_comes_first_and_names_what_is_clear(runs):
    effects = comparison_findings.effects(runs)
    clear = [name for name, (accuracy, _) in effects.items() if accuracy.side != "open"]
    assert clear == ["whole", "rate"]  # differences of two seeds: 0.40 and 0.44, 0.1 and 0.1
    verdict, *_, limits = comparison_findings.findings(runs, "some data")
    assert [each.values["name"] for each in verdict.values["clear"].items] == [
        Message(comparison_findings.SHORT[name]) for name in clear
    ]
    assert len(verdict.values["open"].items) == 3
    assert limits.values == {"data": "some data", "epochs": 2, "rates": 4}
    assert translate("zh", verdict).startswith("对测试精度的影响明确：合计（+0.4200 [")
    assert translate("en", verdict).endswith(
        "Inconclusive: the activation, the pooling, the interaction."
    )


@pytest.mark.parametrize(
    ("firsts", "said"), [((1, 3, 8), "3"), ((1, 9, 8), "8 (2/3)"), ((1, 9, 9), "- (1/3)")]
)
def test_epochs_to_a_level_are_those_of_the_median_run_and_say_how_many_got_there(firsts, said):
    def learned(first: int) -> list[float]:
        return [0.1] * (first - 1) + [0.3] * (9 - first)

    runs = [run(CELLS[0], 0.3, seed, *learned(first)) for seed, first in enumerate(firsts)]
    assert comparison_findings._reached(runs, 0.3) == said


def test_a_best_rate_at_the_end_of_the_grid_is_said(runs):
    edges = comparison_findings.EDGE.values()
    assert not any(found.text in edges for found in comparison_findings.findings(runs, "data"))
    runs["rates"] = [0.1, 0.3]
    cells = listed(map(comparison_findings.named, CELLS))
    found = comparison_findings.findings(runs, "data")
    assert message(comparison_findings.EDGE["high"], cells=cells) in found


@pytest.mark.parametrize(("num_classes", "accuracy"), [(2, 0.55), (10, 0.15), (100, 0.015)])
def test_a_run_at_the_chance_level_of_its_classes_is_said(runs, num_classes, accuracy):
    runs["final"] = [each for each in runs["final"] if each["test_accuracy"][-1] >= 0.6]
    runs["final"] += [run(CELLS[0], 0.3, seed, 0.3, 0.7) for seed in (0, 1)]

    def stuck() -> list[dict]:
        found = comparison_findings.findings(runs, "data", num_classes)
        return [each.values for each in found if each.text == comparison_findings.STUCK]

    assert stuck() == []
    (last,) = (each for each in runs["final"] if each["test_accuracy"][-1] == 0.84)
    for above, many in ((0.001, 0), (0, 1)):
        last["test_accuracy"][-1] = accuracy + above
        assert len(stuck()) == many
    cell = comparison_findings.named(("relu", "avg"))
    assert stuck() == [{"stuck": 1, "n": 2, "cell": cell, "rate": 0.3}]


def test_too_few_seeds_are_no_comparison(runs):
    runs["final"] = [r for r in runs["final"] if r["seed"] == 0]
    with pytest.raises(ValueError, match="at least 2"):
        comparison.parts(runs, "test_accuracy")


def test_the_picture_is_one_even_where_a_cell_diverged(runs):
    runs["final"] = [r for r in runs["final"] if comparison.cell(r) != CELLS[1]]
    runs["final"] += [run(CELLS[1], 0.3, 0), run(CELLS[1], 0.3, 1)]
    picture = Image.open(io.BytesIO(comparison_plots.picture(runs, "some data")))
    assert picture.width > 1000
    assert comparison_findings.table(runs).count("diverged") == 2
