"""Runs and sweeps of ten epochs on a GPU, PyTorch beside them, and which bits are equal there.

Every point is a process. All build their programs first, one at a time; then they are asked in
turn, as contenders are.
"""

import contextlib
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from tabulate import tabulate

from benchmarks.contenders import BY_NAME
from benchmarks.rounds import EPOCHS, STEPS, Tell
from benchmarks.table import titled
from benchmarks.worker import Worker, WorkerError
from lenet.language import Message, listed, mark, translate, translation

PRECISIONS = ("tf32", "float32")
RIVALS = ("torch_eager", "torch_graphs", "torch_compile", "torch_both")
HEADS = (
    mark("runs"),
    mark("seconds for ten epochs"),
    mark("examples/s of all runs"),
    mark("step, examples/s"),
    mark("kernels a step"),
    mark("seconds to compile"),
    mark("GPU memory, MB"),
)


VARIANTS = (
    mark("copies in a loop"),
    mark("XLA's convolution"),
    mark("slices joined, without graphs"),
    mark("slices joined, products of XLA"),
    mark("slices joined, products of cuBLAS"),
)
"""What else was tried, in a record that has it."""


class Point(NamedTuple):
    """What is measured: a contender and how often."""

    name: str
    runs: int = 1
    processes: int = 1
    repeats: int = 3  # of each process
    epochs: int = EPOCHS  # timed together


def points(torch: bool) -> list[Point]:
    """Return what is measured, that of PyTorch only where there is one."""
    ours = [f"lenet_{precision}" for precision in PRECISIONS]
    rivals = [f"{name}_{precision}" for precision in PRECISIONS for name in RIVALS if torch]
    # An epoch of 1,024 runs takes seconds: it is timed by itself.
    return [
        *(Point(name, processes=2, repeats=4) for name in ours),
        *(Point(name, 16) for name in ours),
        *(Point(name, 64, repeats=n) for name, n in zip(ours, (3, 2), strict=True)),
        *(Point(name, 1024, repeats=n, epochs=1) for name, n in zip(ours, (2, 1), strict=True)),
        *(Point(name, repeats=2 if "eager" in name else 3) for name in rivals),
    ]


def count(asked: Sequence[Point]) -> int:
    """Return how often `measure` will tell of something."""
    return sum(point.processes * (1 + point.repeats) for point in asked)


