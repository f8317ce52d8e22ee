"""Train many runs as one program: the functions of `sgd`, mapped over lanes and jitted.

    configs ──groups──► runs that share a program ──chunks──► lanes of one call ──► devices

There is no arithmetic here. A run alone is a sweep of size one. Runs never
communicate; where there are more devices than runs, devices share the batches of a run.
"""

import dataclasses
import operator
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import chex
import jax
from flax import linen as nn
from jax import Array, lax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from jax.stages import Compiled

from lenet.config import Config
from lenet.data.splits import Data, Split
from lenet.engine import memory, rows, sgd
from lenet.engine.forward import Params
from lenet.engine.lanes import RUNS, Lanes, check_fits
from lenet.engine.metrics import Metrics
from lenet.engine.rows import Row
from lenet.engine.sgd import State
from lenet.engine.stacking import stack
from lenet.errors import DivergedError


class Epoch(NamedTuple):
    """Results of one epoch of the runs of a chunk."""

    runs: list[int]  # their numbers, lane by lane; further lanes repeat the last run
    rows: dict[int, Row | DivergedError]  # by run; runs that had diverged before are missing
    state: State  # [R, ...], invalid once the next epoch begins


def over_runs(one: Callable[..., Any], lanes: Lanes) -> Callable[..., Any]:
    """Return (runs, shared) -> results: `one(*run, shared, axis)` of every run [R, ...].

    The lanes are divided among the rows of the mesh. There a CPU takes them one after the other,
    which gives the bits of the run alone; other hardware takes all at once. `axis` is `lanes.axis`.
    """

    def share(runs: tuple[Any, ...], shared: Any) -> Any:
        if lanes.vectorise:
            return jax.vmap(lambda run: one(*run, shared, lanes.axis))(runs)
        return lax.map(lambda run: one(*run, shared, lanes.axis), runs)

    def mapped(runs: tuple[Any, ...], shared: Any) -> Any:
        chex.assert_tree_shape_prefix(runs, (lanes.size,))
        # check_vma follows which values are the same on all devices, and would want every constant
        # that a loop carries marked.
        return jax.shard_map(
            share, mesh=lanes.mesh, in_specs=(P(RUNS), P()), out_specs=P(RUNS), check_vma=False
        )(runs, shared)

    return mapped


@partial(jax.jit, static_argnames=("model", "lanes", "image_shape"))
def init(model: nn.Module, lanes: Lanes, configs: Config, image_shape: tuple[int, ...]) -> State:
    """Return `sgd.init` of every run, [R, ...]."""
    return over_runs(lambda config, *_: sgd.init(model, config, image_shape), lanes)(
        (configs,), None
    )


@partial(jax.jit, static_argnames=("model", "lanes"), donate_argnames=("state",))
def epoch(
    model: nn.Module, lanes: Lanes, configs: Config, state: State, split: Split
) -> tuple[State, Metrics]:
    """Return `sgd.epoch` of every run: states [R, ...] and metrics [R, S]."""
    return over_runs(partial(sgd.epoch, model), lanes)((configs, state), split)


@partial(jax.jit, static_argnames=("model", "lanes"))
def evaluate(model: nn.Module, lanes: Lanes, params: Params, split: Split) -> tuple[Metrics, Array]:
    """Return `sgd.evaluate` of every run: metrics [R] and classes [R, N]."""
    return over_runs(partial(sgd.evaluate, model), lanes)((params,), split)


class Program(NamedTuple):
    """Three compiled functions that train the runs of a group, and their data on the devices."""

    init: Compiled  # (stacked Config [R]) -> State [R, ...]
    epoch: Compiled  # (stacked Config [R], State, donated, Split) -> State, Metrics [R, S]
    evaluate: Callable[[Params, Split], tuple[Metrics, Array]]  # compiled at the first call
    config: Config  # the one of the group that it was compiled for
    data: Data
    lanes: Lanes
    seconds_to_compile: float


