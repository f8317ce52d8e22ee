"""Why the published frameworks disagree: what the study `frameworks` says of it."""

import math
from collections.abc import Sequence

from lenet.analysis import published, stats
from lenet.analysis.stats import Interval
from lenet.analysis.summary import Setting
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
    "all": mark("bias initialisation and shuffling may explain the whole difference."),
    "part": mark("bias initialisation and shuffling explain a part of the difference."),
    "none": mark("bias initialisation and shuffling do not explain the difference."),
    "more": mark(
        "bias initialisation and shuffling explain more than the difference; another factor works "
        "against them."
    ),
    "open": mark("inconclusive."),
}


def between(settings: Sequence[Setting]) -> list[Message]:
    """Return what the study `frameworks` says of the differences between the published means."""
    cells = {(s.config.bias_init, s.config.order): s for s in settings}
    found = []
    for name in ("mxnet", "tensorflow"):
        here, other = (cells.get(FRAMEWORKS[each]) for each in (name, "pytorch"))
        ours = here and other and here.minus(other)
        if not ours:
            continue
        theirs = stats.equal_distributions(
            published.runs(name).test_acc, published.runs("pytorch").test_acc
        ).difference
        rest = left(ours, theirs)
        found.append(
            message(
                BETWEEN,
                name=published.NAMES[name],
                verdict=Message(VERDICTS[explains(ours, rest)]),
                theirs=theirs,
                ours=ours,
                left=rest,
            )
        )
    return found


def left(ours: Interval, theirs: Interval) -> Interval:
    """Return theirs less ours: independent, so that the squares of the half-widths add up."""
    half = math.hypot(ours.high - ours.mean, theirs.high - theirs.mean)
    mean = theirs.mean - ours.mean
    return Interval(mean, mean - half, mean + half)


def explains(ours: Interval, rest: Interval) -> str:
    """Return whether our difference explains the published one; `rest` is what it leaves over.

    If our interval contains 0: "none" if `rest` excludes 0, else "open" (inconclusive). Otherwise:
    "all" if `rest` contains 0, "part" if it has the sign of our difference, else "more".
    """
    if ours.side == "open":
        return "open" if rest.side == "open" else "none"
    if rest.side == "open":
        return "all"
    return "part" if rest.side == ours.side else "more"
