"""Have a cluster train runs, and follow them."""

import collections
import contextlib
import queue
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any, NamedTuple

from distributed import Client, Future, KilledWorker
from distributed.core import clean_exception
from distributed.protocol.pickle import dumps, loads

from lenet import records, stopping, train
from lenet.cluster import worker
from lenet.config import Config
from lenet.data import Data
from lenet.engine.rows import Row
from lenet.engine.stacking import groups
from lenet.errors import DivergedError, LenetError, UsageError

SHORT = 100_000
"""Examples, some seconds of training, that a task of several runs has at most."""
PREFIX = "lenet "
"""How the names of plugins begin; the client follows that registered one."""
ANSWER = 60
"""Seconds in which a scheduler, or a worker with little to do, answers."""


class Standing(NamedTuple):
    """What came from the cluster, and what it is doing."""

    rows: dict[int, Row | DivergedError]  # by run: its next epoch, or why it ended
    begun: int  # runs under way
    workers: int


class _Chunk(NamedTuple):
    """The runs of one task, of the same program."""

    first: Config  # of their group
    runs: dict[int, Config]  # that have not ended
    alone: bool  # one run from the start: the death of a worker can be held against it


def fit(
    client: Client,
    runs: Sequence[Config],
    data: Data,
    load: Callable[[], Data],
    patience: float = 300,
) -> Iterator[Standing]:
    """Train every run to its end; yield each of its epochs once, in order.

    Args:
      client: of the cluster.
      runs: valid for `data`.
      data: that they train on.
      load: returns the same data on a worker.
      patience: seconds to wait while there is no worker.

    Raises:
      LenetError: why a worker that was there at the start refused, or what a run met; a UsageError
        if the scheduler is gone, or no worker comes.
    """
    code = records.code_of(runs)
    direct = train.direct(runs, data)
    with prepared(client, data, load, patience, code, direct) as (work, came, workers):
        examples = len(data.train.labels)
        chunks = _chunks(client, runs, work, workers.count(), examples)
        yield from _follow(client, chunks, work, came, workers)


Prepared = tuple[worker.Work, "queue.SimpleQueue[Any]", "Workers"]


@contextlib.contextmanager
def prepared(
    client: Client,
    data: Data,
    load: Callable[[], Data],
    patience: float,
    code: dict[str, str],
    direct: bool,
) -> Iterator[Prepared]:
    """Have the workers load the data, and those that come until the block ends; args as `fit`.

    `code` as `records.code_of` returns it and `direct` as `train.direct`, of all runs.

    Raises:
      LenetError: as `fit`.
    """
    name = f"{PREFIX}{client.id} {secrets.token_hex(8)}"
    work = worker.Work(data.fingerprint, load, worker.software(), code, direct, name)
    came: queue.SimpleQueue[Any] = queue.SimpleQueue()
    client.subscribe_topic(name, lambda event: came.put(event[1]))
    try:
        _forget(client)
        workers = Workers(client, patience)
        while not workers.count():
            time.sleep(0.1)
        _register(client, worker.Gate(work), name, patience)
        yield work, came, workers
    except (OSError, CancelledError, TimeoutError):
        raise UsageError(
            "the scheduler of the cluster does not answer any more. Start it again, then resume."
        ) from None
    finally:
        if client.status == "running":
            client.unsubscribe_topic(name)
            with contextlib.suppress(Exception):  # a worker may not answer
                _ask(client, "unregister_worker_plugin", 5, name=name)


class Workers:
    """The number of workers, asked for at most once a second."""

    def __init__(self, client: Client, patience: float) -> None:
        self._client, self._patience = client, patience
        self._count, self._asked, self._seen = 0, -1.0, time.monotonic()

    def count(self) -> int:
        """Return it. Raises a UsageError if there has been none for too long."""
        now = time.monotonic()
        if now - self._asked >= 1:
            stopping.stop_if_asked()
            self._asked = now
            self._count = len(self._client.nthreads(callback_timeout=ANSWER))
        if self._count:
            self._seen = now
        elif now - self._seen > self._patience:
            raise UsageError(
                f"patience={self._patience:g}: no worker joined the cluster in that many seconds. "
                "Start `python -m experiments.cluster worker`, then resume."
            )
        return self._count


def _register(client: Client, gate: worker.Gate, name: str, patience: float) -> None:
    """Have the workers load the data. Raises the LenetError of one that refuses."""
    asked = {"plugin": dumps(gate), "name": name, "idempotent": False}
    for address, answer in _ask(client, "register_worker_plugin", patience, **asked).items():
        if answer["status"] == "error":
            _, error, _ = clean_exception(answer["exception"])
            raise error if isinstance(error, LenetError) else UsageError(f"{address}: {error!r}")


def _forget(client: Client) -> None:
    """Have the scheduler forget the plugins of clients that died, which would refuse workers."""
    prefix = PREFIX

    async def forget(dask_scheduler: Any) -> None:  # sent by value: it may be there without lenet
        for name in list(dask_scheduler.worker_plugins):
            if name.startswith(prefix) and name.split()[1] not in dask_scheduler.clients:
                await dask_scheduler.unregister_worker_plugin(None, name)

    asked = {"function": dumps(forget), "args": dumps(()), "kwargs": dumps({}), "wait": True}
    _ask(client, "run_function", ANSWER, **asked)