def compiled(model: nn.Module, config: Config, data: Data, lanes: Lanes) -> Program:
    """Put the data on the devices and compile the program for runs of the group of `config`.

    Raises:
      UsageError: if it does not fit the memory, before anything is compiled.
    """
    everywhere, apart = (NamedSharding(lanes.mesh, spec) for spec in (P(), P(RUNS)))
    data = dataclasses.replace(data, **jax.device_put(data.splits, everywhere))
    begin = time.monotonic()
    stacked = numbers([config], lanes)
    states = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=apart),
        init.eval_shape(model, lanes, stacked, data.image_shape),
    )
    traced = epoch.trace(model, lanes, stacked, states, data.train)
    check_fits(config, memory.peak_of(traced.jaxpr.jaxpr))
    # It runs once: half the time to compile, and the same numbers, as a test asserts.
    quickly: dict[str, str | bool] = {"xla_backend_optimization_level": "1"}
    with ThreadPoolExecutor() as threads:  # both at the same time
        begun = threads.submit(traced.lower().compile, compiler_options=_options())
        initial = init.lower(model, lanes, stacked, data.image_shape)
        starting = initial.compile(compiler_options=quickly)
    # Evaluation compiles when it is needed, so that the first step does not wait for it.
    evaluation: Callable[[Params, Split], tuple[Metrics, Array]] = partial(evaluate, model, lanes)
    seconds = time.monotonic() - begin
    if _options():
        evaluation = jax.jit(evaluation, compiler_options=_options())
    return Program(starting, begun.result(), evaluation, config, data, lanes, seconds)


def _options() -> dict[str, str | bool]:
    """Return how the training program is compiled, where that is not XLA's default."""
    # On a GPU the products of cuBLAS are as quick as those that XLA generates and tries out, or
    # quicker, and compile in a half to a fifth of the time.
    return {"xla_gpu_enable_triton_gemm": False} if jax.default_backend() == "gpu" else {}


def numbers(configs: Sequence[Config], lanes: Lanes) -> Config:
    """Return configs stacked, on the devices; the last is repeated until every lane has one."""
    # So a short chunk needs no other program.
    filled = [*configs, *[configs[-1]] * (lanes.size - len(configs))]
    return jax.device_put(stack(filled), NamedSharding(lanes.mesh, P(RUNS)))


def fit_chunk(
    program: Program, runs: dict[int, Config], start: tuple[int, State] | None = None
) -> Iterator[Epoch]:
    """Train runs of the program's group together, to their end; yield after each epoch.

    Args:
      program: of the group.
      runs: by number, at least one and at most as many as the program has lanes.
      start: to resume: epochs done, and the states after them, [R, ...].
    """
    data, lanes = program.data, program.lanes
    stacked = numbers(list(runs.values()), lanes)
    done, state = start or (0, program.init(stacked))
    state = jax.device_put(state, NamedSharding(lanes.mesh, P(RUNS)))
    alive, epochs = dict(runs), next(iter(runs.values())).epochs
    for number in range(done + 1, epochs + 1):
        begin = time.monotonic()
        state, steps = program.epoch(stacked, state, data.train)
        steps = jax.device_get(steps)
        seconds = time.monotonic() - begin
        valid = data.valid and program.evaluate(state.variables, data.valid)[0]
        test, predicted = program.evaluate(state.variables, data.test)
        averaged = program.evaluate(state.averaged, data.test)[0] if state.average else None
        sums = jax.device_get((steps, valid, test, averaged))
        # Of many networks all but the last would be much to fetch.
        classes = jax.device_get(predicted) if number == epochs or lanes.size == 1 else None
        results: dict[int, Row | DivergedError] = {}
        for lane, (run, config) in enumerate(runs.items()):
            if run in alive:
                own = jax.tree.map(operator.itemgetter(lane), sums)
                try:
                    row = rows.report(data.num_classes, config, number, seconds, *own)
                    own_classes = None if classes is None else classes[lane]
                    results[run] = dataclasses.replace(row, classes=own_classes)
                except DivergedError as error:
                    results[run] = error
                    del alive[run]
        yield Epoch(list(runs), results, state)
        if not alive:
            return
