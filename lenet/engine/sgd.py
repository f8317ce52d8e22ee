"""Stochastic gradient descent on LeNet, as pure functions: init, step, epoch, evaluate.

A run is determined by (config, data). Its numbers (learning rate, seed, ...) are inputs of the
compiled program, so that another value compiles nothing; its choices shape the program.

On a CPU the batch of a step is cut into two parts whose gradients are added. Two cores that JAX has
as two devices then take a part each, which is quicker than both at every product; on one device the
parts follow one another. Their sum has the same bits either way.
"""

import math
from contextlib import AbstractContextManager
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax import Array, lax
from jax.flatten_util import ravel_pytree

from lenet import config as config_module
from lenet.config import Config
from lenet.data.splits import Split
from lenet.engine import metrics
from lenet.engine.metrics import Metrics
from lenet.engine.sharding import fill, parts, share

Params = dict[str, dict[str, Array]]

# Config itself knows nothing of jax, so that `--help` does not wait for it.
jax.tree_util.register_dataclass(
    Config,
    data_fields=[f.name for f in config_module.fields("number")],
    meta_fields=[f.name for f in config_module.fields("choice")],
)

EVALUATION_BATCH = 250
"""Examples evaluated at a time; it changes the speed and the memory, not the result."""


class State(NamedTuple):
    """All that training changes."""

    params: Params
    optimizer: optax.OptState
    step: Array  # int32 [], steps taken; which epoch comes next follows from it


def steps_per_epoch(config: Config, count: int) -> int:
    """Return ⌈N / B⌉: the last batch may be short.

    >>> steps_per_epoch(Config(batch_size=256), 60_000)
    235
    """
    return math.ceil(count / config.batch_size)


def keys(config: Config) -> tuple[Array, Array]:
    """Return the key of the initial weights and the key of the order of examples."""
    order_seed = jnp.where(config.order_seed < 0, config.seed, config.order_seed)
    return (
        jax.random.fold_in(jax.random.key(config.seed), 0),
        jax.random.fold_in(jax.random.key(order_seed), 1),
    )


def learning_rate(config: Config, steps: int) -> optax.Schedule:
    """Return the learning rate by step: a rise over the warm-up, then the schedule to the end.

    Args:
      config: lr, epochs, warmup in epochs, and the schedule.
      steps: steps in an epoch.
    """
    rising = config.warmup * steps
    falling = config.epochs * steps - rising

    def rate(step: Array) -> Array:
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
    """Return SGD: g ← g + wd·p;  m ← momentum·m + g;  p ← p − lr·m  (PyTorch's formulation)."""
    return optax.chain(
        optax.add_decayed_weights(config.weight_decay),
        optax.trace(config.momentum, config.nesterov),
        optax.scale_by_learning_rate(learning_rate(config, steps)),
    )


def logits(model: nn.Module, params: Params, images: Array) -> Array:
    """Return the network's logits [B, K] for uint8 images [B, H, W, C], scaled to 0 to 1."""
    result: Array = model.apply({"params": params}, images.astype(jnp.float32) / 255)  # type: ignore[assignment]
    return result


@partial(jax.jit, static_argnames=("model", "image_shape"))
def init(model: nn.Module, config: Config, image_shape: tuple[int, ...]) -> State:
    """Return the state before the first step.

    Raises:
      ValueError: if images of `image_shape` = (H, W, C) do not fit the network.
    """
    init_key, _ = keys(config)
    params = model.init(init_key, jnp.zeros((1, *image_shape), jnp.float32))["params"]
    return State(params, optimizer(config, 1).init(params), jnp.zeros((), jnp.int32))


