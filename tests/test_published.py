import dataclasses
import itertools

import numpy as np
import pytest
import record_rows
from commands import ROOT

from experiments.cli import progress
from lenet.analysis import published, summary
from lenet.config import PRESETS, Config
from lenet.errors import RecordError
from lenet.figures import run
from lenet.records.ledger import Entry

ROW = record_rows.row(train_loss=0.46851, train_accuracy=0.8242, test_accuracy=0.8064)


def test_the_runs_are_the_340_and_agree_with_the_decoded_plots():
    runs = published.runs()
    assert {len(column) for column in runs} == {340}
    assert len(set(zip(runs.framework, runs.repo, runs.commit, strict=True))) == 340
    for framework in published.NAMES:
        band, ours = published.band(framework), published.runs(framework)
        assert len(ours.test_acc) == band.runs
        for share, decoded in ((10, band.low), (50, band.median), (90, band.high)):
            assert abs(np.percentile(ours.test_acc, share) - decoded[-1]) < 0.002


@pytest.mark.parametrize(
    ("framework", "means", "deviations"),
    [
        ("pytorch", (0.4690, 0.8238, 0.8036), (0.0104, 0.0050, 0.0154)),
        ("tensorflow", (0.4696, 0.8233, 0.8167), (0.0089, 0.0045, 0.0106)),
        ("mxnet", (0.4719, 0.8224, 0.8114), (0.0021, 0.0012, 0.0238)),
    ],
)
def test_their_means_and_deviations_are_those_stated_with_them(framework, means, deviations):
    runs = published.runs(framework)
    numbers = np.array([runs.loss, runs.train_acc, runs.test_acc])
    np.testing.assert_allclose(numbers.mean(1), means, atol=0.5001e-4)
    np.testing.assert_allclose(numbers.std(1, ddof=1), deviations, atol=0.5001e-4)


def test_a_framework_s_runs_are_its_lines_of_all():
    parts = [published.runs(framework) for framework in published.NAMES]
    together = [np.sort(np.concatenate(columns)) for columns in zip(*parts, strict=True)]
    for column, expected in zip(together, published.runs(), strict=True):
        np.testing.assert_array_equal(column, np.sort(expected))
    assert set(published.runs("mxnet").framework) == {"mxnet"}
    with pytest.raises(ValueError, match="'jax': expected one of pytorch, tensorflow, mxnet"):
        published.runs("jax")


def test_what_was_not_printed_is_missing_and_nothing_else():
    runs = published.runs()
    missing = np.isnan(runs.examples_per_sec)
    assert missing.sum() == 5
    np.testing.assert_array_equal(missing, runs.device == "")
    assert not np.isnan([runs.loss, runs.train_acc, runs.test_acc]).any()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("framework,loss,train_acc", "framework,train_acc,loss", "columns framework,train_acc"),
        ("mxnet,0.479,0.820,0.825", "mxnet,,0.820,0.825", "line 2: not a run"),
        ("mxnet,0.479,0.820,0.825", "mxnet,0.479,0.820,82.5", "line 2: not a run"),
        ("mxnet,0.479", "jax,0.479", "line 2: not a run"),
        ("mxnet,0.479,0.820,0.825,,,2019-07-03,d2l-ai/1day-notebooks,5ee996d3\n", "", "88 mxnet"),
    ],
)
def test_a_damaged_file_is_refused(old, new, said):
    text = published._file("published_runs.csv")
    assert text.count(old) == 1
    with pytest.raises(RecordError, match=said):
        published._parse(text.replace(old, new))


def test_a_run_has_its_place_among_pytorch_s():
    place = published.place(Config(seed=7), ROW)
    assert place is not None
    assert (place["framework"], place["runs"]) == ("pytorch", 199)
    runs = published.runs("pytorch")
    # Counted in whole thousandths, with the run itself put among them: its mid-rank.
    for key, column, printed in (
        ("train_loss", runs.loss, 469),
        ("train_accuracy", runs.train_acc, 824),
        ("test_accuracy", runs.test_acc, 806),
    ):
        thousandths = np.rint(column * 1000).astype(int).tolist()
        below = sum(x < printed for x in thousandths)
        at_most = sum(x <= printed for x in thousandths)
        assert at_most > below  # it does tie
        assert place["percentile"][key] == pytest.approx(100 * (below + at_most) / 2 / 199)


def test_the_runs_with_batch_normalisation_are_the_610():
    """Means and deviations of the training loss, as they were stated with the file."""
    stated = {
        ("pytorch", "bn_avg", "scratch"): (85, 0.2673, 0.0046),
        ("pytorch", "bn_avg", "concise"): (83, 0.2690, 0.0057),
        ("pytorch", "bn_max", "scratch"): (65, 0.2487, 0.0038),
        ("pytorch", "bn_max", "concise"): (65, 0.2480, 0.0037),
    }
    for (framework, experiment, kind), (n, mean, deviation) in stated.items():
        runs = published.runs(framework, experiment)
        loss = runs.where(runs.kind == kind).loss
        assert len(loss) == n
        assert loss.mean() == pytest.approx(mean, abs=0.5001e-4)
        assert loss.std(ddof=1) == pytest.approx(deviation, abs=0.5001e-4)
    both = [published.runs(experiment=f"bn_{pool}") for pool in ("avg", "max")]
    assert sum(len(runs.loss) for runs in both) == 610 - 24  # at another learning rate
    with pytest.raises(ValueError, match="'bn': expected one of book, bn_avg, bn_max"):
        published.runs(experiment="bn")
    text = published._file("published_bn_runs.csv")
    with pytest.raises(RecordError, match="609 runs: expected 610"):
        published._parse_bn(text.rsplit("\n", 2)[0] + "\n", "avg")


