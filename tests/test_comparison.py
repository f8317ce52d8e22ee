"""The registered analysis, on comparisons of which the answer is known."""

import io
import math

import numpy as np
import pytest
import record_rows
from PIL import Image
from record_rows import PLANNED

from lenet.analysis import comparison, comparison_findings
from lenet.analysis.comparison import EFFECTS, Comparison
from lenet.analysis.tuning import CELLS, Run, cell
from lenet.figures import comparison as comparison_plots
from lenet.language import translate


@pytest.fixture
def runs() -> Comparison:
    return record_rows.compared()


@pytest.fixture(scope="module")
def analysed() -> comparison.Analysis:
    return comparison.analyse(record_rows.compared())


def of(runs: Comparison, stage: str, which=None) -> list[Run]:
    return [r for r in runs["runs"] if r["stage"] == stage and which in (None, cell(r))]


def test_effects_are_differences_of_medians_averaged_over_the_other_factor():
    cells = np.array([[0.1, 0.2], [0.4, 0.9]])  # ReLU +0.5, max pooling +0.3, interaction 0.4
    np.testing.assert_allclose(comparison.contrasts(cells), (0.5, 0.3, 0.4))
    np.testing.assert_allclose(comparison.contrasts(cells.T), (0.3, 0.5, 0.4))


def test_what_was_built_in_is_found(analysed):
    found = [analysed.effects[name].interval.mean for name in EFFECTS]
    np.testing.assert_allclose(found, (0.1, 0.1, 0), atol=1e-9)
    assert {each.rate for each in analysed.networks[1:]} == {0.5}
    assert analysed.edges == {}
    np.testing.assert_allclose([each.mean for each in analysed.bridge.values()], 0, atol=1e-9)
    whole, *parts = (each.mean for each in analysed.pairing.values())
    assert sum(parts) == pytest.approx(whole)
    assert analysed.pairing["rate"].mean == pytest.approx(0.02 * 0.4)  # 0.9 is 0.4 from the best


def test_a_collapsed_run_moves_a_median_little_and_is_counted(runs):
    before = comparison.analyse(runs)
    first = of(runs, "final", ("relu", "max"))[0]
    first |= {"collapsed": True, "test_accuracy": [0.1, 0.1]}
    after = comparison.analyse(runs)
    moved = after.effects["pool"].interval.mean - before.effects["pool"].interval.mean
    assert abs(moved) < 0.02  # a mean would have moved by 0.13
    shares = {each.cell: each.collapsed.mean for each in after.networks[1:]}
    assert shares == {which: (which == ("relu", "max")) / 3 for which in CELLS}
    assert after.seeds_learned == before.seeds_learned - 1
    network = after.networks[-1]
    assert network.reached == before.networks[-1].reached - 1
    assert network.collapse_difference.mean == pytest.approx(1 / 3)


def test_no_interval_reaches_beyond_what_an_accuracy_can_be(runs):
    for run in of(runs, "final", ("relu", "max")):
        run["test_accuracy"] = [0.1, 1.0 if run["seed"] % 2 else 0.1]
    found = comparison.analyse(runs)
    for network in found.networks:
        for interval in (network.median, network.collapsed, network.better):
            assert interval is None or 0 <= interval.low <= interval.high <= 1


def test_with_the_tuning_resampled_intervals_are_no_narrower(runs):
    """Half of the tuning seeds favour another learning rate."""
    for run in [*of(runs, "tuning"), *of(runs, "refining")]:
        if run["lr"] == 0.1 and run["seed"] == 100:
            run["valid_accuracy"] += 0.05
    found = comparison.analyse(runs)
    assert all(0 < share < 1 for share in found.stable.values())
    for name in EFFECTS[:2]:
        assert found.retuned[name].low <= found.effects[name].interval.low + 1e-9


