"""The claims of the texts, each computed now: a ledger of what holds and what does not.

A claim is a function: its docstring is the claim in our words, its decorator says where it stands
and what the verdict is, and its body computes the verdict again; `experiments.chapter claims` fails
if one changes. Those that arithmetic decides are in `computed_claims`, those that need training in
`trained_claims`.
"""

import inspect
from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from lenet.chapter.page import Page
from lenet.errors import DataError
from lenet.language import mark

Verdict = Literal["true", "partly", "false"]
VERDICTS = (mark("true"), mark("partly"), mark("false"))

INTRODUCTION = mark("from fully connected layers to convolutions (6.1; English 7.1)")
CONVOLUTION = mark("image convolution (6.2; English 7.2)")
PADDING = mark("padding and stride (6.3; English 7.3)")
CHANNELS = mark("channels (6.4; English 7.4)")
POOLING = mark("pooling (6.5; English 7.5)")
LENET = mark("LeNet (6.6; English 7.6)")
FIRST, SECOND = mark("the first source text"), mark("the second source text")


class Finding(NamedTuple):
    """What a computation says of a claim."""

    verdict: Verdict
    how: str  # how it was checked; a key of the catalogue
    measured: str  # likewise, with {names}
    values: Mapping[str, Any] = MappingProxyType({})


class Claim(NamedTuple):
    """One entry of the ledger."""

    name: str
    text: str
    where: str
    verdict: Verdict  # the one on record
    seconds: int  # about how long on two cores; 0: less than ten
    compute: Callable[[Page], Finding]


LEDGER: dict[str, Claim] = {}


def claim(
    where: str, verdict: Verdict, *, seconds: int = 0
) -> Callable[[Callable[[Page], Finding]], Callable[[Page], Finding]]:
    """Enter a function into the ledger."""

    def enter(compute: Callable[[Page], Finding]) -> Callable[[Page], Finding]:
        text = " ".join(inspect.cleandoc(compute.__doc__ or "").split())
        name = compute.__name__
        LEDGER[name] = Claim(name, text, where, verdict, seconds, compute)
        return compute

    return enter


def truth(holds: Any) -> Verdict:
    """Return "true" or "false"."""
    return "true" if holds else "false"


def ledger() -> dict[str, Claim]:
    """Return every claim, in the order of the texts."""
    from lenet.chapter.claims import computed as computed_claims
    from lenet.chapter.claims import trained as trained_claims

    del computed_claims, trained_claims  # importing them is what enters their claims
    places = [INTRODUCTION, CONVOLUTION, PADDING, CHANNELS, POOLING, LENET, FIRST, SECOND]
    return dict(sorted(LEDGER.items(), key=lambda item: places.index(item[1].where)))


def claims(page: Page) -> None:
    """What the texts claim, each computed now, with its verdict (three of them train networks, for
    minutes).
    """
    found: Counter[str] = Counter()
    changed, missing = [], []
    for entry in ledger().values():
        page.say(entry.text)
        page.note(entry.where)
        try:
            finding = entry.compute(page)
        except DataError as error:  # the others need no data
            missing.append(error)
            page.note("not run: {error}", error=error)
            continue
        page.note(finding.how)
        page.note(finding.measured, **finding.values)
        page.answer("verdict: {verdict}", verdict=page.t(finding.verdict))
        found[finding.verdict] += 1
        if finding.verdict != entry.verdict:
            changed.append(entry.name)
    for verdict, count in found.items():
        page.value(verdict, count)
    page.check(
        "the verdicts are those on record; changed: {changed}",
        not changed,
        changed=", ".join(changed) or 0,
    )
    if missing:
        raise missing[0]
