"""A record of measurements in, a table and the sentence under it out."""

import statistics
from collections.abc import Sequence
from typing import Any

from tabulate import tabulate

TEXT: dict[str, dict[str, Any]] = {
    "en": {
        "book": "The book's network: sigmoid, average pooling.",
        "modern": "The modern one: ReLU, max-pooling.",
        "heads": (
            "",
            "epoch, examples/s",
            "lenet ×",
            "step, examples/s",
            "inference, images/s",
            "warm-up, s",
            "first epoch, s",
            "ten epochs, s",
            "memory, MB",
        ),
        "kernels": "kernels a step",
        "ten": "ten epochs compiled, s",
        "memory": "{host} + {device}",
        "cut": "{title} ({count:,} examples)",
        "last": "lenet ÷ the fastest PyTorch",
        "elsewhere": "In another measurement lenet ÷ the fastest PyTorch was, over whole epochs, "
        "{ratios} ({machine}; `{path}`).",
        "no_gpu": "On a GPU: not measured (`scripts/bench` measures there, too).",
        "facts": "Median [min, max] of {repeats} rounds, every contender once a round; batch "
        "{batch}, {examples:,} examples an epoch, shuffling and metrics included; step: on one "
        "batch that is there; warm-up: what the first epoch took longer; first and ten epochs: "
        "from the start of the process; a / b: with an empty and a filled cache of compiled "
        "programs. {machine}.",
    },
    "zh": {
        "book": "书中的网络：sigmoid 与平均汇聚。",
        "modern": "现代的网络：ReLU 与最大汇聚。",
        "heads": (
            "",
            "整轮，样本/秒",
            "lenet ×",
            "单步，样本/秒",
            "推断，图像/秒",
            "预热，秒",
            "首轮，秒",
            "十轮，秒",
            "内存，MB",
        ),
        "kernels": "每步内核数",
        "ten": "编译后十轮，秒",
        "memory": "{host} + {device}",
        "cut": "{title}（{count:,} 个样本）",
        "last": "lenet ÷ 最快的 PyTorch",
        "elsewhere": "在另一次测量中，以整轮计，lenet ÷ 最快的 PyTorch 为 {ratios}"
        "（{machine}；`{path}`）。",
        "no_gpu": "GPU：未测量（`scripts/bench` 在 GPU 上同样可用）。",
        "facts": "{repeats} 次轮流测量的中位数 [最小值, 最大值]，每次各方轮流一遍；批量 {batch}，"
        "每轮 {examples:,} 个样本，含打乱与指标；单步：在同一个已就绪的批量上；预热："
        "首轮多用的时间；首轮与十轮：从进程启动算起；a / b：编译缓存为空与已有时。{machine}。",
    },
}


def table(rows: Sequence[dict[str, Any]], language: str = "en") -> str:
    """Return a network's contenders as a table, and how ours compares with the fastest PyTorch."""
    text = TEXT[language]
    kernels = any(row["kernels"] is not None for row in rows)
    ten = any("ten" in row["seconds"] for row in rows)
    heads = [*text["heads"], *[text["ten"]] * ten, *[text["kernels"]] * kernels]
    cells = [_cells(row, rows, text, kernels=kernels, ten=ten) for row in rows]
    for row in rows:
        if row["ours"] and (others := _rivals(row, rows)):
            cells.append(_last(rows, others, text, len(heads)))
    return tabulate(cells, headers=heads, tablefmt="github", disable_numparse=True)


def facts(record: dict[str, Any], language: str = "en") -> str:
    """Return what the numbers of a table are and what they were measured on."""
    sentence: str = TEXT[language]["facts"]
    return sentence.format(
        repeats=record["repeats"],
        batch=record["batch_size"],
        examples=record["examples"],
        machine=machine(record["environment"]),
    )


def section(record: dict[str, Any], language: str) -> str:
    """Return the tables of a record as a README has them, with what they were made by."""
    tables = [
        f"{TEXT[language][network]}\n\n{table(rows, language)}"
        for network, rows in record["networks"].items()
    ]
    code = f"```bash\n{record['command']}\n```"
    return "\n\n".join([*tables, *record["left_out"], facts(record, language), code])


def elsewhere(record: dict[str, Any], path: str, language: str) -> str:
    """Return in a sentence how ours compared with the fastest PyTorch in another record."""
    found = {}
    for network, rows in record["networks"].items():
        others = [row for row in rows if row["torch"]]
        fastest = max(others, key=lambda row: float(row["per_second"]["epoch"]))
        found[network] = f"{network} {ratio(fastest, rows):.2f}"
    sentence: str = TEXT[language]["elsewhere"]
    return sentence.format(
        ratios=", ".join(found.values()), machine=machine(record["environment"]), path=path
    )


def machine(environment: dict[str, Any]) -> str:
    """Name hardware and versions."""
    versions = {name: v for name, v in environment["versions"].items() if name != "lenet"}
    if "torch" in environment:
        versions["torch"] = environment["torch"]
    device = environment["processor"]
    if environment["backend"] != "cpu":
        device = f"{environment['device']}; {device}"
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"{device}, {environment['cores']} cores; Python {environment['python']}, {named}"


def ratio(row: dict[str, Any], rows: Sequence[dict[str, Any]], piece: str = "epoch") -> float:
    """Return how many times as fast ours of the same precision is: a ratio of medians."""
    ours = [other for other in rows if other["ours"] and other["precision"] == row["precision"]]
    if not ours:
        return float("nan")
    return float(ours[0]["per_second"][piece] / row["per_second"][piece])


def _cells(
    row: dict[str, Any],
    rows: Sequence[dict[str, Any]],
    text: dict[str, Any],
    *,
    kernels: bool,
    ten: bool,
) -> list[str]:
    title, count = row["title"], row["counts"]["epoch"]
    host, device = row["memory"]["host"], row["memory"]["device"]
    memory = f"{host / 1e6:,.0f}"
    if device is not None:
        memory = text["memory"].format(host=memory, device=f"{device / 1e6:,.0f}")
    cells = [
        text["cut"].format(title=title, count=count) if row["cut"] else title,
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
    text: dict[str, Any],
    width: int,
) -> list[str]:
    times = {}
    for piece in ("epoch", "step", "inference"):
        fastest = max(others, key=lambda row: row["per_second"][piece])
        times[piece] = f"{_times(ratio(fastest, rows, piece))} ({fastest['title']})"
    cells = [text["last"], times["epoch"], "", times["step"], times["inference"]]
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
