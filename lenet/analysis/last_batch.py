"""What the last, short batch of an epoch does: where it comes, and how many examples it has."""

from collections.abc import Mapping
from functools import partial

import numpy as np
import scipy
from numpy.typing import NDArray

from lenet.analysis.bootstrap import bca
from lenet.analysis.stats import MARGIN
from lenet.analysis.summary import Setting, Sweep
from lenet.language import Message, mark, message

SPREAD = mark(
    "Last steps on the short batch make {share:.0%} of the variance of test accuracy over seeds "
    "(95% CI {low:.0%} to {high:.0%}, BCa over {n} seeds): its standard deviation is {last:.4f} "
    "with them and {drop:.4f} without."
)
SAME = mark(
    "First minus dropped: {difference} (90% CI, paired by seed). The two are equal to within "
    "{margin}: what costs accuracy is that the short batch comes last."
)
OTHER = mark(
    "First minus dropped: {difference} (90% CI, paired by seed). That they are equal to within "
    "{margin} is not shown."
)
TREND = mark(
    "Test accuracy rises with the size of the last batch: Page's trend test over {n} seeds and {k} "
    "sizes, p = {p:.1g}."
)
NO_TREND = mark(
    "That test accuracy rises with the size of the last batch is not shown: Page's trend test over "
    "{n} seeds and {k} sizes, p = {p:.2g}."
)
MEASURE = "test_accuracy"


def place(sweep: Sweep) -> list[Message]:
    """Return what runs say whose short batch is last, first or dropped, with the same seeds."""
    cells = {setting.config.short_batch: setting for setting in sweep.settings}
    both = by_seed({name: cells[name] for name in ("last", "drop")})
    share = bca(both, lambda y: 1 - y[1].var(-1, ddof=1) / y[0].var(-1, ddof=1))[0]
    last, drop = both.std(-1, ddof=1)
    said = [
        message(
            SPREAD,
            share=share.mean,
            low=share.low,
            high=share.high,
            n=both.shape[-1],
            last=last,
            drop=drop,
        )
    ]
    if difference := cells["first"].minus(cells["drop"], 0.9):
        same = difference.low > -MARGIN and difference.high < MARGIN
        said.append(message(SAME if same else OTHER, difference=difference, margin=MARGIN))
    return said


def size(sweep: Sweep, examples: int) -> list[Message]:
    """Return whether accuracy rises with the size of the last of `examples` in batches."""
    last = partial(_last, examples)
    ordered = sorted(sweep.settings, key=lambda setting: last(setting.config.batch_size))
    values = by_seed({str(setting.config.batch_size): setting for setting in ordered}).T
    p = float(scipy.stats.page_trend_test(values, method="asymptotic").pvalue)
    text = TREND if p < 0.05 else NO_TREND
    return [message(text, n=len(values), k=values.shape[1], p=p)]


def by_seed(settings: Mapping[str, Setting]) -> NDArray[np.float64]:
    """Return the final test accuracy [setting, seed] with the seeds that all settings share."""
    found = [setting.by_seed(MEASURE) for setting in settings.values()]
    seeds = sorted(set.intersection(*(set(each) for each in found)))
    return np.array([[each[seed] for seed in seeds] for each in found])


def _last(examples: int, batch_size: int) -> int:
    return examples % batch_size or batch_size
