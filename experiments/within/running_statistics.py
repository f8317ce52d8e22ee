"""Batch normalisation: why test accuracy differs so much more between seeds than training accuracy.

In the book's LeNet with batch normalisation the standard deviation of test accuracy over published
runs is 10 to 40 times that of training accuracy. Training normalises by the statistics of the batch
at hand; the test images are normalised by running means over about the last ten batches, whose
weights were others. So each state is asked again, with its weights unchanged and other statistics
("precise" ones: Wu and Johnson, arXiv 2105.07576, section 3).

Estimands: after each epoch, the standard deviation over seeds of the accuracy with each of the
STATISTICS; primary: at the end, of each pooling at a learning rate of 1, the ratio of the variances
with precise and with running statistics.

Rule, written before the runs: precise statistics remove most of the variance if the 95% intervals
of both ratios lie below 1/2; they do not if both lie above it; it depends on the pooling if one
lies below and one above; otherwise it stays open. Such intervals are too narrow where a few seeds
make the variance: the range of the ratio with each seed left out is shown beside them.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array, lax
from jaxtyping import Int
from numpy.typing import NDArray

from experiments.within.chunks import chunks
from lenet.analysis.bootstrap import bca
from lenet.analysis.stats import Interval, interval
from lenet.analysis.terms import POOLINGS
from lenet.config import BNLeNet, Config
from lenet.data import Data
from lenet.data.splits import Split
from lenet.engine import forward, metrics, sgd
from lenet.engine import sweep as engine
from lenet.engine.forward import Collections
from lenet.engine.lanes import Lanes
from lenet.engine.sgd import State
from lenet.figures import vega
from lenet.figures.vega import Chart, Spec, Translate, channel
from lenet.language import Message, mark, message
from lenet.networks.bn_lenet import MOMENTUM

STATISTICS = {
    "running": mark("running means, as trained"),
    "still": mark("running means over 40 more batches, the weights unchanged"),
    "precise": mark("over 40 batches, weighed equally, the weights unchanged"),
    "batch": mark("of each batch of 256 test images"),
}
"""By which images are normalised: as training left them; as it would have left them, had the
weights not moved; over all examples of the same batches; and as in training (the last batch of
10,000 test images has 16)."""
BATCHES = 40
"""From which statistics are computed anew: the first of the next epoch."""
SIZE = 256
"""Images of a batch that is normalised by its own statistics."""


class Group(NamedTuple):
    """Runs that differ by their seeds."""

    pool: str
    lr: float


BASE = (Group("avg", 1.0), Group("max", 1.0))
"""The published experiments."""


class Design(NamedTuple):
    """The published experiment by its pooling, and a tenth of its learning rate; fresh seeds."""

    groups: tuple[Group, ...] = (
        *BASE,
        Group("avg", 0.1),
        Group("max", 0.1),
    )
    seeds: int = 16
    first_seed: int = 6_400_000
    epochs: int = 10


def measure(data: Data, design: Design) -> dict[str, Any]:
    """Return what each run has right after each epoch, normalised by each of the STATISTICS.

    Returns:
      `runs`: group, seed, and by epoch: `train_loss` and `train_accuracy`, means over the epoch, in
      training; `test` and `train`, counts of test images and of as many training images, [E, 4].
    """
    some = Split(*(x[: len(data.test.labels)] for x in data.train))
    found = []
    for group in design.groups:
        configs = [
            Config(
                BNLeNet(group.pool),
                dataset=data.name,
                lr=group.lr,
                seed=seed,
                epochs=design.epochs,
            )
            for seed in range(design.first_seed, design.first_seed + design.seeds)
        ]
        for chunk in chunks(configs, data):
            state, rows = chunk.init(), []
            for _ in range(design.epochs):
                state, steps = chunk.epoch(state)
                splits = (chunk.program.data.train, data.test, some)
                counts = right(chunk.model, chunk.program.lanes, chunk.stacked, state, splits)
                rows.append(chunk.own((steps, counts)))
            for lane, run in enumerate(chunk.runs):
                own = [jax.tree.map(lambda x, lane=lane: x[lane], row) for row in rows]
                means = [metrics.means(metrics.total(steps)) for steps, _ in own]
                found.append(
                    group._asdict()
                    | {"seed": configs[run].seed}
                    | {"train_loss": [round(loss, 5) for loss, _ in means]}
                    | {"train_accuracy": [round(accuracy, 5) for _, accuracy in means]}
                    | {"test": [counts[0].tolist() for _, counts in own]}
                    | {"train": [counts[1].tolist() for _, counts in own]}
                )
    return {"images": len(data.test.labels), "runs": found}


@partial(jax.jit, static_argnames=("model", "lanes"))
def right(
    model: nn.Module, lanes: Lanes, configs: Config, states: State, splits: tuple[Split, ...]
) -> tuple[Array, Array]:
    """Return how many images of the last two of `splits` runs have right, [R, 4] by STATISTICS."""
    found: tuple[Array, Array] = engine.over_runs(partial(_right, model), lanes)(
        (configs, states), splits
    )
    return found


def _right(
    model: nn.Module, config: Config, state: State, splits: tuple[Split, ...], axis: str | None
) -> tuple[Array, ...]:
    train, *asked = splits
    still, precise = statistics(model, config, state, train)
    known = [forward.variables(state.params, each) for each in (state.collections, still, precise)]
    return tuple(
        jnp.stack(
            [
                *(sgd.evaluate(model, variables, split)[0].correct for variables in known),
                right_by_batch(model, state, split),
            ]
        )
        for split in asked
    )


def statistics(
    model: nn.Module, config: Config, state: State, train: Split
) -> tuple[Collections, Collections]:
    """Return running and precise statistics over batches of the next epoch, by one state's weights.

    Precise: E[x] and E[x²] − E[x]² over all examples, where a batch gives its mean and variance.
    """
    count = train.images.shape[0]
    rows, _ = sgd.order(config, state.step // sgd.steps_per_epoch(config, count), count)

    none = jax.tree.map(jnp.zeros_like, state.collections)

    def body(before: Collections, rows: Int[Array, " B"]) -> tuple[Collections, Collections]:
        with sgd.products(model):
            _, after = forward.train(
                model, state.params, none, train.images[rows], jax.random.key(0)
            )
        own = jax.tree.map(lambda new: new / (1 - MOMENTUM), after)  # of the batch alone
        mix = lambda old, new: MOMENTUM * old + (1 - MOMENTUM) * new  # noqa: E731
        return jax.tree.map(mix, before, own), own

    full = min(BATCHES, count // config.batch_size)
    still, of_batches = lax.scan(body, state.collections, rows[:full])

    def of_layer(own: dict[str, Array]) -> dict[str, Array]:
        mean = own["mean"].mean(0)
        return {"mean": mean, "var": (own["var"] + own["mean"] ** 2).mean(0) - mean**2}

    layers = of_batches["batch_stats"]
    return still, {"batch_stats": {name: of_layer(own) for name, own in layers.items()}}


def right_by_batch(model: nn.Module, state: State, split: Split) -> Array:
    """Return how many images are right where each batch of SIZE has its own statistics."""
    images, labels = jnp.asarray(split.images), jnp.asarray(split.labels)

    def of(batch: tuple[Array, Array]) -> Array:
        with sgd.products(model):
            found, _ = forward.train(
                model, state.params, state.collections, batch[0], jax.random.key(0)
            )
        return (found.argmax(-1) == batch[1]).sum(dtype=jnp.int32)

    whole, left = divmod(len(labels), SIZE)
    cut = [x[: whole * SIZE].reshape(whole, SIZE, *x.shape[1:]) for x in (images, labels)]
    correct = lax.map(of, tuple(cut)).sum(dtype=jnp.int32)
    return correct + of((images[-left:], labels[-left:])) if left else correct


SPREADS = mark(
    "{pool}, learning rate 1, {n} seeds: with statistics computed anew from the same weights the "
    "standard deviation of test accuracy is {precise:.4f}, with the running ones {running:.4f}; "
    "the variances have the ratio {ratio} (95% CI, BCa over seeds; with each seed left out {least} "
    "to {largest}). Mean test accuracy is {higher} higher (95% CI)."
)
MOST = mark("Statistics computed anew remove most of the variance of test accuracy between seeds.")
NOT = mark("Statistics computed anew do not remove most of the variance of test accuracy.")
DEPENDS = mark(
    "Whether statistics computed anew remove most of the variance depends on the pooling."
)
OPEN = mark("Whether statistics computed anew remove most of the variance stays open.")


def said(record: dict[str, Any]) -> list[Message]:
    """Return what the runs say, in words: by pooling, and by the rule."""
    ratios, found = [], []
    for group in BASE:
        running, _, precise, _ = accuracies(record, group).T
        ratios.append(ratio_of_variances(precise, running))
        left = [
            np.delete(precise, i).var(ddof=1) / np.delete(running, i).var(ddof=1)
            for i in range(len(running))
        ]
        found.append(
            message(
                SPREADS,
                pool=message(POOLINGS[group.pool]),
                n=len(running),
                precise=precise.std(ddof=1),
                running=running.std(ddof=1),
                ratio=ratios[-1].shown(".3f"),
                least=f"{min(left):.3f}",
                largest=f"{max(left):.3f}",
                higher=interval(precise - running),
            )
        )
    sides = {"below" if r.high < 0.5 else "above" if r.low > 0.5 else "open" for r in ratios}
    text = {("below",): MOST, ("above",): NOT, ("above", "below"): DEPENDS}
    return [message(text.get(tuple(sorted(sides)), OPEN)), *found]


def ratio_of_variances(a: NDArray[np.float64], b: NDArray[np.float64]) -> Interval:
    """Return the variance of `a` over that of `b`, both by seed, with its 95% CI."""
    (found,) = bca(np.array([a, b]), lambda y: y[0].var(-1, ddof=1) / y[1].var(-1, ddof=1))
    return found


def accuracies(record: dict[str, Any], group: Group, split: str = "test") -> NDArray[np.float64]:
    """Return the accuracies of a group at the end, [R, 4] by STATISTICS."""
    counts = [run[split][-1] for run in of_group(record, group)]
    return np.array(counts, float) / record["images"]


def of_group(record: dict[str, Any], group: Group) -> list[dict[str, Any]]:
    """Return the runs of a group."""
    return [run for run in record["runs"] if all(run[k] == v for k, v in group._asdict().items())]


def table(record: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """Return heads and rows: what runs end with, by group and statistics."""
    heads = [
        mark("pooling"),
        mark("learning rate"),
        mark("normalised by statistics"),
        mark("test accuracy"),
        mark("accuracy on training images"),
    ]
    rows: list[list[Any]] = []
    for group in groups(record):
        test, train = (accuracies(record, group, split) for split in ("test", "train"))
        for i, name in enumerate(STATISTICS.values()):
            fields = [f"{x[:, i].mean():.4f} ± {x[:, i].std(ddof=1):.4f}" for x in (test, train)]
            rows.append([POOLINGS[group.pool], f"{group.lr:g}", name, *fields])
    return heads, rows


def groups(record: dict[str, Any]) -> list[Group]:
    """Return the groups of a record, in the order of its runs."""
    return list(dict.fromkeys(Group(*(run[k] for k in Group._fields)) for run in record["runs"]))


def charts(record: dict[str, Any]) -> list[Chart]:
    """Return the spread of test accuracy by epoch, for each pooling at a learning rate of 1."""
    found = []
    for group in BASE:
        runs = of_group(record, group)
        rows = [
            {"series": name, "epoch": epoch, "spread": float(np.std(shares, ddof=1))}
            for i, name in enumerate(STATISTICS)
            for epoch, shares in enumerate(
                (np.array([run["test"] for run in runs])[:, :, i] / record["images"]).T, start=1
            )
        ]

        def draw(t: Translate, pool: str = group.pool) -> Spec:
            x = channel("epoch", t(mark("epochs")), axis={"tickMinStep": 1})
            title = t(mark("standard deviation of test accuracy"))
            y = channel("spread", title, axis={"format": "~%"}, scale={"type": "log"})
            names = {name: t(each) for name, each in STATISTICS.items()}
            shown = "format(datum.spread, '.2%')"
            head = t(mark("{name}: {value}"), name=t(POOLINGS[pool]), value=title)
            return vega.lines(f"spread_{pool}", head, x, y, names, shown)

        found.append(Chart(draw, {f"spread_{group.pool}": rows}))
    return found
