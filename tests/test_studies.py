import re

import numpy as np
import pytest
import record_rows
from commands import ROOT

from experiments.cli import axes
from experiments.cli.studies import STUDIES
from lenet.analysis import findings, frameworks, published, stats
from lenet.analysis.stats import Interval
from lenet.analysis.summary import Sweep
from lenet.config import Config, check
from lenet.language import LANGUAGES, Message, translate


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_is_a_sweep_that_can_be_run(name):
    asked = dict(STUDIES[name].flags)
    zipped = asked.pop("zip", "false") == "true"
    parsed = [axes.parse(axis, text, paired=zipped) for axis, text in asked.items()]
    settings = [check(Config(**setting)) for setting in axes.settings(parsed, zipped=zipped)]
    assert len(settings) == axes.count(parsed, zipped=zipped)
    assert len(settings) >= 24
    questions = [translate(language, STUDIES[name].question) for language in LANGUAGES]
    assert questions[0] != questions[1]


def test_equal_effects_with_and_without_a_short_batch_differ_by_nothing():
    def sweep(gain: float, seeds: int) -> Sweep:
        noise = np.random.default_rng(1).normal(0, 0.002, (2, seeds))
        entries = [
            record_rows.entry(
                2 * seed + i,
                [record_rows.row(test_accuracy=0.8 + gain * i + float(noise[i, seed]))],
                order=order,
                seed=seed,
            )
            for i, order in enumerate(("examples", "batches"))
            for seed in range(seeds)
        ]
        return Sweep(entries, ["order"], Config())

    (same,) = frameworks.of_short_batch(sweep(0.015, 64), sweep(0.015, 32))
    assert same.values["gap"].side == "open"
    (apart,) = frameworks.of_short_batch(sweep(0.015, 64), sweep(0.0, 32))
    assert apart.values["gap"].mean == pytest.approx(0.015, abs=0.002)
    assert apart.values["gap"].side == "higher"
    assert frameworks.of_short_batch(sweep(0.015, 1), sweep(0.0, 32)) == []


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [
        ((0.012, 0.010, 0.014), (0.013, 0.0105, 0.0155), "all"),
        ((0.012, 0.008, 0.016), (0.013, 0.009, 0.017), "like"),
        ((0.004, 0.002, 0.006), (0.013, 0.009, 0.017), "part"),
        ((-0.004, -0.006, -0.002), (-0.013, -0.017, -0.009), "part"),
        ((0.030, 0.025, 0.035), (0.013, 0.009, 0.017), "more"),
        ((0.001, -0.003, 0.0045), (0.013, 0.009, 0.017), "none"),
        ((0.001, -0.003, 0.006), (0.013, 0.009, 0.017), "open"),
        ((0.005, -0.003, 0.013), (0.013, 0.009, 0.017), "open"),
    ],
)
def test_what_explains_a_difference(ours, theirs, verdict):
    mine, others = Interval(*ours), Interval(*theirs)
    assert frameworks.explains(mine, frameworks.left(mine, others)) == verdict


def test_what_is_left_is_as_unsure_as_both_together():
    rest = frameworks.left(Interval(0.1, 0.07, 0.13), Interval(0.3, 0.26, 0.34))
    assert tuple(rest) == pytest.approx((0.2, 0.15, 0.25))


def between(worth: dict[tuple[str, str], float], spread: float) -> list[Message]:
    """What the study says of runs, given what each pair of settings adds to their accuracy."""
    noise = np.random.default_rng(0).normal(0, spread, (len(worth), 16))
    entries = [
        record_rows.entry(
            16 * i + seed,
            [record_rows.row(test_accuracy=0.8 + more + float(noise[i, seed]))],
            bias_init=bias,
            order=order,
            seed=seed,
        )
        for i, ((bias, order), more) in enumerate(worth.items())
        for seed in range(16)
    ]
    sweep = Sweep(entries, ["bias_init", "order"], Config(), study="frameworks")
    return [each for each in findings.findings(sweep) if each.text == frameworks.BETWEEN]


def test_the_frameworks_differ_as_published_and_ours_are_set_against_it():
    pytorch, others = (published.runs(name).test_acc for name in ("pytorch", "tensorflow"))
    gap = float(others.mean() - pytorch.mean())
    assert gap == pytest.approx(0.0131, abs=1e-4)
    cells = {("pytorch", "examples"): 0.0, ("zeros", "examples"): 0.0, ("zeros", "batches"): gap}
    mxnet, tensorflow = (found.values for found in between(cells, 0.0005))
    assert (mxnet["name"], mxnet["theirs"].mean) == ("MXNet", pytest.approx(0.0079, abs=1e-4))
    assert mxnet["verdict"].text == frameworks.VERDICTS["open"]
    assert tensorflow["verdict"].text == frameworks.VERDICTS["all"]
    _, unsure = (found for found in between(cells, 0.005) if "verdict" in found.values)
    assert unsure.values["verdict"].text == frameworks.VERDICTS["like"]
    assert between({("zeros", "batches"): 0.0}, 0.0005) == []


def test_runs_of_one_draw_are_one_replicate_and_others_have_welch_s_interval():
    welch = stats.equality(*(published.runs(n).test_acc for n in ("tensorflow", "pytorch")))
    np.testing.assert_allclose(frameworks.difference("tensorflow"), welch.difference)
    mxnet = frameworks.difference("mxnet")
    assert mxnet.side == "open"
    assert mxnet.high - mxnet.mean == pytest.approx(0.0135, abs=2e-4)


def test_every_recorded_study_stands_in_one_page():
    pages = (ROOT / "docs" / "en").glob("*.md")
    heads = [
        name
        for page in pages
        for name in re.findall(r"^## `(\w+)`$", page.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    recorded = (path.stem for path in (ROOT / "results" / "studies").glob("*.json"))
    assert sorted(heads) == sorted(recorded)
