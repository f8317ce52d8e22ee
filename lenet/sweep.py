"""Many runs at once: which share a program, how it is mapped over them, and `fit`, which drives it.

    configs ──groups──► runs that share a program ──chunks──► lanes of one call ──► devices

There is no arithmetic here: what is mapped are `train.init`, `train.epoch` and `train.evaluate`, so
that a run of a sweep is the run alone. Runs never talk to each other, nor do the devices.
"""

import dataclasses
import operator
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jax.stages import Compiled

from lenet import config as config_module
from lenet import memory, train
from lenet.config import Config
from lenet.data import Data, Split
from lenet.errors import DivergedError, UsageError
from lenet.metrics import Metrics
from lenet.model import LeNet
from lenet.train import Params, Row, State

AXIS = "runs"


class Lanes(NamedTuple):
    """The runs that train together, and where."""

    size: int  # R, a multiple of the devices
    mesh: Mesh
    vectorise: bool  # the lanes of a device as one computation, or one after the other
    bytes_per_run: int = 0  # about; 0: not estimated


class Epoch(NamedTuple):
    """What an epoch of the runs of a chunk came to."""

    runs: list[int]  # which they are, lane by lane; lanes beyond them repeat the last
    rows: dict[int, Row | DivergedError]  # by run; those that had diverged before are missing
    state: State  # [R, ...], given up when the next epoch begins


def groups(configs: Sequence[Config]) -> list[list[int]]:
    """Return the runs that share a program: those that differ in numbers, but not in epochs.

    >>> groups([Config(lr=0.1), Config(lr=0.1, pool="max"), Config(lr=0.9)])
    [[0, 2], [1]]
    """
    found: dict[tuple[Any, ...], list[int]] = {}
    for index, config in enumerate(configs):
        choices = (getattr(config, field.name) for field in config_module.fields("choice"))
        found.setdefault((config.epochs, *choices), []).append(index)
    return list(found.values())


def stack(configs: Sequence[Config]) -> Config:
    """Return one Config for runs of a group, its numbers arrays [R], float32 or int32.

    >>> stack([Config(lr=0.5), Config(lr=1)]).lr
    array([0.5, 1. ], dtype=float32)
    """
    numbers: dict[str, Any] = {
        field.name: np.array(
            [getattr(config, field.name) for config in configs],
            np.float32 if isinstance(field.default, float) else np.int32,
        )
        for field in config_module.fields("number")
    }
    return dataclasses.replace(configs[0], **numbers)


def lanes(config: Config, data: Data, runs: int, *, free: int | None = None) -> Lanes:
    """Return how many of `runs` runs like `config` train together on the devices of this process.

    On a CPU one run per device; the entry points make each core a device. Elsewhere as many as fit
    the memory.

    Args:
      config: one of them.
      data: what they learn from.
      runs: of them, at least 1.
      free: bytes on a device; by default what the device says it has.

    Raises:
      UsageError: if not even one fits.
    """
    devices = jax.local_devices()[:runs]
    free = memory.free(devices[0]) if free is None else free
    needed = bytes_per_run(config, data)
    cpu = devices[0].platform == "cpu"
    share = min(-(-runs // len(devices)), free // needed)
    if share == 0:
        raise UsageError(
            f"a run with --batch_size={config.batch_size} takes about {needed / 1e9:.2g} GB, of "
            f"{free / 1e9:.2g} GB: use a smaller --batch_size, --channels or --hidden"
        )
    over = together(1 if cpu else share, devices, vectorise=not cpu)
    return over._replace(bytes_per_run=needed)


def together(share: int, devices: Sequence[jax.Device], *, vectorise: bool) -> Lanes:
    """Return lanes for `share` runs on each of some devices of this process."""
    mesh = jax.make_mesh((len(devices),), (AXIS,), axis_types=(AxisType.Auto,), devices=devices)
    return Lanes(share * len(devices), mesh, vectorise)


def bytes_per_run(config: Config, data: Data) -> int:
    """Return about how much memory training takes for each run, the data set apart."""
    model = train.check(config, data)
    one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), stack([config]))
    state = train.init.eval_shape(model, one, data.image_shape)
    return max(
        memory.peak(partial(train.epoch, model), one, state, data.train),
        memory.peak(partial(train.evaluate, model), state.params, data.test),
    )


def over_runs(one: Callable[..., Any], over: Lanes) -> Callable[..., Any]:
    """Return (runs, shared) -> results: `one(*run, shared)` of every run [R, ...].

    The lanes are shared out among the devices. On a device a CPU takes them one after the other,
    whose bits are those of the run alone; other hardware all at once.
    """

    def share(runs: tuple[Any, ...], shared: Any) -> Any:
        if over.vectorise:
            return jax.vmap(lambda run: one(*run, shared))(runs)
        return lax.map(lambda run: one(*run, shared), runs)

    # check_vma follows which values are the same on all devices; without collectives it is idle,
    # and would want every constant that a loop carries marked.
    return jax.shard_map(
        share, mesh=over.mesh, in_specs=(P(AXIS), P()), out_specs=P(AXIS), check_vma=False
    )


