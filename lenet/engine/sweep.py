"""Many runs at once: which share a program, how it is mapped over them, and `fit`, which drives it.

    configs ──groups──► runs that share a program ──chunks──► lanes of one call ──► devices

There is no arithmetic here: what is mapped are `sgd.init`, `sgd.epoch` and `sgd.evaluate`. A run
alone is the sweep of one. Runs never talk to each other; devices that would have none share the
batches of the others.
"""

import dataclasses
import operator
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import linen as nn
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jax.stages import Compiled, Lowered

from lenet import config as config_module
from lenet.config import Config
from lenet.data.splits import Data, Split
from lenet.engine import memory, rows, sgd, sharding
from lenet.engine.metrics import Metrics
from lenet.engine.rows import Row
from lenet.engine.sgd import Params, State
from lenet.errors import DivergedError, UsageError

RUNS, BATCH = "runs", "batch"
"""The axes of the mesh: its rows take different runs; the devices of a row share every batch."""


class Lanes(NamedTuple):
    """The runs that train together, and where."""

    size: int  # R, a multiple of the rows of the mesh
    mesh: Mesh  # RUNS x BATCH
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


def lanes(
    model: nn.Module, config: Config, data: Data, runs: int, *, free: int | None = None
) -> Lanes:
    """Return how many of `runs` runs like `config` train together on the devices of this process.

    On a CPU one run per device, or on each pair of devices where there are enough; the entry points
    make each core a device. Elsewhere as many as fit the memory.

    Args:
      model: their network.
      config: one of them.
      data: what they learn from.
      runs: of them, at least 1.
      free: bytes on a device; by default what the device says it has.

    Raises:
      UsageError: if not even one fits.
    """
    over = spread(runs)
    needed = bytes_per_run(model, config, data)
    share = min(-(-runs // over.size), _check_fits(config, needed, free))
    over = over._replace(bytes_per_run=needed)
    return over._replace(size=over.size * share) if over.vectorise else over


def spread(runs: int) -> Lanes:
    """Return lanes for runs on the devices of this process: for one run on each that is of use."""
    devices = jax.local_devices()
    split = sharding.parts() if runs * sharding.parts() <= len(devices) else 1
    if jax.process_count() > 1:  # then what devices say to each other takes the network
        split = 1
    used = devices[: min(runs, len(devices)) * split]
    return together(1, used, vectorise=devices[0].platform != "cpu", split=split)


def _check_fits(config: Config, needed: int, free: int | None = None) -> int:
    """Return how many times some bytes fit a device; raise a UsageError if not even once."""
    free = memory.free(jax.local_devices()[0]) if free is None else free
    if needed > free:
        raise UsageError(
            f"a run with --batch_size={config.batch_size} takes about {needed / 1e9:.2g} GB, of "
            f"{free / 1e9:.2g} GB: use a smaller --batch_size, --channels or --hidden"
        )
    return free // needed


def together(
    share: int, devices: Sequence[jax.Device], *, vectorise: bool, split: int = 1
) -> Lanes:
    """Return lanes for some runs on devices of this process.

    Args:
      share: runs on each device, or on each group of devices that share batches.
      devices: a multiple of `split`.
      vectorise: the runs of a device as one computation, or one after the other.
      split: devices that share a batch; it divides `sharding.parts`.
    """
    shape = (len(devices) // split, split)
    types = (AxisType.Auto, AxisType.Auto)
    mesh = jax.make_mesh(shape, (RUNS, BATCH), axis_types=types, devices=devices)
    return Lanes(share * shape[0], mesh, vectorise)


def bytes_per_run(model: nn.Module, config: Config, data: Data) -> int:
    """Return about how much memory training takes for each run, the data set apart."""
    one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), stack([config]))
    state = sgd.init.eval_shape(model, one, data.image_shape)
    return max(
        memory.peak(partial(sgd.epoch, model), one, state, data.train),
        memory.peak(partial(sgd.evaluate, model), state.params, data.test),
    )


def over_runs(one: Callable[..., Any], over: Lanes) -> Callable[..., Any]:
    """Return (runs, shared) -> results: `one(*run, shared, axis)` of every run [R, ...].

    The lanes are shared out among the rows of the mesh. There a CPU takes them one after the other,
    whose bits are those of the run alone; other hardware all at once. `axis` names the devices that
    share the batches of a run, None where each has its own runs.
    """
    axis = BATCH if over.mesh.shape[BATCH] > 1 else None

    def share(runs: tuple[Any, ...], shared: Any) -> Any:
        if over.vectorise:
            return jax.vmap(lambda run: one(*run, shared, axis))(runs)
        return lax.map(lambda run: one(*run, shared, axis), runs)

    # check_vma follows which values are the same on all devices, and would want every constant that
    # a loop carries marked.
    return jax.shard_map(
        share, mesh=over.mesh, in_specs=(P(RUNS), P()), out_specs=P(RUNS), check_vma=False
    )


@partial(jax.jit, static_argnames=("model", "over", "image_shape"))
def init(model: nn.Module, over: Lanes, configs: Config, image_shape: tuple[int, ...]) -> State:
    """Return `sgd.init` of every run, [R, ...]."""
    return over_runs(lambda config, *_: sgd.init(model, config, image_shape), over)(
        (configs,), None
    )


@partial(jax.jit, static_argnames=("model", "over"), donate_argnames=("state",))
def epoch(
    model: nn.Module, over: Lanes, configs: Config, state: State, split: Split
) -> tuple[State, Metrics]:
    """Return `sgd.epoch` of every run: states [R, ...] and metrics [R, S]."""
    return over_runs(partial(sgd.epoch, model), over)((configs, state), split)


@partial(jax.jit, static_argnames=("model", "over"))
def evaluate(model: nn.Module, over: Lanes, params: Params, split: Split) -> Metrics:
    """Return `sgd.evaluate` of every run, [R]."""
    return over_runs(partial(sgd.evaluate, model), over)((params,), split)


class Program(NamedTuple):
    """What trains the runs of a group, compiled, and what they learn from, on the devices."""

    model: nn.Module
    num_classes: int  # K
    over: Lanes
    initial: Compiled  # stacked Config [R] -> State [R, ...]
    train: Split
    valid: Split | None
    test: Split
    seconds_to_compile: float


def compiled(model: nn.Module, config: Config, data: Data, over: Lanes) -> Program:
    """Return the program for runs of the group of `config`.

    Raises:
      UsageError: if it does not fit the memory, before anything is compiled.
    """
    everywhere = NamedSharding(over.mesh, P())
    train, valid, test = jax.device_put((data.train, data.valid, data.test), everywhere)
    begin = time.monotonic()
    stacked = numbers([config], over)
    apart = NamedSharding(over.mesh, P(RUNS))
    states = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=apart),
        init.eval_shape(model, over, stacked, data.image_shape),
    )
    learn = epoch.trace(model, over, stacked, states, train)
    _check_fits(config, memory.peak_of(learn.jaxpr.jaxpr))
    # Fills the cache that the calls in `fit` look in; evaluation can wait until it is needed.
    initial = _compile_first(
        init.lower(model, over, stacked, data.image_shape), lambda: learn.lower().compile()
    )
    return Program(
        model, data.num_classes, over, initial, train, valid, test, time.monotonic() - begin
    )


