"""Statistics of a handful of runs: intervals, equivalence, effects, sources of variance, selection.

Values are one number a run, [R]; all are finite. What is paired is paired by seed. Runs that share
a draw are no replicates of it: take `cluster_means` first.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import scipy  # scipy.stats takes a while to import: scipy does so when it is first used
from numpy.typing import ArrayLike, NDArray

MARGIN = 0.005
"""Means nearer than this are equivalent: half a point of accuracy, or as many nats."""

RESAMPLES = 9999
"""Permutations, bootstrap samples and draws of pivots, all with a fixed seed."""

MOST_DRAWN = 500_000
"""Means drawn by `selection` in all: of more than 50 groups, fewer samples are drawn."""


class Interval(NamedTuple):
    """An estimate, such as a mean, with the interval that contains the true value so often."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return a difference with its interval, such as +0.0120 [−0.0010, +0.0250]."""
        return f"{self.mean:+.4f} [{self.low:+.4f}, {self.high:+.4f}]".replace("-", "−")

    @property
    def side(self) -> Literal["higher", "lower", "open"]:
        """On which side of 0 it lies; "open" where it contains 0."""
        return "higher" if self.low > 0 else "lower" if self.high < 0 else "open"

    def shown(self, spec: str) -> str:
        """Return it with numbers in a format.

        >>> Interval(0.5, 0.25, 0.75).shown(".0%")
        '50% [25%, 75%]'
        """
        return f"{self.mean:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"

    def within(self, low: float, high: float) -> "Interval":
        """Return the part of it within bounds, such as 0 and 1 for an accuracy."""
        return Interval(self.mean, max(self.low, low), min(self.high, high))


class Equality(NamedTuple):
    """How two independent sets of runs differ: anywhere in distribution, and in the mean."""

    difference: Interval  # of the means, by Welch
    equivalence: float  # p of two one-sided tests: small where the means differ by less than margin
    distance: float  # Kolmogorov and Smirnov's D
    p: float  # of D, by permutation

    @property
    def equivalent(self) -> bool:
        """Whether the means are shown to differ by less than the margin, at 5%."""
        return self.equivalence < 0.05


class Component(NamedTuple):
    """What one source adds to the variance."""

    variance: float  # at least 0
    share: Interval  # of the sum of all sources; `mean` is the estimate
    p: float | None  # of an F-test that it adds nothing; None of the rest
    without_one: tuple[float, float]  # lowest and highest share when any one level is left out
    truncated: bool  # whether the variance was estimated below 0, and set to 0


class Selection(NamedTuple):
    """How far the best of several settings is the best by luck."""

    best: float  # in what share of bootstrap samples the setting with the highest mean has it again
    optimism: float  # how much the mean of the selected setting exceeds what new seeds would give


class Crossed(NamedTuple):
    """Where the spread of runs comes from, when two of its sources are crossed."""

    rows: Component
    columns: Component
    rest: Component  # their interaction, and what is neither


class Effects(NamedTuple):
    """What each of two factors changes, and how much the one depends on the other."""

    first: Interval
    second: Interval
    interaction: Interval


def interval(values: ArrayLike, confidence: float = 0.95) -> Interval:
    """Return the mean with Student's interval.

    mean ± t((1 + confidence)/2; R - 1) · s/√R, with s² = Σ(x - mean)²/(R - 1).

    Args:
      values: [R], R at least 2; of a normal distribution, or R large.
      confidence: within (0, 1).

    Raises:
      ValueError: for fewer than 2 values, one that is not finite, or another confidence.

    >>> mean, low, high = interval([1, 2, 3])
    >>> mean, round(low, 3), round(high, 3)
    (2.0, -0.484, 4.484)
    """
    x = _sample(values, "values")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence}: must be within (0, 1)")
    mean = float(x.mean())
    half = float(scipy.stats.t.ppf((1 + confidence) / 2, len(x) - 1) * scipy.stats.sem(x))
    return Interval(mean, mean - half, mean + half)


def place(value: float, others: ArrayLike) -> float:
    """Return the percentile of `value` among `others`, from 0 to 100; ties count half (mid-rank).

    100 · (those below + those equal/2) / R, R at least 1. scipy.stats.percentileofscore rounds a
    place above all to 100.00000000000001, and is slow to import.

    >>> place(3, [1, 2, 3, 4])
    62.5
    """
    x = np.asarray(others, np.float64)
    return float(100 * ((x < value).mean() + (x == value).mean() / 2))


