"""Statistics of a handful of runs: intervals, effects of a design, sources of variance.

Values are one number a run, [R]; all are finite. What is paired is paired by seed.
"""

import warnings
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import scipy  # scipy.stats takes a while to import: scipy does so when it is first used
from numpy.typing import ArrayLike, NDArray


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


class Equality(NamedTuple):
    """How two independent sets of runs differ: anywhere in distribution, and in the mean."""

    ks: Any  # Kolmogorov and Smirnov's test: a scipy result with statistic and pvalue
    welch: Any  # Welch's
    difference: Interval  # of the means, by Welch


class Component(NamedTuple):
    """What one source adds to the variance."""

    variance: float  # at least 0
    share: float  # of the sum of all sources
    p: float | None  # of an F-test that it adds nothing; None of the rest


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


def equal_distributions(ours: ArrayLike, theirs: ArrayLike) -> Equality:
    """Test whether two independent sets of runs come from one distribution.

    Kolmogorov-Smirnov: D = max |F_ours - F_theirs|, sensitive to any difference; its p is exact
    without ties and too large with them. Welch: t = (mean - mean)/√(s²/R + s²/R), sensitive to the
    means alone, whatever the spreads. A large p is no proof of equality: the interval says what
    difference could have gone unseen.

    Args:
      ours: [R], R at least 2.
      theirs: [R'], R' at least 2.

    Raises:
      ValueError: for fewer than 2 values, one that is not finite, or a set without any spread.

    >>> found = equal_distributions([1, 2], [3, 4])
    >>> print(found.ks.statistic, found.ks.pvalue.round(4))  # 2 of 6 orders
    1.0 0.3333
    >>> print(found.welch.statistic.round(4), found.difference.mean)
    -2.8284 -2.0
    """
    x, y = _sample(ours, "ours"), _sample(theirs, "theirs")
    if not (np.ptp(x) and np.ptp(y)):
        raise ValueError("a set of equal values: has no spread to test by")
    with warnings.catch_warnings():
        # Where p is 1, rounding may put scipy's exact one above; it then takes the asymptotic one.
        warnings.filterwarnings("ignore", "ks_2samp: Exact calculation unsuccessful")
        anywhere = scipy.stats.ks_2samp(x, y)
    welch = scipy.stats.ttest_ind(x, y, equal_var=False)
    low, high = map(float, welch.confidence_interval())
    return Equality(anywhere, welch, Interval(float(x.mean() - y.mean()), low, high))


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
    negative; F = MS_r/MS_e and MS_c/MS_e (Searle, Casella and McCulloch 1992, ch. 4).

    Args:
      values: [R, C], both at least 2, not all equal.

    Raises:
      ValueError: for another shape, numbers that are not finite, or no spread.

    >>> found = crossed([[0, 2, 1], [10, 12, 12]])
    >>> round(found.rows.share, 3), found.columns.p > 0.05
    (0.979, True)
    """
    y = np.asarray(values, np.float64)
    if y.ndim != 2 or min(y.shape) < 2:
        raise ValueError(f"values of shape {y.shape}: expected at least 2 rows and 2 columns")
    _sample(y.ravel(), "values")
    if not np.ptp(y):
        raise ValueError("equal values: have no spread to split")
    rows, columns = y.shape
    by_row, by_column = y.mean(1, keepdims=True), y.mean(0, keepdims=True)
    left = y - by_row - by_column + y.mean()
    free = (rows - 1) * (columns - 1)
    rest = float((left**2).sum()) / free

    def source(means: np.ndarray, per: int) -> tuple[float, float]:
        """Variance and p of a source, from its means, each over so many runs."""
        square = per * float(((means - y.mean()) ** 2).sum()) / (means.size - 1)
        p = scipy.stats.f.sf(square / rest, means.size - 1, free) if rest else square == 0
        return max(square - rest, 0.0) / per, float(p)

    found = (source(by_row, columns), source(by_column, rows), (rest, None))
    total = sum(variance for variance, _ in found)
    return Crossed(*(Component(variance, variance / total, p) for variance, p in found))


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
