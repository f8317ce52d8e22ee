"""Ask contenders in turn, A B C A B C ..., and keep every timing.

They are started one after the other and then wait, so that all of them meet the same machine: what
slows it down for a minute slows down one round of all, not all rounds of one.
"""

import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from benchmarks.contenders import Contender
from benchmarks.worker import Worker, WorkerError

STEPS = 50
"""Steps on one batch that are timed together."""
EPOCHS = 10
PAUSE = 0.3
"""Seconds between two contenders: threads that wait for work busily have given up by then."""

Tell = Callable[[str], None]


def turns(repeats: int, work: Sequence[str], names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (piece, name) in the order of measuring: every contender before any comes again.

    >>> list(turns(2, ["epoch"], ["A", "B"]))
    [('epoch', 'A'), ('epoch', 'B'), ('epoch', 'A'), ('epoch', 'B')]
    """
    for _ in range(repeats):
        for piece in work:
            for name in names:
                yield piece, name


def pieces(chosen: Sequence[Contender], ten: bool) -> tuple[str, ...]:
    """Return what is timed; on a GPU also ten epochs, which take long enough only together."""
    on_gpu = any(contender.device == "gpu" for contender in chosen)
    return ("epoch", "step", "inference", *["ten"] * (ten and on_gpu))


def count(chosen: Sequence[Contender], repeats: int, ten: bool) -> int:
    """Return how often `network` will tell of something."""
    starts = sum(1 + contender.caches for contender in chosen)
    return starts + repeats * len(pieces(chosen, ten)) * len(chosen)


def network(
    name: str,
    chosen: Sequence[Contender],
    *,
    repeats: int,
    examples: int | None,
    dataset: str,
    ten: bool,
    tell: Tell,
    pause: float = PAUSE,
) -> tuple[list[dict[str, Any]], list[str], dict[str, Any]]:
    """Measure every contender on one network.

    Args:
      name: the preset of the network.
      chosen: the contenders, in the order of their turns.
      repeats: how often each takes its turn.
      examples: training examples; None for all.
      dataset: what on.
      ten: whether to train for ten epochs at the start.
      tell: is told what is measured next.
      pause: seconds between turns.

    Returns:
      a row for each contender, why others have none, and what contenders say of themselves
    """
    rows: dict[str, dict[str, Any]] = {}
    left_out = []
    environment: dict[str, Any] = {}
    workers: dict[str, Worker] = {}
    with contextlib.ExitStack() as stack:
        for contender in chosen:
            most = min(filter(None, (examples, contender.most)), default=None)
            asked = {"examples": most, "dataset": dataset}
            try:
                row, worker = _started(contender, name, asked, stack, ten=ten, tell=tell)
            except WorkerError as error:
                left_out.append(f"{contender.title}: {error}")
                continue
            rows[contender.name], workers[contender.name] = row, worker
            environment |= worker.ask("environment")
        for piece, who in turns(repeats, pieces(chosen, ten), list(workers)):
            tell(f"{name}: {piece}, {rows[who]['title']}")
            time.sleep(pause)
            rows[who]["seconds"].setdefault(piece, []).append(measured(workers[who], piece))
        for who, worker in workers.items():
            rows[who]["memory"] = worker.ask("memory")
            kernels = worker.ask("kernels", steps=STEPS)["kernels"]
            rows[who]["kernels"] = None if kernels is None else kernels / STEPS
    from benchmarks import networks  # with jax, which only workers need before

    batch = networks.config(name).batch_size
    for row in rows.values():
        _finish(row, batch)
    return list(rows.values()), left_out, environment


def measured(worker: Worker, piece: str) -> float:
    """Return the seconds of one piece of work."""
    arguments = {"step": {"steps": STEPS}, "ten": {"times": EPOCHS}}.get(piece, {})
    answer = worker.ask({"ten": "epoch"}.get(piece, piece), **arguments)
    return float(answer["seconds"])


def _started(
    contender: Contender,
    name: str,
    asked: dict[str, Any],
    stack: contextlib.ExitStack,
    *,
    ten: bool,
    tell: Tell,
) -> tuple[dict[str, Any], Worker]:
    """Start a contender and return its row and its worker.

    One that keeps what it compiles is started a second time, to see what that saves; the process
    that is measured later is the first.
    """
    # A row of fewer examples has no first epoch to compare.
    ten = ten and contender.most is None
    cache = stack.enter_context(tempfile.TemporaryDirectory()) if contender.caches else None
    worker = stack.enter_context(Worker(contender.name, name, cache=cache, **asked))
    tell(f"{name}: start of {contender.title}")
    starts = [_start(worker, ten)]
    # Compiled and warm, before anything is timed.
    tested = worker.ask("inference")
    worker.ask("step", steps=STEPS)
    if cache:
        tell(f"{name}: start of {contender.title}, once more")
        with Worker(contender.name, name, cache=cache, **asked) as again:
            starts.append(_start(again, ten))
    row = {
        "name": contender.name,
        "title": contender.title,
        "ours": contender.ours,
        "torch": contender.torch,
        "precision": contender.precision,
        "cut": contender.most is not None and asked["examples"] == contender.most,
        "counts": {
            "epoch": starts[0]["examples"],
            "step": STEPS,  # times the batch, below
            "inference": tested["examples"],
            "ten": EPOCHS * starts[0]["examples"],
        },
        "starts": starts,
        "seconds": {},
    }
    return row, worker


def _start(worker: Worker, ten: bool) -> dict[str, Any]:
    """Time the first epoch, and ten, from the start of the process."""
    first = worker.ask("epoch")
    start = {"first_seconds": first["seconds"], "first_epoch": worker.age()}
    if ten:
        last = worker.ask("epoch", times=EPOCHS - 1)
        start |= {"ten_epochs": worker.age(), "loss": last["loss"]}
    return start | {"examples": first["examples"]}


def _finish(row: dict[str, Any], batch: int) -> None:
    """Put medians beside the timings: examples a second, and how long the start took longer."""
    row["counts"]["step"] *= batch
    row["per_second"] = {
        piece: row["counts"][piece] / statistics.median(seconds)
        for piece, seconds in row["seconds"].items()
    }
    epoch = statistics.median(row["seconds"]["epoch"])
    for start in row["starts"]:
        start["warm_up"] = max(start["first_seconds"] - epoch, 0.0)
