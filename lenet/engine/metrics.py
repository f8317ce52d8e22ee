"""Loss and accuracy as sums and counts, divided once."""

from typing import TypeVar

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax import Array

Sums = TypeVar("Sums")


@flax.struct.dataclass
class Metrics:
    """Sums over examples; add two of them by adding their fields."""

    loss_sum: Array  # float32 [...], cross-entropy in nats
    correct: Array  # int32 [...]
    count: Array  # int32 [...]


def of_batch(logits: Array, labels: Array, mask: Array) -> Metrics:
    """Return the sums over the examples of a batch that `mask` keeps.

    loss = −log softmax(logits)[label]; correct where the largest logit is the label's.

    Args:
      logits: [B, K].
      labels: int32 [B].
      mask: bool [B].

    >>> m = of_batch(jnp.zeros((3, 10)), jnp.zeros(3, int), jnp.array([True, True, False]))
    >>> float(m.loss_sum / m.count).__round__(4), int(m.correct), int(m.count)
    (2.3026, 2, 2)
    """
    losses = optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels)
    hits = logits.argmax(-1) == labels
    return Metrics(
        # where, not a product: the padding of a batch must not let a nan through
        loss_sum=jnp.where(mask, losses, 0).sum(),
        correct=(hits & mask).sum(dtype=jnp.int32),
        count=mask.sum(dtype=jnp.int32),
    )


def total(sums: Sums) -> Sums:
    """Add up metrics, or any tree of sums, over their first axis: [S, ...] -> [...]."""
    return jax.tree.map(lambda x: x.sum(0, dtype=x.dtype), sums)


def means(metrics: Metrics) -> tuple[float, float]:
    """Return the mean loss and the accuracy."""
    count = int(metrics.count)
    return float(metrics.loss_sum) / count, int(metrics.correct) / count
