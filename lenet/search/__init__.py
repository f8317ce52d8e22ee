"""Choose settings: a space, proposals, rules of early stopping, and a ledger. Trains nothing.

    space ──propose──► trial ──leg──► rung ──targets──► promoted, or paused for good
                         └────────────ledger────────────┘

The ledger is the truth: proposals and decisions are functions of what it holds.
"""

from lenet.search.ledger import LEDGER, Leg, Mark, Run, Trial, append, read, repair
from lenet.search.plan import Plan, winner
from lenet.search.proposals import SAMPLERS, importances, propose
from lenet.search.rules import RULES, Rule, cohorts, targets
from lenet.search.space import Range, Space, key

__all__ = [
    "LEDGER",
    "RULES",
    "SAMPLERS",
    "Leg",
    "Mark",
    "Plan",
    "Range",
    "Rule",
    "Run",
    "Space",
    "Trial",
    "append",
    "cohorts",
    "importances",
    "key",
    "propose",
    "read",
    "repair",
    "targets",
    "winner",
]
