"""Measure contenders in blocks: in each, every contender once, in random order, in a fresh process.

A process is the unit of replication: what differs between processes, such as where memory lies or
which algorithm a library picks, would stay hidden from rounds within one. What slows the machine
down for a minute slows down one block of all contenders, not all blocks of one.
"""

import contextlib
import random
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


def blocks(count: int, names: Sequence[str]) -> Iterator[list[str]]:
    """Yield the order of contenders in each block: the same in every measurement.

    >>> [sorted(block) for block in blocks(2, ["A", "B"])]
    [['A', 'B'], ['A', 'B']]
    """
    drawn = random.Random(0)
    for _ in range(count):
        yield drawn.sample(names, len(names))


def pieces(chosen: Sequence[Contender], ten: bool) -> tuple[str, ...]:
    """Return what is timed; on a GPU also ten epochs, which take long enough only together."""
    on_gpu = any(contender.device == "gpu" for contender in chosen)
    return ("epoch", "step", "inference", *["ten"] * (ten and on_gpu))


def count(chosen: Sequence[Contender], repeats: int) -> int:
    """Return how often `network` will tell of something."""
    return repeats * len(chosen) + sum(contender.caches for contender in chosen)


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
      chosen: the contenders.
      repeats: blocks, in each of which every contender is measured in a process of its own.
      examples: training examples; None for all.
      dataset: what on.
      ten: whether to train for ten epochs from the start of the first process of each.
      tell: is told what is measured next.
      pause: seconds between processes.

    Returns:
      a row for each contender, why others have none, and what contenders say of themselves
    """
    rows: dict[str, dict[str, Any]] = {}
    left_out: dict[str, str] = {}
    environment: dict[str, Any] = {}
    by_name = {contender.name: contender for contender in chosen}
    with contextlib.ExitStack() as stack:
        caches = {
            contender.name: stack.enter_context(tempfile.TemporaryDirectory())
            for contender in chosen
            if contender.caches
        }
        for number, block in enumerate(blocks(repeats, list(by_name)), 1):
            for who in block:
                if who in left_out:
                    continue
                contender, cache = by_name[who], caches.get(who)
                tell(f"{name}: block {number}, {contender.title}")
                time.sleep(pause)
                most = min(filter(None, (examples, contender.most)), default=None)
                asked: dict[str, Any] = {"examples": most, "dataset": dataset, "cache": cache}
                try:
                    row = _in_a_process(contender, name, asked, pieces(chosen, ten), rows, ten=ten)
                    if cache and len(row["starts"]) == 1:
                        tell(f"{name}: {contender.title}, started once more")
                        with Worker(who, name, **asked) as again:
                            row["starts"].append(_start(again, ten and contender.most is None))
                except WorkerError as error:
                    left_out[who] = f"{contender.title}: {error}"
                    rows.pop(who, None)
                else:
                    environment |= row["environment"]
    from benchmarks import networks  # with jax, which only workers need before

    batch = networks.config(name).batch_size
    found = [rows[contender.name] for contender in chosen if contender.name in rows]
    for row in found:
        _finish(row, batch)
    return found, list(left_out.values()), environment


def measured(worker: Worker, piece: str) -> float:
    """Return the seconds of one piece of work."""
    arguments = {"step": {"steps": STEPS}, "ten": {"times": EPOCHS}}.get(piece, {})
    answer = worker.ask({"ten": "epoch"}.get(piece, piece), **arguments)
    return float(answer["seconds"])


def _in_a_process(
    contender: Contender,
    name: str,
    asked: dict[str, Any],
    what: Sequence[str],
    rows: dict[str, dict[str, Any]],
    *,
    ten: bool,
) -> dict[str, Any]:
    """Measure a contender in a fresh process, and return its row, which has what came before."""
    with Worker(contender.name, name, **asked) as worker:
        if contender.name not in rows:
            rows[contender.name] = _row(contender, asked["examples"], worker, ten=ten)
        row = rows[contender.name]
        _measure(row, worker, what)
        row["environment"] = worker.ask("environment")
    return row


def _row(contender: Contender, most: int | None, worker: Worker, *, ten: bool) -> dict[str, Any]:
    """Time the start of a contender's first process, and return its row."""
    # A row of fewer examples has no first epoch to compare.
    start = _start(worker, ten and contender.most is None)
    return {
        "name": contender.name,
        "title": contender.title,
        "ours": contender.ours,
        "torch": contender.torch,
        "precision": contender.precision,
        "cut": contender.most is not None and most == contender.most,
        "counts": {
            "epoch": start["examples"],
            "step": STEPS,  # times the batch, below
            "inference": worker.ask("inference")["examples"],
            "ten": EPOCHS * start["examples"],
        },
        "starts": [start],
        "seconds": {},
    }


def _measure(row: dict[str, Any], worker: Worker, what: Sequence[str]) -> None:
    """Time every piece once, after all of them have been done once: compiled and warm."""
    for piece in what[:3]:
        measured(worker, piece)
    for piece in what:
        row["seconds"].setdefault(piece, []).append(measured(worker, piece))
    kernels = worker.ask("kernels", steps=STEPS)["kernels"]
    row["kernels"] = None if kernels is None else kernels / STEPS
    row["memory"] = worker.ask("memory")


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
    row.pop("environment", None)  # said once for all
    row["per_second"] = {
        piece: row["counts"][piece] / statistics.median(seconds)
        for piece, seconds in row["seconds"].items()
    }
    epoch = statistics.median(row["seconds"]["epoch"])
    for start in row["starts"]:
        start["warm_up"] = max(start["first_seconds"] - epoch, 0.0)
