"""A record of measurements in, a table and the sentence under it out."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from lenet.analysis.bootstrap import bca
from lenet.analysis.stats import Interval
from lenet.language import Message, listed, mark, message, translate, translation

NETWORKS = {
    "book": mark("The book's network: sigmoid, average pooling."),
    "modern": mark("The modern network: ReLU, max pooling."),
    "book-bn": mark("The book's network with batch normalisation."),
    "small": mark(
        "A small network: two 3×3 convolutions of 32 channels, 128 hidden units, dropout, Adam."
    ),
}
HEADS = (
    mark("epoch, examples/s"),
    "lenet ×",
    mark("step, examples/s"),
    mark("inference, images/s"),
    mark("warm-up, s"),
    mark("first epoch, s"),
    mark("ten epochs, s"),
    mark("memory, MB"),
)
TITLES = (
    mark("plain Flax"),
    mark("Python loop"),
    mark("CUDA graphs"),
    mark("matrix products"),
    mark("direct kernel"),
)
"""Words in titles of contenders."""

ELSEWHERE = mark(
    "In another measurement, of {n} processes of each contender at a load of {load:.1f} before, "
    "lenet ÷ the fastest PyTorch over whole epochs: {ratios} ({machine}; `{path}`)."
)
EARLIER = mark(
    "In an earlier measurement, rounds within one process of each contender, lenet ÷ the fastest "
    "PyTorch over whole epochs: {ratios} ({machine}; `{path}`)."
)
BLOCKS = mark(
    "Median [min, max] of {repeats} processes of each contender, in random blocks; ratios are "
    "geometric means over blocks, the last line with its 95% CI (BCa over blocks, the fastest "
    "chosen anew in each resample). Batch size {batch}, {examples:,} examples an epoch, shuffling "
    "and metrics included; step: on one batch that is on the device; warm-up: how much longer the "
    "first epoch took; first and ten epochs: from the start of the first process; a / b: with an "
    "empty and a filled cache of compiled programs. {machine}."
)
ROUNDS = mark(
    "Median [min, max] of {repeats} rounds within one process of each contender, every contender "
    "once a round; ratios are geometric means over rounds. Batch size {batch}, {examples:,} "
    "examples an epoch, shuffling and metrics included; step: on one batch that is on the device; "
    "warm-up: how much longer the first epoch took; first and ten epochs: from the start of the "
    "process; a / b: with an empty and a filled cache of compiled programs. {machine}."
)
NO_GPU = mark("On a GPU: see [start, records, many runs, GPU, cores](hardware.md).")


def table(rows: Sequence[dict[str, Any]], language: str = "en", *, intervals: bool = True) -> str:
    """Return a network's contenders as a table, and how ours compares with the fastest PyTorch.

    That has an interval, unless what was repeated is no replicate.
    """
    t = translation(language)
    kernels = any(row["kernels"] is not None for row in rows)
    ten = any("ten" in row["seconds"] for row in rows)
    heads = ["", *map(t, HEADS)]
    heads += [t("ten epochs compiled, s")] * ten + [t("kernels a step")] * kernels
    cells = [_cells(row, rows, language, kernels=kernels, ten=ten) for row in rows]
    for row in rows:
        if row["ours"] and (others := _rivals(row, rows)):
            cells.append(_last(rows, others, language, len(heads), intervals))
    there = [i for i in range(len(heads)) if any(row[i] for row in cells)]  # --noten has no ten
    heads, cells = [heads[i] for i in there], [[row[i] for i in there] for row in cells]
    return tabulate(cells, headers=heads, tablefmt="github", disable_numparse=True)


def facts(record: dict[str, Any], language: str = "en") -> str:
    """Return what the numbers of a table are and what they were measured on."""
    return translate(
        language,
        BLOCKS if in_blocks(record) else ROUNDS,
        repeats=record["repeats"],
        batch=record["batch_size"],
        examples=record["examples"],
        machine=machine(record["environment"]),
    )


def in_blocks(record: dict[str, Any]) -> bool:
    """Whether a record is of fresh processes; earlier ones are of rounds within one process."""
    return record.get("unit") == "process"


def section(record: dict[str, Any], language: str) -> str:
    """Return the tables of a record as a README has them, with what they were made by."""
    t = translation(language)
    tables = [
        f"{t(NETWORKS[network])}\n\n{table(rows, language, intervals=in_blocks(record))}"
        for network, rows in record["networks"].items()
    ]
    code = f"```bash\n{record['command']}\n```"
    return "\n\n".join([*tables, *map(t, record["left_out"]), facts(record, language), code])


def over_the_fastest(record: dict[str, Any], piece: str = "epoch") -> dict[str, Interval]:
    """Return, by network, our examples per second over those of the fastest PyTorch."""
    return {
        network: lead(
            next(row for row in rows if row["ours"]), [row for row in rows if row["torch"]], piece
        )[0]
        for network, rows in record["networks"].items()
    }


def shown(found: Interval, interval: bool = True) -> str:
    """Return a ratio with its interval, such as 2.52 [2.40, 2.66]."""
    return f"{found.mean:.2f}" + f" [{found.low:.2f}, {found.high:.2f}]" * interval


def elsewhere(record: dict[str, Any], path: str, language: str) -> str:
    """Return in a sentence how ours compared with the fastest PyTorch in another record."""
    fresh = in_blocks(record)
    ratios = [
        message("{name} {value}", name=name, value=shown(each, fresh))
        for name, each in over_the_fastest(record).items()
    ]
    return translate(
        language,
        ELSEWHERE if fresh else EARLIER,
        ratios=listed(ratios),
        n=record["repeats"],
        load=record["load_before"],
        machine=machine(record["environment"]),
        path=path,
    )


def machine(environment: dict[str, Any]) -> Message:
    """Name hardware and versions."""
    versions = {name: v for name, v in environment["versions"].items() if name != "lenet"}
    if "torch" in environment:
        versions["torch"] = environment["torch"]
    devices = [processor(environment)]
    if environment["backend"] != "cpu":
        devices.insert(0, environment["device"])
    return message(
        "{devices}, {cores} cores; {versions}",
        devices=listed(devices, "; "),
        cores=environment["cores"],
        versions=listed(
            [f"Python {environment['python']}", *(f"{name} {v}" for name, v in versions.items())]
        ),
    )


def processor(environment: dict[str, Any]) -> str | Message:
    """Name the processor, with its vector instructions where they are recorded."""
    name: str = environment["processor"]
    kind = environment.get("vectors")
    return message("{name} with {kind}", name=name, kind=kind) if kind else name


def titled(title: str) -> Message:
    """Return a contender's title, such as "PyTorch, compile", for any language."""
    name, *options = (Message(word) if word in TITLES else word for word in title.split(", "))
    if not options:
        return Message("{name}", {"name": name})
    return message("{name}, {options}", name=name, options=listed(options))


