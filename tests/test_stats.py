"""Numbers worked by hand, laws, and the same found another way."""

import itertools
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


def test_equality_by_hand():
    found = stats.equality([1, 2, 3], [2, 3, 4, 5])
    assert found.distance == pytest.approx(1 / 2)  # F(3): 1 against 1/2
    # Means 2 and 3.5, s²/R = 1/3 and (5/3)/4, Welch's degrees of freedom from them.
    ours, theirs = 1 / 3, 5 / 12
    freedom = (ours + theirs) ** 2 / (ours**2 / 2 + theirs**2 / 3)
    half = scipy.stats.t.ppf(0.975, freedom) * math.sqrt(ours + theirs)
    np.testing.assert_allclose(found.difference, (-1.5, -1.5 - half, -1.5 + half))


@given(samples(), samples(), HALVES, st.sampled_from([0.25, 4.0]))
def test_equality_does_not_depend_on_order_origin_or_unit(ours, theirs, shift, scale):
    assume(np.ptp(ours) and np.ptp(theirs))
    one = stats.equality(ours, theirs, margin=2.0)
    x, y = (scale * np.array(values) + shift for values in (ours, theirs))
    other = stats.equality(y, x, margin=2.0 * scale)
    assert one.distance == pytest.approx(other.distance)
    assert one.equivalence == pytest.approx(other.equivalence)
    mean, low, high = other.difference
    np.testing.assert_allclose(one.difference, (-mean / scale, -high / scale, -low / scale))


def test_equivalence_is_statsmodels_and_a_90_percent_interval_within_the_margin(monkeypatch):
    monkeypatch.setattr(stats, "RESAMPLES", 9)
    weightstats = pytest.importorskip("statsmodels.stats.weightstats")
    rng = np.random.default_rng(2)
    for n, m, shift in ((8, 30, 0.0), (32, 199, 0.3), (5, 5, -1.0)):
        x, y = rng.normal(shift, 1, n), rng.normal(0, 2, m)
        for margin in (0.4, 1.0, 3.0):
            found = stats.equality(x, y, margin)
            p, *_ = weightstats.ttost_ind(x, y, -margin, margin, usevar="unequal")
            assert found.equivalence == pytest.approx(p)
            ends = scipy.stats.ttest_ind(x, y, equal_var=False).confidence_interval(0.9)
            assert found.equivalent == (-margin < ends.low and ends.high < margin)


def test_means_a_margin_apart_are_called_equivalent_as_seldom_as_said():
    ours, theirs = np.random.default_rng(3).normal(size=(2, 300, 20))
    welch = [
        max(stats._welch(x + 2, y, "greater").pvalue, stats._welch(x, y, "less").pvalue)
        for x, y in zip(ours, theirs, strict=True)
    ]  # margin 1, true difference 1
    assert np.mean(np.array(welch) < 0.05) < 0.05 + 4 * math.sqrt(0.05 * 0.95 / 300)


def test_ties_leave_the_p_of_a_distance_as_large_as_it_should_be(monkeypatch):
    """Three digits tie often: p is small in no more than one of twenty equal sets."""
    monkeypatch.setattr(stats, "RESAMPLES", 999)
    ours, theirs = np.random.default_rng(4).integers(0, 4, size=(2, 60, 12))
    found = [stats.equality(x, y).p for x, y in zip(ours, theirs, strict=True)]
    assert np.mean(np.array(found) <= 0.05) < 0.05 + 4 * math.sqrt(0.05 * 0.95 / 60)
    assert stats.equality(ours[0], 3 * theirs[0] + 1).p < 0.05
    exact = stats.equality([0, 0, 1], [1, 2, 2])  # against all 20 splits
    by_hand = [
        max(abs(np.mean(a <= v) - np.mean(b <= v)) for v in (0, 1, 2))
        for a, b in _splits([0, 0, 1, 1, 2, 2], 3)
    ]
    assert exact.p == pytest.approx(np.mean(np.array(by_hand) >= exact.distance - 1e-12), abs=1e-9)


def _splits(values: list[float], first: int):
    x = np.array(values)
    for chosen in itertools.combinations(range(len(x)), first):
        yield x[list(chosen)], np.delete(x, chosen)


@given(st.integers(1, 40), st.data())
def test_the_interval_of_a_share_is_within_0_and_1_and_mirrors(n, data):
    some = data.draw(st.integers(0, n))
    mean, low, high = stats.proportion(some, n)
    assert 0 <= low <= mean <= high <= 1
    np.testing.assert_allclose(
        stats.proportion(n - some, n), (1 - mean, 1 - high, 1 - low), atol=1e-12
    )