def _compile_first(initial: Lowered, meanwhile: Callable[[], object]) -> Compiled:
    """Return the program of the initial state, compiled while `meanwhile` compiles what trains."""
    # It runs once: half the time to compile, and the same numbers, as a test asks.
    quickly: dict[str, str | bool] = {"xla_backend_optimization_level": "1"}
    with ThreadPoolExecutor() as threads:
        ready = threads.submit(initial.compile, compiler_options=quickly)
        meanwhile()
        return ready.result()


def numbers(configs: Sequence[Config], over: Lanes) -> Config:
    """Return configs stacked, on the devices; the last is repeated until every lane has one."""
    # So a short chunk needs no other program.
    filled = [*configs, *[configs[-1]] * (over.size - len(configs))]
    return jax.device_put(stack(filled), NamedSharding(over.mesh, P(RUNS)))


def fit_chunk(
    program: Program, runs: dict[int, Config], behind: tuple[int, State] | None = None
) -> Iterator[Epoch]:
    """Train runs of the program's group together, at most as many as it has lanes; as `fit`.

    Args:
      program: of the group.
      runs: at least one.
      behind: how many epochs they have behind them, and their states [R, ...]; the initial ones
        without it.
    """
    model, num_classes, over, initial, learn, valid, test, _ = program
    stacked = numbers(list(runs.values()), over)
    done, state = behind or (0, initial(stacked))
    state = jax.device_put(state, NamedSharding(over.mesh, P(RUNS)))
    alive = dict(runs)
    for number in range(done + 1, next(iter(runs.values())).epochs + 1):
        begin = time.monotonic()
        state, steps = epoch(model, over, stacked, state, learn)
        steps = jax.device_get(steps)
        seconds = time.monotonic() - begin
        after = [split and evaluate(model, over, state.params, split) for split in (valid, test)]
        sums = jax.device_get((steps, *after))
        found: dict[int, Row | DivergedError] = {}
        for lane, (run, config) in enumerate(runs.items()):
            if run in alive:
                own = jax.tree.map(operator.itemgetter(lane), sums)
                try:
                    found[run] = rows.report(num_classes, config, number, seconds, *own)
                except DivergedError as error:
                    found[run] = error
                    del alive[run]
        yield Epoch(list(runs), found, state)
        if not alive:
            return
