"""Does one bit matter as much as another seed? Runs that differ in the last bit of one weight.

Estimand: the standard deviation of test accuracy over copies of a run that differ in one bit,
divided by that over new seeds, after each epoch; and in how many test images two runs differ.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy
from jax.flatten_util import ravel_pytree
from numpy.typing import NDArray

from experiments.within.chunks import Chunk, chunks
from lenet.analysis.stats import Interval, interval
from lenet.config import Config, replace
from lenet.data import Data
from lenet.engine.sgd import State
from lenet.figures import vega
from lenet.figures.vega import Chart, Spec, Translate, channel
from lenet.language import Message, mark, message

GROUPS = ("bit", "weights", "seed")
"""Runs of the same seed but for one bit; of the same order of examples, with other weights; and of
other seeds."""
LEAST = 1e-3
"""A flipped weight is at least as large: what the last bit of 0 makes of it counts as 0."""


class Design(NamedTuple):
    """The book's network; seeds that nothing else uses."""

    bases: int = 3  # runs that are copied
    copies: int = 32  # of each; and with other weights
    seeds: int = 64
    first_seed: int = 6_100_000  # and as many as 100,064 after it
    epochs: int = 40


def configs_of(design: Design, dataset: str) -> list[tuple[str, int, int, Config]]:
    """Return group, base, number and settings of each run.

    The copies 0 and 1 of a base are not changed: they have to stay equal.
    """
    found = []
    for base in range(design.bases):
        seed = design.first_seed + base
        own = Config(dataset=dataset, seed=seed, order_seed=seed, epochs=design.epochs)
        found += [("bit", base, copy, own) for copy in range(design.copies + 1)]
        for other in range(design.copies):
            new = design.first_seed + 1000 * (base + 1) + other
            config = replace(own, seed=new)
            found.append(("weights", base, other, config))
    for other in range(design.seeds):
        new = design.first_seed + 100_000 + other
        config = Config(dataset=dataset, seed=new, order_seed=new, epochs=design.epochs)
        found.append(("seed", 0, other, config))
    return found


def measure(data: Data, design: Design) -> dict[str, Any]:
    """Return after each epoch how many test images runs have right, and in how many two differ.

    Returns:
      `runs`: group, base and number of each run, `right` [runs, epochs]; `differ` [pairs, epochs],
      with the runs of each pair in `pairs`: neighbours of one group and base. `equal`: whether
      untouched copies had the same bits to the end.
    """
    asked = configs_of(design, data.name)
    about = [(group, base, number) for group, base, number, _ in asked]
    right, classes, last = [], [], {}
    for chunk in chunks([config for *_, config in asked], data):
        state = initial(chunk, about)
        own_right, own_classes = [], []
        for _ in range(design.epochs):
            state, _ = chunk.epoch(state)
            hits, predicted = chunk.evaluate(state)
            own_right.append(hits)
            own_classes.append(predicted)
        weights = flat(chunk.own(state.params))
        for lane, run in enumerate(chunk.runs):
            group, base, number = about[run]
            if group == "bit" and number < 2:
                last[base, number] = weights[lane]
        right += np.stack(own_right, -1).tolist()
        classes += list(np.stack(own_classes, 1))
    pairs = _pairs(about)
    differ = [(classes[a] != classes[b]).sum(-1).tolist() for a, b in pairs]
    equal = all((last[base, 0] == last[base, 1]).all() for base in range(design.bases))
    return {
        "images": len(data.test.labels),
        "runs": about,
        "right": right,
        "pairs": pairs,
        "differ": differ,
        "equal": bool(equal),
    }


def flip_last_bit(weights: NDArray[np.float32], place: int) -> NDArray[np.float32]:
    """Return weights [N] of which one has its last bit flipped: by 2^-24 to 2^-23 of itself.

    >>> before = np.array([1.0, 2.0], np.float32)
    >>> float(flip_last_bit(before, 0)[0] - 1) == 2**-23
    True
    """
    after = weights.copy()
    after.view(np.uint32)[place] ^= 1
    return after


