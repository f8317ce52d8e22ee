"""Stochastic gradient descent as pure functions: init, step, epoch, evaluate.

A run is determined by (config, data). Nothing here is jitted: the caller jits what it calls, and
`sweep` jits all of a run, mapped over many. Config's numbers (learning rate, seed, ...) are inputs
of that program, so that a new value compiles nothing; Config's choices shape the program.

A wrong shape raises while the program is traced: what broadcasts in silence is asserted with chex.
"""

import math
from contextlib import AbstractContextManager
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jax import Array, lax
from jaxtyping import Bool, Int, Key, Num, UInt

from lenet.config import Config
from lenet.data.splits import Split
from lenet.engine import forward, metrics, sharding, stacking  # noqa: F401  stacking makes Config a pytree
from lenet.engine.augment import augment
from lenet.engine.forward import Collections, Params, logits
from lenet.engine.metrics import Metrics
from lenet.engine.optimizer import optimizer
from lenet.ops import of_xla
from lenet.settings import is_off

EVALUATION_BATCH = 250
"""Examples evaluated at a time; affects speed and memory, not the result."""

WEIGHTS, ORDER, NETWORK, IMAGES = range(4)
"""Streams of random numbers, by what is folded into the key of a seed: the initial weights, the
order of examples, what a network draws (dropout), and how images are changed."""


class State(NamedTuple):
    """All that training changes."""

    params: Params
    optimizer: optax.OptState
    step: Int[Array, ""]  # int32, steps taken; the epoch follows from it
    collections: Collections = {}  # noqa: RUF012  what the network keeps beside its parameters

    average: Params = {}  # noqa: RUF012  of the parameters, with config.average

    @property
    def averaged(self) -> Params:
        """What `evaluate` takes for the averaged parameters."""
        return forward.variables(self.average, self.collections)

    @property
    def variables(self) -> Params:
        """What `logits` and `evaluate` take: the parameters, with the collections if there are."""
        return forward.variables(self.params, self.collections)


def steps_per_epoch(config: Config, count: int) -> int:
    """Return ⌈N / B⌉, since the last batch may be short; ⌊N / B⌋ where a short one is dropped.

    >>> steps_per_epoch(Config(batch_size=256), 60_000)
    235
    >>> steps_per_epoch(Config(batch_size=256, short_batch="drop"), 60_000)
    234
    """
    whole, short = divmod(count, config.batch_size)
    return whole + bool(short and config.short_batch != "drop")


def keys(config: Config) -> tuple[Key[Array, ""], Key[Array, ""]]:
    """Return the key of the initial weights and the key of the order of examples."""
    order_seed = jnp.where(config.order_seed < 0, config.seed, config.order_seed)
    return (
        jax.random.fold_in(jax.random.key(config.seed), WEIGHTS),
        jax.random.fold_in(jax.random.key(order_seed), ORDER),
    )


def draws(config: Config, step: int | Int[Array, ""], stream: int) -> Key[Array, ""]:
    """Return the key of what a stream draws in a step, a function of (seed, step) alone.

    `stream` is NETWORK or IMAGES. Each has a number of its own, because keys that are split and
    folded from the same parent can be equal.
    """
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(config.seed), stream), step)


def draws_of_network(
    config: Config, step: int | Int[Array, ""], axis: str | None
) -> Key[Array, " P"]:
    """Return the keys of what a network draws in a step, one for each part of this device."""
    parts = sharding.parts(config)
    return jax.random.split(draws(config, step, NETWORK), parts)[sharding.own(parts, axis)]


def draws_of_images(
    config: Config, step: int | Int[Array, ""], own: int, axis: str | None
) -> Key[Array, " B"]:
    """Return the keys of how images are changed in a step, one for each of this device's share."""
    key = draws(config, step, IMAGES)
    if axis is None:
        return jax.random.split(key, own)
    keys = jax.random.split(key, lax.axis_size(axis) * own)
    return keys[lax.axis_index(axis) * own + jnp.arange(own)]


