"""The book's own search for this network's learning rate and batch size, as it is printed.

Random search and asynchronous successive halving (η = 2, first rung after 2 epochs) over learning
rates of 0.01 to 1 and batch sizes of 32 to 256, at most ten epochs, one seed for each setting, in
900 seconds: the outputs of July 2026 in smolix/d2l-neu. What is printed is the error on the test
images, by which the search also selects.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lenet.engine import chance
from lenet.language import Listed, Message, listed, mark, message


class Printed(NamedTuple):
    """A setting of a search of the book, and the error that it prints."""

    rule: str  # "none": random search; "asha"
    lr: float
    batch_size: int
    epochs: int
    error: float  # on the test images


PRINTED = (
    Printed("none", 0.1, 128, 10, 0.270),
    Printed("none", 0.0142, 154, 10, 0.900),
    Printed("none", 0.0264, 178, 10, 0.901),
    Printed("none", 0.344, 133, 10, 0.240),
    Printed("none", 0.465, 174, 10, 0.192),
    Printed("none", 0.0128, 82, 10, 0.873),
    Printed("none", 0.241, 245, 10, 0.262),
    Printed("none", 0.058, 72, 10, 0.272),
    Printed("none", 0.051, 159, 10, 0.408),
    Printed("none", 0.074, 221, 10, 0.422),
    Printed("none", 0.0223, 100, 10, 0.900),
    Printed("none", 0.192, 41, 10, 0.155),
    Printed("none", 0.408, 218, 10, 0.249),
    Printed("asha", 0.1, 128, 10, 0.260),
    Printed("asha", 0.056, 78, 8, 0.297),
    Printed("asha", 0.146, 59, 10, 0.183),
    Printed("asha", 0.265, 64, 10, 0.177),
    Printed("asha", 0.121, 131, 2, 0.8997),
    Printed("asha", 0.027, 186, 2, 0.900),
    Printed("asha", 0.112, 192, 4, 0.892),
    Printed("asha", 0.081, 160, 2, 0.8998),
    Printed("asha", 0.016, 49, 4, 0.898),
    Printed("asha", 0.018, 94, 2, 0.8999),
    Printed("asha", 0.131, 131, 4, 0.631),
    Printed("asha", 0.170, 42, 10, 0.193),
    Printed("asha", 0.457, 126, 10, 0.199),
)
SETTINGS = tuple(dict.fromkeys((row.lr, row.batch_size) for row in PRINTED))
"""Learning rate and batch size, each once."""


class Curves(NamedTuple):
    """What the runs of a setting do, [seeds, epochs]."""

    errors: NDArray[np.float64]  # on the test images
    losses: NDArray[np.float64]  # of training, in nats


Found = Mapping[tuple[float, int], Curves]
"""Curves by learning rate and batch size."""

AGREE = mark(
    "Of the {n} errors that random search prints, {k} lie between the lowest and the highest of "
    "our {seeds} seeds after as many epochs; of the {m} of ASHA, {j}. One more of our seeds would "
    "with a probability of {chance:.0%}."
)
MEDIAN = mark(
    "From the lowest to the highest of {seeds} seeds is a {confidence:.1%} confidence interval of "
    "the median, whatever the distribution."
)
BEST = mark(
    "After ten epochs the lowest median error is {error:.3f}, at {setting}. Random search prints "
    "{random} as its best, ASHA {asha}; their medians here are {random_here:.3f} and "
    "{asha_here:.3f}."
)
STOPPED = mark(
    "ASHA stopped {n} settings. Trained to ten epochs, the one that turns out best has a median "
    "error of {error:.3f}, at {setting}; with {k} of {seeds} seeds it ends below the median of "
    "ASHA's winner. In the epoch before they were stopped, {chance} of {runs} of our runs of them "
    "had a training loss at chance level; in the tenth, {left} have."
)


def said(found: Found) -> list[Message]:
    """Return what other seeds say of the book's search, in words."""
    final = {setting: float(np.median(of.errors[:, -1])) for setting, of in found.items()}
    seeds = len(next(iter(found.values())).errors)
    by_rule = {rule: [row for row in PRINTED if row.rule == rule] for rule in ("none", "asha")}
    inside = {rule: sum(_inside(row, found) for row in rows) for rule, rows in by_rule.items()}
    winners = {
        rule: min((r for r in rows if r.epochs == 10), key=lambda r: r.error)
        for rule, rows in by_rule.items()
    }
    best = min(final, key=lambda setting: final[setting])
    stopped = [row for row in by_rule["asha"] if row.epochs < 10]
    of_stopped = [found[row.lr, row.batch_size] for row in stopped]
    then = sum(_at_chance(of, row.epochs) for row, of in zip(stopped, of_stopped, strict=True))
    first = min(stopped, key=lambda row: final[row.lr, row.batch_size])
    own = found[first.lr, first.batch_size].errors[:, -1]
    asha, random = (winners[rule] for rule in ("asha", "none"))
    bar = final[asha.lr, asha.batch_size]
    return [
        message(
            AGREE,
            n=len(by_rule["none"]),
            k=inside["none"],
            m=len(by_rule["asha"]),
            j=inside["asha"],
            seeds=seeds,
            chance=(seeds - 1) / (seeds + 1),  # it is neither the lowest nor the highest of all
        ),
        # Else all seeds lie above the median, or all below.
        message(MEDIAN, seeds=seeds, confidence=1 - 2 ** (1 - seeds)),
        message(
            BEST,
            error=final[best],
            setting=_named(*best),
            random=_named(random.lr, random.batch_size),
            asha=_named(asha.lr, asha.batch_size),
            random_here=final[random.lr, random.batch_size],
            asha_here=bar,
        ),
        message(
            STOPPED,
            n=len(stopped),
            error=final[first.lr, first.batch_size],
            setting=_named(first.lr, first.batch_size),
            k=int((own < bar).sum()),
            seeds=seeds,
            chance=then,
            runs=seeds * len(stopped),
            left=sum(_at_chance(of, 10) for of in of_stopped),
        ),
    ]


