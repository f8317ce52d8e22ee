"""A comparison in words and as a table, in English and Chinese."""

import math
import statistics
from collections.abc import Sequence

from tabulate import tabulate

from lenet.analysis import comparison
from lenet.analysis.comparison import CELLS, Cell, Comparison, Run, cell
from lenet.analysis.stats import Effects
from lenet.analysis.summary import GUESS, estimate, plus_minus, signed

NAMES = {"sigmoid": "sigmoid", "relu": "ReLU", "avg": "average", "max": "max"}

LEVELS = (0.7, 0.75, 0.8, 0.85)
"""Test accuracies whose first epoch is looked for."""

HEADS = {
    "en": "activation, pooling, learning rate, nearly as good, n, test accuracy, test loss",
    "zh": "激活, 汇聚, 学习率, 几乎同样好的, n, 测试精度, 测试损失",
}
ENDS = {"en": {"low": "lowest", "high": "highest"}, "zh": {"low": "低", "high": "高"}}
REACHED = {"en": "epochs to {:.2f}", "zh": "到 {:.2f} 的轮数"}

TEXT = {
    "en": {
        "effects": "In test accuracy ReLU in place of the sigmoid is worth {first}, the mean over "
        "both poolings; max in place of average pooling {second}, the mean over both activations; "
        "and max pooling is worth {interaction} more with ReLU than with the sigmoid. In test "
        "loss: {loss.first}, {loss.second} and {loss.interaction}.",
        "parts": "From the texts' own network (sigmoid, average pooling, 0.9) to ReLU with max "
        "pooling test accuracy changes by {whole}: {rate} comes from the learning rate, "
        "{activation} from the activation and {pool} from the pooling (means over both orders of "
        "changing the two).",
        "limits": "Brackets are 95 % intervals over {n} seeds, paired: under one seed all cells "
        "see the same examples in the same order. One that contains 0 says that these runs cannot "
        "tell. It is one network on {data} after {epochs} epochs, each cell at the best of {rates} "
        "learning rates: nothing here speaks of longer training, other networks or other data. "
        "The rates were selected with few seeds, so that a cell's best may lie beside its own.",
        "edge": "The best learning rate of {cells} is the {end} of the grid: a wider one could "
        "find a better, and the cell is at a disadvantage.",
        "stuck": "{stuck} of the {n} runs of {cell} ended no better than a guess, at {rate:.3g}; "
        "they weigh on its mean and widen every interval above.",
        "lost": "Left out: {n} seeds of which a run diverged.",
    },
    "zh": {
        "effects": "以测试精度计，用 ReLU 代替 sigmoid 带来 {first}（对两种汇聚取平均），"
        "用最大汇聚代替平均汇聚带来 {second}（对两种激活取平均）；"
        "与 ReLU 同用时，最大汇聚的作用比与 sigmoid 同用时多 {interaction}。"
        "以测试损失计：{loss.first}、{loss.second} 和 {loss.interaction}。",
        "parts": "从教材自己的网络（sigmoid、平均汇聚、0.9）到 ReLU 与最大汇聚，"
        "测试精度改变 {whole}：其中 {rate} 来自学习率，"
        "{activation} 来自激活函数，{pool} 来自汇聚（对先换哪一个的两种次序取平均）。",
        "limits": "括号中是 {n} 个种子的 95% 置信区间，按种子配对："
        "同一种子下各格以同样的次序看到同样的样本。包含 0 的区间说明这些运行分辨不出。"
        "这是同一个网络在 {data} 上训练 {epochs} 轮、每格取 {rates} 个学习率中最好的一个的结果："
        "对更长的训练、别的网络或别的数据，它什么也没有说。"
        "学习率只用少数种子选出，最好的那个可能就在所用的旁边。",
        "edge": "{cells} 最好的学习率在网格的{end}端：更宽的网格可能找到更好的，这一格因此吃亏。",
        "stuck": "{cell} 的 {n} 次运行中有 {stuck} 次以 {rate:.3g} 训练后并不比瞎猜好；"
        "它们拉低了平均值，也加宽了上面所有的区间。",
        "lost": "略去 {n} 个有运行发散的种子。",
    },
}