def init(model: nn.Module, config: Config, image_shape: tuple[int, ...]) -> State:
    """Return the state before the first step.

    Raises:
      ValueError: if images of `image_shape` = (H, W, C) do not fit the network.
    """
    init_key, _ = keys(config)
    params, collections = forward.init(model, init_key, image_shape)
    moments = optimizer(config, 1).init(params)
    average = {} if is_off(config.average) else params
    return State(params, moments, jnp.zeros((), jnp.int32), collections, average)


def sharers(model: nn.Module, config: Config, image_shape: tuple[int, ...]) -> int:
    """Return how many devices can share the batches of a run.

    One, if its network keeps collections, such as statistics, which need the batch whole.
    """
    _, collections = jax.eval_shape(
        lambda key: forward.init(model, key, image_shape), jax.random.key(0)
    )
    return 1 if collections else sharding.parts(config)


def step(
    model: nn.Module,
    config: Config,
    steps: int,
    state: State,
    images: Num[Array, "B H W C"],
    labels: Int[Array, " B"],
    mask: Bool[Array, " B"],
    count: Int[Array, ""],
    axis: str | None = None,
) -> tuple[State, Metrics]:
    """Take one step of SGD on the mean loss over the examples that `mask` keeps.

    With short_batch="scale" it is their sum of losses over B, the examples of a whole batch.
    A network with collections sees the batch whole, since its statistics are those of the batch.

    Args:
      model, config: the network, and how it is trained.
      steps: steps per epoch, for the schedule.
      state: before the step.
      images: of 0 to 255; this device's share of the batch.
      labels: 0 to K − 1.
      mask: false for padding.
      count: number of examples that the mask keeps, over all devices.
      axis: the devices that share the batch (see `sharding`).

    Returns:
      the state after the step, and the metrics of the batch before it
    """

    divisor = config.batch_size if config.short_batch == "scale" else count

    def gradient(part: tuple[Array, ...]) -> tuple[Params, tuple[Metrics, Collections]]:
        images, labels, mask, *keys = part

        def share_of_mean(params: Params) -> tuple[Array, tuple[Metrics, Collections]]:
            key = keys[0] if keys else None
            found, after = forward.train(model, params, state.collections, images, key)
            sums = metrics.of_batch(found, labels, mask)
            return sums.loss_sum / divisor, (sums, after)

        return jax.grad(share_of_mean, has_aux=True)(state.params)

    if config.augment:
        own = draws_of_images(config, state.step, len(images), axis)
        images = augment(config.augment, own, images)
    batch = (images, labels, mask)
    random = forward.takes_train(model)
    with products(model):
        if state.collections:
            whole = (*batch, draws(config, state.step, NETWORK)) if random else batch
            gradients, (sums, collections) = gradient(whole)
        else:
            cut = tuple(sharding.cut(x, sharding.parts(config), axis) for x in batch)
            if random:
                cut = (*cut, draws_of_network(config, state.step, axis))
            of_parts, (sums, collections) = lax.map(gradient, cut)
            gradients, sums = sharding.total((of_parts, sums), axis)
    updates, optimizer_state = optimizer(config, steps).update(
        gradients, state.optimizer, state.params
    )
    params = optax.apply_updates(state.params, updates)
    average = {}
    if not is_off(config.average):  # a ← decay·a + (1 − decay)·p, from the initial parameters
        new = optax.incremental_update(params, state.average, 1 - config.average)
        average = jax.tree.map(lambda x, y: y.astype(x.dtype), state.average, new)
    return State(params, optimizer_state, state.step + 1, collections, average), sums


def order(
    config: Config, epoch: int | Int[Array, ""], count: int
) -> tuple[Int[Array, "S B"], Bool[Array, "S B"]]:
    """Return which examples each step of an epoch sees: a function of (seed, epoch) alone.

    A short batch is the last, unless config.short_batch places it first or drops it. With
    order="batches" the batches are cut once, from the examples as they come, and each epoch
    shuffles the batches; the short one may then be anywhere.

    Returns:
      indices int32 and a mask; a short batch is padded with index 0, masked.
    """
    _, order_key = keys(config)
    key = jax.random.fold_in(order_key, epoch)
    if config.order == "examples":
        rows, mask = _batches(jax.random.permutation(key, count), config.batch_size)
        short = count % config.batch_size
        if short and config.short_batch == "first":
            return jnp.roll(rows, 1, 0), jnp.roll(mask, 1, 0)
        if short and config.short_batch == "drop":
            return rows[:-1], mask[:-1]
        return rows, mask
    rows, mask = _batches(jnp.arange(count), config.batch_size)
    shuffled = jax.random.permutation(key, len(rows))
    return rows[shuffled], mask[shuffled]


