"""Epochs until something happens, where some runs end before it does (right-censored)."""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy

from lenet.analysis.stats import Interval


def first_epoch(accuracies: Sequence[float], level: float) -> float:
    """Return the first epoch, from 1, with an accuracy of at least `level`; inf if there is none.

    >>> first_epoch([0.1, 0.7, 0.8], 0.7), first_epoch([0.1], 0.7)
    (2, inf)
    """
    return next((i for i, each in enumerate(accuracies, 1) if each >= level), math.inf)


def median(epochs: Sequence[float], last: int, confidence: float = 0.95) -> Interval:
    """Return the Kaplan-Meier median of times to an event, with its interval.

    The interval holds the epochs at which a log-log confidence band of the survival function
    includes 1/2 (Brookmeyer and Crowley 1982); an end beyond the last epoch is inf.

    Args:
      epochs: of each run; inf where the event had not happened by the end of training.
      last: the epoch after which runs were censored.

    >>> median([2, 2, 3, 3, 3, math.inf], 4).mean
    3.0
    """
    if not any(map(math.isfinite, epochs)):
        return Interval(math.inf, math.inf, math.inf)
    survival = scipy.stats.ecdf(_censored(epochs, last)).sf
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # undefined before the first event, and after the last
        band = survival.confidence_interval(confidence, method="log-log")
    steps = survival.quantiles

    half = 0.5 + 1e-9  # the curve is a product of shares, which rounds

    def crossing(curve: Any) -> float:
        return float(next((x for x, y in zip(steps, curve, strict=True) if y <= half), math.inf))

    # Where the band is undefined, nothing has happened yet, or everything: the curve is 1 or 0.
    low, high = (
        np.where(np.isnan(end.probabilities), survival.probabilities, end.probabilities)
        for end in (band.low, band.high)
    )
    middle = crossing(survival.probabilities)
    return Interval(middle, min(crossing(low), middle), max(crossing(high), middle))


def logrank(first: Sequence[float], second: Sequence[float], last: int) -> float:
    """Return the p of the logrank test that two groups, as in `median`, reach the event alike.

    It is 1 where all runs of both are alike: where none reached it, or all did at once.
    """
    if len({*first, *second}) < 2:
        return 1.0
    return float(scipy.stats.logrank(_censored(first, last), _censored(second, last)).pvalue)


def _censored(epochs: Sequence[float], last: int) -> Any:
    there = [epoch for epoch in epochs if math.isfinite(epoch)]
    right = [last] * (len(epochs) - len(there))
    return scipy.stats.CensoredData(uncensored=there, right=right)
