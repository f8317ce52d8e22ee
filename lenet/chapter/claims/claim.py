"""A claim of the book or the course notes, and the finding of the computation that checks it."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike

from lenet.chapter.page import Page, heading
from lenet.language import mark

Verdict = Literal["true", "partly", "false", "inconclusive"]
VERDICTS = (mark("true"), mark("partly"), mark("false"), mark("inconclusive"))

ALPHA = 1e-4
"""False-alarm rate of a claim that training decides: forty raise one in 0.4% of releases."""
SEEDS = range(100, 116)
"""Of such a claim, and of nothing that it selects by: if all 16 agree, p = 2/2¹⁶ = 3e-5."""


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


def decided(page: Page, gains: ArrayLike) -> tuple[Verdict, dict[str, Any]]:
    """Print a gain for each seed, and decide by an exact sign test at ALPHA whether it is above 0.

    Returns:
      "true" or "false" by the sign of most gains, or "inconclusive" where both signs may be as
      likely; and the numbers of the test, {"above": ..., "n": ..., "p": ...}
    """
    found = np.asarray(gains, np.float64)
    page.value("gain with each seed", " ".join(f"{gain:+.4f}" for gain in found))
    above, n = int((found > 0).sum()), int((found != 0).sum())
    p = scipy.stats.binomtest(above, n).pvalue if n else 1.0
    verdict = truth(2 * above > n) if p < ALPHA else "inconclusive"
    return verdict, {"above": above, "n": len(found), "p": p}


def truth(holds: Any) -> Verdict:
    """Return "true" or "false"."""
    return "true" if holds else "false"