def epoch(
    model: nn.Module, config: Config, state: State, split: Split, axis: str | None = None
) -> tuple[State, Metrics]:
    """Train for one epoch; return the state after its S steps, and the metrics of each, [S].

    The numbers of `config` may be traced; `axis` names the devices that share every batch.
    """
    count = _count(split)
    steps = steps_per_epoch(config, count)
    rows, mask = order(config, state.step // steps, count)
    kept = mask.sum(1, dtype=jnp.int32)

    def body(state: State, batch: tuple[Array, Array, Array]) -> tuple[State, Metrics]:
        rows, mask, count = batch
        images, labels = split.images[rows], split.labels[rows]
        return step(model, config, steps, state, images, labels, mask, count, axis)

    if not state.collections:
        parts = sharding.parts(config)
        rows, mask = (sharding.share(x, 1, parts, axis) for x in (rows, mask))
        return lax.scan(body, state, (rows, mask, kept))
    # The padding of a short batch would count in its statistics: it takes a step of its own size.
    whole, short = divmod(count, config.batch_size)
    state, found = lax.scan(body, state, (rows[:whole], mask[:whole], kept[:whole]))
    if short and config.short_batch != "drop":
        state, last = body(state, (rows[whole, :short], mask[whole, :short], kept[whole]))
        found = jax.tree.map(lambda x, y: jnp.append(x, y), found, last)
    return state, found


def evaluate(
    model: nn.Module, params: Params, split: Split, axis: str | None = None
) -> tuple[Metrics, UInt[Array, " N"]]:
    """Return the sums over `split`, and the predicted class of each of its examples.

    The classes are uint8 for up to 256 classes, otherwise uint16; `axis` as in `epoch`.
    """
    count = _count(split)
    batches = _batches(jnp.arange(count), min(count, EVALUATION_BATCH))
    devices = 1 if axis is None else lax.axis_size(axis)
    shares = tuple(sharding.share(x, 0, devices, axis) for x in batches)

    def of_batch(batch: tuple[Array, Array]) -> tuple[Metrics, Array]:
        rows, mask = batch
        found = logits(model, params, split.images[rows])
        classes = found.argmax(-1).astype(np.min_scalar_type(found.shape[-1] - 1))
        return metrics.of_batch(found, split.labels[rows], mask), classes

    # XLA's convolution is slow in a loop where it is differentiated, and quick where it is not.
    with products(model), of_xla():
        sums, classes = sharding.gather(lax.map(of_batch, shares), axis)
    # As many sums whatever the number of devices: more of them may round otherwise.
    sums = jax.tree.map(lambda x: x[: len(batches[0])], sums)
    return metrics.total(sums), classes.reshape(-1)[:count]


def _count(split: Split) -> int:
    """N; a label for each image, because an index beyond the labels would take the last of them."""
    chex.assert_rank(split.images, 4)
    chex.assert_shape(split.labels, split.images.shape[:1])
    return split.images.shape[0]


def products(model: nn.Module) -> AbstractContextManager[None]:
    """Set the precision of the products traced inside; JAX's default on a GPU is TF32.

    A network may have another one than "highest" as `matmul_precision`.
    """
    return jax.default_matmul_precision(getattr(model, "matmul_precision", "highest"))


def _batches(indices: Array, batch_size: int) -> tuple[Array, Array]:
    """Cut indices [N] into [S, B] with a mask of what is there."""
    count = indices.shape[0]
    steps = math.ceil(count / batch_size)
    missing = steps * batch_size - count
    mask = jnp.arange(steps * batch_size) < count
    return jnp.pad(indices, (0, missing)).reshape(steps, -1), mask.reshape(steps, -1)
