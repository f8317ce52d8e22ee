"""The ledger of claims: `experiments.chapter claims` fails if a verdict changes."""

from collections import Counter
from collections.abc import Sequence

from lenet.chapter.claims import channels, convolution, introduction, lenet, notes, padding, pooling
from lenet.chapter.claims.claim import ALPHA, Claim
from lenet.chapter.page import Page
from lenet.errors import DataError
from lenet.language import listed, mark

INTRODUCTION = mark("from fully connected layers to convolutions (6.1; English 7.1)")
CONVOLUTION = mark("image convolution (6.2; English 7.2)")
PADDING = mark("padding and stride (6.3; English 7.3)")
CHANNELS = mark("channels (6.4; English 7.4)")
POOLING = mark("pooling (6.5; English 7.5)")
LENET = mark("LeNet (6.6; English 7.6)")
FIRST, SECOND = mark("first set of course notes"), mark("second set of course notes")

CLAIMS = (
    Claim(INTRODUCTION, "true", introduction.a_shared_local_layer_is_a_convolution),
    Claim(INTRODUCTION, "true", introduction.a_shifted_input_shifts_the_feature_map),
    Claim(INTRODUCTION, "partly", introduction.shared_and_local_weights_are_few),
    Claim(INTRODUCTION, "true", introduction.dense_networks_ignore_pixel_order, seconds=150),
    Claim(CONVOLUTION, "true", convolution.a_learned_kernel_absorbs_the_flip),
    Claim(CONVOLUTION, "true", convolution.a_field_may_exceed_the_input),
    Claim(PADDING, "true", padding.ten_layers_lose_a_third),
    Claim(PADDING, "true", padding.even_kernels_pad_unevenly),
    Claim(PADDING, "false", padding.zero_padding_uses_all_pixels_equally),
    Claim(CHANNELS, "true", channels.a_convolution_takes_53_billion_operations),
    Claim(CHANNELS, "false", channels.one_by_one_agrees_to_a_millionth),
    Claim(POOLING, "true", pooling.pooling_quarters),
    Claim(POOLING, "false", pooling.strides_default_to_the_window),
    Claim(POOLING, "partly", pooling.max_pooling_tolerates_a_pixel),
    Claim(POOLING, "true", pooling.lenet_tolerates_a_pixel, seconds=150),
    Claim(LENET, "false", lenet.images_are_30_percent_smaller),
    Claim(LENET, "true", lenet.relu_and_max_pooling_work_better, seconds=300),
    Claim(FIRST, "false", notes.padding_defaults_to_one_and_stride_to_zero),
    Claim(SECOND, "false", notes.convolution_and_cross_correlation_give_the_same),
    Claim(SECOND, "false", notes.the_formula_shifts_right),
    Claim(SECOND, "false", notes.the_training_function_runs),
)
"""Every claim, in the order of the book, with its recorded verdict."""
READ = ("false", "partly", "inconclusive", "true")
"""Verdicts in the order in which they are read: what does not hold comes first."""


def check(page: Page, claims: Sequence[Claim] = CLAIMS) -> None:
    """Claims of the book and the course notes, each checked by computation (three train networks,
    for minutes).
    """
    page.say("The book is Dive into Deep Learning; the notes are two handouts on its chapter.")
    page.say(
        "A claim that training decides is true or false by an exact sign test over seeds "
        "at a false-alarm rate of {alpha:g}; otherwise it is inconclusive.",
        alpha=ALPHA,
    )
    found: Counter[str] = Counter()
    changed, missing = [], []
    for claim in sorted(claims, key=lambda claim: READ.index(claim.verdict)):
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
