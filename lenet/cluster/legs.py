"""Have a cluster train the legs of a search; what is next is asked for when a worker is free."""

import queue
from collections.abc import Callable, Iterator
from typing import Any

from distributed import Client, Future, KilledWorker
from distributed.protocol.pickle import dumps, loads

from lenet.cluster import worker
from lenet.cluster.client import ANSWER, killed, prepared, together
from lenet.config import Config
from lenet.data import Data
from lenet.engine import legs
from lenet.engine.legs import Came, Reached, Task
from lenet.engine.sgd import State
from lenet.engine.stacking import shared


def follow(
    client: Client,
    ask: Callable[[int], list[Task]],
    state_of: Callable[[Task], State],
    base: Config,
    count: int,
    data: Data,
    load: Callable[[], Data],
    code: dict[str, str],
    direct: bool,
    patience: float = 300,
) -> Iterator[tuple[Came, int]]:
    """Train what is asked for, until nothing is; yield epochs and tasks that ended, and workers.

    Rows tell how far tasks are: some may come twice, late, or with the end of their task alone.

    Args:
      client: of the cluster.
      ask: returns the next tasks, at most as many as are asked for.
      state_of: returns the state in which the run of a task was paused.
      base: a run, for how many train together on a GPU.
      count: of runs, at most.
      data, load, patience: as in `fit`.
      code, direct: of all runs, as `records.code_of` and `train.direct` return them.

    Raises:
      LenetError: as `fit`.
    """
    tasks: dict[Future, list[Task]] = {}
    firsts: dict[Any, Config] = {}
    with prepared(client, data, load, patience, code, direct) as (work, came, workers):
        share = -(-count // workers.count())
        size = together(client, work, base, share)

        def submit(chunk: list[Task]) -> None:
            first = firsts.setdefault(shared(chunk[0].config), chunk[0].config)
            states = {task: state_of(task) for task in chunk if task.start}
            future = client.submit(worker.advance, work, dumps((first, chunk, states)), pure=False)
            tasks[future] = chunk
            future.add_done_callback(came.put)

        while True:
            free = workers.count() * size - sum(map(len, tasks.values()))
            for chunk in legs.chunks(ask(free), size) if free > 0 else ():
                submit(chunk)
            if not tasks and free > 0:
                return
            try:
                news = came.get(timeout=1)
            except queue.Empty:
                continue
            if not isinstance(news, Future):
                yield Came(loads(news["rows"]), {}), workers.count()
                continue
            chunk = tasks.pop(news, [])
            if reached := _reached(news, chunk):
                yield Came({}, reached), workers.count()
            else:
                for task in chunk:
                    submit([task])


def _reached(future: Future, chunk: list[Task]) -> dict[Task, Reached]:
    """Return what came of a chunk; nothing if its tasks are to be trained again, each alone.

    Raises:
      Exception: what a run met.
    """
    if future.status == "cancelled":
        raise ConnectionError
    error = future.exception(timeout=ANSWER)
    if error is None:
        found: list[Reached] = future.result(timeout=ANSWER)
        return dict(zip(chunk, found, strict=True))
    if not isinstance(error, KilledWorker):
        raise error
    if len(chunk) > 1:
        return {}
    return {chunk[0]: Reached([], killed(error), None)}
