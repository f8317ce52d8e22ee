"""The ledger of claims: `experiments.chapter claims` fails if a verdict changes."""

from collections import Counter
from collections.abc import Sequence

from lenet.chapter.claims import channels, convolution, introduction, lenet, notes, padding, pooling
from lenet.chapter.claims.claim import Claim
from lenet.chapter.page import Page
from lenet.errors import DataError
from lenet.language import listed

CLAIMS: tuple[Claim, ...] = (
    *introduction.CLAIMS,
    *convolution.CLAIMS,
    *padding.CLAIMS,
    *channels.CLAIMS,
    *pooling.CLAIMS,
    *lenet.CLAIMS,
    *notes.CLAIMS,
)
"""Every claim, in the order of the book."""


def check(page: Page, claims: Sequence[Claim] = CLAIMS) -> None:
    """Claims of the book and the course notes, each checked by computation (three train networks,
    for minutes).
    """
    page.say("The book is Dive into Deep Learning; the notes are two handouts on its chapter.")
    found: Counter[str] = Counter()
    changed, missing = [], []
    for claim in claims:
        page.say(claim.text)
        page.note(claim.where)
        try:
            finding = claim.compute(page)
        except DataError as error:  # the other claims need no data
            missing.append(error)
            page.note("skipped: {error}", error=error)
            continue
        page.note(finding.how)
        page.note(finding.measured, **finding.values)
        page.answer("verdict: {verdict}", verdict=page.t(finding.verdict))
        found[finding.verdict] += 1
        if finding.verdict != claim.verdict:
            changed.append(claim.name)
    for verdict, count in found.items():
        page.value(verdict, count)
    page.check(
        "every verdict is as recorded; changed: {changed}",
        not changed,
        changed=listed(changed) if changed else 0,
    )
    if missing:
        raise missing[0]