def ratio(row: dict[str, Any], rows: Sequence[dict[str, Any]], piece: str = "epoch") -> float:
    """Return how many times as fast ours of the same precision is.

    The geometric mean of the ratios of each block, in which both were measured one after the other.
    """
    ours = [other for other in rows if other["ours"] and other["precision"] == row["precision"]]
    if not ours:
        return float("nan")
    return float(np.exp(np.mean(_speeds(ours[0], piece) - _speeds(row, piece))))


def lead(
    ours: dict[str, Any], others: Sequence[dict[str, Any]], piece: str = "epoch"
) -> tuple[Interval, dict[str, Any]]:
    """Return how many times as fast ours is as the fastest other, with a 95% interval, and which.

    A BCa bootstrap over blocks, which chooses the fastest anew in each resample.
    """
    logs = np.stack([_speeds(row, piece) for row in (ours, *others)])

    def ahead(y: NDArray[np.float64]) -> NDArray[np.float64]:
        means = y.mean(-1)
        found: NDArray[np.float64] = means[0] - means[1:].max(0)
        return found

    fastest = others[int(logs[1:].mean(-1).argmax())]
    if logs.shape[1] < 2:
        estimate = float(ahead(logs[:, None, :])[0])
        return Interval(*[math.exp(estimate)] * 3), fastest
    return Interval(*map(math.exp, bca(logs, ahead)[0])), fastest


def _speeds(row: dict[str, Any], piece: str) -> NDArray[np.float64]:
    """The logarithms of examples a second, by block."""
    return np.log(row["counts"][piece] / np.array(row["seconds"][piece]))


def _cells(
    row: dict[str, Any],
    rows: Sequence[dict[str, Any]],
    language: str,
    *,
    kernels: bool,
    ten: bool,
) -> list[str]:
    title, count = titled(row["title"]), row["counts"]["epoch"]
    if row["cut"]:
        title = message("{title} ({count:,} examples)", title=title, count=count)
    host, device = row["memory"]["host"], row["memory"]["device"]
    memory = f"{host / 1e6:,.0f}"
    if device is not None:
        memory = f"{memory} + {device / 1e6:,.0f}"
    cells = [
        translate(language, title),
        _spread(row, "epoch"),
        _times(ratio(row, rows)),
        _spread(row, "step"),
        _spread(row, "inference"),
        *(_starts(row, what) for what in ("warm_up", "first_epoch", "ten_epochs")),
        memory,
    ]
    if ten:
        cells.append(f"{statistics.median(row['seconds']['ten']):.3f}")
    if kernels:
        cells.append("" if row["kernels"] is None else f"{row['kernels']:,.0f}")
    return cells


def _rivals(ours: dict[str, Any], rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """PyTorch's rows of the same precision."""
    return [row for row in rows if row["torch"] and row["precision"] == ours["precision"]]


def _last(
    rows: Sequence[dict[str, Any]],
    others: Sequence[dict[str, Any]],
    language: str,
    width: int,
    intervals: bool,
) -> list[str]:
    times = {}
    (ours,) = (row for row in rows if row["ours"] and row["precision"] == others[0]["precision"])
    for piece in ("epoch", "step", "inference"):
        found, fastest = lead(ours, others, piece)
        times[piece] = translate(
            language,
            "{times} ({title})",
            times=shown(found, intervals),
            title=titled(fastest["title"]),
        )
    cells = [
        translate(language, "lenet ÷ the fastest PyTorch"),
        times["epoch"],
        "",
        times["step"],
        times["inference"],
    ]
    return [f"**{cell}**" if cell else "" for cell in cells] + [""] * (width - len(cells))


def _spread(row: dict[str, Any], piece: str) -> str:
    speeds = [row["counts"][piece] / seconds for seconds in row["seconds"][piece]]
    low, high = min(speeds), max(speeds)
    return f"{row['per_second'][piece]:,.0f} [{low:,.0f}, {high:,.0f}]"


def _starts(row: dict[str, Any], what: str) -> str:
    """Seconds from a start; with an empty and a filled cache if there were both."""
    if row["cut"] and what != "warm_up":  # of fewer examples: nothing to compare
        return ""
    return " / ".join(f"{start[what]:.1f}" for start in row["starts"] if what in start)


def _times(value: float) -> str:
    return f"{value:.2f}" if value == value else ""