def table(runs: Comparison, language: str = "en") -> str:
    """Return `rows` under `heads`, as Markdown."""
    return tabulate(rows(runs), heads(language), tablefmt="github", disable_numparse=True)


def heads(language: str = "en") -> list[str]:
    """Return what the columns of `rows` are."""
    return [
        *HEADS[language].split(", "),
        *(REACHED[language].format(level) for level in LEVELS),
    ]


def rows(runs: Comparison) -> list[list[str]]:
    """Return the texts' own network and the cells: mean ± 95 % interval over seeds."""
    cells = [_row(runs, runs["final"], which, near=True) for which in CELLS]
    return [_row(runs, runs["texts"], CELLS[0], near=False), *cells]


def findings(runs: Comparison, data: str, language: str = "en") -> list[str]:
    """Return what the runs say, and what they do not, as paragraphs.

    Raises:
      ValueError: if fewer than 2 seeds came through in every cell.
    """
    text = TEXT[language]
    accuracy, loss = (comparison.effects(runs, m) for m in ("test_accuracy", "test_loss"))
    whole = comparison.parts(runs, "test_accuracy")
    n = comparison.paired(runs, "test_accuracy")[1].size
    lost = len({run["seed"] for run in runs["final"]}) - n
    said = Effects(*map(signed, loss))  # type: ignore[arg-type]
    paragraphs = [
        text["effects"].format(
            **{name: signed(effect) for name, effect in accuracy._asdict().items()}, loss=said
        ),
        text["parts"].format(**{name: signed(part) for name, part in whole._asdict().items()}),
        text["limits"].format(n=n, data=data, epochs=runs["epochs"], rates=len(runs["rates"])),
    ]
    for which in CELLS:
        ends = [
            r["test_accuracy"][-1] for r in runs["final"] if cell(r) == which and r["test_accuracy"]
        ]
        if stuck := sum(accuracy < GUESS for accuracy in ends):
            rate = comparison.best_rate(runs["tuning"], which)
            paragraphs.append(
                text["stuck"].format(stuck=stuck, n=len(ends), cell=_named(which), rate=rate)
            )
    for end, rate in (("low", min(runs["rates"])), ("high", max(runs["rates"]))):
        at = [w for w in CELLS if comparison.best_rate(runs["tuning"], w) == rate]
        if at:
            cells = ", ".join(map(_named, at))
            paragraphs.append(text["edge"].format(cells=cells, end=ENDS[language][end]))
    return paragraphs + ([text["lost"].format(n=lost)] if lost else [])


def _named(which: Cell) -> str:
    return " + ".join(NAMES[part] for part in which)


def _row(runs: Comparison, among: Sequence[Run], which: Cell, *, near: bool) -> list[str]:
    mine = [run for run in among if cell(run) == which]
    rates = comparison.rates_near_best(runs["tuning"], which)
    row = [
        *(NAMES[part] for part in which),
        f"{mine[0]['lr']:.3g}",
        ", ".join(f"{rate:.3g}" for rate in rates) if near else "",
        str(sum(bool(run["test_accuracy"]) for run in mine)),
    ]
    for measure in ("test_accuracy", "test_loss"):
        row.append(_mean(list(comparison.last(mine, measure).get(which, {}).values())))
    return row + [_reached(comparison.first_epochs(mine, which, level)) for level in LEVELS]


def _reached(epochs: Sequence[int | None]) -> str:
    """The epochs of the median run, and how many got there where not all did."""
    median = statistics.median(epoch or math.inf for epoch in epochs)
    shown = f"{median:g}" if math.isfinite(median) else "-"
    there = sum(epoch is not None for epoch in epochs)
    return shown if there == len(epochs) else f"{shown} ({there}/{len(epochs)})"


def _mean(values: Sequence[float]) -> str:
    return plus_minus(estimate(values)) if values else "diverged"
