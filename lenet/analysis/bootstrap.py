"""Bootstrap intervals (BCa) of any statistic of runs, resampled by seed."""

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from lenet.analysis.stats import Interval

RESAMPLES = 9_999

Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Maps values [..., R] to one number for each leading index that it does not use up."""


def bca(
    values: ArrayLike, statistic: Statistic, confidences: Sequence[float] = (0.95,)
) -> list[Interval]:
    """Return a statistic with its BCa interval at each confidence (Efron 1987).

    Seeds are resampled, each with all its runs: what runs share by their seed stays together. Where
    all resamples agree the interval is that point; where no acceleration can be estimated it is the
    percentile interval.

    Args:
      values: [..., R], the last axis over seeds, R at least 2.
      statistic: of values [..., B, R], reduces the axes before B and the last one: [B].
      confidences: within (0, 1).

    >>> [interval] = bca([[1.0, 2.0, 3.0, 4.0]], lambda y: y[0].mean(-1))
    >>> interval.mean, interval.low < 2.5 < interval.high
    (2.5, True)
    """
    y = np.asarray(values, np.float64)
    if y.shape[-1] < 2 or not np.isfinite(y).all():
        raise ValueError(f"values of shape {y.shape}: expected finite numbers of at least 2 seeds")
    estimate = float(statistic(y[..., None, :])[0])
    found, intervals = None, []
    for confidence in confidences:
        with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
            warnings.simplefilter("ignore")  # where nothing varies
            found = scipy.stats.bootstrap(
                (np.arange(y.shape[-1]),),
                lambda seeds, axis: statistic(y[..., seeds]),
                n_resamples=0 if found else RESAMPLES,
                bootstrap_result=found,
                batch=1000,
                vectorized=True,
                confidence_level=confidence,
                method="BCa",
                random_state=np.random.default_rng(0),
            )
        low, high = map(float, found.confidence_interval)
        if not (np.isfinite(low) and np.isfinite(high)):
            tails = [(1 - confidence) / 2, (1 + confidence) / 2]
            low, high = map(float, np.quantile(found.bootstrap_distribution, tails))
        intervals.append(Interval(estimate, low, high))
    return intervals


def simultaneous(
    values: ArrayLike, statistics: Sequence[Statistic], alpha: float = 0.05
) -> list[tuple[Interval, bool]]:
    """Return intervals that together hold with confidence 1 - alpha, and which effects are clear.

    The intervals are at 1 - alpha/k for k statistics (Bonferroni). An effect is clear by Holm's
    step-down: its interval excludes 0 at 1 - alpha/j, where j counts the effects not yet clear.
    """
    k = len(statistics)
    found = [
        bca(values, each, [1 - alpha / left for left in range(k, 0, -1)]) for each in statistics
    ]
    clear: set[int] = set()
    while len(clear) < k:
        step = [i for i in range(k) if i not in clear and found[i][len(clear)].side != "open"]
        if not step:
            break
        clear.update(step)
    return [(intervals[0], i in clear) for i, intervals in enumerate(found)]
