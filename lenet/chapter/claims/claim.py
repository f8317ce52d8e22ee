"""A claim of the book or the course notes, and the finding of the computation that checks it."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from lenet.chapter.page import Page, heading
from lenet.language import mark

Verdict = Literal["true", "partly", "false"]
VERDICTS = (mark("true"), mark("partly"), mark("false"))


class Finding(NamedTuple):
    """The result of checking a claim."""

    verdict: Verdict
    how: str  # the method; a key of the catalogue
    measured: str  # the numbers; likewise, with {names}
    values: Mapping[str, Any] = {}


class Claim(NamedTuple):
    """A claim: the docstring of `compute` states it in our words."""

    where: str  # the section of the book, or the course notes
    verdict: Verdict  # the recorded one
    compute: Callable[[Page], Finding]
    seconds: int = 0  # rough duration on two cores; 0 means less than ten

    @property
    def name(self) -> str:
        """The name of the function that checks the claim."""
        return self.compute.__name__

    @property
    def text(self) -> str:
        """The claim in a sentence."""
        return heading(self.compute)


def truth(holds: Any) -> Verdict:
    """Return "true" or "false"."""
    return "true" if holds else "false"
