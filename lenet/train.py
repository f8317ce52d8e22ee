"""Train one network or a sweep of them: a run is a sweep of size one."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np

from lenet import config as config_module
from lenet.config import Config
from lenet.data import Data
from lenet.engine import sweep as engine
from lenet.engine.rows import Row
from lenet.engine.sgd import Params, State
from lenet.errors import DivergedError, UsageError
from lenet.model import LeNet, feature_maps, network

Choose = Callable[[LeNet, Config, Data, int], engine.Lanes]
"""How many of the runs of a group train together, and on which devices."""


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


class Start(NamedTuple):
    """A run that is compiled, its data on the devices, and about to take its first step."""

    config: Config
    program: engine.Program


def start(config: Config, data: Data) -> Start:
    """Put the data on the devices and compile what trains.

    Raises:
      UsageError: as `check` and `engine.sweep.compiled`, before anything is compiled.
    """
    return Start(config, engine.compiled(check(config, data), config, data, engine.spread(1)))


def fit(run: Start, behind: tuple[int, State] | None = None) -> Iterator[tuple[Row, State]]:
    """Train to the end; yield a row and the state, as NumPy arrays, after each epoch.

    Args:
      run: from `start`.
      behind: where to go on: how many epochs, and the state after them; then what follows has the
        bits of a run that was never interrupted.

    Raises:
      DivergedError: naming the first step whose loss was no finite number, or the epoch whose mean
        loss was far above that of a guess.
    """
    if behind:
        behind = behind[0], jax.tree.map(lambda x: np.asarray(x)[None], behind[1])
    for epoch in engine.fit_chunk(run.program, {0: run.config}, behind):
        row = epoch.rows[0]
        if isinstance(row, DivergedError):
            raise row
        yield row, jax.tree.map(lambda x: x[0], jax.device_get(epoch.state))


def run(config: Config, data: Data) -> tuple[Row, Params]:
    """Train to the end; return the row of the last epoch and the final parameters.

    Raises:
      UsageError, DivergedError: as `start` and `fit`.
    """
    for row, state in fit(start(config, data)):  # noqa: B007  the last of them is what is wanted
        pass
    return row, state.params


def sweep(
    configs: Sequence[Config],
    data: Data,
    *,
    choose: Choose = engine.lanes,
) -> Iterator[engine.Epoch]:
    """Train every run to its end; yield after each epoch of each chunk of runs.

    A run that diverges yields its DivergedError in place of a row, and nothing after; the others
    go on as if it had not been there.

    Args:
      configs: the runs.
      data: what all of them learn from.
      choose: how many of a group train together.

    Raises:
      UsageError: as `check` and `engine.sweep.lanes`, before anything is compiled.
    """
    models = [check(config, data) for config in configs]
    todo = [
        (group, choose(models[group[0]], configs[group[0]], data, len(group)))
        for group in engine.groups(configs)
    ]
    for group, over in todo:
        program = engine.compiled(models[group[0]], configs[group[0]], data, over)
        for start in range(0, len(group), over.size):  # Python 3.11 has no itertools.batched
            chunk = group[start : start + over.size]
            yield from engine.fit_chunk(program, {i: configs[i] for i in chunk})
