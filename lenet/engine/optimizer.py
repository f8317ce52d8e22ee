"""The update rule: an optimiser, weight decay, clipping and a learning-rate schedule."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Float, Int

from lenet.config import Config, name_of
from lenet.errors import UsageError
from lenet.settings import is_code, is_off


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
    """Return the update rule, in PyTorch's formulation; an epoch has `steps` steps.

    sgd     g ← g + wd·p;  m ← momentum·m + g;  p ← p − lr·m, or with Nesterov momentum
            p ← p − lr·(g + momentum·m)
    adam    g ← g + wd·p;  then Kingma and Ba (arXiv 1412.6980): β 0.9 and 0.999, ε 1e-8
    adamw   Loshchilov and Hutter (arXiv 1711.05101): adam of g, and p ← p − lr·wd·p
    lion    Chen et al. (arXiv 2302.06675): β 0.9 and 0.99, and p ← p − lr·wd·p

    A function of the learning-rate schedule makes a rule of its own. Before all of them, with
    `clip`, a gradient of a larger norm is scaled to that norm.

    Raises:
      UsageError: if a function returns no optax transformation, or a record named it.
    """
    clip = () if is_off(config.clip) else (_clip(config.clip),)
    schedule = learning_rate(config, steps)
    if is_code(config.optimizer):
        return optax.chain(*clip, _made(config.optimizer, schedule))
    decay = optax.add_decayed_weights(config.weight_decay)
    rules = {
        "sgd": lambda: (decay, optax.trace(config.momentum, config.nesterov)),
        "adam": lambda: (decay, optax.scale_by_adam()),
        "adamw": lambda: (optax.scale_by_adam(), decay),
        "lion": lambda: (optax.scale_by_lion(), decay),
    }
    return optax.chain(*clip, *rules[config.optimizer](), optax.scale_by_learning_rate(schedule))


def _clip(norm: Float[Array, ""] | float) -> optax.GradientTransformation:
    """Return `optax.clip_by_global_norm` of gradients of any type, for a norm that is traced."""
    single = optax.clip_by_global_norm(norm)

    def clip(updates: optax.Updates, _: Any) -> optax.Updates:
        whole = jax.tree.map(lambda x: x.astype(jnp.float32), updates)
        found, _ = single.update(whole, single.init(whole))
        return jax.tree.map(lambda x, y: y.astype(x.dtype), updates, found)

    return optax.stateless(clip)


def _made(make: Any, schedule: optax.Schedule) -> optax.GradientTransformation:
    if not callable(make):
        raise UsageError(
            f"{make}: give the optimizer again (--optimizer={make}): a record names no code to "
            "import"
        )
    found = make(schedule)
    if not isinstance(found, optax.GradientTransformation):
        raise UsageError(
            f"optimizer={name_of(make)}: returned {type(found).__name__}, expected an optax "
            "transformation, such as optax.sgd(schedule)"
        )
    return found
