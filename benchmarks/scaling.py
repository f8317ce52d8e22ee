"""How our training time grows: with the batch, with the epochs, with the width of the network.

Every point is a process of its own, and all points of a panel are asked in turn, as contenders are.
"""

import contextlib
import math
import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.rounds import Tell, turns
from benchmarks.worker import Worker

BATCHES = (32, 64, 128, 256, 512, 1024, 2048)
EPOCHS = 8
WIDTHS = (1, 2, 3, 4, 6)
"""Factors of both channels and both hidden layers."""
EXAMPLES = 10_240
"""Training examples of an epoch here: whole batches of every size above."""


def count(repeats: int) -> int:
    """Return how often `measure` will tell of something."""
    return repeats * (len(BATCHES) + 1 + len(WIDTHS))


def measure(
    network: str, *, repeats: int, examples: int, dataset: str, tell: Tell
) -> dict[str, Any]:
    """Return the timings of all three panels."""
    asked: dict[str, Any] = {"examples": examples, "dataset": dataset}
    batches = {f"batch {size}": {"batch_size": size} for size in BATCHES if size <= examples}
    widths = {f"width x{factor}": _wide(network, factor) for factor in WIDTHS}
    by_batch = _panel(network, batches, repeats, asked, tell)
    by_width = _panel(network, widths, repeats, asked, tell)
    return {
        "network": network,
        "examples": examples,
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
    }


def _panel(
    network: str,
    points: dict[str, dict[str, Any]],
    repeats: int,
    asked: dict[str, Any],
    tell: Tell,
) -> list[list[float]]:
    """The seconds of an epoch at every point, asked in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in points}
    with contextlib.ExitStack() as stack:
        workers = {}
        for name, settings in points.items():
            worker = stack.enter_context(Worker("lenet", network, **asked, **settings))
            worker.ask("epoch")  # compiles
            workers[name] = worker
        for _, name in turns(repeats, ["epoch"], list(points)):
            tell(name)
            seconds[name].append(workers[name].ask("epoch")["seconds"])
    return list(seconds.values())


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
    from lenet.layers import layers
    from lenet.model import LeNet

    model = LeNet(channels=tuple(settings["channels"]), hidden=tuple(settings["hidden"]))
    return sum(layer.multiply_adds for layer in layers(model, (28, 28, 1)))


def figure(record: dict[str, Any]) -> bytes:
    """Draw the three panels, measured points over the line of a linear law; return a PNG."""
    from matplotlib.figure import Figure

    from lenet import plots

    examples = record["examples"]
    with plots.style():
        picture = Figure(figsize=(10, 3.4), layout="constrained")
        by_batch, by_epoch, by_width = picture.subplots(1, 3)

        points = record["batch"]
        times = [[1e3 * s / point["steps"] for s in point["seconds"]] for point in points]
        _draw(by_batch, [point["batch_size"] for point in points], times)
        by_batch.set(title="a step", xlabel="batch size, examples", ylabel="ms")

        runs = record["epochs"]
        epochs = range(1, len(runs[0]["seconds"]) + 1)
        _draw(by_epoch, epochs, list(zip(*(run["seconds"] for run in runs), strict=True)))
        by_epoch.set(title=f"a run, {examples:,} examples an epoch", xlabel="epochs", ylabel="s")
        memory = [max(run["memory"][i] for run in runs) / 1e6 for i in range(len(epochs))]
        at = f"peak memory {memory[0]:,.0f} MB after the first, {memory[-1]:,.0f} MB after the last"
        by_epoch.text(0.98, 0.03, at.replace(" after the first,", " after the first,\n"),
                      transform=by_epoch.transAxes, ha="right", fontsize=8)  # fmt: skip

        points = record["width"]
        work = [point["multiply_adds"] / 1e6 for point in points]
        times = [[1e6 * s / examples for s in point["seconds"]] for point in points]
        _draw(by_width, work, times)
        for x, y, point in zip(work, times, points, strict=True):
            by_width.annotate(
                f"×{point['factor']}",
                (x, statistics.median(y)),
                (0, 6),
                textcoords="offset points",
                ha="right",
            )
        by_width.set(
            title="an example, by width",
            xlabel="multiply-adds forward, millions",
            ylabel="µs",
        )
        return plots.png(picture)


def _draw(axes: Any, at: Sequence[float], times: Sequence[Sequence[float]]) -> None:
    """Medians with their range, over y = c·x with the median of their c."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    from lenet import plots

    medians = [statistics.median(values) for values in times]
    low = [m - min(values) for m, values in zip(medians, times, strict=True)]
    high = [max(values) - m for m, values in zip(medians, times, strict=True)]
    slope = statistics.median(m / x for m, x in zip(medians, at, strict=True))
    law = [slope * x for x in at]
    axes.plot(at, law, "-", color=plots.GREY, linewidth=0.8, label="linear")
    axes.errorbar(at, medians, (low, high), fmt="o", color=plots.BLUE, markersize=4, capsize=2)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.legend(loc="upper left")
