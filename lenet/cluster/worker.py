"""What a worker does: refuse a sweep that would get other bits here, load its data, train runs."""

import asyncio
import ctypes
import dataclasses
import functools
import os
import platform
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from distributed import Reschedule, Worker, WorkerPlugin, get_worker
from distributed.protocol.pickle import dumps, loads

from lenet import records, train
from lenet.config import Config
from lenet.data import Data
from lenet.engine import lanes, legs, sweep
from lenet.engine.legs import Reached, Task
from lenet.errors import DataError, LenetError, UsageError, code_of_others
from lenet.ops import compiled

PR_SET_PDEATHSIG = 1  # of Linux's prctl.h

REFUSED = "refused: "
"""How the reason begins for which a worker leaves that cannot train the runs of a sweep."""


@dataclasses.dataclass(frozen=True)
class Work:
    """What the runs of a sweep have in common; a worker keeps what belongs to the last one."""

    fingerprint: str  # of the data
    load: Callable[[], Data] = dataclasses.field(compare=False)
    software: dict[str, Any] = dataclasses.field(compare=False)  # of the client
    code: dict[str, str] = dataclasses.field(compare=False)  # of the user's, as `records.code_of`
    direct: bool = dataclasses.field(compare=False)  # whether the client convolves by ops.native
    topic: str = dataclasses.field(compare=False)  # of the events that the client follows


@functools.cache
def software() -> dict[str, Any]:
    """Return what has to be the same on the client and its workers, for the same bits."""
    return records.software() | {"python": ".".join(platform.python_version_tuple()[:2])}


class OneCore(Worker):
    """A worker that stays on one core of its machine, or on all of them if `core` is None."""

    def __init__(self, *args: Any, core: int | None = None, **options: Any) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):  # whoever started this decides
            signal.signal(number, signal.SIG_IGN)
        if sys.platform == "linux":  # Dask's own watch of the parent does not run while stopped
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if core is not None:
            os.sched_setaffinity(0, {core})
        super().__init__(*args, **options)


class Gate(WorkerPlugin):
    """Prepare a worker for the runs of a sweep; one that cannot train them leaves the cluster."""

    def __init__(self, work: Work) -> None:
        self._work = work

    async def setup(self, worker: Worker) -> None:
        """Load the data. Raises a LenetError, on the client too if it finds the worker there."""
        _one_device()  # before anything asks what devices there are
        try:
            await asyncio.to_thread(_prepare, self._work)
        except LenetError as error:
            refused = f"worker {worker.address}: {error}"
            worker.loop.add_callback(worker.close_gracefully, reason=REFUSED + refused)
            raise type(error)(refused) from None


def fit(work: Work, pickled: bytes) -> None:
    """Train runs of a group; log when they begin, and their rows after each epoch.

    Args:
      work: what they have in common.
      pickled: the first run of the group, and those to train by number. The scheduler, which
        unpickles the rest, may not have the user's modules.

    Raises:
      UsageError: if not even one fits the memory.
    """
    try:
        data = _prepare(work)
    except LenetError:  # the worker is about to leave
        raise Reschedule from None
    first, runs = loads(pickled)
    # A CPU trains them in turn, by one program however many they are.
    program = _program(work, first, 1 if _on_cpu() else len(runs), data)
    log = functools.partial(get_worker().log_event, work.topic)
    left = list(runs.items())
    while left:
        chunk, left = dict(left[: program.lanes.size]), left[program.lanes.size :]
        log({"begun": list(chunk)})
        for epoch in sweep.fit_chunk(program, chunk):
            log({"rows": dumps(epoch.rows)})


def advance(work: Work, pickled: bytes) -> list[Reached]:
    """Train legs of a group together; return where each run then stands.

    The rows of each epoch are logged. `pickled`, as in `fit`, are the first run of the group, the
    tasks, and by task the states in which they were paused.
    """
    try:
        data = _prepare(work)
    except LenetError:  # the worker is about to leave
        raise Reschedule from None
    first, tasks, states = loads(pickled)
    program = _program(work, first, len(tasks), data)
    found: dict[Task, Reached] = {}
    for some in legs.chunks(tasks, program.lanes.size):
        for came in legs.advance(program, some, states):
            found |= came.reached
            if came.rows:
                get_worker().log_event(work.topic, {"rows": dumps(came.rows)})
    return [found[task] for task in tasks]


async def chunk_size(work: Work, first: Config, count: int) -> int:
    """Return how many of `count` runs like `first` train together here: one on a CPU."""

    def found() -> int:
        if _on_cpu():
            return 1
        data = _data(work)
        return lanes.choose(train.check(first, data), first, data, count).size

    return await asyncio.to_thread(found)


@functools.cache
def _one_device() -> None:
    """Have the CPU be one device: this process is one of those that share its cores."""
    jax.config.update("jax_num_cpu_devices", 1)


def _on_cpu() -> bool:
    _one_device()
    return jax.default_backend() == "cpu"


def _prepare(work: Work) -> Data:
    """Check this worker; return the data of a sweep."""
    if different := records.differences(work.software, software()):
        raise UsageError(f"differs from the client: {different}. Install the same on both.")
    for name, digest in work.code.items():
        _check_code(name, digest)
    if work.direct and (why := compiled.missing()):
        raise UsageError(f"has no direct convolution, which the client has: {why}")
    return _data(work)


def _check_code(name: str, digest: str) -> None:
    """Raise a UsageError unless a module of the user's is here, and the one that the client has."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # last: it stands in for no installed package
    with code_of_others(f"cannot import {name} (start it in a directory that has it)"):
        there = records.digest_of(name)
    if there != digest:
        raise UsageError(
            f"has imported another {name} than the client. Copy the client's there and start the "
            "worker again."
        )


@functools.lru_cache(maxsize=1)
def _data(work: Work) -> Data:
    """Load the data from the cache or the source that this worker finds."""
    data = work.load()
    if data.fingerprint != work.fingerprint:
        raise DataError(
            f"{data.name} has other examples here ({data.source}) than for the client. Copy its "
            "dataset to this machine."
        )
    return data


@functools.lru_cache(maxsize=4)  # the legs of a search take turns with their programs
def _program(work: Work, first: Config, count: int, data: Data) -> sweep.Program:
    model = train.check(first, data)
    # A CPU trains one at a time, and `compiled` checks that it fits: `choose` would trace it, too.
    placed = lanes.spread(1) if _on_cpu() else lanes.choose(model, first, data, count)
    return sweep.compiled(model, first, data, placed)