def initial(chunk: Chunk, about: Sequence[tuple[str, int, int]]) -> State:
    """Return the states before the first step, with a bit flipped in each copy but the first two.

    Args:
      chunk: of the runs.
      about: group, base and number of every run, those of other chunks too.
    """
    state = chunk.init()
    lanes = flat(chunk.own(state.params))
    for lane, run in enumerate(chunk.runs):
        group, base, number = about[run]
        if group == "bit" and number >= 2:
            rng = np.random.default_rng([base, number])
            large = np.flatnonzero(np.abs(lanes[lane]) >= LEAST)
            lanes[lane] = flip_last_bit(lanes[lane], int(rng.choice(large)))
    _, restore = ravel_pytree(jax.tree.map(lambda x: x[0], state.params))
    return state._replace(params=chunk.place(jax.device_get(jax.vmap(restore)(jnp.asarray(lanes)))))


def flat(params: Any) -> NDArray[np.float32]:
    """Return parameters [R, ...] as one row of numbers for each run, [R, N]."""
    return np.array(jax.vmap(lambda tree: ravel_pytree(tree)[0])(params))


def _pairs(about: Sequence[tuple[str, int, int]]) -> list[tuple[int, int]]:
    """Return disjoint pairs of runs of one group and base; untouched copies are left out."""
    groups: dict[tuple[str, int], list[int]] = {}
    for run, (group, base, number) in enumerate(about):
        if group != "bit" or number >= 1:
            groups.setdefault((group, base), []).append(run)
    return [(runs[i], runs[i + 1]) for runs in groups.values() for i in range(0, len(runs) - 1, 2)]


SHOWN = (1, 3, 10, 40)
"""Epochs of the table."""
MARGIN = 1.25
"""A ratio of spreads between 1/MARGIN and MARGIN counts as equal; chosen before the runs."""
NAMES = {
    "bit": mark("one bit of one weight"),
    "weights": mark("other weights, same order"),
    "seed": mark("new seed"),
}
SAME = mark(
    "After {epochs} epochs the spread of test accuracy over runs that differ in one bit is "
    "{ratio:.2f} times that over new seeds (90% CI {low:.2f} to {high:.2f}): the same to within a "
    "quarter. Two such runs then answer {bit:.1%} of the test images differently, two seeds "
    "{seed:.1%}."
)
OPEN = mark(
    "After {epochs} epochs the spread of test accuracy over runs that differ in one bit is "
    "{ratio:.2f} times that over new seeds (90% CI {low:.2f} to {high:.2f}). Two such runs then "
    "answer {bit:.1%} of the test images differently, two seeds {seed:.1%}."
)
NONE = mark(
    "Of {pairs} pairs of copies that differ in one or two bits, asked for {images:,} test images "
    "after each of {epochs} epochs, {different:,} of {answers:,} answers differ. Two seeds differ "
    "in {seed:.1%} of their answers at the end, two initial weights with the same order of "
    "examples in {weights:.1%}."
)
EQUAL = mark(
    "Copies that were not changed had the same bits to the end: the difference is the bit's alone."
)


def said(record: dict[str, Any]) -> list[Message]:
    """Return what the runs say, in words: after the first epoch that is shown, and the last."""
    epochs = [epoch for epoch in SHOWN if epoch <= len(record["right"][0])]
    equal = [message(EQUAL)] if record["equal"] else []
    if not any(spread(record, "bit", epoch) for epoch in epochs):
        return [_none(record, epochs[-1]), *equal]
    found = []
    for epoch in dict.fromkeys(epochs[:1] + epochs[-1:]):
        ratio = ratio_of_spreads(record, epoch, 0.9)
        same = ratio.low > 1 / MARGIN and ratio.high < MARGIN
        shares = {name: differing(record, name, epoch).mean for name in ("bit", "seed")}
        found.append(
            message(
                SAME if same else OPEN,
                epochs=epoch,
                ratio=ratio.mean,
                low=ratio.low,
                high=ratio.high,
                **shares,
            )
        )
    return [*found, *equal]


def _none(record: dict[str, Any], epochs: int) -> Message:
    bits = [
        counts
        for (run, _), counts in zip(record["pairs"], record["differ"], strict=True)
        if record["runs"][run][0] == "bit"
    ]
    return message(
        NONE,
        pairs=len(bits),
        images=record["images"],
        epochs=epochs,
        different=sum(map(sum, bits)),
        answers=len(bits) * epochs * record["images"],
        seed=differing(record, "seed", epochs).mean,
        weights=differing(record, "weights", epochs).mean,
    )


