"""Of a nested design: how much of the variance lies within groups, and how much between them."""

import numpy as np
from numpy.typing import ArrayLike

from lenet.analysis.bootstrap import bca
from lenet.analysis.stats import Interval


def share_within(values: ArrayLike) -> Interval:
    """Return the share of the variance that members of one group have, BCa over groups.

    y_gd = mean + a_g + e_gd: var(e) is the mean variance within a group, var(a) the variance of the
    groups' means less var(e)/D, or 0 where that is negative; the share is var(e)/(var(a) + var(e)).

    Args:
      values: [G, D], both at least 2, not all equal.

    >>> share_within([[0.0, 2.0], [10.0, 12.0], [20.0, 22.0]]).mean.__round__(3)
    0.02
    """
    y = np.asarray(values, np.float64)
    if y.ndim != 2 or min(y.shape) < 2 or not np.ptp(y):
        raise ValueError(
            f"values of shape {y.shape}: expected different numbers [G, D] of 2 or more"
        )
    draws = y.shape[1]

    def share(parts: np.ndarray) -> np.ndarray:
        within = parts[1].mean(-1)
        between = (parts[0].var(-1, ddof=1) - within / draws).clip(0)
        found: np.ndarray = within / (within + between)
        return found

    return bca([y.mean(1), y.var(1, ddof=1)], share)[0].within(0, 1)
