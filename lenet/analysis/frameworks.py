"""Why the published frameworks disagree: what the study `frameworks` says of it."""

import math
from collections.abc import Sequence

import scipy

from lenet.analysis import published
from lenet.analysis.stats import MARGIN, Interval
from lenet.analysis.summary import Setting, Sweep
from lenet.language import Message, mark, message

FRAMEWORKS = {
    "pytorch": ("pytorch", "examples"),
    "mxnet": ("zeros", "examples"),
    "tensorflow": ("zeros", "batches"),
}
"""How the book's code for each framework starts biases, and what it shuffles."""

BETWEEN = mark(
    "{name} minus PyTorch: {verdict} Published difference in test accuracy: {theirs}. Reproduced "
    "by changing bias initialisation and shuffling: {ours}. Unexplained: {left}."
)
VERDICTS = {
    "all": mark("bias initialisation and shuffling explain the difference, to within {margin}."),
    "like": mark(
        "bias initialisation and shuffling make a difference like it. That they explain all but "
        "{margin} of it is not shown."
    ),
    "part": mark("bias initialisation and shuffling explain a part of the difference."),
    "none": mark("bias initialisation and shuffling do not explain the difference."),
    "more": mark(
        "bias initialisation and shuffling explain more than the difference; another factor works "
        "against them."
    ),
    "open": mark("inconclusive."),
}
ONE_DRAW = mark(
    "The {runs} published {name} runs very probably share one draw of the initial weights, because "
    "its random generator starts from a fixed seed (apache/mxnet#7124). They are one replicate: "
    "the interval contains the variance between draws, from the study `variance`."
)


SHORT_BATCH = mark(
    "Batches instead of examples change test accuracy by {short} with the short batch (batch size "
    "256, study `frameworks`), by {none} without. The difference of the two effects: {gap} (95% "
    "CI, independent runs)."
)


def between(settings: Sequence[Setting]) -> list[Message]:
    """Return what the study `frameworks` says of the differences between the published means."""
    cells = {(s.config.bias_init, s.config.order): s for s in settings}
    found = []
    for name in ("mxnet", "tensorflow"):
        here, other = (cells.get(FRAMEWORKS[each]) for each in (name, "pytorch"))
        ours = here and other and here.minus(other)
        if not ours:
            continue
        theirs = difference(name)
        rest = left(ours, theirs)
        found.append(
            message(
                BETWEEN,
                name=published.NAMES[name],
                verdict=message(VERDICTS[explains(ours, rest)], margin=MARGIN),
                theirs=theirs,
                ours=ours,
                left=rest,
            )
        )
        if name in published.ONE_DRAW:
            runs = len(published.runs(name).test_acc)
            found.append(message(ONE_DRAW, name=published.NAMES[name], runs=runs))
    return found


def of_short_batch(short: Sweep, none: Sweep) -> list[Message]:
    """Return whether fixed batches matter more with a short one: `short` and `none` vary the order.

    Of `short` only the settings with the preset's initial biases count.
    """
    found = []
    for sweep in (short, none):
        cells = {s.config.order: s for s in sweep.settings if s.config.bias_init == "pytorch"}
        found.append(cells["batches"].minus(cells["examples"]))
    if found[0] is None or found[1] is None:
        return []
    gap = left(found[1], found[0])
    return [message(SHORT_BATCH, short=found[0], none=found[1], gap=gap)]


def difference(name: str) -> Interval:
    """Return the published difference in mean test accuracy from PyTorch, with its 95% CI.

    mean ± t(0.975; df) · √V with V = σ²/m + s²/R, summed over both: σ² is the variance between
    draws of the initial weights, m the number of draws, s² the variance of the R runs; df by
    Satterthwaite. Where every run has a draw of its own, s² contains σ²: this is Welch's interval.
    """
    here, other = (published.runs(each).test_acc for each in (name, "pytorch"))
    terms: list[tuple[float, float]] = [(x.var(ddof=1) / len(x), len(x) - 1) for x in (here, other)]
    if name in published.ONE_DRAW:
        terms.append(published.BETWEEN_DRAWS)
    total = sum(variance for variance, _ in terms)
    freedom = total**2 / sum(variance**2 / df for variance, df in terms)
    half = float(scipy.stats.t.ppf(0.975, freedom)) * math.sqrt(total)
    mean = float(here.mean() - other.mean())
    return Interval(mean, mean - half, mean + half)


def left(ours: Interval, theirs: Interval) -> Interval:
    """Return theirs less ours: independent, so that the squares of the half-widths add up."""
    half = math.hypot(ours.high - ours.mean, theirs.high - theirs.mean)
    mean = theirs.mean - ours.mean
    return Interval(mean, mean - half, mean + half)


def explains(ours: Interval, rest: Interval, margin: float = MARGIN) -> str:
    """Return whether our difference explains the published one; `rest` is what it leaves over.

    Equality is shown by an interval within the margin, never by one that contains 0:

        ours clear, rest within the margin   "all"
        ours clear, rest open                "like"
        ours clear, rest of the same sign    "part", of the other "more"
        ours within the margin, rest clear   "none"
        otherwise                            "open"
    """
    small, rest_small = (-margin < each.low and each.high < margin for each in (ours, rest))
    if ours.side == "open":
        return "none" if small and rest.side != "open" else "open"
    if rest_small:
        return "all"
    if rest.side == "open":
        return "like"
    return "part" if rest.side == ours.side else "more"
