"""Train one network. A run is a sweep of size one; each batch is split across the devices."""

from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np

from lenet import config as config_module
from lenet.config import Config
from lenet.data import Data, splits
from lenet.engine import lanes, sgd
from lenet.engine import sweep as engine
from lenet.engine.rows import Row
from lenet.engine.sgd import Params, State
from lenet.engine.stacking import groups
from lenet.errors import DivergedError, UsageError
from lenet.model import LeNet, feature_maps, network

init = jax.jit(sgd.init, static_argnames=("model", "image_shape"))
evaluate = jax.jit(sgd.evaluate, static_argnames=("model", "axis"))
"""`sgd.init` and `sgd.evaluate` of one network, jitted."""


def check(config: Config, data: Data) -> LeNet:
    """Return the network for `data`, if `config` and `data` are valid and match.

    Called once at the edge; nothing below checks again.

    Raises:
      UsageError: for a setting out of range, a batch larger than the training set, another dataset
        or held-out part than that of the data, or images that do not fit the network.
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
    count = len(data.train.labels)
    if config.batch_size > count:
        raise UsageError(
            f"batch_size={config.batch_size}: must be at most the {count} training examples"
        )
    model = network(config, data.num_classes)
    try:
        feature_maps(model, data.image_shape[:2])
    except ValueError as error:
        raise UsageError(f"{data.name}: {error}") from None
    return model


def start(config: Config, data: Data) -> engine.Program:
    """Put the data on the devices and compile the program of a run.

    Raises:
      UsageError: as `check` and `engine.sweep.compiled`, before anything is compiled.
    """
    return engine.compiled(check(config, data), config, data, lanes.spread(1))


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

    Raises:
      UsageError, DivergedError: as `start` and `fit`.
    """
    for row, state in fit(start(config, data)):  # noqa: B007  only the last is used
        pass
    return row, state.params


def sweep(
    configs: Sequence[Config],
    data: Data,
    *,
    choose: Callable[[LeNet, Config, Data, int], lanes.Lanes] = lanes.choose,
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
