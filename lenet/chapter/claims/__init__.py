"""Claims of the book and the course notes, each checked by computation."""

from lenet.chapter.claims.claim import ALPHA, VERDICTS, Claim, Finding, decided
from lenet.chapter.claims.ledger import CLAIMS, check

__all__ = ["ALPHA", "CLAIMS", "VERDICTS", "Claim", "Finding", "check", "decided"]
