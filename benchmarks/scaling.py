"""How our training time grows: with batch, epochs, width of the network, and runs of a sweep.

Every point is a process of its own, and all points of a panel are asked in turn, as contenders are.
"""

import contextlib
import math
import statistics
from collections.abc import Sequence
from functools import partial
from typing import Any

from tabulate import tabulate

from benchmarks.rounds import Tell, turns
from benchmarks.worker import Worker
from lenet.language import translate

BATCHES = (32, 64, 128, 256, 512, 1024, 2048)
EPOCHS = 8
WIDTHS = (1, 2, 3, 4, 6)
"""Factors of both channels and both hidden layers."""
RUNS = {"cpu": (1, 2, 4, 8, 16), "gpu": (1, 4, 16, 64, 256, 1024)}
"""How many runs a sweep has; one is a run alone, which has all cores."""
EXAMPLES = 10_240
"""Training examples of an epoch here: whole batches of every size above."""
RUN_EXAMPLES = 60_000
"""Those of an epoch of a sweep: all of Fashion-MNIST."""


def count(repeats: int, backend: str) -> int:
    """Return how often `measure` will tell of something."""
    return repeats * (len(BATCHES) + 1 + len(WIDTHS) + len(RUNS[backend]))


def measure(
    network: str, *, backend: str, repeats: int, examples: int | None, dataset: str, tell: Tell
) -> dict[str, Any]:
    """Return the timings of all four panels.

    `examples` are those of an epoch in each of them; None: EXAMPLES, and RUN_EXAMPLES in a sweep.
    """
    run_examples, examples = examples or RUN_EXAMPLES, examples or EXAMPLES
    asked: dict[str, Any] = {"examples": examples, "dataset": dataset}
    batches = {f"batch {size}": {"batch_size": size} for size in BATCHES if size <= examples}
    widths = {f"width x{factor}": _wide(network, factor) for factor in WIDTHS}
    alone, *more = RUNS[backend]
    together = "sweep" if backend == "cpu" else "lenet"
    runs: dict[str, dict[str, Any]] = {f"{alone} run": {}} | {
        f"{count} runs": {"contender": together, "options": {"runs": count}} for count in more
    }
    by_batch, _ = _panel(network, batches, repeats, asked, tell)
    by_width, _ = _panel(network, widths, repeats, asked, tell)
    by_runs, held = _panel(network, runs, repeats, asked | {"examples": run_examples}, tell)
    return {
        "network": network,
        "examples": examples,
        "run_examples": run_examples,
        "repeats": repeats,
        "batch": [
            settings | {"steps": math.ceil(examples / settings["batch_size"]), "seconds": seconds}
            for settings, seconds in zip(batches.values(), by_batch, strict=True)
        ],
        "epochs": [_run(network, asked, tell, number + 1) for number in range(repeats)],
        "width": [
            settings
            | {"factor": factor, "multiply_adds": _multiply_adds(settings), "seconds": seconds}
            for factor, settings, seconds in zip(WIDTHS, widths.values(), by_width, strict=True)
        ],
        "runs": [
            {"runs": count, "seconds": seconds, "memory": memory}
            for count, seconds, memory in zip(RUNS[backend], by_runs, held, strict=True)
        ],
    }


def _panel(
    network: str,
    points: dict[str, dict[str, Any]],
    repeats: int,
    asked: dict[str, Any],
    tell: Tell,
) -> tuple[list[list[float]], list[int]]:
    """The seconds of an epoch at every point, asked in turn; the most bytes each ever held."""
    seconds: dict[str, list[float]] = {name: [] for name in points}
    with contextlib.ExitStack() as stack:
        workers = {}
        for name, settings in points.items():
            given = {"contender": "lenet", "network": network} | asked | settings
            worker = stack.enter_context(Worker(**given))
            worker.ask("epoch")  # compiles
            workers[name] = worker
        for _, name in turns(repeats, ["epoch"], list(points)):
            tell(name)
            seconds[name].append(workers[name].ask("epoch")["seconds"])
        memory = [worker.ask("memory")["host"] for worker in workers.values()]
    return list(seconds.values()), memory


def _run(network: str, asked: dict[str, Any], tell: Tell, number: int) -> dict[str, list[float]]:
    """Seconds since the first epoch, which compiles, and peak memory, after each that follows."""
    tell(f"{EPOCHS} epochs, run {number}")
    seconds, memory = [], []
    with Worker("lenet", network, **asked) as worker:
        worker.ask("epoch")
        for _ in range(EPOCHS):
            seconds.append(worker.ask("epoch")["seconds"])
            memory.append(worker.ask("memory")["host"])
    return {"seconds": [sum(seconds[: i + 1]) for i in range(EPOCHS)], "memory": memory}


def _wide(network: str, factor: int) -> dict[str, Any]:
    from lenet.config import PRESETS, Config

    config = Config(**PRESETS[network])
    return {
        name: [factor * size for size in getattr(config, name)] for name in ("channels", "hidden")
    }


