"""The edge of stability: full-batch gradient descent sharpens until 2 over the learning rate.

Of a quadratic with the largest curvature λ, gradient descent with learning rate η is stable for
λ < 2/η. Cohen et al. (arXiv 2103.00065) observe that training raises λ to 2/η and stays there,
while the loss falls, no longer at each step. λ, the sharpness, is the largest eigenvalue of the
Hessian of the training loss.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy
from flax import linen as nn
from jax import Array
from jax.flatten_util import ravel_pytree

from experiments.within.chunks import chunks
from lenet import train
from lenet.analysis import terms
from lenet.config import Config, replace
from lenet.data import Data
from lenet.data.splits import Split
from lenet.engine import forward, metrics
from lenet.engine.forward import Params
from lenet.figures import vega
from lenet.figures.vega import Chart, Spec, Translate, channel
from lenet.language import Message, mark, message

RATES = {
    ("sigmoid", "avg"): (1.0, 4.0),
    ("tanh", "avg"): (0.1, 0.4),
    ("relu", "max"): (0.05, 0.2),
}
"""Learning rates by activation and pooling: two cores train two runs at a time."""


class Design(NamedTuple):
    """The first training images, as one batch."""

    examples: int = 5000
    steps: int = 1000
    every: int = 50  # steps between two measurements
    seed: int = 6_250_000
    networks: tuple[tuple[str, str], ...] = tuple(RATES)


def measure(data: Data, design: Design) -> dict[str, Any]:
    """Return loss at each measurement, how often it rose since the last one, and the sharpness.

    Returns:
      `runs`: activation, pool, lr, and by measurement `step`, `loss`, `rose` (steps after which the
      loss was higher) and `sharpness`; a run ends where its loss is not finite.
    """
    n = design.examples
    first = Split(data.train.images[:n], data.train.labels[:n])
    some = dataclasses.replace(data, train=first)
    runs = []
    for activation, pool in design.networks:
        own = Config(
            dataset=data.name,
            activation=activation,
            pool=pool,
            batch_size=n,
            seed=design.seed,
            epochs=1,
        )
        configs = [replace(own, lr=lr) for lr in RATES[activation, pool]]
        curvature = largest(train.check(own, some), first)
        for chunk in chunks(configs, some):
            found: list[dict[str, Any]] = [
                {"activation": activation, "pool": pool, "lr": configs[run].lr}
                | {name: [] for name in ("step", "loss", "rose", "sharpness")}
                for run in chunk.runs
            ]
            state = chunk.init()
            steepest: list[Any] = [None for _ in found]  # the eigenvector of the last measurement
            losses: list[Any] = []  # at each step since the last measurement
            for step in range(design.steps + 1):
                measured = step % design.every == 0
                weights = chunk.own(state.params) if measured else None
                state, sums = chunk.epoch(state)  # its loss is that before the step
                losses.append(chunk.own(sums.loss_sum)[:, 0] / n)
                for lane, run in enumerate(found if measured else ()):
                    curve = np.array(losses)[:, lane]
                    if np.isfinite(curve).all():
                        own_weights = jax.tree.map(lambda x, lane=lane: x[lane], weights)
                        run["step"].append(step)
                        run["loss"].append(float(curve[-1]))
                        run["rose"].append(int((np.diff(curve) > 0).sum()))
                        sharpness, steepest[lane] = curvature(own_weights, steepest[lane])
                        run["sharpness"].append(sharpness)
                if measured:
                    losses = losses[-1:]
            runs += found
    return {"runs": runs}


def largest(model: nn.Module, split: Split) -> Callable[[Params, Any], tuple[float, Any]]:
    """Return a function that finds the largest eigenvalue of the Hessian of the mean loss.

    It takes parameters, and the eigenvector [P] of parameters nearby or None, where the search
    begins; it returns the eigenvalue and its eigenvector [P].
    """
    examples: Any = Split(*map(jnp.asarray, split))  # type: ignore[arg-type]  # on the device

    def loss(params: Params, examples: Split) -> Array:
        found = forward.logits(model, params, examples.images)
        labels = jnp.asarray(examples.labels)
        sums = metrics.of_batch(found, labels, jnp.ones(labels.shape, bool))
        return sums.loss_sum / len(labels)

    @jax.jit
    def product(params: Params, direction: Array, examples: Split) -> Array:
        def slope(params: Params) -> Array:
            gradient, _ = ravel_pytree(jax.grad(loss)(params, examples))
            return gradient @ direction

        with jax.default_matmul_precision("highest"):
            # Not a derivative in forward mode, which a custom_vjp does not have.
            return ravel_pytree(jax.grad(slope)(params))[0]

    def of(params: Params, start: Any) -> tuple[float, Any]:
        def matvec(direction: Any) -> Any:
            return np.asarray(product(params, direction.reshape(-1), examples))

        n = sum(each.size for each in jax.tree.leaves(params))
        hessian = scipy.sparse.linalg.LinearOperator((n, n), matvec=matvec, dtype=np.float32)
        if start is None:
            start = np.random.default_rng(0).normal(size=n).astype(np.float32)
        values, vectors = scipy.sparse.linalg.eigsh(
            hessian, k=1, which="LA", v0=start, ncv=8, tol=1e-3
        )
        return float(values[0]), vectors[:, 0]

    return of


REACHED = 0.95
"""Sharpness times η/2 from which a run counts as at the edge; chosen before the runs."""
AT_EDGE = mark(
    "In {k} of {n} runs the sharpness reaches {reached} · 2/η after the start, at step {step} at "
    "the latest; {rising} of them begin below that and sharpen, the others begin there or above "
    "it. From then on the median of sharpness · η/2 is {low:.2f} to {high:.2f} in these runs, and "
    "the loss rises at {rose:.0%} of the steps while it falls by a factor of {factor:.1f} (medians "
    "over runs)."
)
NONE_AT_EDGE = mark("In none of {n} runs does the sharpness reach 2/η in {steps:,} steps.")


class Edge(NamedTuple):
    """A run from where it reaches the edge of stability."""

    step: int
    began: float  # sharpness · η/2 of the initial weights
    median: float  # of sharpness · η/2 from there on
    highest: float
    rose: float  # share of the steps after which the loss was higher
    fell: float  # the loss there, divided by the last


def edge(run: dict[str, Any]) -> Edge | None:
    """Return where a run reaches the edge, and what comes after; None if it does not.

    The initial weights are left out: training has not made their sharpness.
    """
    relative = np.array(run["sharpness"]) * run["lr"] / 2
    at = 1 + np.flatnonzero(relative[1:] >= REACHED)
    if not len(at) or at[0] + 1 >= len(relative):
        return None
    first = int(at[0])
    return Edge(
        run["step"][first],
        float(relative[0]),
        float(np.median(relative[first:])),
        float(relative[first:].max()),
        sum(run["rose"][first + 1 :]) / (run["step"][-1] - run["step"][first]),
        run["loss"][first] / run["loss"][-1],
    )


def said(record: dict[str, Any]) -> list[Message]:
    """Return what the runs say, in words."""
    runs = record["runs"]
    edges = [found for run in runs if (found := edge(run))]
    if not edges:
        return [message(NONE_AT_EDGE, n=len(runs), steps=max(run["step"][-1] for run in runs))]
    medians = [each.median for each in edges]
    return [
        message(
            AT_EDGE,
            k=len(edges),
            n=len(runs),
            reached=REACHED,
            step=max(each.step for each in edges),
            rising=sum(each.began < REACHED for each in edges),
            low=min(medians),
            high=max(medians),
            rose=float(np.median([each.rose for each in edges])),
            factor=float(np.median([each.fell for each in edges])),
        )
    ]


def table(record: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """Return heads and rows: a row for each run."""
    rows: list[list[Any]] = []
    for run in record["runs"]:
        shown = ["", f"{run['sharpness'][-1] * run['lr'] / 2:.2f}", "", ""]
        if at := edge(run):
            shown = [f"{at.step:,}", f"{at.median:.2f}", f"{at.highest:.2f}", f"{at.rose:.0%}"]
        rows.append(
            [
                terms.valued(run["activation"]),
                f"{run['lr']:g}",
                f"{2 / run['lr']:g}",
                f"{run['sharpness'][0]:.2f}",
                *shown,
                f"{run['loss'][-1]:.4f}",
            ]
        )
    heads = [
        mark("activation"),
        "η",
        "2/η",
        mark("sharpness at the start"),
        mark("at the edge from step"),
        mark("sharpness · η/2 from there (else at the end): median"),
        mark("highest"),
        mark("steps that raise the loss"),
        mark("loss at the end"),
    ]
    return heads, rows


def charts(record: dict[str, Any]) -> list[Chart]:
    """Return sharpness times η/2 by step, a chart for each network."""
    found = []
    for activation in dict.fromkeys(run["activation"] for run in record["runs"]):
        own = [run for run in record["runs"] if run["activation"] == activation]
        rows = [
            {"series": f"{run['lr']:g}", "step": step, "relative": sharpness * run["lr"] / 2}
            for run in own
            for step, sharpness in zip(run["step"], run["sharpness"], strict=True)
        ]
        longest = max((run["step"] for run in own), key=len)
        rows += [{"series": "edge", "step": step, "relative": 1} for step in longest]
        names = {f"{run['lr']:g}": f"η = {run['lr']:g}" for run in own} | {"edge": "2/η"}

        def draw(t: Translate, activation: str = activation, names: dict[str, str] = names) -> Spec:
            network = t(terms.valued(activation))
            title = t(mark("sharpness · η/2"))
            x, y = channel("step", t(mark("steps"))), channel("relative", title)
            shown = "format(datum.relative, '.2f')"
            return vega.lines(
                activation, t("{name}: {value}", name=network, value=title), x, y, names, shown
            )

        found.append(Chart(draw, {activation: rows}))
    return found
