"""How a run ended: the one convention for runs that learned nothing.

A run that diverged or collapsed is an outcome, not a missing value: it counts wherever runs are
counted, ranked or averaged.
"""

from typing import Literal

from lenet.engine import chance
from lenet.records.ledger import Entry

Outcome = Literal["learned", "collapsed", "diverged"]


def outcome(entry: Entry, num_classes: int) -> Outcome:
    """Return how a finished run ended.

    "diverged": its loss was no number. "collapsed": its training loss ended within 5% of log K, or
    above it (`lenet.engine.chance`).
    """
    if entry.diverged is not None:
        return "diverged"
    return "collapsed" if chance.collapsed(entry.rows[-1].train_loss, num_classes) else "learned"


def ended_with(entry: Entry, measure: str, num_classes: int) -> float | None:
    """Return a field of Row after the last epoch; None where it has no value.

    A run that diverged classifies no image by what it sees: its accuracy is chance level, 1/K, and
    its loss has no value.
    """
    if entry.diverged is None:
        return getattr(entry.rows[-1], measure)
    return 1 / num_classes if measure.endswith("accuracy") else None
