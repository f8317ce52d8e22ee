"""Numbers worked by hand, laws, and the same found another way."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st

from lenet.analysis import stats

SEEDS = st.integers(0, 2**32 - 1)
# Sums of a few halves are exact: laws hold to the last bit or nearly.
HALVES = st.integers(-100, 100).map(lambda n: n / 2)


def samples(low: int = 2, high: int = 8):
    return st.lists(HALVES, min_size=low, max_size=high)


def test_intervals_by_hand():
    # One degree of freedom is Cauchy's distribution, t = tan(π(q − 1/2)); two have a closed form.
    mean, low, high = stats.interval([1, 3])  # s = √2, s/√2 = 1
    assert (mean, high - 2) == (2, pytest.approx(math.tan(math.pi * 0.475)))
    assert low == pytest.approx(4 - high)
    t = 0.95 * math.sqrt(2 / (4 * 0.975 * 0.025))
    assert stats.interval([1, 2, 3]).high == pytest.approx(2 + t / math.sqrt(3))
    assert stats.interval([5, 5, 5]) == (5, 5, 5)


@given(samples(), HALVES, st.sampled_from([-4.0, -0.5, 0.25, 3.0]))
def test_intervals_move_and_stretch_with_the_values(values, shift, scale):
    mean, low, high = stats.interval(values)
    moved = stats.interval([scale * x + shift for x in values])
    ends = sorted((scale * low + shift, scale * high + shift))
    np.testing.assert_allclose(moved, (scale * mean + shift, *ends), atol=1e-9)


@given(samples(3), st.sampled_from([0.5, 0.9, 0.99]))
def test_an_interval_ends_at_the_means_that_a_t_test_just_rejects(values, confidence):
    assume(np.ptp(values))
    _, *ends = stats.interval(values, confidence)
    rejected = [scipy.stats.ttest_1samp(values, end).pvalue for end in ends]
    np.testing.assert_allclose(rejected, 1 - confidence, rtol=1e-6)


def test_intervals_contain_the_true_mean_as_often_as_they_say():
    draws = np.random.default_rng(0).normal(3, 2, (2000, 5))
    hits = [low <= 3 <= high for _, low, high in map(stats.interval, draws)]
    assert abs(np.mean(hits) - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 2000)  # four standard errors


@given(HALVES, samples(1, 30))
def test_a_place_is_scipys_and_the_complement_of_its_mirror_image(value, others):
    found = stats.place(value, others)
    assert found == pytest.approx(scipy.stats.percentileofscore(others, value, kind="mean"))
    assert found == pytest.approx(100 - stats.place(-value, [-x for x in others]))


def test_samples_as_near_as_can_be_have_a_p_of_1():
    found = stats.equal_distributions([0, 0, 0, 0, 0.5], [0, 0, 0, 0, -0.5])
    assert found.ks == (pytest.approx(1 / 5), 1)


def test_equality_by_hand():
    found = stats.equal_distributions([1, 2, 3], [2, 3, 4, 5])
    assert found.ks.statistic == pytest.approx(1 / 2)  # F(3): 1 against 1/2
    # Means 2 and 3.5, s²/R = 1/3 and (5/3)/4, Welch's degrees of freedom from them.
    ours, theirs = 1 / 3, 5 / 12
    t = -1.5 / math.sqrt(ours + theirs)
    freedom = (ours + theirs) ** 2 / (ours**2 / 2 + theirs**2 / 3)
    assert found.welch.statistic == pytest.approx(t)
    assert found.welch.pvalue == pytest.approx(2 * scipy.stats.t.cdf(t, freedom))
    half = scipy.stats.t.ppf(0.975, freedom) * math.sqrt(ours + theirs)
    np.testing.assert_allclose(found.difference, (-1.5, -1.5 - half, -1.5 + half))


@given(samples(), samples(), HALVES, st.sampled_from([0.25, 3.0]))
def test_equality_does_not_depend_on_order_origin_or_unit(ours, theirs, shift, scale):
    assume(np.ptp(ours) and np.ptp(theirs))
    one = stats.equal_distributions(ours, theirs)
    x, y = (scale * np.array(values) + shift for values in (ours, theirs))
    other = stats.equal_distributions(y, x)
    np.testing.assert_allclose(one.ks, other.ks)
    assert one.welch.pvalue == pytest.approx(other.welch.pvalue)
    assert one.welch.statistic == pytest.approx(-other.welch.statistic)
    mean, low, high = other.difference
    np.testing.assert_allclose(one.difference, (-mean / scale, -high / scale, -low / scale))


def test_equal_distributions_are_told_apart_as_seldom_as_p_says_and_others_are():
    ours, theirs = np.random.default_rng(1).normal(size=(2, 300, 20))
    found = [stats.equal_distributions(x, y) for x, y in zip(ours, theirs, strict=True)]
    for test in ("ks", "welch"):
        rejected = np.mean([getattr(f, test).pvalue < 0.05 for f in found])
        assert rejected < 0.05 + 4 * math.sqrt(0.05 * 0.95 / 300)
    wider = [stats.equal_distributions(x, 8 * y) for x, y in zip(ours, theirs, strict=True)]
    assert np.mean([f.ks.pvalue < 0.05 for f in wider]) > 0.5  # same mean, other spread
    higher = stats.equal_distributions(ours[0], theirs[0] + 2)
    assert higher.welch.pvalue < 0.001


def test_effects_by_hand():
    # y = 10·first + 1·second + 4·both + the seed's luck, which drops out
    luck = np.array([0.0, 7.0, -3.0])
    cells = [[luck, luck + 1], [luck + 10, luck + 15]]
    assert stats.main_effects(cells) == ((12, 12, 12), (3, 3, 3), (4, 4, 4))


@given(SEEDS, st.integers(2, 6))
def test_effects_are_those_of_least_squares(seed, runs):
    cells = np.random.default_rng(seed).normal(size=(2, 2, runs))
    first, second = np.indices((2, 2)) - 0.5
    design = np.stack([np.ones((2, 2)), first, second, first * second], axis=-1).reshape(4, 4)
    fitted = np.linalg.lstsq(design.repeat(runs, axis=0), cells.reshape(-1), rcond=None)[0]
    effects = stats.main_effects(cells)
    np.testing.assert_allclose([effect.mean for effect in effects], fitted[1:], atol=1e-12)
    paired = stats.interval(cells[1].mean(0) - cells[0].mean(0))
    np.testing.assert_allclose(effects.first, paired)
    swapped = stats.main_effects(cells.swapaxes(0, 1))
    np.testing.assert_allclose(swapped, (effects.second, effects.first, effects.interaction))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: stats.interval([1]), "at least 2"),
        (lambda: stats.interval([[1, 2]]), r"values of shape \(1, 2\)"),
        (lambda: stats.interval([1, math.nan]), "finite"),
        (lambda: stats.interval([1, 2], 1), "confidence 1"),
        (lambda: stats.interval([1, 2], math.nan), "confidence nan"),
        (lambda: stats.equal_distributions([1, 2], [1]), "theirs of shape"),
        (lambda: stats.equal_distributions([1, 1], [1, 2]), "no spread"),
        (lambda: stats.main_effects(np.zeros((2, 3, 4))), r"\(2, 3, 4\): expected \(2, 2, R\)"),
        (lambda: stats.main_effects(np.zeros((2, 2, 1))), "at least 2"),
        *((lambda v=v: stats.crossed(v), "expected") for v in ([1, 2], [[1, 2]])),
        (lambda: stats.crossed([[1, 1], [1, 1]]), "spread"),
        (lambda: stats.crossed([[1, 2], [3, math.nan]]), "finite"),
    ],
)
def test_what_cannot_be_answered_is_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_the_variance_of_crossed_sources_is_split_as_worked_by_hand():
    """Rows 0 and 4 apart, columns 0 and 2, and a corner that is 2 off: a rest of ±0.5."""
    found = stats.crossed([[0, 2], [4, 8]])
    # Means 1, 6 and 2, 5 around 3.5: MS_r = 2·(2.5² + 2.5²), MS_c = 2·(1.5² + 1.5²), MS_e = 4·0.5².
    assert found.rest.variance == pytest.approx(1.0)
    assert found.rows.variance == pytest.approx((25 - 1) / 2)
    assert found.columns.variance == pytest.approx((9 - 1) / 2)
    assert sum(part.share for part in found) == pytest.approx(1)
    assert found.rows.p == pytest.approx(scipy.stats.f.sf(25, 1, 1))


def test_crossed_sources_are_found_in_the_proportion_they_were_drawn_in():
    rng = np.random.default_rng(0)
    rows, columns = rng.normal(0, 3, (200, 1)), rng.normal(0, 1, (1, 200))
    found = stats.crossed(rows + columns + rng.normal(0, 2, (200, 200)))
    for part, expected in zip(found, (9, 1, 4), strict=True):
        assert part.variance == pytest.approx(expected, rel=0.25)
    turned = stats.crossed((rows + columns).T + rng.normal(0, 2, (200, 200)))
    assert turned.columns.share > turned.rows.share


def test_a_source_that_adds_nothing_is_not_negative():
    assert stats.crossed([[0, 1], [1, 0]]).rows.variance == 0
    exact = stats.crossed([[0, 1], [0, 1]])  # no rest, either
    assert (exact.rows.p, exact.columns.p) == (1, 0)
