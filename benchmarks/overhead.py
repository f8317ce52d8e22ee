"""What a cluster adds to a run: many short runs by workers, beside as many without them.

Without: a process on each core trains its share, run after run. Both start compiled, with the data
there. The cost of a run is (seconds with − seconds without) · cores / runs.
"""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from benchmarks.rounds import Tell
from benchmarks.worker import Worker
from lenet.engine import cores

RUNS = 1_000
EXAMPLES = 2_560
"""Training examples of a run, which then takes about a tenth of a second on a core."""


def count(repeats: int) -> int:
    """Return how many things `measure` tells."""
    return 1 + 2 * repeats


def measure(
    network: str, *, runs: int, examples: int, repeats: int, dataset: str, tell: Tell
) -> dict[str, Any]:
    """Return the seconds of the runs with a cluster and without, `repeats` times each."""
    places = cores.cores()
    shares = [len(range(core, runs, places)) for core in range(places)]
    about: dict[str, Any] = {"examples": examples, "dataset": dataset}
    with contextlib.ExitStack() as stack:

        def start(name: str, runs: int, cores: int | None = None, first: int = 0) -> Worker:
            options = {"runs": runs}
            worker = Worker(name, network, options=options, cores=cores, first=first, **about)
            stack.enter_context(worker).ask("epoch")
            return worker

        tell("start, and one pass that is not measured")
        sweep = start("sweep", runs)
        plain = [start("serial", n, cores=1, first=core) for core, n in enumerate(shares)]
        seconds: dict[str, list[float]] = {"with": [], "without": []}
        with ThreadPoolExecutor(places) as threads:
            for i in range(repeats):
                tell(f"round {i + 1}: {runs} runs by the workers of a cluster")
                seconds["with"].append(sweep.ask("epoch")["seconds"])
                tell(f"round {i + 1}: without")
                each = threads.map(lambda worker: worker.ask("epoch")["seconds"], plain)
                seconds["without"].append(max(each))
    return {"network": network, "runs": runs, "cores": places, "examples": examples, **seconds}


def added(record: dict[str, Any]) -> list[float]:
    """Return the seconds that the cluster adds to a run, by round."""
    rounds = zip(record["with"], record["without"], strict=True)
    return [(a - b) * record["cores"] / record["runs"] for a, b in rounds]


def alone(record: dict[str, Any]) -> float:
    """Return the seconds of a run without a cluster."""
    return float(np.mean(record["without"])) * record["cores"] / record["runs"]
