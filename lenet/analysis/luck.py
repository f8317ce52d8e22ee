"""How much of the spread of test accuracy over seeds is luck of the test images.

Of networks that differ by nothing, each image is a coin: accuracies on n images still differ. What
two halves of the test images share cannot be such luck (Jordan, arXiv 2304.01910).
"""

from typing import NamedTuple

import numpy as np
import scipy
from jaxtyping import Bool
from numpy.typing import NDArray

from lenet.analysis.stats import Interval
from lenet.language import Message, mark, message

SAID = mark(
    "After {epochs} epochs, test accuracy has a standard deviation of {all:.4f} over {n} seeds. "
    "Without the luck of the {images:,} test images it would be {networks:.4f}: {share:.0%} of the "
    "variance (95% CI {low:.0%} to {high:.0%}, jackknife over seeds) is of the networks."
)


class Spread(NamedTuple):
    """The spread of test accuracy over runs, in two parts."""

    variance: float  # of the accuracy on these images, s²
    networks: float  # of the accuracy on all images; estimated, and below 0 by chance
    share: Interval  # of the second in the first


def spread(correct: Bool[np.ndarray, "R N"]) -> Spread:
    """Return how much of the variance between runs two halves of the images share.

    The covariance of the accuracies on two random halves, averaged over all divisions into halves,
    is that of two different images:

        1/(n(n − 1)) · Σ_{i≠j} cov(c_i, c_j) = (n²·s² − Σ_i var(c_i)) / (n(n − 1))

    with s² the variance of the accuracy. The interval is Student's with the jackknife's error.

    Args:
      correct: whether each run is right on each image, R at least 3, N at least 2.
    """
    c = np.asarray(correct, np.float64)
    runs, n = c.shape
    total, hits = c.sum(0), c.sum(1)
    variance, networks = _parts(hits, total, n)
    shares = []
    for run in range(runs):
        v, between = _parts(np.delete(hits, run), total - c[run], n)
        shares.append(between / v)
    share = networks / variance
    error = np.sqrt((runs - 1) * np.var(shares))
    half = float(scipy.stats.t.ppf(0.975, runs - 1) * error)
    return Spread(variance, networks, Interval(share, share - half, share + half))


def said(epochs: int, correct: Bool[np.ndarray, "R N"]) -> Message:
    """Return the parts of the spread after a number of epochs in words."""
    found = spread(correct)
    share = found.share.within(0, 1)
    return message(
        SAID,
        epochs=epochs,
        all=found.variance**0.5,
        n=len(correct),
        networks=max(found.networks, 0.0) ** 0.5,
        share=share.mean,
        low=share.low,
        high=share.high,
        images=correct.shape[1],
    )


def _parts(hits: NDArray[np.float64], total: NDArray[np.float64], n: int) -> tuple[float, float]:
    """Return s² of the accuracies hits/n, and the part of it that two halves share."""
    runs = len(hits)
    variance = float(np.var(hits / n, ddof=1))
    of_images = float((total * (1 - total / runs)).sum() / (runs - 1))  # Σ var of 0 and 1
    return variance, (n * n * variance - of_images) / (n * (n - 1))
