"""One run: the sweep of one, on all devices that can share its batches."""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np

from lenet import sweep
from lenet.config import Config
from lenet.data import Data
from lenet.errors import DivergedError
from lenet.rows import Row
from lenet.sgd import Params, State


class Start(NamedTuple):
    """A run that is compiled, its data on the devices, and about to take its first step."""

    config: Config
    program: sweep.Program


def start(config: Config, data: Data) -> Start:
    """Put the data on the devices and compile what trains.

    Raises:
      UsageError: as `sweep.compiled`, before anything is compiled.
    """
    return Start(config, sweep.compiled(config, data, sweep.spread(1)))


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
    for epoch in sweep.fit_chunk(run.program, {0: run.config}, behind):
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