def test_the_claim_is_decided_at_its_false_alarm_rate(runs):
    def decided(relu: float, pool: float, n: int, flipped: int = 0) -> str:
        made = [
            Run(
                stage="final",
                activation=a,
                pool=p,
                lr=0.5,
                batch_size=250,
                seed=seed,
                collapsed=False,
                diverged=False,
                valid_accuracy=None,
                test_accuracy=[
                    0.5 + relu * (a == "relu") + (pool if seed >= flipped else -pool) * (p == "max")
                ],
            )
            for a, p in CELLS
            for seed in range(n)
        ]
        return comparison.claim(runs | {"runs": made})[0]

    assert decided(0.2, 0.1, 16) == "true"
    assert decided(0.2, 0.1, 13) == "false"  # 2^-13 is above 1e-4
    assert decided(0.2, 0.1, 64, flipped=20) == "partly"
    assert decided(0.2, 0.0, 16) == "partly"
    assert decided(-0.2, 0.1, 16) == "partly"
    assert decided(-0.2, -0.1, 16) == "false"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_tables_and_findings_say_the_numbers(runs, analysed, language):
    networks, effects, parts, beside = comparison_findings.tables(analysed, 2, language)
    assert [table.count("\n") for table in (networks, effects, parts, beside)] == [6, 4, 5, 9]
    assert "0/3 [0%, 56%]" in networks
    assert "> 2" in networks  # epochs to 0.80 that the sigmoid does not reach
    assert "+0.1000" in effects.splitlines()[2]
    said = [
        translate(language, each)
        for each in comparison_findings.findings(analysed, runs, "some data")
    ]
    assert not any("{" in each for each in said)
    assert len(said) == len(set(said))


def test_the_answer_comes_first_and_collapse_is_said_where_there_is_some(runs, analysed):
    def texts() -> list[str]:
        found = comparison_findings.findings(comparison.analyse(runs), runs, "data")
        return [each.text for each in found]

    said = texts()
    assert said[0] in comparison_findings.SAID["activation"].values()
    assert comparison_findings.NO_COLLAPSE in said
    assert comparison_findings.LEARNED not in said
    of(runs, "final")[0] |= {"collapsed": True, "test_accuracy": [0.1, 0.1]}
    said = texts()
    assert comparison_findings.COLLAPSE in said


def test_a_best_rate_at_the_end_of_the_grid_is_said(runs):
    runs["design"]["rates"] = {"sigmoid": [0.1, 0.5], "relu": [0.5, 3.0]}
    found = comparison.analyse(runs)
    assert set(found.edges.values()) == {"high", "low"}
    said = [each.text for each in comparison_findings.findings(found, runs, "data")]
    assert {*comparison_findings.EDGE.values()} < {*said}


def test_too_few_seeds_are_no_comparison(runs):
    first = min(run["seed"] for run in of(runs, "final"))
    kept = [r for r in runs["runs"] if r["stage"] != "final" or r["seed"] == first]
    with pytest.raises(ValueError, match="two seeds"):
        comparison.analyse(runs | {"runs": kept})


def test_a_run_that_diverges_counts_as_chance():
    entries = record_rows.carried_out(PLANNED)
    found = comparison.of(entries, PLANNED, 10)["runs"]
    lost = [run for run in found if run["diverged"]]
    assert {(run["lr"], run["pool"]) for run in lost} == {(3.0, "max")}
    assert all(run["test_accuracy"] == [0.1, 0.1] and run["collapsed"] for run in lost)
    assert {run["valid_accuracy"] for run in lost} == {0.1}
    assert all(math.isfinite(run["test_accuracy"][-1]) for run in found)


def test_the_picture_is_one(runs):
    picture = Image.open(io.BytesIO(comparison_plots.picture(runs, "some data")))
    assert picture.width > 1000


def test_rates_beside_the_chosen_one_are_compared_with_the_same_seeds(runs):
    which = ("relu", "max")
    final = {run["seed"]: run for run in of(runs, "final", which)}
    beside = [run for run in of(runs, "neighbours", which) if run["lr"] > 0.5]
    for i, run in enumerate(beside):
        run["test_accuracy"][-1] = final[run["seed"]]["test_accuracy"][-1] + (0.25, -0.125)[i % 2]
    beside[0]["collapsed"] = True
    (found,) = (
        each
        for each in comparison.analyse(runs).neighbours
        if each.cell == which and each.rate > each.chosen
    )
    n = len(beside)
    assert (found.n, found.better, found.collapsed) == (n, (n + 1) // 2, 1)
    a, b = (
        np.median([of[run["seed"]]["test_accuracy"][-1] for run in beside])
        for of in ({run["seed"]: run for run in beside}, final)
    )
    assert found.medians == pytest.approx(a - b)