def _multiply_adds(settings: dict[str, Any]) -> int:
    """Those of the forward pass on one image."""
    from lenet.inspect.layers import layers
    from lenet.model import LeNet

    model = LeNet(channels=tuple(settings["channels"]), hidden=tuple(settings["hidden"]))
    return sum(layer.multiply_adds for layer in layers(model, (28, 28, 1)))


def figure(record: dict[str, Any], language: str = "en") -> bytes:
    """Draw the four panels, measured points over the line of a linear law; return a PNG."""
    from matplotlib.figure import Figure

    from lenet.figures import style

    t = partial(translate, language)
    linear, examples = t("linear"), record["examples"]
    with style.style():
        picture = Figure(figsize=(8.4, 6.6), layout="constrained")
        (by_batch, by_epoch), (by_width, by_runs) = picture.subplots(2, 2)

        points = record["batch"]
        times = [[1e3 * s / point["steps"] for s in point["seconds"]] for point in points]
        _draw(by_batch, [point["batch_size"] for point in points], times, linear)
        by_batch.set(title=t("One step"), xlabel=t("batch size"), ylabel=t("ms"))

        runs = record["epochs"]
        epochs = range(1, len(runs[0]["seconds"]) + 1)
        _draw(by_epoch, epochs, list(zip(*(run["seconds"] for run in runs), strict=True)), linear)
        by_epoch.set(
            title=t("One run, {examples:,} examples per epoch", examples=examples),
            xlabel=t("epochs"),
            ylabel=t("s"),
        )
        memory = [max(run["memory"][i] for run in runs) / 1e6 for i in range(len(epochs))]
        at = t(
            "peak memory {first:,.0f} MB after the first,\n{last:,.0f} MB after the last",
            first=memory[0],
            last=memory[-1],
        )
        by_epoch.text(0.98, 0.03, at, transform=by_epoch.transAxes, ha="right", fontsize=8)

        points = record["width"]
        work = [point["multiply_adds"] / 1e6 for point in points]
        times = [[1e6 * s / examples for s in point["seconds"]] for point in points]
        _draw(by_width, work, times, linear)
        for x, y, point in zip(work, times, points, strict=True):
            by_width.annotate(
                f"×{point['factor']}",
                (x, statistics.median(y)),
                (0, 6),
                textcoords="offset points",
                ha="right",
            )
        by_width.set(
            title=t("One example, by width of the network"),
            xlabel=t("multiply-adds forward, millions"),
            ylabel=t("µs"),
        )

        points = record["runs"]
        counts = [point["runs"] for point in points]
        _draw(by_runs, counts, [point["seconds"] for point in points], linear)
        by_runs.set(
            title=t("A sweep, {examples:,} examples per epoch", examples=record["run_examples"]),
            xlabel=t("runs"),
            ylabel=t("s"),
        )
        by_runs.text(
            0.98,
            0.03,
            t(
                "peak memory {alone:,.0f} MB for one run,\n{all:,.0f} MB for {runs} runs",
                alone=points[0]["memory"] / 1e6,
                all=points[-1]["memory"] / 1e6,
                runs=counts[-1],
            ),
            transform=by_runs.transAxes,
            ha="right",
            fontsize=8,
        )
        return style.png(picture)


def _draw(axes: Any, at: Sequence[float], times: Sequence[Sequence[float]], law_name: str) -> None:
    """Medians with their range, over y = c·x with the median of their c."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    from lenet.figures import style

    medians = [statistics.median(values) for values in times]
    low = [m - min(values) for m, values in zip(medians, times, strict=True)]
    high = [max(values) - m for m, values in zip(medians, times, strict=True)]
    slope = statistics.median(m / x for m, x in zip(medians, at, strict=True))
    law = [slope * x for x in at]
    axes.plot(at, law, "-", color=style.GREY, linewidth=0.8, label=law_name)
    axes.errorbar(at, medians, (low, high), fmt="o", color=style.BLUE, markersize=4, capsize=2)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.legend(loc="upper left")


def table(record: dict[str, Any], heads: Sequence[str]) -> str:
    """Return what training so many runs together takes: medians, and the range of the seconds."""
    alone = statistics.median(record["runs"][0]["seconds"])
    rows = []
    for point in record["runs"]:
        seconds = statistics.median(point["seconds"])
        rows.append(
            [
                str(point["runs"]),
                f"{seconds:.3f} [{min(point['seconds']):.3f}, {max(point['seconds']):.3f}]",
                f"{point['runs'] * record['run_examples'] / seconds:,.0f}",
                f"{point['runs'] * alone / seconds:.2f}",
                f"{point['memory'] / 1e6:,.0f}",
            ]
        )
    align = ("right",) * len(heads)
    return tabulate(rows, heads, tablefmt="github", disable_numparse=True, colalign=align)
