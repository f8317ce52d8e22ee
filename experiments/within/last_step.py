"""What the last step of a run does, on 96 images: the state before it is stepped from again.

Estimands: the change of test accuracy by the last step; and the share of the variance of final
accuracy that other last steps from the same state have (a nested design).
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy
from flax import linen as nn
from jax import Array, lax
from jaxtyping import Bool, Int

from experiments.within.chunks import chunks
from lenet.analysis import nested
from lenet.analysis.bootstrap import bca
from lenet.analysis.stats import Interval, interval, place
from lenet.config import Config, replace
from lenet.data import Data
from lenet.data.splits import Split
from lenet.engine import sgd
from lenet.engine import sweep as engine
from lenet.engine.lanes import Lanes
from lenet.engine.sgd import State
from lenet.language import Message, mark, message

STEPS = ("short", "whole", "scaled")
"""Other last steps: on as many images as the short batch has, on a whole batch, and on as many as
the short batch has at a learning rate that is smaller by their share of a whole batch."""
OTHER = 7
"""Stream of random numbers by which images of other last steps are drawn."""


class Design(NamedTuple):
    """The book's network; seeds that nothing else uses; draws of images for each state."""

    runs: int = 64
    first_seed: int = 6_000_000
    epochs: int = 10
    draws: int = 64


def measure(data: Data, design: Design) -> dict[str, Any]:
    """Return how many test images each run has right before and after its last step.

    Returns:
      `before` and `after` [runs], and `others` [runs, draws, STEPS] after other last steps from the
      same state, each draw the same images for the three.
    """
    seeds = range(design.first_seed, design.first_seed + design.runs)
    configs = [Config(dataset=data.name, seed=seed, epochs=design.epochs) for seed in seeds]
    found: dict[str, list[Any]] = {"before": [], "after": [], "others": []}
    for chunk in chunks(configs, data):
        state = chunk.train(design.epochs - 1)
        splits = chunk.program.data.train, chunk.program.data.test
        program = chunk.model, chunk.program.lanes, design.draws
        hits = chunk.own(around_last(*program, chunk.stacked, state, splits))
        for name, values in zip(found, hits, strict=True):
            found[name] += values.tolist()
    return {"images": len(data.test.labels)} | found


@partial(jax.jit, static_argnames=("model", "lanes", "draws"))
def around_last(
    model: nn.Module,
    lanes: Lanes,
    draws: int,
    configs: Config,
    states: State,
    splits: tuple[Split, Split],
) -> tuple[Array, Array, Array]:
    """Train the last epoch of each run [R]; return what `measure` says, [R], [R], [R, D, 3]."""
    one = partial(_around_last, model, draws)
    found: tuple[Array, Array, Array] = engine.over_runs(one, lanes)((configs, states), splits)
    return found


def _around_last(
    model: nn.Module,
    draws: int,
    config: Config,
    state: State,
    splits: tuple[Split, Split],
    axis: str | None,
) -> tuple[Array, Array, Array]:
    train, test = splits
    count = train.images.shape[0]
    steps = sgd.steps_per_epoch(config, count)

    def take(
        state: State, rows: Int[Array, " B"], mask: Bool[Array, " B"], config: Config = config
    ) -> State:
        images, labels = train.images[rows], train.labels[rows]
        seen = mask.sum(dtype=jnp.int32)
        return sgd.step(model, config, steps, state, images, labels, mask, seen)[0]

    def right(state: State) -> Array:
        return sgd.evaluate(model, state.variables, test)[0].correct

    rows, mask = sgd.order(config, state.step // steps, count)
    before, _ = lax.scan(
        lambda state, batch: (take(state, *batch), None), state, (rows[:-1], mask[:-1])
    )

    def other(draw: Int[Array, ""]) -> Array:
        key = sgd.draws(config, draw, OTHER)
        drawn = jax.random.choice(key, count, (config.batch_size,), replace=False)
        scaled = replace(config, short_batch="scale")
        after = (
            take(before, drawn, mask[-1]),
            take(before, drawn, jnp.ones_like(mask[-1])),
            take(before, drawn, mask[-1], scaled),
        )
        return jnp.stack([right(each) for each in after])

    others = lax.map(other, jnp.arange(draws))
    return right(before), right(take(before, rows[-1], mask[-1])), others


CHANGES = mark(
    "The last step, on the 96 images that are left, changes test accuracy by {change} (95% CI, BCa "
    "over {n} runs): it falls in {fell} of {n} (exact sign test, p = {p:.1g})."
)
WITHIN = mark(
    "Which 96 images they are makes {share:.0%} of the variance of the accuracy after such a step "
    "(95% CI {low:.0%} to {high:.0%}): {draws} draws from each of {n} states."
)
PLACED = mark(
    "Among other draws from the same state the accuracy after the run's own 96 images stands at "
    "the {place:.0f}th percentile on average (95% CI {low:.0f} to {high:.0f}; by chance 50)."
)
NAMES = {
    "own": mark("the run's own last step, on 96 images"),
    "short": mark("on other 96 images"),
    "whole": mark("on 256 other images"),
    "scaled": mark("on other 96 images, learning rate × 96/256"),
}


def said(record: dict[str, Any]) -> list[Message]:
    """Return what the runs say, in words."""
    before, after, others = _accuracies(record)
    change = after - before
    fell, moved = int((change < 0).sum()), int((change != 0).sum())
    share = nested.share_within(others[..., 0])
    places = [place(own, draws) for own, draws in zip(after, others[..., 0], strict=True)]
    at = interval(places)
    return [
        message(
            CHANGES,
            change=_mean(change),
            n=len(change),
            fell=fell,
            p=float(scipy.stats.binomtest(fell, moved).pvalue) if moved else 1.0,
        ),
        message(
            WITHIN,
            share=share.mean,
            low=share.low,
            high=share.high,
            draws=others.shape[1],
            n=len(change),
        ),
        message(
            PLACED,
            place=at.mean,
            low=at.low,
            high=at.high,
        ),
    ]


def table(record: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """Return heads and rows: the change of accuracy by each kind of last step, and its spread."""
    before, after, others = _accuracies(record)
    rows: list[list[Any]] = [
        [NAMES["own"], str(_mean(after - before)), "", f"{after.std(ddof=1):.4f}", ""]
    ]
    for at, name in enumerate(STEPS):
        draws = others[..., at]
        rows.append(
            [
                NAMES[name],
                str(_mean(draws.mean(1) - before)),
                f"{draws.var(1, ddof=1).mean() ** 0.5:.4f}",
                f"{draws.std(ddof=1):.4f}",
                nested.share_within(draws).shown(".0%"),
            ]
        )
    rows.append([mark("none: before the last step"), "", "", f"{before.std(ddof=1):.4f}", ""])
    heads = [
        mark("last step"),
        mark("change of test accuracy [95% CI]"),
        mark("standard deviation within a state"),
        mark("over all"),
        mark("share of the variance within states [95% CI]"),
    ]
    return heads, rows


def _accuracies(record: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    before, after, others = (
        np.array(record[name]) / record["images"] for name in ("before", "after", "others")
    )
    return before, after, others


def _mean(values: np.ndarray) -> Interval:
    return bca([values], lambda y: y[0].mean(-1))[0]