def proportion(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Return a share with Wilson's interval, which stays within 0 and 1.

    >>> [round(x, 3) for x in proportion(2, 16)]
    [0.125, 0.035, 0.36]
    """
    found = scipy.stats.binomtest(successes, n).proportion_ci(confidence, "wilson")
    return Interval(successes / n, float(found.low), float(found.high))


def cluster_means(values: ArrayLike, clusters: ArrayLike) -> NDArray[np.float64]:
    """Return the mean of each cluster: of runs that share a draw, the one value that it gives.

    Intervals over them have the number of draws as n, not the number of runs.

    >>> cluster_means([1, 3, 5, 5], [0, 0, 7, 7]).tolist()
    [2.0, 5.0]
    """
    x, of = np.asarray(values, np.float64), np.asarray(clusters)
    return np.array([x[of == each].mean() for each in np.unique(of)])


def equality(ours: ArrayLike, theirs: ArrayLike, margin: float = MARGIN) -> Equality:
    """Test how far two independent sets of runs come from one distribution.

    In the mean: Welch's interval, and two one-sided Welch tests (Schuirmann 1987), of which the
    larger p counts; a small one shows that the means differ by less than `margin`. Anywhere:
    D = max abs(F_ours − F_theirs) with its p by permutation, which ties do not disturb; a large one
    shows nothing.

    Args:
      ours: [R], R at least 2.
      theirs: [R'], R' at least 2.
      margin: chosen before the values are seen; above 0.

    Raises:
      ValueError: for fewer than 2 values, one that is not finite, or a set without any spread.

    >>> found = equality([1, 2], [3, 4])
    >>> print(found.distance, round(found.p, 3), found.difference.mean)  # 2 of 6 orders
    1.0 0.333 -2.0
    """
    x, y = _sample(ours, "ours"), _sample(theirs, "theirs")
    if not (np.ptp(x) and np.ptp(y)):
        raise ValueError("a set of equal values: has no spread to test by")
    low, high = map(float, _welch(x, y).confidence_interval())
    above, below = _welch(x + margin, y, "greater"), _welch(x - margin, y, "less")
    values = np.unique(np.concatenate([x, y]))

    def distance(a: np.ndarray, b: np.ndarray, axis: int = -1) -> np.ndarray:
        gaps = [(a <= v).mean(axis) - (b <= v).mean(axis) for v in values]
        return np.abs(gaps).max(axis=0)

    permuted = scipy.stats.permutation_test(
        (x, y),
        distance,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=1000,
        alternative="greater",
        rng=np.random.default_rng(0),
    )
    return Equality(
        Interval(float(x.mean() - y.mean()), low, high),
        float(max(above.pvalue, below.pvalue)),
        float(permuted.statistic),
        float(permuted.pvalue),
    )


def best_of(values: ArrayLike, n: int) -> NDArray[np.float64]:
    """Return the expected highest of n runs drawn at random, without replacement, from R.

    The U-statistic of the maximum: with x_(1) <= ... <= x_(R),

        Σ_i x_(i) · C(i − 1, n − 1) / C(R, n)

    Args:
      values: [..., R].
      n: from 1 to R.

    >>> [float(best_of([1, 2, 6], n)) for n in (1, 2, 3)]  # of pairs: (2 + 6 + 6)/3
    [3.0, 4.666666666666667, 6.0]
    """
    x = np.sort(np.asarray(values, np.float64), -1)
    runs = x.shape[-1]
    if not 1 <= n <= runs:
        raise ValueError(f"the best of {n}: expected from 1 to {runs} of {runs} runs")
    weights = [math.comb(i, n - 1) / math.comb(runs, n) for i in range(runs)]
    found: NDArray[np.float64] = x @ np.array(weights)
    return found


def selection(groups: Sequence[ArrayLike], paired: bool = False) -> Selection:
    """Return how sure it is which of several groups has the highest mean, and what choosing adds.

    Bootstrap over seeds: in each sample, the seeds of every group are drawn again. Optimism is the
    mean, over samples, of the highest mean less the mean of the same group before resampling.

    Args:
      groups: [R] each, at least 2 groups; the highest mean first where several are highest.
      paired: whether run i of every group has seed i: they are then drawn together.

    >>> selection([[5, 6, 7], [1, 2, 3]]).best
    1.0
    """
    rng = np.random.default_rng(0)
    drawn: list[NDArray[np.float64]] = []
    samples = min(RESAMPLES, MOST_DRAWN // len(groups))
    values = [np.asarray(group, np.float64) for group in groups]
    for x in values:
        if not (paired and drawn):
            at = rng.integers(len(x), size=(samples, len(x)))
        drawn.append(x[at].mean(1))
    means, found = np.array([x.mean() for x in values]), np.array(drawn)
    winner = found.argmax(0)
    optimism = float((found.max(0) - means[winner]).mean())
    return Selection(float((winner == means.argmax()).mean()), optimism)


def main_effects(cells: ArrayLike) -> Effects:
    """Return main effects and interaction of a 2×2 design as contrasts within each seed.

    With y_ij the run at level i of the first factor and j of the second, all under one seed:

        first        (y_10 + y_11 - y_00 - y_01)/2
        second       (y_01 + y_11 - y_00 - y_10)/2
        interaction  (y_11 - y_10) - (y_01 - y_00): the second's effect at level 1 less that at 0

    A seed's luck that all four share drops out.

    Args:
      cells: [2, 2, R], R at least 2: first factor, second factor, seed.

    Raises:
      ValueError: as `interval` does, or for another shape.

    >>> effects = main_effects([[[0, 1], [2, 3]], [[5, 7], [7, 9]]])  # +5.5, +2, independent
    >>> [effect.mean for effect in effects]
    [5.5, 2.0, 0.0]
    """
    y = np.asarray(cells, np.float64)
    if y.ndim != 3 or y.shape[:2] != (2, 2):
        raise ValueError(f"cells of shape {y.shape}: expected (2, 2, R)")
    (y00, y01), (y10, y11) = y
    contrasts = (
        (y10 + y11 - y00 - y01) / 2,
        (y01 + y11 - y00 - y10) / 2,
        (y11 - y10) - (y01 - y00),
    )
    return Effects(*map(interval, contrasts))


def crossed(values: ArrayLike) -> Crossed:
    """Split the variance of runs that cross two sources, each drawn at random: a run for each pair.

    y_ij = mean + r_i + c_j + e_ij. With the mean squares of rows, columns and rest of the two-way
    layout, var(e) = MS_e, var(r) = (MS_r - MS_e)/C and var(c) = (MS_c - MS_e)/R, or 0 where that is
    negative; F = MS_r/MS_e and MS_c/MS_e (Searle, Casella and McCulloch 1992, ch. 4). The intervals
    of the shares are generalised pivotal ones: each mean square is divided by a draw of χ²/df
    (Weerahandi 1993).

    Args:
      values: [R, C], both at least 2, not all equal.

    Raises:
      ValueError: for another shape, numbers that are not finite, or no spread.

    >>> found = crossed([[0, 2, 1], [10, 12, 12]])
    >>> round(found.rows.share.mean, 3), found.columns.p > 0.05
    (0.979, True)
    """
    y = np.asarray(values, np.float64)
    if y.ndim != 2 or min(y.shape) < 2:
        raise ValueError(f"values of shape {y.shape}: expected at least 2 rows and 2 columns")
    _sample(y.ravel(), "values")
    if not np.ptp(y):
        raise ValueError("equal values: have no spread to split")
    squares, free = _mean_squares(y)
    variances = _variances(squares, y.shape)
    rng = np.random.default_rng(0)
    pivots = squares[:, None] * free[:, None] / rng.chisquare(free[:, None], (3, RESAMPLES))
    low, high = np.nanquantile(_shares(_variances(pivots, y.shape)), (0.025, 0.975), axis=1)
    fewer = [np.delete(y, i, axis) for axis in (0, 1) for i in range(y.shape[axis])]
    parts = np.array(
        [
            _shares(_variances(_mean_squares(each)[0], each.shape))
            for each in fewer
            if min(each.shape) > 1 and np.ptp(each)
        ]
        or [_shares(variances)]
    )
    share = _shares(variances)
    rest = squares[2]
    p = [
        float(scipy.stats.f.sf(square / rest, df, free[2]) if rest else square == 0)
        for square, df in zip(squares[:2], free[:2], strict=True)
    ]
    return Crossed(
        *(
            Component(
                max(float(variances[i]), 0.0),
                Interval(float(share[i]), float(low[i]), float(high[i])),
                [*p, None][i],
                (float(parts[:, i].min()), float(parts[:, i].max())),
                bool(variances[i] < 0),
            )
            for i in range(3)
        )
    )


def _mean_squares(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean squares of rows, columns and rest, and their degrees of freedom."""
    rows, columns = y.shape
    by_row, by_column = y.mean(1, keepdims=True), y.mean(0, keepdims=True)
    left = y - by_row - by_column + y.mean()
    free = np.array([rows - 1, columns - 1, (rows - 1) * (columns - 1)])
    sums = [columns * by_row.var() * rows, rows * by_column.var() * columns, (left**2).sum()]
    return np.array(sums) / free, free


def _variances(squares: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Variances of rows, columns and rest from their mean squares; may be below 0."""
    by_row, by_column, rest = squares
    return np.array([(by_row - rest) / shape[1], (by_column - rest) / shape[0], rest])


def _shares(variances: np.ndarray) -> np.ndarray:
    kept = variances.clip(0)
    return kept / kept.sum(0)


def _welch(x: np.ndarray, y: np.ndarray, alternative: str = "two-sided") -> Any:
    return scipy.stats.ttest_ind(x, y, equal_var=False, alternative=alternative)


def holm(pvalues: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number by Holm's step-down.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    adjusted, largest = [0.0] * len(pvalues), 0.0
    for rank, i in enumerate(sorted(range(len(pvalues)), key=lambda i: pvalues[i])):
        largest = max(largest, min(1.0, (len(pvalues) - rank) * pvalues[i]))
        adjusted[i] = largest
    return adjusted


def _sample(values: ArrayLike, name: str) -> NDArray[np.float64]:
    x = np.asarray(values, np.float64)
    if x.ndim != 1 or len(x) < 2:
        raise ValueError(f"{name} of shape {x.shape}: expected at least 2 in a row")
    if not np.isfinite(x).all():
        raise ValueError(f"{name}: must be finite numbers")
    return x