def table(record: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """Return heads and rows: spread and disagreement after some epochs."""
    heads = [
        mark("runs that differ in"),
        mark("epochs"),
        mark("standard deviation of test accuracy"),
        mark("test images answered differently by two runs [95% CI]"),
    ]
    rows = []
    for group, name in NAMES.items():
        for epoch in SHOWN:
            if epoch <= len(record["right"][0]):
                share = differing(record, group, epoch)
                rows.append(
                    [
                        name,
                        epoch,
                        f"{spread(record, group, epoch):.4f}",
                        _shown(share),
                    ]
                )
    return heads, rows


def _shown(share: Interval) -> str:
    if share.low == share.high:  # nothing varies: an interval would say nothing
        return f"{share.mean:.1%}"
    return share.shown(".1%")


def charts(record: dict[str, Any]) -> list[Chart]:
    """Return spread and disagreement by epoch."""
    epochs = range(1, len(record["right"][0]) + 1)
    rows = [
        {
            "series": group,
            "epoch": epoch,
            "spread": spread(record, group, epoch),
            "differ": differing(record, group, epoch).mean,
        }
        for group in GROUPS
        for epoch in epochs
    ]

    def chart(field: str, title: str) -> Chart:
        def draw(t: Translate) -> Spec:
            x = vega.logarithmic("epoch", t(mark("epochs")), list(epochs))
            y = channel(field, t(title), axis={"format": "~%"})
            names = {name: t(each) for name, each in NAMES.items()}
            return vega.lines(field, t(title), x, y, names, f"format(datum.{field}, '.2%')")

        return Chart(draw, {field: rows})

    return [
        chart("spread", mark("standard deviation of test accuracy")),
        chart("differ", mark("test images answered differently")),
    ]


def spread(record: dict[str, Any], group: str, epoch: int) -> float:
    """Return the standard deviation of test accuracy, within a base."""
    variances = [x.var(ddof=1) for x in _samples(record, group, epoch)]
    return float(np.mean(variances) ** 0.5 / record["images"])


def ratio_of_spreads(record: dict[str, Any], epoch: int, confidence: float = 0.95) -> Interval:
    """Return the spread of one bit over that of new seeds; BCa, runs resampled in each base."""
    samples = [*_samples(record, "bit", epoch), *_samples(record, "seed", epoch)]

    def ratio(*samples: np.ndarray, axis: int = -1) -> Any:
        *bits, seeds = (x.var(axis, ddof=1) for x in samples)
        return np.sqrt(np.mean(bits, 0) / seeds)

    found = scipy.stats.bootstrap(
        samples,
        ratio,
        vectorized=True,
        confidence_level=confidence,
        method="BCa",
        random_state=np.random.default_rng(0),
    ).confidence_interval
    return Interval(float(ratio(*samples)), float(found.low), float(found.high))


def differing(record: dict[str, Any], group: str, epoch: int) -> Interval:
    """Return the share of test images that two runs of a group answer differently.

    Over pairs; over bases, where there are several: pairs of a base share its order of examples.
    """
    found: dict[int, list[float]] = {}
    for (run, _), counts in zip(record["pairs"], record["differ"], strict=True):
        of, base, _ = record["runs"][run]
        if of == group:
            found.setdefault(base, []).append(counts[epoch - 1] / record["images"])
    means = [float(np.mean(shares)) for shares in found.values()]
    return interval(means if len(means) > 1 else next(iter(found.values()))).within(0, 1)


def _samples(record: dict[str, Any], group: str, epoch: int) -> list[NDArray[np.float64]]:
    """Return the numbers of images that are right, by base; of unchanged copies, one."""
    found: dict[int, list[float]] = {}
    for (of, base, number), right in zip(record["runs"], record["right"], strict=True):
        if of == group and (group != "bit" or number >= 1):
            found.setdefault(base, []).append(right[epoch - 1])
    return [np.array(values, float) for values in found.values()]