def table(found: Found) -> tuple[list[str], list[list[str]]]:
    """Return heads and rows: what the book prints of each setting, and our seeds."""
    names = {"none": mark("random search"), "asha": "ASHA"}
    rows = []
    for row in PRINTED:
        of = found[row.lr, row.batch_size]
        rows.append(
            [
                names[row.rule],
                f"{row.lr:g}",
                str(row.batch_size),
                str(row.epochs),
                f"{row.error:.3f}",
                _range(of.errors[:, row.epochs - 1]),
                "" if row.epochs == 10 else _range(of.errors[:, -1]),
                f"{_at_chance(of, row.epochs)}/{len(of.errors)}",
            ]
        )
    heads = [
        mark("rule"),
        mark("learning rate"),
        mark("batch size"),
        mark("epochs"),
        mark("error, printed"),
        mark("ours: median [lowest, highest]"),
        mark("after ten epochs"),
        mark("training loss at chance level"),
    ]
    return heads, rows


def _inside(row: Printed, found: Found) -> bool:
    there = found[row.lr, row.batch_size].errors[:, row.epochs - 1].round(3)
    return bool(there.min() <= round(row.error, 3) <= there.max())


def _at_chance(of: Curves, epochs: int) -> int:
    """Return in how many runs the mean training loss of an epoch was at chance level."""
    return sum(chance.collapsed(float(loss), 10) for loss in of.losses[:, epochs - 1])


def _range(values: NDArray[np.float64]) -> str:
    return f"{np.median(values):.3f} [{values.min():.3f}, {values.max():.3f}]"


def _named(lr: float, batch_size: int) -> Listed:
    return listed([f"lr={lr:g}", f"batch_size={batch_size}"])
