"""The update rule: SGD with momentum, weight decay and a learning-rate schedule."""

import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Float, Int

from lenet.config import Config


def learning_rate(config: Config, steps: int) -> optax.Schedule:
    """Return the learning rate by step, `steps` an epoch: linear warmup, then the schedule."""
    rising = config.warmup * steps
    falling = config.epochs * steps - rising

    def rate(step: Int[Array, ""] | int) -> Float[Array, ""]:
        progress = jnp.clip((step - rising) / falling, 0, 1)
        decay = {
            "constant": jnp.ones_like(progress),
            "linear": 1 - progress,
            "cosine": (1 + jnp.cos(jnp.pi * progress)) / 2,
        }[config.schedule]
        warm = jnp.where(step < rising, (step + 1) / jnp.maximum(rising, 1), 1)
        return (config.lr * decay * jnp.minimum(warm, 1)).astype(jnp.float32)

    return rate


def optimizer(config: Config, steps: int) -> optax.GradientTransformation:
    """Return SGD in PyTorch's formulation: g ← g + wd·p;  m ← momentum·m + g;  p ← p − lr·m.

    With Nesterov momentum the last step is p ← p − lr·(g + momentum·m). For the schedule of lr, an
    epoch has `steps` steps.
    """
    return optax.chain(
        optax.add_decayed_weights(config.weight_decay),
        optax.trace(config.momentum, config.nesterov),
        optax.scale_by_learning_rate(learning_rate(config, steps)),
    )