def step(
    model: nn.Module,
    config: Config,
    steps: int,
    state: State,
    images: Array,
    labels: Array,
    mask: Array,
    count: Array,
    axis: str | None = None,
) -> tuple[State, Metrics]:
    """Take one step of SGD on the mean loss over the examples that `mask` keeps.

    Args:
      model: the network.
      config: learning rate and so on.
      steps: steps in an epoch, for the schedule.
      state: before the step.
      images: uint8 [B, H, W, C], or this device's share of them.
      labels: int32 [B].
      mask: bool [B].
      count: int32 [], how many the mask keeps, in all shares together.
      axis: of the devices that have the other shares, if there are any.

    Returns:
      the state after the step, and the metrics of the batch before it
    """

    def gradient(part: tuple[Array, Array, Array]) -> tuple[Params, Metrics]:
        images, labels, mask = part

        def share_of_mean(params: Params) -> tuple[Array, Metrics]:
            sums = metrics.of_batch(logits(model, params, images), labels, mask)
            return sums.loss_sum / count, sums

        return jax.grad(share_of_mean, has_aux=True)(state.params)

    here = parts() if axis is None else parts() // lax.axis_size(axis)

    def cut(x: Array) -> Array:
        x = fill(x, 0, here)
        return x.reshape(here, -1, *x.shape[1:])

    with _products(model):
        of_parts = lax.map(gradient, (cut(images), cut(labels), cut(mask)))
    gradients, sums = metrics.total(of_parts)
    if axis is not None:  # as one array, for devices wait for each other at each
        flat, unravel = ravel_pytree((gradients, sums))
        gradients, sums = unravel(lax.psum(flat, axis))
    updates, optimizer_state = optimizer(config, steps).update(
        gradients, state.optimizer, state.params
    )
    params = optax.apply_updates(state.params, updates)
    return State(params, optimizer_state, state.step + 1), sums


def order(config: Config, epoch: int | Array, count: int) -> tuple[Array, Array]:
    """Return which examples each step of an epoch sees: a function of (seed, epoch) alone.

    With order="batches" the batches are cut once, from the examples as they come, and each epoch
    shuffles the batches; the short one may then be anywhere.

    Returns:
      indices int32 [S, B] and mask bool [S, B]; a short batch is filled up with index 0, masked.
    """
    _, order_key = keys(config)
    key = jax.random.fold_in(order_key, epoch)
    if config.order == "examples":
        return _batches(jax.random.permutation(key, count), config.batch_size)
    rows, mask = _batches(jnp.arange(count), config.batch_size)
    shuffled = jax.random.permutation(key, len(rows))
    return rows[shuffled], mask[shuffled]


@partial(jax.jit, static_argnames=("model", "axis"), donate_argnames=("state",))
def epoch(
    model: nn.Module, config: Config, state: State, split: Split, axis: str | None = None
) -> tuple[State, Metrics]:
    """Pass once over `split`, as one compiled program.

    Args:
      model: the network.
      config: its numbers are traced.
      state: given up (its memory is used again).
      split: images uint8 [N, H, W, C] and labels int32 [N].
      axis: of the devices that share every batch, if there are any.

    Returns:
      the state after ⌈N / B⌉ steps, and the metrics of each of them, [S]
    """
    count = split.images.shape[0]
    steps = steps_per_epoch(config, count)
    rows, mask = order(config, state.step // steps, count)
    kept = mask.sum(1, dtype=jnp.int32)

    def body(state: State, batch: tuple[Array, Array, Array]) -> tuple[State, Metrics]:
        rows, mask, count = batch
        images, labels = split.images[rows], split.labels[rows]
        return step(model, config, steps, state, images, labels, mask, count, axis)

    return lax.scan(body, state, (share(rows, 1, axis), share(mask, 1, axis), kept))


@partial(jax.jit, static_argnames=("model", "axis"))
def evaluate(model: nn.Module, params: Params, split: Split, axis: str | None = None) -> Metrics:
    """Return the sums of loss and hits over every example of `split`; `axis` as in `epoch`."""
    count = split.images.shape[0]
    # As many batches on one device as on two: a sum of more numbers may round otherwise.
    rows, mask = (
        share(x, 0, axis) for x in _batches(jnp.arange(count), min(count, EVALUATION_BATCH))
    )

    def of_batch(batch: tuple[Array, Array]) -> Metrics:
        rows, mask = batch
        return metrics.of_batch(logits(model, params, split.images[rows]), split.labels[rows], mask)

    with _products(model):
        sums = lax.map(of_batch, (rows, mask))
    if axis is not None:
        sums = lax.all_gather(sums, axis, tiled=True)
    return metrics.total(sums)


def _products(model: nn.Module) -> AbstractContextManager[None]:
    """How exact the products traced inside are; by JAX's own default a GPU rounds them to TF32."""
    exact = model.precision == "float32"
    return jax.default_matmul_precision("highest" if exact else "tensorfloat32")


def _batches(indices: Array, batch_size: int) -> tuple[Array, Array]:
    """Cut indices [N] into [S, B] with a mask of what is there."""
    count = indices.shape[0]
    steps = math.ceil(count / batch_size)
    missing = steps * batch_size - count
    mask = jnp.arange(steps * batch_size) < count
    return jnp.pad(indices, (0, missing)).reshape(steps, -1), mask.reshape(steps, -1)