def driver() -> str:
    """Return the version of NVIDIA's driver."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.splitlines()[0].strip()


def measure(
    network: str,
    asked: Sequence[Point],
    dataset: str,
    tell: Tell,
    keep: Callable[[dict[str, Any]], None] = lambda found: None,
) -> dict[str, Any]:
    """Return a row for every point and why others have none.

    `keep` is called after each round with what there is so far: a rented machine may be gone soon.
    """
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(8) as threads:
        turn = stack.enter_context(tempfile.NamedTemporaryFile()).name

        def start(point: Point) -> tuple[Worker, dict[str, Any]] | WorkerError:
            options = {"runs": point.runs} if BY_NAME[point.name].ours else {}
            worker = Worker(point.name, network, dataset=dataset, options=options, turn=turn)
            stack.enter_context(worker)
            try:
                about = _started(worker, point)
            except WorkerError as error:
                return error
            tell(f"start of {BY_NAME[point.name].title}, {point.runs} runs")
            return worker, about

        each = [point for point in asked for _ in range(point.processes)]
        found = list(zip(each, threads.map(start, each), strict=True))
        left_out = [f"{p.name}: {error}" for p, error in found if isinstance(error, WorkerError)]
        workers = [(point, *w) for point, w in found if not isinstance(w, WorkerError)]
        about: dict[str, Any] = {"network": network, "driver": driver(), "left_out": left_out}
        for _, worker, _ in workers:
            about |= worker.ask("environment")
        for i in range(max(point.repeats for point in asked)):
            for point, worker, seen in workers:
                if i >= point.repeats:
                    continue
                tell(f"{BY_NAME[point.name].title}, {point.runs} runs, round {i + 1}")
                seen["seconds"].append(worker.ask("epoch", times=point.epochs)["seconds"])
                if point.runs == 1:
                    seen["steps"].append(worker.ask("step", steps=STEPS)["seconds"])
                seen["memory"] = worker.ask("memory")["device"]
                if point.runs == 1 and i + 1 == point.repeats:  # a profile may slow what follows
                    seen["kernels"] = worker.ask("kernels", steps=STEPS)["kernels"] / STEPS
            by_point = {p: [seen for q, _, seen in workers if q == p] for p in asked}
            about["rows"] = [_row(p, own) for p, own in by_point.items() if own]
            keep(about)
    return about


def _started(worker: Worker, point: Point) -> dict[str, Any]:
    """Have a worker compile all that is timed; return what is known of it then."""
    examples = worker.ask("epoch")["examples"]
    if point.runs == 1:
        worker.ask("step", steps=STEPS)
    seconds = worker.ask("compile")["seconds"] if BY_NAME[point.name].ours else None
    return {"examples": examples, "compile": seconds, "seconds": [], "steps": [], "kernels": None}


def _row(point: Point, processes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    contender = BY_NAME[point.name]
    first = processes[0]
    return {
        "title": contender.title.rsplit(", ", 1)[0],
        "precision": contender.precision,
        "torch": contender.torch,
        **point._asdict(),
        **{name: first[name] for name in ("examples", "memory", "kernels")},
        **{name: [each[name] for each in processes] for name in ("seconds", "steps")},
        "compile": [each["compile"] for each in processes] if contender.ours else None,
    }


def table(record: dict[str, Any], language: str = "en") -> str:
    """Return the rows as a table: medians and ranges."""
    t = translation(language)
    cells = [_cells(row, record["batch_size"], language) for row in record["rows"]]
    heads = ["", *map(t, HEADS)]
    align = ("left", *("right",) * len(HEADS))
    return tabulate(cells, heads, tablefmt="github", disable_numparse=True, colalign=align)


def variants(record: dict[str, Any], language: str = "en") -> str:
    """Return what else was tried as a table: medians and ranges."""
    t = translation(language)
    cells = []
    for row in record["variants"]:
        ten = [EPOCHS / row["epochs"] * s for s in row["seconds"]]
        name = translate(language, listed([Message(row["form"]), row["precision"]]))
        cells.append([name, str(row["runs"]), _spread(ten, ".2f"), f"{row['compile']:.1f}"])
    heads = ["", *(t(HEADS[i]) for i in (0, 1, 5))]
    align = ("left", "right", "right", "right")
    return tabulate(cells, heads, tablefmt="github", disable_numparse=True, colalign=align)


def _cells(row: dict[str, Any], batch: int, language: str) -> list[str]:
    ten = [EPOCHS / row["epochs"] * s for process in row["seconds"] for s in process]
    steps = [STEPS * batch / s for process in row["steps"] for s in process]
    each = EPOCHS * row["examples"]
    return [
        translate(language, listed([titled(row["title"]), row["precision"]])),
        f"{row['runs']:,}",
        _spread(ten, ".3f" if max(ten) < 10 else ".1f"),
        f"{each / statistics.median(ten):,.0f}",
        _spread(steps, ",.0f") if steps else "",
        "" if row["kernels"] is None else f"{row['kernels']:.0f}",
        "" if row["compile"] is None else f"{min(row['compile']):.1f}",
        "" if row["memory"] is None else f"{row['memory'] / 1e6:,.0f}",
    ]


def _spread(values: Sequence[float], form: str) -> str:
    middle = format(statistics.median(values), form)
    if len(values) == 1:
        return middle
    return f"{middle} [{min(values):{form}}, {max(values):{form}}]"
