"""Training as pure functions: init, step, epoch, evaluate; and `fit`, which drives them.

A run is determined by (config, data). Its numbers (learning rate, seed, ...) are inputs of the
compiled program, so that another value compiles nothing; its choices shape the program.

On a CPU the batch of a step is cut into two parts whose gradients are added. Two cores that JAX has
as two devices then take a part each, which is quicker than both at every product; on one device the
parts follow one another. Their sum has the same bits either way.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax
from jax.flatten_util import ravel_pytree
from jax.sharding import AxisType, Mesh, NamedSharding, Sharding, SingleDeviceSharding
from jax.sharding import PartitionSpec as P
from jax.stages import Compiled, Lowered

from lenet import config as config_module
from lenet import metrics
from lenet.config import Config
from lenet.data import Data, Split
from lenet.errors import DivergedError, UsageError
from lenet.metrics import Metrics
from lenet.model import LeNet, feature_maps

Params = dict[str, dict[str, Array]]

# Config itself knows nothing of jax, so that `--help` does not wait for it.
jax.tree_util.register_dataclass(
    Config,
    data_fields=[f.name for f in config_module.fields("number")],
    meta_fields=[f.name for f in config_module.fields("choice")],
)

EVALUATION_BATCH = 250
"""Examples evaluated at a time; it changes the speed and the memory, not the result."""

AXIS = "batch"
"""The axis of a mesh whose devices share every batch."""

DIVERGED = 10
"""A run has diverged when the mean loss of an epoch exceeds this many times log K, a guess's."""


class State(NamedTuple):
    """All that training changes."""

    params: Params
    optimizer: optax.OptState
    step: Array  # int32 [], steps taken; which epoch comes next follows from it


@dataclasses.dataclass(frozen=True)
class Row:
    """One epoch, as metrics.jsonl keeps it."""

    epoch: int
    train_loss: float  # running means over the epoch, while the parameters move
    train_accuracy: float
    valid_loss: float | None
    valid_accuracy: float | None
    test_loss: float  # after the epoch
    test_accuracy: float
    count: int  # training examples seen in the epoch
    seconds: float  # for training them; evaluation apart
    examples_per_second: float
    running: list[tuple[float, float, float]]  # (epochs, loss, accuracy) at fifths of the epoch


def network(config: Config, num_classes: int) -> LeNet:
    """Return the network that `config` describes, on this process's device."""
    # Inside a loop XLA's convolution is slow on a CPU; on a GPU it is what cannot be captured in a
    # graph. A TPU's matrix unit is made for it.
    auto = "lax" if jax.default_backend() == "tpu" else "matmul"
    return LeNet(
        activation=config.activation,
        pool=config.pool,
        channels=config.channels,
        kernel_size=config.kernel_size,
        hidden=config.hidden,
        num_classes=num_classes,
        kernel_init=config.init,
        bias_init=config.bias_init,
        conv=auto if config.conv == "auto" else config.conv,
        precision=config.precision,
    )


def parts() -> int:
    """Return how many parts a batch is cut into: 2 on a CPU, otherwise 1."""
    return 2 if jax.default_backend() == "cpu" else 1


def mesh() -> Mesh | None:
    """Return the devices that can share the parts of a batch; None if there is but one."""
    devices = jax.local_devices()[: parts()]
    if len(devices) == 1:
        return None
    return jax.make_mesh((len(devices),), (AXIS,), axis_types=(AxisType.Auto,), devices=devices)


def everywhere(over: Mesh | None) -> Sharding:
    """Return how data and states lie on the devices of `mesh`: whole on each."""
    return NamedSharding(over, P()) if over else SingleDeviceSharding(jax.local_devices()[0])


def over_devices(
    f: Callable[..., Any], over: Mesh | None, in_specs: tuple[Any, ...], out_specs: Any
) -> Callable[..., Any]:
    """Return `f(*args, axis)` as a function of args that devices share as the specs say.

    `axis` is what they reduce over, None without a mesh.
    """
    if over is None:
        return partial(f, axis=None)
    # check_vma follows which values are the same on all devices, and would want every constant that
    # a loop carries marked.
    return jax.shard_map(
        partial(f, axis=AXIS), mesh=over, in_specs=in_specs, out_specs=out_specs, check_vma=False
    )


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


def logits(model: LeNet, params: Params, images: Array) -> Array:
    """Return the network's logits [B, K] for uint8 images [B, H, W, C], scaled to 0 to 1."""
    result: Array = model.apply({"params": params}, images.astype(jnp.float32) / 255)  # type: ignore[assignment]
    return result


@partial(jax.jit, static_argnames=("model", "image_shape"))
def init(model: LeNet, config: Config, image_shape: tuple[int, ...]) -> State:
    """Return the state before the first step.

    Raises:
      ValueError: if images of `image_shape` = (H, W, C) do not fit the network.
    """
    init_key, _ = keys(config)
    params = model.init(init_key, jnp.zeros((1, *image_shape), jnp.float32))["params"]
    return State(params, optimizer(config, 1).init(params), jnp.zeros((), jnp.int32))


