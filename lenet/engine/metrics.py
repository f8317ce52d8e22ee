"""Loss and accuracy as sums and counts, so that a mean divides once."""

from typing import NamedTuple, TypeVar

import chex
import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Bool, Float, Float32, Int, Int32

Sums = TypeVar("Sums")
"""A tree of arrays."""


class Metrics(NamedTuple):
    """Sums over examples; add two of them by adding their fields."""

    loss_sum: Float32[Array, "..."]  # cross-entropy in nats
    correct: Int32[Array, "..."]
    count: Int32[Array, "..."]  # type: ignore[assignment]  # in place of the method of tuples


def of_batch(
    logits: Float[Array, "B K"], labels: Int[Array, " B"], mask: Bool[Array, " B"]
) -> Metrics:
    """Return the sums over the examples that `mask` keeps.

    loss = −log softmax(logits)[label]; correct where the largest logit is the label's.

    >>> m = of_batch(jnp.zeros((3, 10)), jnp.zeros(3, int), jnp.array([True, True, False]))
    >>> float(m.loss_sum / m.count).__round__(4), int(m.correct), int(m.count)
    (2.3026, 2, 2)
    """
    # Labels in a column, or one mask for all, would broadcast in silence.
    chex.assert_rank(logits, 2)
    chex.assert_shape((labels, mask), logits.shape[:1])
    losses = optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels)
    hits = logits.argmax(-1) == labels
    return Metrics(
        # where, not a product: the padding of a batch must not let a nan through
        loss_sum=jnp.where(mask, losses, 0).sum(),
        correct=(hits & mask).sum(dtype=jnp.int32),
        count=mask.sum(dtype=jnp.int32),
    )


def total(sums: Sums) -> Sums:
    """Return a tree of arrays summed over their first axis: [S, ...] -> [...]."""
    return jax.tree.map(lambda x: x.sum(0, dtype=x.dtype), sums)


def means(metrics: Metrics) -> tuple[float, float]:
    """Return the mean loss and the accuracy."""
    count = int(metrics.count)
    return float(metrics.loss_sum) / count, int(metrics.correct) / count