@partial(jax.jit, static_argnames=("model", "over", "image_shape"))
def init(model: LeNet, over: Lanes, configs: Config, image_shape: tuple[int, ...]) -> State:
    """Return `train.init` of every run, [R, ...]."""
    return over_runs(lambda config, _: train.init(model, config, image_shape), over)(
        (configs,), None
    )


@partial(jax.jit, static_argnames=("model", "over"), donate_argnames=("state",))
def epoch(
    model: LeNet, over: Lanes, configs: Config, state: State, split: Split
) -> tuple[State, Metrics]:
    """Return `train.epoch` of every run: states [R, ...] and metrics [R, S]."""
    return over_runs(partial(train.epoch, model), over)((configs, state), split)


@partial(jax.jit, static_argnames=("model", "over"))
def evaluate(model: LeNet, over: Lanes, params: Params, split: Split) -> Metrics:
    """Return `train.evaluate` of every run, [R]."""
    return over_runs(partial(train.evaluate, model), over)((params,), split)


def fit(
    configs: Sequence[Config],
    data: Data,
    *,
    choose: Callable[[Config, Data, int], Lanes] = lanes,
) -> Iterator[Epoch]:
    """Train every run to its end; yield after each epoch of each chunk of runs.

    A run that diverges yields its DivergedError in place of a row, and nothing after; the others
    go on as if it had not been there.

    Args:
      configs: the runs.
      data: what all of them learn from.
      choose: how many of a group train together.

    Raises:
      UsageError: as `train.check` and `lanes`, before anything is compiled.
    """
    for config in configs:
        train.check(config, data)
    todo = [(group, choose(configs[group[0]], data, len(group))) for group in groups(configs)]
    for group, over in todo:
        everywhere = NamedSharding(over.mesh, P())
        splits = jax.device_put((data.train, data.valid, data.test), everywhere)
        yield from _fit_group({i: configs[i] for i in group}, data, over, splits)


def _fit_group(
    runs: dict[int, Config],
    data: Data,
    over: Lanes,
    splits: tuple[Split, Split | None, Split],
) -> Iterator[Epoch]:
    """Train runs that share a program, chunk by chunk."""
    indices = list(runs)
    initial = None
    for start in range(0, len(indices), over.size):
        chunk = indices[start : start + over.size]
        # A short chunk is filled up, so that it needs no other program.
        filled = chunk + chunk[-1:] * (over.size - len(chunk))
        numbers = jax.device_put(
            stack([runs[i] for i in filled]), NamedSharding(over.mesh, P(AXIS))
        )
        model = train.network(runs[chunk[0]], data.num_classes)
        initial = initial or _compile(model, over, numbers, data.image_shape, splits[0])
        state = initial(numbers)
        yield from _fit_chunk(model, over, {i: runs[i] for i in chunk}, numbers, state, splits)


def _compile(
    model: LeNet, over: Lanes, numbers: Config, image_shape: tuple[int, ...], split: Split
) -> Compiled:
    """Return what makes the initial states, and have what trains compiled."""
    apart = NamedSharding(over.mesh, P(AXIS))
    states = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=apart),
        init.eval_shape(model, over, numbers, image_shape),
    )
    return train.compile_first(
        init.lower(model, over, numbers, image_shape),
        lambda: epoch.lower(model, over, numbers, states, split).compile(),
    )


def _fit_chunk(
    model: LeNet,
    over: Lanes,
    runs: dict[int, Config],
    numbers: Config,
    state: State,
    splits: tuple[Split, Split | None, Split],
) -> Iterator[Epoch]:
    """Train the runs of a chunk together."""
    learn, valid, test = splits
    alive = dict(runs)
    for number in range(1, next(iter(runs.values())).epochs + 1):
        begin = time.monotonic()
        state, steps = epoch(model, over, numbers, state, learn)
        steps = jax.device_get(steps)
        seconds = time.monotonic() - begin
        after = [split and evaluate(model, over, state.params, split) for split in (valid, test)]
        sums = jax.device_get((steps, *after))
        rows: dict[int, Row | DivergedError] = {}
        for lane, (run, config) in enumerate(runs.items()):
            if run in alive:
                own = jax.tree.map(operator.itemgetter(lane), sums)
                try:
                    rows[run] = train.report(model, config, number, seconds, *own)
                except DivergedError as error:
                    rows[run] = error
                    del alive[run]
        yield Epoch(list(runs), rows, state)
        if not alive:
            return
