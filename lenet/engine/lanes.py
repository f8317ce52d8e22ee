"""How many runs train together, and on which devices: a mesh of runs × batch."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
from flax import linen as nn
from jax.sharding import AxisType, Mesh

from lenet.config import Config
from lenet.data.splits import Data
from lenet.engine import memory, sgd
from lenet.engine.stacking import stack
from lenet.errors import UsageError

RUNS, BATCH = "runs", "batch"
"""The axes of the mesh: its rows take different runs; the devices of a row share every batch."""


class Lanes(NamedTuple):
    """Places for runs that train together; a lane trains one run."""

    size: int  # R, a multiple of the rows of the mesh
    mesh: Mesh  # RUNS × BATCH
    vectorise: bool  # the lanes of a device as one computation, or one after the other
    bytes_per_run: int = 0  # estimate; 0: not estimated

    @property
    def axis(self) -> str | None:
        """The devices that share the batches of a run; None where each device has its own runs."""
        return BATCH if self.mesh.shape[BATCH] > 1 else None


def spread(runs: int, parts: int = 1) -> Lanes:
    """Return one lane for each run, at most as many as this process has devices.

    Where there are more devices than runs, those of a run share its batches, which are cut into
    `parts`: as many of them as divide that power of two. The entry points make each core a device.
    """
    devices = jax.local_devices()
    split = parts
    while split > 1 and runs * split > len(devices):
        split //= 2
    used = devices[: min(runs, len(devices)) * split]
    return together(1, used, vectorise=devices[0].platform != "cpu", split=split)


def together(
    share: int, devices: Sequence[jax.Device], *, vectorise: bool, split: int = 1
) -> Lanes:
    """Return `share` lanes on each device, or on each `split` devices, which share batches.

    `split` divides the number of devices and that of a batch's parts; `vectorise` as in `Lanes`.
    """
    shape = (len(devices) // split, split)
    types = (AxisType.Auto, AxisType.Auto)
    mesh = jax.make_mesh(shape, (RUNS, BATCH), axis_types=types, devices=devices)
    return Lanes(share * shape[0], mesh, vectorise)


def choose(model: nn.Module, config: Config, data: Data, runs: int) -> Lanes:
    """Return lanes for `runs` runs like `config`: on a CPU as `spread`, otherwise what fits memory.

    Raises:
      UsageError: if not even one run fits.
    """
    needed = bytes_per_run(model, config, data)
    share = check_fits(config, needed)
    sharers = sgd.sharers(model, config, data.image_shape)
    lanes = spread(runs, sharers)._replace(bytes_per_run=needed)
    if not lanes.vectorise:
        return lanes
    return lanes._replace(size=lanes.size * min(-(-runs // lanes.size), share))


def bytes_per_run(model: nn.Module, config: Config, data: Data) -> int:
    """Estimate the memory that training takes for each run, without the dataset."""
    one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), stack([config]))
    state = jax.eval_shape(partial(sgd.init, model, image_shape=data.image_shape), one)
    return max(
        memory.peak(partial(sgd.epoch, model), one, state, data.train),
        memory.peak(partial(sgd.evaluate, model), state.variables, data.test),
    )


def check_fits(config: Config, needed: int) -> int:
    """Return how many times `needed` bytes fit on a device.

    Raises:
      UsageError: if not even once.
    """
    free = memory.free(jax.local_devices()[0])
    if needed > free:
        raise UsageError(
            f"batch_size={config.batch_size}: one run needs about {needed / 1e9:.2g} GB, but "
            f"{free / 1e9:.2g} GB are free. Reduce batch_size, or take a smaller network."
        )
    return free // needed
