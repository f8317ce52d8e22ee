"""What the book's next edition will print: a prediction made before it is out, and its check."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy

from lenet.analysis import published
from lenet.analysis.stats import Interval
from lenet.language import Message, mark, message

CHECKED = mark(
    "Check, on what is published: with the short batch, a run ends at a test accuracy from "
    "{low:.3f} to {high:.3f} (95% predictive interval) after {least} to {most} epochs at 0.10. The "
    "{runs} published curves end from {their_low:.3f} to {their_high:.3f}, {inside}, after "
    "{their_least} to {their_most} epochs at 0.10."
)
INSIDE = {True: mark("all within"), False: mark("not all within")}
PREDICTED = mark(
    "Prediction, of 2026-11-26: in the next edition, a run will end at a test accuracy from "
    "{low:.3f} to {high:.3f} (95% predictive interval), on average at {mean:.4f} "
    "[{mean_low:.4f}, {mean_high:.4f}], with a standard deviation of {sd:.4f} "
    "[{sd_low:.4f}, {sd_high:.4f}] over runs, and after {least} to {most} epochs at 0.10 (the "
    "range of {n} runs; median {median:g}). It is wrong if more than 1 of 10 runs lie outside, or "
    "their mean differs by more than 0.01."
)

OF_SOME = mark(
    "For {m} published runs, if the prediction is right, their mean lies from {low:.3f} to "
    "{high:.3f} and their standard deviation from {sd_low:.4f} to {sd_high:.4f}, each in 95% of "
    "cases (normal values, added later). The rule above calls a right prediction wrong in about "
    "{rate:.0%} of cases: more than 1 of 10 runs lie outside a 95% interval so often."
)
SOME = 10
"""Published runs for which the mean and the standard deviation are predicted."""


class Runs(NamedTuple):
    """Runs of one setting."""

    ends: Sequence[float]  # test accuracy after the last epoch
    stuck: Sequence[int]  # epochs at chance level


def said(dropped: Runs, kept: Runs) -> list[Message]:
    """Return the check and the prediction in words, of runs without and with the short batch."""
    theirs, run = published.NEWER, of_a_run(kept.ends)
    inside = run.low <= theirs.low and theirs.high <= run.high
    check = message(
        CHECKED,
        low=run.low,
        high=run.high,
        least=min(kept.stuck),
        most=max(kept.stuck),
        runs=theirs.runs,
        their_low=theirs.low,
        their_high=theirs.high,
        inside=Message(INSIDE[inside]),
        their_least=theirs.stuck[0],
        their_most=theirs.stuck[1],
    )
    ends, stuck = dropped
    run, n, sd = of_a_run(ends), len(ends), float(np.std(ends, ddof=1))
    half = float(scipy.stats.t.ppf(0.975, n - 1)) * sd / n**0.5
    low, high = (sd * ((n - 1) / q) ** 0.5 for q in scipy.stats.chi2.ppf([0.975, 0.025], n - 1))
    prediction = message(
        PREDICTED,
        low=run.low,
        high=run.high,
        mean=run.mean,
        mean_low=run.mean - half,
        mean_high=run.mean + half,
        sd=sd,
        sd_low=float(low),
        sd_high=float(high),
        least=min(stuck),
        most=max(stuck),
        n=n,
        median=float(np.median(stuck)),
    )
    return [check, prediction, of_some(ends)]


def of_some(values: Sequence[float], m: int = SOME) -> Message:
    """Say where mean and standard deviation of m further runs lie in 95% of cases.

    mean ± t(0.975; R − 1) · s · √(1/m + 1/R), and s · √F(0.025 and 0.975; m − 1, R − 1), of R
    normal values.
    """
    n, mean, sd = len(values), float(np.mean(values)), float(np.std(values, ddof=1))
    half = float(scipy.stats.t.ppf(0.975, n - 1)) * sd * (1 / m + 1 / n) ** 0.5
    low, high = (sd * float(q) ** 0.5 for q in scipy.stats.f.ppf([0.025, 0.975], m - 1, n - 1))
    return message(
        OF_SOME,
        m=m,
        low=mean - half,
        high=mean + half,
        sd_low=low,
        sd_high=high,
        rate=float(scipy.stats.binom.sf(1, 10, 0.05)),
    )


def of_a_run(values: Sequence[float]) -> Interval:
    """Return the mean, and the interval in which the next run lies in 95% of cases.

    mean ± t(0.975; R − 1) · s · √(1 + 1/R), of R normal values.
    """
    n, sd = len(values), float(np.std(values, ddof=1))
    half = float(scipy.stats.t.ppf(0.975, n - 1)) * sd * (1 + 1 / n) ** 0.5
    mean = float(np.mean(values))
    return Interval(mean, mean - half, mean + half)
