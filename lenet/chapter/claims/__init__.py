"""Claims of the book and the course notes, each checked by computation."""

from lenet.chapter.claims.claim import VERDICTS, Claim, Finding
from lenet.chapter.claims.ledger import CLAIMS, check

__all__ = ["CLAIMS", "VERDICTS", "Claim", "Finding", "check"]
