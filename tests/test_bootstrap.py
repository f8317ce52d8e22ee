"""Intervals against an independent implementation, against laws, and by how often they hold."""

import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import example, given
from hypothesis import strategies as st
from skipping import skip

from lenet.analysis import bootstrap, stats, survival
from lenet.analysis.bootstrap import bca, simultaneous
from lenet.analysis.proportions import newcombe, wilson


@pytest.fixture(scope="module")
def oracle() -> Callable[[str], Any]:
    """Modules of statsmodels, an implementation that we did not write."""

    def module(name: str) -> Any:
        try:
            return importlib.import_module(f"statsmodels.{name}")
        except ImportError:
            skip("statsmodels is not installed (scripts/setup dev)")
            raise

    return module


def mean(y):
    return y.mean((0, -1))


def test_a_bca_interval_is_scipys_of_the_same_sample():
    values = np.random.default_rng(1).exponential(size=30)
    found = bca([values], mean, [0.9])[0]
    scipys = scipy.stats.bootstrap(
        (values,), np.mean, confidence_level=0.9, n_resamples=bootstrap.RESAMPLES, random_state=5
    )
    assert found.mean == pytest.approx(values.mean())
    np.testing.assert_allclose(found[1:], scipys.confidence_interval, atol=0.03)


def test_runs_of_a_seed_stay_together():
    luck = np.random.default_rng(2).normal(0, 100, 20)
    found = bca([luck, luck + 1], lambda y: (y[1] - y[0]).mean(-1))[0]
    np.testing.assert_allclose(found, (1, 1, 1))


def test_a_statistic_that_does_not_vary_is_a_point():
    assert bca([[0.5, 0.5, 0.5]], mean)[0] == (0.5, 0.5, 0.5)
    with pytest.raises(ValueError, match="at least 2 seeds"):
        bca([[0.5]], mean)


@pytest.mark.slow
def test_median_differences_are_covered_as_often_as_said_even_with_two_modes():
    """A tenth of the runs collapse: a t-interval of the mean would miss its mark."""
    rng, hits, trials = np.random.default_rng(3), 0, 200
    for _ in range(trials):
        runs = rng.normal(0.8, 0.01, (2, 64)) + np.array([[0.0], [0.02]])
        runs[rng.random((2, 64)) < 0.1] = 0.1
        found = bca(runs, lambda y: np.diff(np.median(y, -1), axis=0)[0])[0]
        hits += found.low <= 0.02 <= found.high
    assert hits / trials > 0.95 - 4 * math.sqrt(0.95 * 0.05 / trials)


def test_holm_finds_what_bonferroni_misses_and_stops_at_the_first_that_fails():
    rng = np.random.default_rng(4)
    noise = rng.normal(size=(3, 40))
    noise = (noise - noise.mean(1, keepdims=True)) / noise.std(1, ddof=1, keepdims=True)

    def clear(*z: float) -> list[bool]:
        values = noise + np.array(z)[:, None] / math.sqrt(40)
        statistics = [lambda y, i=i: y[i].mean(-1) for i in range(3)]
        return [each for _, each in simultaneous(values, statistics)]

    assert clear(10, 10, 10) == [True, True, True]
    # 2.1 standard errors: nothing at 1 - 0.05/3, but clear once two others are.
    assert clear(10, 10, 2.1) == [True, True, True]
    assert clear(0.1, 0.1, 2.1) == [False, False, False]
    assert clear(10, 0.1, 2.1) == [True, False, False]


def test_wider_confidence_is_a_wider_interval_of_the_same_resamples():
    values = [np.random.default_rng(6).normal(size=25)]
    narrow, wide = bca(values, mean, [0.5, 0.99])
    assert wide.low < narrow.low < narrow.mean < narrow.high < wide.high


@given(st.integers(1, 80), st.integers(1, 80), st.data())
def test_shares_are_those_of_statsmodels(oracle, n, m, data):
    count, other = data.draw(st.integers(0, n)), data.draw(st.integers(0, m))
    of = oracle("stats.proportion")
    low, high = of.proportion_confint(count, n, method="wilson")
    np.testing.assert_allclose(wilson(count, n)[1:], (max(low, 0), high), atol=1e-9)
    ends = of.confint_proportions_2indep(count, n, other, m, method="newcomb", compare="diff")
    np.testing.assert_allclose(newcombe((count, n), (other, m))[1:], ends, atol=1e-9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_that_of_statsmodels(oracle, pvalues):
    _, adjusted, *_ = oracle("stats.multitest").multipletests(pvalues, method="holm")
    np.testing.assert_allclose(stats.holm(pvalues), adjusted, atol=1e-12)


EPOCHS = st.lists(st.one_of(st.integers(1, 10), st.just(math.inf)), min_size=2, max_size=30)


@example([math.inf, math.inf], [1, 1, 2, 2, 3, 4, *[math.inf] * 4])  # 0.8 · 3/4 · 5/6 rounds up
@given(EPOCHS, EPOCHS)
def test_medians_and_logrank_tests_are_those_of_statsmodels(oracle, first, second):
    """Times to an event of which some are censored after epoch 10."""
    of = oracle("duration.survfunc")

    def times(epochs: list[float]) -> tuple[list[float], list[int]]:
        return [min(x, 10) for x in epochs], [int(math.isfinite(x)) for x in epochs]

    for epochs in (first, second):
        function = of.SurvfuncRight(*times(epochs))
        # Where the curve is at 1/2 exactly, the median is there; statsmodels waits until below.
        middle = function.quantile(0.5 - 1e-9) if any(map(math.isfinite, epochs)) else math.inf
        found = survival.median(epochs, 10)
        assert found.mean == (middle if math.isfinite(middle) else math.inf)
        assert found.low <= found.mean <= found.high
    p = survival.logrank(first, second, 10)
    assert p == pytest.approx(survival.logrank(second, first, 10))
    if len({*first, *second}) > 1:  # otherwise both groups are one point, and alike
        (t1, s1), (t2, s2) = times(first), times(second)
        groups = [0] * len(t1) + [1] * len(t2)
        _, theirs = of.survdiff(np.array(t1 + t2), np.array(s1 + s2), np.array(groups))
        np.testing.assert_allclose(p, theirs, atol=1e-9)
    else:
        assert p == 1


def test_a_median_that_few_runs_reach_is_beyond_the_last_epoch():
    assert survival.median([math.inf] * 5, 10) == (math.inf, math.inf, math.inf)
    found = survival.median([9, 9, math.inf, math.inf, math.inf], 10)
    assert (found.mean, found.high) == (math.inf, math.inf)
    early = survival.median([3] * 20, 10)
    assert early == (3, 3, 3)
