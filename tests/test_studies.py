import numpy as np
import pytest

from experiments.cli import axes
from lenet.analysis import frameworks as studies
from lenet.analysis import published
from lenet.analysis.stats import Interval
from lenet.config import Config, check, to_dict
from lenet.records.ledger import Entry


@pytest.mark.parametrize("name", studies.STUDIES)
def test_a_study_is_a_sweep_that_can_be_run(name):
    parsed = [axes.parse(axis, text) for axis, text in studies.STUDIES[name].flags.items()]
    settings = [check(Config(**setting)) for setting in axes.settings(parsed)]
    assert len(settings) >= 24
    assert set(studies.STUDIES[name].question) == {"en", "zh"}


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
    assert studies.explains(mine, studies.left(mine, others)) == verdict


def test_what_is_left_is_as_unsure_as_both_together():
    rest = studies.left(Interval(0.1, 0.07, 0.13), Interval(0.3, 0.26, 0.34))
    assert tuple(rest) == pytest.approx((0.2, 0.15, 0.25))


def runs(worth: dict[tuple[str, str], float]) -> list[Entry]:
    noise = np.random.default_rng(0).normal(0, 0.002, (len(worth), 16))
    return [
        Entry(
            run=16 * i + seed,
            config=to_dict(Config(bias_init=bias, order=order, seed=seed)),
            rows=[
                {"test_accuracy": 0.8 + more + noise[i, seed]}
                | {"valid_accuracy": None, "train_loss": 0.5}
            ],
            diverged=None,
        )
        for i, ((bias, order), more) in enumerate(worth.items())
        for seed in range(16)
    ]


def test_the_frameworks_differ_as_published_and_ours_are_set_against_it():
    gap = published.runs("tensorflow").test_acc.mean() - published.runs("pytorch").test_acc.mean()
    assert gap == pytest.approx(0.0131, abs=1e-4)
    cells = {("pytorch", "examples"): 0.0, ("zeros", "examples"): 0.0, ("zeros", "batches"): gap}
    mxnet, tensorflow = studies.between_frameworks(runs(cells))
    assert "MXNet less PyTorch: +0.0079" in mxnet
    assert "So they do not explain it" in mxnet
    assert "may explain all of it" in tensorflow
    assert len(studies.between_frameworks(runs(cells), "zh")) == 2
    assert studies.between_frameworks(runs({("zeros", "batches"): 0.0})) == []