def step(
    model: LeNet,
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
        x = _fill(x, 0, here)
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


@partial(jax.jit, static_argnames=("model", "over"), donate_argnames=("state",))
def epoch(
    model: LeNet, config: Config, state: State, split: Split, over: Mesh | None = None
) -> tuple[State, Metrics]:
    """Pass once over `split`, as one compiled program.

    Args:
      model: the network.
      config: its numbers are traced.
      state: given up (its memory is used again).
      split: images uint8 [N, H, W, C] and labels int32 [N].
      over: the devices that share every batch, from `mesh`.

    Returns:
      the state after ⌈N / B⌉ steps, and the metrics of each of them, [S]
    """
    count = split.images.shape[0]
    steps = steps_per_epoch(config, count)
    rows, mask = (_fill(x, 1, parts()) for x in order(config, state.step // steps, count))
    batches = (rows, mask, mask.sum(1, dtype=jnp.int32))

    def loop(
        config: Config,
        state: State,
        split: Split,
        batches: tuple[Array, Array, Array],
        axis: str | None,
    ) -> tuple[State, Metrics]:
        def body(state: State, batch: tuple[Array, Array, Array]) -> tuple[State, Metrics]:
            rows, mask, count = batch
            images, labels = split.images[rows], split.labels[rows]
            return step(model, config, steps, state, images, labels, mask, count, axis)

        return lax.scan(body, state, batches)

    specs = (P(), P(), P(), (P(None, AXIS), P(None, AXIS), P()))
    result: tuple[State, Metrics] = over_devices(loop, over, specs, P())(
        config, state, split, batches
    )
    return result


@partial(jax.jit, static_argnames=("model", "over"))
def evaluate(model: LeNet, params: Params, split: Split, over: Mesh | None = None) -> Metrics:
    """Return the sums of loss and hits over every example of `split`."""
    count = split.images.shape[0]
    # As many batches on one device as on two: a sum of more numbers may round otherwise.
    batches = (
        _fill(x, 0, parts()) for x in _batches(jnp.arange(count), min(count, EVALUATION_BATCH))
    )

    def loop(params: Params, split: Split, rows: Array, mask: Array, axis: str | None) -> Metrics:
        def of_batch(batch: tuple[Array, Array]) -> Metrics:
            rows, mask = batch
            return metrics.of_batch(
                logits(model, params, split.images[rows]), split.labels[rows], mask
            )

        with _products(model):
            sums = lax.map(of_batch, (rows, mask))
        if axis is not None:
            sums = lax.all_gather(sums, axis, tiled=True)
        return metrics.total(sums)

    specs = (P(), P(), P(AXIS), P(AXIS))
    result: Metrics = over_devices(loop, over, specs, P())(params, split, *batches)
    return result


def _products(model: LeNet) -> AbstractContextManager[None]:
    """How exact the products traced inside are; by JAX's own default a GPU rounds them to TF32."""
    exact = model.precision == "float32"
    return jax.default_matmul_precision("highest" if exact else "tensorfloat32")


class Start(NamedTuple):
    """A run that is compiled, on its device, and about to take its first step."""

    model: LeNet
    config: Config
    state: State
    train: Split
    valid: Split | None
    test: Split
    over: Mesh | None  # the devices that share every batch
    seconds_to_compile: float


def check(config: Config, data: Data) -> LeNet:
    """Return the network for `data`, if all that `config` asks for can be done.

    Raises:
      UsageError: for a setting out of range, a batch larger than the training set, or images that
        do not fit the network.
    """
    config_module.check(config)
    count = len(data.train.labels)
    if config.batch_size > count:
        raise UsageError(
            f"--batch_size={config.batch_size}: must be at most the {count} training examples"
        )
    model = network(config, data.num_classes)
    try:
        feature_maps(model, data.image_shape[:2])
    except ValueError as error:
        raise UsageError(f"{data.name}: {error}") from None
    return model


def start(config: Config, data: Data) -> Start:
    """Put the data on the device, make the initial state and compile what trains.

    Raises:
      UsageError: as `check`, before anything is compiled.
    """
    model, over = check(config, data), mesh()
    train, valid, test = jax.device_put((data.train, data.valid, data.test), everywhere(over))
    begin = time.monotonic()
    shapes = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere(over)),
        init.eval_shape(model, config, data.image_shape),
    )
    # Fills the cache that the calls in `fit` look in; evaluation can wait until it is needed.
    initial = compile_first(
        init.lower(model, config, data.image_shape),
        lambda: epoch.lower(model, config, shapes, train, over).compile(),
    )
    state = jax.device_put(initial(config), everywhere(over))
    return Start(model, config, state, train, valid, test, over, time.monotonic() - begin)


def compile_first(initial: Lowered, meanwhile: Callable[[], object]) -> Compiled:
    """Return the program of the initial state, compiled while `meanwhile` compiles what trains."""
    # It runs once: half the time to compile, and the same numbers, as a test asks.
    quickly: dict[str, str | bool] = {"xla_backend_optimization_level": "1"}
    with ThreadPoolExecutor() as threads:
        ready = threads.submit(initial.compile, compiler_options=quickly)
        meanwhile()
        return ready.result()


def fit(run: Start) -> Iterator[tuple[Row, State]]:
    """Train to the end; yield a row and the state after each epoch.

    The state of an epoch is given up when the next begins: copy what has to outlive it. `run`
    itself is left as it was.

    Raises:
      DivergedError: naming the first step whose loss was no finite number, or the epoch whose mean
        loss was far above that of a guess.
    """
    state = _copy(run.state)  # `epoch` gives up what it is passed
    for number in range(1, run.config.epochs + 1):
        begin = time.monotonic()
        state, sums = epoch(run.model, run.config, state, run.train, run.over)
        sums = jax.device_get(sums)
        seconds = time.monotonic() - begin
        valid = evaluate(run.model, state.params, run.valid, run.over) if run.valid else None
        test = evaluate(run.model, state.params, run.test, run.over)
        yield report(run.model, run.config, number, seconds, sums, valid, test), state


def run(config: Config, data: Data) -> tuple[Row, Params]:
    """Train to the end; return the row of the last epoch and the final parameters.

    Raises:
      UsageError, DivergedError: as `start` and `fit`.
    """
    for row, state in fit(start(config, data)):  # noqa: B007  the last of them is what is wanted
        pass
    return row, state.params


def report(
    model: LeNet,
    config: Config,
    number: int,
    seconds: float,
    steps: Metrics,
    valid: Metrics | None,
    test: Metrics,
) -> Row:
    """Return what epoch `number` of a run came to.

    Args:
      model: for the loss of a guess.
      config: of the run; its learning rate is what an error names.
      number: of the epoch, from 1.
      seconds: that its training took.
      steps: the metrics of each step, [S].
      valid: after the epoch.
      test: after the epoch.

    Raises:
      DivergedError: as `fit`.
    """
    _check_finite(model, config, number, steps)
    for after in filter(None, (valid, test)):
        if not np.isfinite(after.loss_sum):  # the last step went too far
            raise _diverged(config, f"the loss was {after.loss_sum} after epoch {number}")
    # Summed in float64: the book's running mean over an epoch, at fifths of it as it plots them.
    sums = (steps.loss_sum, steps.correct, steps.count)
    loss, correct, count = (np.cumsum(x, dtype=np.float64) for x in sums)
    every = max(len(loss) // 5, 1)
    points = [i for i in range(len(loss)) if (i + 1) % every == 0 or i == len(loss) - 1]
    running = [
        (number - 1 + (i + 1) / len(loss), loss[i] / count[i], correct[i] / count[i])
        for i in points
    ]
    valid_loss, valid_accuracy = metrics.means(valid) if valid else (None, None)
    test_loss, test_accuracy = metrics.means(test)
    return Row(
        epoch=number,
        train_loss=loss[-1] / count[-1],
        train_accuracy=correct[-1] / count[-1],
        valid_loss=valid_loss,
        valid_accuracy=valid_accuracy,
        test_loss=test_loss,
        test_accuracy=test_accuracy,
        count=int(count[-1]),
        seconds=seconds,
        examples_per_second=count[-1] / seconds,
        running=[(float(x), float(y), float(z)) for x, y, z in running],
    )


@jax.jit
def _copy(state: State) -> State:
    return jax.tree.map(jnp.copy, state)


def _check_finite(model: LeNet, config: Config, number: int, steps: Metrics) -> None:
    losses = np.asarray(steps.loss_sum, np.float64) / np.asarray(steps.count)
    if not np.isfinite(losses).all():
        first = int(np.flatnonzero(~np.isfinite(losses))[0])
        at = (number - 1) * len(losses) + first + 1
        raise _diverged(config, f"the loss was {losses[first]} at step {at} (epoch {number})")
    guess = math.log(model.num_classes)
    if losses.mean() > DIVERGED * guess:
        mean = f"mean loss {losses.mean():.3g} in epoch {number}"
        raise _diverged(config, f"{mean}, more than {DIVERGED} times that of a guess ({guess:.2f})")


def _diverged(config: Config, what: str) -> DivergedError:
    return DivergedError(f"diverged: {what} with --lr={config.lr:g}: try a smaller --lr")


def _batches(indices: Array, batch_size: int) -> tuple[Array, Array]:
    """Cut indices [N] into [S, B] with a mask of what is there."""
    count = indices.shape[0]
    steps = math.ceil(count / batch_size)
    missing = steps * batch_size - count
    mask = jnp.arange(steps * batch_size) < count
    return jnp.pad(indices, (0, missing)).reshape(steps, -1), mask.reshape(steps, -1)


def _fill(x: Array, axis: int, multiple: int) -> Array:
    """Append zeros until the size of an axis is a multiple."""
    widths = [(0, 0)] * x.ndim
    widths[axis] = (0, -x.shape[axis] % multiple)
    return jnp.pad(x, widths)
