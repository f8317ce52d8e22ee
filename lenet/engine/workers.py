"""Worker processes, one for each core of a CPU; each trains one run at a time.

    this process ──(number, Config)──► worker ──(number, Row or error) after every epoch──►

The devices of one process share a pool of threads and slow each other down; processes do not. A run
is bitwise identical either way.
"""

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, cast

from lenet import stopping
from lenet.config import Config
from lenet.errors import DivergedError, LenetError, UsageError

if TYPE_CHECKING:
    from flax import linen as nn

    from lenet.data.splits import Data
    from lenet.engine.rows import Row

Run = tuple["nn.Module", Config]
"""A network and how it is trained."""


class Workers:
    """Processes that train on some data, for as long as the `with` block lasts."""

    def __init__(self, cores: Sequence[int], data: "Data") -> None:
        context = multiprocessing.get_context("spawn")  # JAX has threads, which a fork would lose
        self._processes = []
        self._pipes: list[Connection] = []
        for core in cores:
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(core, theirs, data), daemon=True)
            process.start()
            theirs.close()  # so that a worker's end is the end of its pipe
            self._processes.append(process)
            self._pipes.append(ours)

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join()

    def fit(self, runs: Sequence[Run]) -> "Iterator[tuple[int, Row | DivergedError]]":
        """Train every run to its end; yield (which, its row) after each epoch of each.

        Args:
          runs: those that share a program are best next to each other.

        Raises:
          LenetError: what a worker met; a UsageError if one was killed.
        """
        # A worker goes on with the program it has: each takes a stretch of the runs, and who is
        # through with it takes half of the longest that is left.
        share = -(-len(runs) // len(self._pipes))
        left = {
            pipe: list(range(n * share, min((n + 1) * share, len(runs))))
            for n, pipe in enumerate(self._pipes)
        }
        busy = [pipe for pipe in self._pipes if _give(pipe, left, runs)]
        while busy:
            for pipe in cast(list[Connection], wait(busy, timeout=1)):
                try:
                    run, found = pipe.recv()
                except (EOFError, ConnectionResetError):
                    stopping.stop_if_asked()
                    raise UsageError(
                        "a worker process was killed, possibly out of memory. Continue with "
                        "resume; prefix the command with `taskset -c 0` to use one process."
                    ) from None
                if isinstance(found, LenetError) and not isinstance(found, DivergedError):
                    raise found
                yield run, found
                ended = isinstance(found, DivergedError) or found.epoch == runs[run][1].epochs
                if ended and not _give(pipe, left, runs):
                    busy.remove(pipe)
            stopping.stop_if_asked()


def _give(pipe: Connection, left: dict[Connection, list[int]], runs: Sequence[Run]) -> bool:
    """Send a worker its next run; return whether there was one."""
    if not left[pipe]:
        longest = max(left.values(), key=len)
        middle = len(longest) // 2
        left[pipe] = longest[middle:]
        del longest[middle:]
    if left[pipe]:
        run = left[pipe].pop(0)
        pipe.send((run, runs[run]))
        return True
    return False


def _work(core: int, pipe: Connection, data: "Data") -> None:
    """Train the runs that come, on one core, until the other end of the pipe closes."""
    for number in (signal.SIGINT, signal.SIGTERM):  # whoever started this decides
        signal.signal(number, signal.SIG_IGN)
    os.sched_setaffinity(0, {core})
    import jax

    from lenet.engine import lanes, sweep
    from lenet.engine.stacking import groups

    jax.config.update("jax_num_cpu_devices", 1)
    program = None
    before: Config | None = None
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            run, (model, config) = pipe.recv()
            try:
                if program is None or before is None or len(groups([before, config])) > 1:
                    program = sweep.compiled(model, config, data, lanes.spread(1))
                    before = config
                for epoch in sweep.fit_chunk(program, {run: config}):
                    pipe.send((run, epoch.rows[run]))
            except LenetError as error:
                pipe.send((run, error))
