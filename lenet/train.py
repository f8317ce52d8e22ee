"""Train one network. A run is a sweep of size one; each batch is split across the devices."""

import functools
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array

from lenet import config as config_module
from lenet.config import Config, augmentations
from lenet.data import Data, splits
from lenet.engine import convolutions, forward, lanes, selfcheck, sgd
from lenet.engine import sweep as engine
from lenet.engine.forward import Params
from lenet.engine.optimizer import optimizer
from lenet.engine.rows import Row
from lenet.engine.sgd import State
from lenet.engine.stacking import groups
from lenet.errors import DivergedError, UsageError, code_of_others
from lenet.model import LeNet, feature_maps, network
from lenet.ops import compiled
from lenet.settings import is_code

log = logging.getLogger("lenet")

NOTHING_LEFT = (
    "nothing is left of the image: an axis has size 0. Use less pooling, smaller strides or kernels"
)
_SHAPES = re.compile(r"\b[a-z]+\d*\[((?:\d+,){2,}\d+)\]")
"""Of the arrays of three or more axes in a traced program: f32[2,28,28,1]."""

init = jax.jit(sgd.init, static_argnames=("model", "image_shape"))
evaluate = jax.jit(sgd.evaluate, static_argnames=("model", "axis"))
"""`sgd.init` and `sgd.evaluate` of one network, jitted."""


def settled(configs: Sequence[Config]) -> list[Config]:
    """Return configs of new runs with a form of convolution that this machine computes.

    Where all of them ask for the direct kernel and it cannot be compiled, a line says so, and they
    get the matrix products: that is then what their records hold.
    """
    why = compiled.missing() if {form(config) for config in configs} == {"native"} else None
    if why is None:
        return list(configs)
    log.warning("warning: conv=native: %s. Using conv=matmul", why)
    return [config_module.replace(config, conv="matmul") for config in configs]


def form(config: Config) -> str | None:
    """Return `conv` of a config whose network is LeNet."""
    return config.conv if isinstance(config.network, config_module.LeNet) else None


def check(config: Config, data: Data) -> nn.Module:
    """Return the network for `data`, if `config` and `data` are valid and match.

    Called once at the edge; nothing below checks again.

    Raises:
      UsageError: for a setting out of range, a batch larger than the training set, another dataset
        or held-out part than that of the data, images that do not fit the network, or a form of
        convolution that this machine does not compute.
      DataError: for arrays of another form, or labels out of range.
    """
    config_module.check(config)
    splits.check(data)
    if config.dataset != data.name:
        raise UsageError(
            f"dataset={config.dataset}: the data given are {data.name}. "
            f"Use Config(dataset={data.name!r}), or load {config.dataset}."
        )
    held_out = len(data.valid.labels) if data.valid else 0
    if config.valid != held_out:
        raise UsageError(
            f"valid={config.valid}: the data given have {held_out} held-out examples. "
            f"Use Config(valid={held_out}), or data.load({data.name!r}, valid={config.valid})."
        )
    count, shape = len(data.train.labels), data.image_shape
    if config.batch_size > count:
        raise UsageError(
            f"batch_size={config.batch_size}: must be at most the {count} training examples"
        )
    if large := [each for each in augmentations(config.augment) if each[1] >= min(shape[:2])]:
        name, pixels = large[0]
        raise UsageError(
            f"augment={name}:{pixels}: pixels must be below the smaller side of the images, "
            f"{min(shape[:2])}"
        )
    if form(config) == "native" and (why := compiled.missing()):
        raise UsageError(f"conv=native: {why}")
    model = network(config, data.num_classes)
    if isinstance(model, LeNet):
        try:
            feature_maps(model, data.image_shape[:2])
        except ValueError as error:
            raise UsageError(f"{data.name}: {error}") from None
    else:
        _check_logits(model, config, data)
    if is_code(config.optimizer):
        _check_update(model, config, data)
    if _direct(model, data):
        selfcheck.check_native()
    return model


def direct(configs: Iterable[Config], data: Data) -> bool:
    """Return whether any of some valid configs trains with the direct convolution, `ops.native`."""
    one_of_each = {config.network: config for config in configs}.values()
    return any(_direct(network(config, data.num_classes), data) for config in one_of_each)


def kernel(configs: Iterable[Config], data: Data) -> dict[str, str]:
    """Return the direct convolution's part of a record's environment: none without it."""
    return {"native": compiled.library()} if direct(configs, data) else {}


def _direct(model: nn.Module, data: Data) -> bool:
    if isinstance(model, LeNet):
        return model.conv == "native"
    return convolutions.direct(model, data.image_shape)


def slow(model: nn.Module, data: Data) -> bool:
    """Return whether a network trains with a convolution that `convolutions.REMEDY` makes quick.

    LeNet with `conv="lax"` was asked for.
    """
    return not isinstance(model, LeNet) and convolutions.slow(model, data.image_shape)


