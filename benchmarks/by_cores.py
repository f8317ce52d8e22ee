"""How training gains from cores: one run, a sweep and PyTorch, each confined to 1, 2, 4, ... cores.

Every point is a process of its own that may use so many cores and has as many threads, and all
points are asked in turn, as contenders are.
"""

import contextlib
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tabulate import tabulate

from benchmarks.contenders import BY_NAME
from benchmarks.rounds import Tell
from benchmarks.table import titled
from benchmarks.worker import Worker, WorkerError
from lenet.language import translate

ROWS = (
    "lenet",
    "lenet_native",
    "sweep",
    "torch_eager",
    "torch_last",
    "torch_compile",
    "torch_compile_last",
)
"""Contenders, in the order of the table's columns; a sweep has two runs for each core."""
AT_ONCE = 3
"""Processes that start at the same time."""
EXAMPLES = 10_240
"""Training examples of an epoch here."""


def counts(cores: int) -> list[int]:
    """Return 1, 2, 4, ... and the number of cores itself.

    >>> counts(12)
    [1, 2, 4, 8, 12]
    """
    return sorted({2**i for i in range(cores.bit_length()) if 2**i <= cores} | {cores})


def measure(
    network: str,
    names: Sequence[str],
    cores: Sequence[int],
    *,
    repeats: int,
    examples: int,
    dataset: str,
    environment: dict[str, Any],
    tell: Tell,
    keep: Callable[[dict[str, Any]], None] = lambda found: None,
) -> dict[str, Any]:
    """Return the seconds of an epoch at every number of cores, every point `repeats` times.

    `keep` is called after each round with what there is so far: a rented machine may be gone soon.
    """
    points = [(name, count) for count in cores for name in names]
    with contextlib.ExitStack() as stack:

        def start(point: tuple[str, int]) -> tuple[Worker, dict[str, Any]] | WorkerError:
            name, count = point
            options = {"runs": 2 * count} if name == "sweep" else {}
            asked: dict[str, Any] = {"examples": examples, "dataset": dataset, "options": options}
            # Different cores, as far as they go, so that starts do not wait for each other.
            first = names.index(name) % (max(cores) // count) * count
            worker = stack.enter_context(Worker(name, network, cores=count, first=first, **asked))
            tell(f"{count} cores: start of {BY_NAME[name].title}")
            try:
                seen = worker.ask("epoch")["examples"]  # compiles
                return worker, {"examples": seen, **worker.ask("environment")}
            except WorkerError as error:
                return error

        # A start is not measured; with all of them at once, compilers wait for each other.
        with ThreadPoolExecutor(AT_ONCE) as threads:
            asked_for = dict(zip(points, threads.map(start, points), strict=True))
        started = {p: found for p, found in asked_for.items() if not isinstance(found, WorkerError)}
        left_out = [str(found) for found in asked_for.values() if isinstance(found, WorkerError)]
        seconds: dict[tuple[str, int], list[float]] = {point: [] for point in started}

        def found() -> dict[str, Any]:
            kept = [
                {"name": n, "cores": c, "examples": about["examples"], "seconds": seconds[n, c]}
                for (n, c), (_, about) in started.items()
            ]
            own: dict[str, Any] = {}
            for _, about in started.values():
                own |= {k: v for k, v in about.items() if k != "examples"}
            found = {"network": network, "examples": examples, "points": kept}
            return found | {"left_out": left_out, "environment": environment | own}

        for i in range(repeats):
            for name, count in started:
                tell(f"{count} cores: {BY_NAME[name].title}, round {i + 1}")
                seconds[name, count].append(started[name, count][0].ask("epoch")["seconds"])
            keep(found())
    return found()


def speeds(record: dict[str, Any]) -> dict[tuple[str, int], list[float]]:
    """Return the examples/s of every epoch by contender and number of cores."""
    return {
        (point["name"], point["cores"]): [point["examples"] / s for s in point["seconds"]]
        for point in record["points"]
    }


def table(record: dict[str, Any], head: str, language: str = "en") -> str:
    """Return examples/s by cores: medians, and their range."""
    found = speeds(record)
    names = list(dict.fromkeys(name for name, _ in found))

    def cell(name: str, cores: int) -> str:
        own = found.get((name, cores))
        return f"{statistics.median(own):,.0f} [{min(own):,.0f}, {max(own):,.0f}]" if own else ""

    cores = sorted({count for _, count in found})
    rows = [[str(count), *(cell(name, count) for name in names)] for count in cores]
    titles = [translate(language, titled(BY_NAME[name].title)) for name in names]
    align = ("right",) * (1 + len(names))
    return tabulate(rows, [head, *titles], tablefmt="github", disable_numparse=True, colalign=align)
