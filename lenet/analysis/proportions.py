"""Shares of runs, with the intervals of Wilson and Newcombe."""

import math

import scipy

from lenet.analysis.stats import Interval


def wilson(count: int, n: int, confidence: float = 0.95) -> Interval:
    """Return count/n with Wilson's score interval, which stays within 0 and 1.

    >>> [round(x, 3) for x in wilson(0, 64)]
    [0.0, 0.0, 0.057]
    """
    found = scipy.stats.binomtest(count, n).proportion_ci(confidence, "wilson")
    return Interval(count / n, max(float(found.low), 0.0), float(found.high))


def newcombe(first: tuple[int, int], second: tuple[int, int], confidence: float = 0.95) -> Interval:
    """Return the difference of two shares, first minus second, with Newcombe's interval.

    The hybrid of two Wilson intervals (Newcombe 1998, method 10), each share as (count, n).

    >>> [round(x, 3) for x in newcombe((56, 70), (48, 80))]  # his example
    [0.2, 0.052, 0.334]
    """
    p, q = wilson(*first, confidence), wilson(*second, confidence)
    difference = p.mean - q.mean
    low = difference - math.hypot(p.mean - p.low, q.high - q.mean)
    high = difference + math.hypot(p.high - p.mean, q.mean - q.low)
    return Interval(difference, low, high)