def test_published_test_accuracies_spread_since_running_statistics_are_used():
    """As the history of the book's code has it: first for PyTorch's layers, then for its own."""
    runs = published.runs("pytorch", "bn_max")
    spreads = {}
    for kind in ("scratch", "concise"):
        for name, period in (
            ("train", runs.first_date <= published.EVAL),
            ("eval", (runs.first_date > published.EVAL) & (runs.first_date <= published.NO_GRAD)),
            ("no_grad", runs.first_date > published.NO_GRAD),
        ):
            spreads[kind, name] = runs.where((runs.kind == kind) & period).test_acc.std(ddof=1)
    assert max(spreads["scratch", "train"], spreads["concise", "train"]) < 0.01
    assert spreads["scratch", "eval"] < 0.01 < 0.06 < spreads["concise", "eval"]
    assert min(spreads["scratch", "no_grad"], spreads["concise", "no_grad"]) > 0.025


def test_the_page_says_how_much_more_test_accuracy_spreads_than_training_accuracy():
    ratios = {True: [], False: []}
    for pool, kind, running in itertools.product(("avg", "max"), ("scratch", "concise"), ratios):
        runs = published.runs("pytorch", f"bn_{pool}")
        some = runs.where((runs.kind == kind) & (published.by_running(runs) == running))
        if len(some.kind) > 2:
            ratios[running].append(some.test_acc.std(ddof=1) / some.train_acc.std(ddof=1))
    low, high = (f"{find(ratios[True]):.0f}" for find in (min, max))
    text = (ROOT / "docs/en/agreement.md").read_text(encoding="utf-8")
    assert f"spreads {low} to {high} times as much as training accuracy" in text
    low, high = (f"{find(ratios[False]):.0f}" for find in (min, max))
    assert f"by their own batch, {low} to {high} times" in text


def test_a_run_with_batch_normalisation_has_its_place_among_those_of_its_pooling():
    for pool, n in (("avg", 166), ("max", 71)):
        place = published.place(Config("bn_lenet", lr=1.0, pool=pool, seed=3), ROW)
        assert place is not None
        assert (place["experiment"], place["runs"]) == (f"bn_{pool}", n)
        assert place["percentile"]["train_loss"] == 100
    assert published.place(Config("bn_lenet", lr=0.9), ROW) is None


@pytest.mark.parametrize(
    "config",
    [Config(epochs=9), Config(lr=0.5), Config(dataset="mnist"), Config(**PRESETS["modern"])],
)
def test_another_experiment_has_no_place(config):
    assert published.place(config, ROW) is None


def test_the_place_is_told_in_a_line():
    def told(accuracy: float, loss: float) -> str:
        percentile = {"train_loss": loss, "train_accuracy": 0.0, "test_accuracy": accuracy}
        place = {"framework": "mxnet", "runs": 89, "percentile": percentile}
        return progress.place(place)

    assert told(42.7, 61.3) == (
        "compared with 89 published MXNet runs: test accuracy at percentile 43 "
        "(higher is better), training loss at percentile 61 (lower is better)"
    )
    assert "at percentile 11 (higher is better), training loss at percentile 100" in told(11, 100)
    assert "at percentile 0 (higher is better), training loss at percentile 22" in told(0, 22)


def entry(run: int, accuracy: float, **settings) -> Entry:
    row = dataclasses.replace(ROW, test_accuracy=accuracy)
    return record_rows.entry(run, [row] * 10, seed=run, **settings)


def test_the_runs_of_a_sweep_that_are_the_experiment_have_their_places():
    entries = [
        entry(0, 0.70),
        entry(1, 0.80),
        entry(2, 0.80, lr=0.1),
        entry(3, 0.80, epochs=9),
        entry(4, 0.80)._replace(rows=[], diverged="at step 1"),
        entry(5, 0.90, order_seed=7),
    ]
    placed = published.placed(entries)
    assert [row["run"] for row in placed] == [0, 1, 5]
    assert [row["test_accuracy_percentile"] for row in placed][::2] == [0, 100]
    said = progress.places(placed)
    assert said.startswith("3 runs repeat the book's run; compared with 199 published PyTorch")
    assert "test accuracy at percentiles 0 to 100" in said
    assert "equal within 0.005 (two one-sided tests, p = " in said
    assert "one-sided" not in progress.places(placed[:1])
    assert published.only(placed) == "book"
    more = [*placed, placed[0] | {"experiment": "bn_avg"}]
    assert published.only(more) is published.only([]) is None
    assert "1 runs repeat the book's run with batch normalisation" in progress.places(more)
    lines = summary.rows_csv(placed).splitlines()
    assert lines[0].startswith("run,seed,experiment,train_loss,train_loss_percentile")
    assert len(lines) == 4


def test_our_runs_over_theirs_is_a_picture():
    ours = {"test_accuracy": [0.8, 0.81], "train_loss": [0.47, 0.46]}
    ends = [dict(zip(ours, values, strict=True)) for values in zip(*ours.values(), strict=True)]
    assert run.among_published(ends).startswith(b"\x89PNG")
    found = published.equality(ours)
    assert found.keys() == ours.keys()
    assert found["test_accuracy"].difference.mean == pytest.approx(0.805 - 0.8036, abs=1e-3)