def test_runs_that_share_a_draw_are_one_replicate():
    """Coverage by simulation: clusters are drawn, 10 runs of each; the mean over all is 0."""
    rng = np.random.default_rng(5)
    clusters = np.repeat(np.arange(6), 10)
    hits = {"runs": 0, "clusters": 0}
    for _ in range(400):
        x = rng.normal(0, 1, 6)[clusters] + rng.normal(0, 1, 60)
        for name, values in (("runs", x), ("clusters", stats.cluster_means(x, clusters))):
            _, low, high = stats.interval(values)
            hits[name] += low <= 0 <= high
    assert hits["clusters"] / 400 > 0.95 - 4 * math.sqrt(0.95 * 0.05 / 400)
    assert hits["runs"] / 400 < 0.7  # as if 60 draws


def test_the_best_of_equal_settings_is_luck_and_looks_better_than_it_is():
    rng = np.random.default_rng(6)
    equal = rng.normal(0.8, 0.02, (5, 6))
    equal = equal[np.argsort(-equal.mean(1))]
    found = stats.selection(equal)
    assert 0.2 < found.best < 0.9
    assert 0 < found.optimism < 0.02
    clear = stats.selection([equal[0] + 0.5, *equal[1:]], paired=True)
    assert clear.best == 1
    assert abs(clear.optimism) < 0.001
    # Where a seed's luck is shared, pairing tells apart what differs by little.
    luck = rng.normal(0, 0.05, 6)
    near = [0.8 + luck, 0.79 + luck]
    assert stats.selection(near, paired=True).best == 1 > stats.selection(near).best


def test_choosing_among_equal_settings_adds_what_the_bootstrap_says():
    rng = np.random.default_rng(7)
    sets = np.sort(rng.normal(0, 1, (60, 4, 8)).mean(2), axis=1)  # what choosing really adds
    true = sets[:, -1].mean()
    said = np.mean([stats.selection(x).optimism for x in rng.normal(0, 1, (60, 4, 8))])
    assert 0.4 * true < said < 1.6 * true


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
        (lambda: stats.equality([1, 2], [1]), "theirs of shape"),
        (lambda: stats.equality([1, 1], [1, 2]), "no spread"),
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
    assert sum(part.share.mean for part in found) == pytest.approx(1)
    assert found.rows.p == pytest.approx(scipy.stats.f.sf(25, 1, 1))


def _drawn(rng, sds, shape):
    rows, columns = rng.normal(0, sds[0], (shape[0], 1)), rng.normal(0, sds[1], (1, shape[1]))
    return rows + columns + rng.normal(0, sds[2], shape)


def test_crossed_sources_are_found_in_the_proportion_they_were_drawn_in():
    rng = np.random.default_rng(0)
    y = _drawn(rng, (3, 1, 2), (60, 60))
    found, turned = stats.crossed(y), stats.crossed(y.T)
    for part, expected in zip(found, (9, 1, 4), strict=True):
        assert part.variance == pytest.approx(expected, rel=0.3)
        assert part.share.low < expected / 14 < part.share.high
    assert turned.columns.share.mean == pytest.approx(found.rows.share.mean)


def test_the_intervals_of_shares_contain_the_true_ones_as_often_as_they_say(monkeypatch):
    monkeypatch.setattr(stats, "RESAMPLES", 999)
    rng, sds = np.random.default_rng(8), np.array([1.0, 2.0, 1.0])
    true = sds**2 / (sds**2).sum()
    found = [stats.crossed(_drawn(rng, sds, (8, 8))) for _ in range(200)]
    for i in range(3):
        hits = [each[i].share.low <= true[i] <= each[i].share.high for each in found]
        assert 0.95 - 4 * math.sqrt(0.95 * 0.05 / 200) < np.mean(hits)


def test_one_influential_level_shows_in_the_range_without_it():
    y = np.random.default_rng(9).normal(0, 1, (6, 6))
    y[0] += 30
    rows = stats.crossed(y).rows
    assert rows.share.mean > 0.9
    assert rows.without_one[0] < 0.5 < rows.without_one[1]


def test_a_source_that_adds_nothing_is_not_negative_and_says_so():
    found = stats.crossed([[0, 1], [1, 0]])
    assert (found.rows.variance, found.rows.truncated) == (0, True)
    assert not found.rest.truncated
    exact = stats.crossed([[0, 1], [0, 1]])  # no rest, either
    assert (exact.rows.p, exact.columns.p) == (1, 0)