def together(client: Client, work: worker.Work, first: Config, count: int) -> int:
    """Return how many of `count` runs like `first` a worker trains together.

    It is no task: that would wait behind one of a client that died, which nothing interrupts.
    """
    message = {"op": "run", "function": dumps(worker.chunk_size), "kwargs": dumps({}), "wait": True}
    message["args"] = dumps((work, first, count))
    for address in client.nthreads(callback_timeout=ANSWER):
        asked = {"msg": message, "workers": [address], "on_error": "ignore"}
        with contextlib.suppress(TimeoutError):  # a worker that is stopped
            for answer in _ask(client, "broadcast", ANSWER, **asked).values():
                if answer["status"] == "OK":
                    return int(answer["result"])
    return 1


def _ask(client: Client, what: str, seconds: float, **asked: Any) -> Any:
    """Have the scheduler do something. Client's own methods for this wait for ever."""
    return client.sync(getattr(client.scheduler, what), **asked, callback_timeout=seconds)


def _chunks(
    client: Client, runs: Sequence[Config], work: worker.Work, workers: int, examples: int
) -> Iterator[_Chunk]:
    """Yield what each task trains: one run, or on a GPU as many as train together.

    Of short runs it is several, but at most a quarter of a worker's share: it trains them in turn.
    """
    for group in groups(runs):
        first = runs[group[0]]
        share = -(-len(group) // workers)
        size = together(client, work, first, share)
        size = max(size, min(SHORT // (first.epochs * examples), share // 4))
        for start in range(0, len(group), size):
            some = group[start : start + size]
            yield _Chunk(first, {run: runs[run] for run in some}, len(some) == 1)


def _follow(
    client: Client,
    chunks: Iterator[_Chunk],
    work: worker.Work,
    came: "queue.SimpleQueue[Any]",
    workers: Workers,
) -> Iterator[Standing]:
    """Keep the workers busy, with one task each: its death is held against no other task.

    A run has ended with its last row. The same rows may come twice, of a run that is trained again.
    """
    waiting = collections.deque(chunks)
    tasks: dict[Future, _Chunk] = {}  # with those of their runs that have not ended
    owner: dict[int, Future] = {}
    epochs: collections.Counter[int] = collections.Counter()  # of each run, so far
    begun: set[int] = set()

    while waiting or owner:
        while waiting and len(tasks) < workers.count():
            chunk = waiting.popleft()
            task = client.submit(worker.fit, work, dumps((chunk.first, chunk.runs)), pure=False)
            tasks[task] = chunk
            owner.update(dict.fromkeys(chunk.runs, task))
            task.add_done_callback(came.put)
        try:
            news = came.get(timeout=1)
        except queue.Empty:
            workers.count()
            continue
        rows: dict[int, Row | DivergedError] = {}
        if not isinstance(news, Future):
            begun.update(owner.keys() & news.get("begun", ()))
            rows = loads(news["rows"]) if "rows" in news else {}
        elif lost := tasks.pop(news, None):  # it ended, and not all of its runs
            begun -= lost.runs.keys()
            rows = _failed(news, lost)
            if not rows:
                waiting += [_Chunk(lost.first, {run: c}, True) for run, c in lost.runs.items()]
                for run in lost.runs:
                    owner.pop(run, None)
        for run, row in rows.items():
            if run not in owner or (isinstance(row, Row) and row.epoch != epochs[run] + 1):
                continue  # from a worker that was given up, or trained again
            epochs[run] += 1
            runs = tasks[owner[run]].runs if owner[run] in tasks else {}
            if isinstance(row, DivergedError) or row.epoch == runs[run].epochs:
                begun.discard(run)
                # Its task, which is about to end, keeps its place until the scheduler knows that
                # the worker is free: else the next one may wait behind that of another worker.
                runs.pop(run, None)
                del owner[run]
            # A task with a run that has not ended has one under way, or will have in a moment.
            busy = sum(1 for chunk in tasks.values() if chunk.runs)
            yield Standing({run: row}, max(len(begun), busy), workers.count())


def killed(error: KilledWorker) -> str:
    """Return why a run failed in which so many workers died as the scheduler allows."""
    return f"failed: {error.allowed_failures + 1} workers died in it"


def _failed(task: Future, chunk: _Chunk) -> dict[int, Row | DivergedError]:
    """Return why the runs of a task failed; nothing if they are to be trained again, each alone.

    Raises:
      Exception: what a run met.
    """
    if task.status == "cancelled":
        raise ConnectionError
    error = task.exception(timeout=ANSWER)
    if error is None or (isinstance(error, KilledWorker) and not chunk.alone):
        return {}
    if isinstance(error, KilledWorker):
        return dict.fromkeys(chunk.runs, DivergedError(killed(error)))
    raise error