def _check_logits(model: nn.Module, config: Config, data: Data) -> None:
    """Raise a UsageError unless a network maps images of the data to logits."""
    name = config_module.name_of(config.network)
    shape = list(data.image_shape)
    applied = f"network={name}: cannot be applied to images {shape} of {data.name}"
    with code_of_others(applied), nn.intercept_methods(functools.partial(_not_empty, applied)):
        program, *both, collections = convolutions.traced(model, data.image_shape)
    if "0" in {size for sizes in _SHAPES.findall(program) for size in sizes.split(",")}:
        raise UsageError(f"{applied}: {NOTHING_LEFT}")
    expected = (2, data.num_classes)
    for found, when in zip(both, ("", " outside training"), strict=True):
        if getattr(found, "shape", None) != expected or found.dtype != jnp.float32:
            shown = f"{found.dtype}{list(found.shape)}" if hasattr(found, "shape") else type(found)
            raise UsageError(
                f"network={name}: returns {shown} for 2 images{when}, expected "
                f"float32{list(expected)}: a logit for each of the {data.num_classes} classes, "
                "which a field num_classes receives"
            )
    short = len(data.train.labels) % config.batch_size
    if collections and short and (config.order == "batches" or config.short_batch == "first"):
        given = "order=batches" if config.order == "batches" else "short_batch=first"
        raise UsageError(
            f"{given}: {name} keeps statistics, so that its batch of {short} examples has to be "
            "an epoch's last. Leave it out, or choose a batch_size that divides the examples"
        )


def _not_empty(
    failed: str,
    call: Callable[..., Any],
    arguments: tuple[Any, ...],
    named: dict[str, Any],
    context: nn.module.InterceptorContext,
) -> Any:
    """Call a method of a module, whose initial weights may divide by the size of its input."""
    if any(0 in getattr(x, "shape", ()) for x in arguments):
        where = "/".join(context.module.path) or type(context.module).__name__
        raise UsageError(f"{failed}: {NOTHING_LEFT} ({where})")
    return call(*arguments, **named)


def _check_update(model: nn.Module, config: Config, data: Data) -> None:
    """Raise a UsageError unless the optimizer of the user's updates the parameters."""

    def update(key: Array) -> None:
        params, _ = forward.init(model, key, data.image_shape)
        rule = optimizer(config, 1)
        before = rule.init(params)
        updates, after = rule.update(params, before, params)
        chex.assert_trees_all_equal_shapes_and_dtypes(updates, params)
        chex.assert_trees_all_equal_shapes_and_dtypes(after, before)

    name = config_module.name_of(config.optimizer)
    with code_of_others(f"optimizer={name}: cannot update the parameters"):
        jax.eval_shape(update, jax.random.key(0))


def start(config: Config, data: Data) -> engine.Program:
    """Put the data on the devices and compile the program of a run.

    Raises:
      UsageError: as `check` and `engine.sweep.compiled`, before anything is compiled.
    """
    model = check(config, data)
    placed = lanes.spread(1, sgd.sharers(model, config, data.image_shape))
    return engine.compiled(model, config, data, placed)


def fit(
    program: engine.Program, resume: tuple[int, State] | None = None
) -> Iterator[tuple[Row, State]]:
    """Train to the end; yield a row and the state, as NumPy arrays, after each epoch.

    Args:
      program: from `start`.
      resume: epochs done and the state after them. The rest is bitwise identical to that of an
        uninterrupted run.

    Raises:
      DivergedError: naming the first step whose loss was not finite, or the epoch whose mean loss
        was far above chance level.
    """
    if resume:
        resume = resume[0], jax.tree.map(lambda x: np.asarray(x)[None], resume[1])
    for epoch in engine.fit_chunk(program, {0: program.config}, resume):
        row = epoch.rows[0]
        if isinstance(row, DivergedError):
            raise row
        yield row, jax.tree.map(lambda x: x[0], jax.device_get(epoch.state))


def run(config: Config, data: Data) -> tuple[Row, Params]:
    """Train to the end; return the row of the last epoch and the final parameters.

    Of a network that keeps more, such as batch statistics, these are all its variables.

    Raises:
      UsageError, DivergedError: as `start` and `fit`.
    """
    for row, state in fit(start(config, data)):  # noqa: B007  only the last is used
        pass
    return row, state.variables


def sweep(
    configs: Sequence[Config],
    data: Data,
    *,
    choose: Callable[[nn.Module, Config, Data, int], lanes.Lanes] = lanes.choose,
) -> Iterator[engine.Epoch]:
    """Train every run to its end; yield after each epoch of each chunk of runs.

    A run that diverges yields its DivergedError instead of a row, and nothing after; other runs
    are not affected.

    `choose` takes one run of a group and the number of its runs; it returns their lanes.

    Raises:
      UsageError: as `check` and `engine.lanes.choose`, before anything is compiled.
    """
    models = [check(config, data) for config in configs]
    todo = [
        (group, choose(models[group[0]], configs[group[0]], data, len(group)))
        for group in groups(configs)
    ]
    for group, placed in todo:
        program = engine.compiled(models[group[0]], configs[group[0]], data, placed)
        for start in range(0, len(group), placed.size):  # Python 3.11 has no itertools.batched
            chunk = group[start : start + placed.size]
            yield from engine.fit_chunk(program, {i: configs[i] for i in chunk})
