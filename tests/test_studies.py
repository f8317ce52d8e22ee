import numpy as np
import pytest
import record_rows

from experiments.cli import axes
from experiments.cli.studies import STUDIES
from lenet.analysis import findings, frameworks, published
from lenet.analysis.stats import Interval
from lenet.analysis.summary import Sweep
from lenet.config import Config, check
from lenet.language import LANGUAGES, Message, translate


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_is_a_sweep_that_can_be_run(name):
    parsed = [axes.parse(axis, text) for axis, text in STUDIES[name].flags.items()]
    settings = [check(Config(**setting)) for setting in axes.settings(parsed)]
    assert len(settings) >= 24
    asked = [translate(language, STUDIES[name].question) for language in LANGUAGES]
    assert asked[0] != asked[1]


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [
        ((0.012, 0.008, 0.016), (0.013, 0.009, 0.017), "all"),
        ((0.004, 0.002, 0.006), (0.013, 0.009, 0.017), "part"),
        ((-0.004, -0.006, -0.002), (-0.013, -0.017, -0.009), "part"),
        ((0.030, 0.025, 0.035), (0.013, 0.009, 0.017), "more"),
        ((0.001, -0.003, 0.005), (0.013, 0.009, 0.017), "none"),
        ((0.005, -0.003, 0.013), (0.013, 0.009, 0.017), "open"),
    ],
)
def test_what_explains_a_difference(ours, theirs, verdict):
    mine, others = Interval(*ours), Interval(*theirs)
    assert frameworks.explains(mine, frameworks.left(mine, others)) == verdict


def test_what_is_left_is_as_unsure_as_both_together():
    rest = frameworks.left(Interval(0.1, 0.07, 0.13), Interval(0.3, 0.26, 0.34))
    assert tuple(rest) == pytest.approx((0.2, 0.15, 0.25))


def between(worth: dict[tuple[str, str], float]) -> list[Message]:
    """What the study says of runs, given what each pair of settings adds to their accuracy."""
    noise = np.random.default_rng(0).normal(0, 0.002, (len(worth), 16))
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
    mxnet, tensorflow = (found.values for found in between(cells))
    assert (mxnet["name"], mxnet["theirs"].mean) == ("MXNet", pytest.approx(0.0079, abs=1e-4))
    assert mxnet["verdict"] == Message(frameworks.VERDICTS["none"])
    assert tensorflow["verdict"] == Message(frameworks.VERDICTS["all"])
    assert between({("zeros", "batches"): 0.0}) == []
