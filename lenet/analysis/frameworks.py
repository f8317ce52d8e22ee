"""Sweeps with a name: what the chapter leaves to try, and questions that published runs raise.

A study is the flags of a sweep. Those of the chapter's exercise (6.6: window, channels, layers,
learning rate, initialisation, epochs) hold out 10,000 images to select by.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from lenet.analysis.stats import Interval
    from lenet.records.ledger import Entry

HELD_OUT = {"valid": "10000", "seed": "0:6"}


class Study(NamedTuple):
    """A named sweep."""

    question: dict[str, str]  # by language
    flags: dict[str, str]  # as on the command line of experiments.sweep


STUDIES: dict[str, Study] = {
    "window": Study(
        {
            "en": "How large should the window be?",
            "zh": "卷积窗口应当多大？",
        },
        HELD_OUT | {"kernel_size": "3,5,7,9"},
    ),
    "channels": Study(
        {
            "en": "How many channels should the convolutions have?",
            "zh": "卷积应当有多少个输出通道？",
        },
        HELD_OUT | {"channels": "2,5/3,8/6,16/12,32"},
    ),
    "layers": Study(
        {
            "en": "How many layers? (3x3 windows: so three convolutions and their poolings fit.)",
            "zh": "应当有多少层？（用 3x3 的窗口，这样才放得下三次卷积和汇聚。）",
        },
        HELD_OUT | {"kernel_size": "3", "channels": "6/6,16/6,16,32", "hidden": "/84/120,84"},
    ),
    "rate": Study(
        {
            "en": "Which learning rate?",
            "zh": "学习率应当多大？",
        },
        HELD_OUT | {"lr": "0.03,0.1,0.3,0.6,0.9,1.5,3,6"},
    ),
    "initialisation": Study(
        {
            "en": "Which initial weights?",
            "zh": "权重应当怎样初始化？",
        },
        HELD_OUT | {"init": "xavier_uniform,xavier_normal,he_uniform,orthogonal,normal,pytorch"},
    ),
    "epochs": Study(
        {
            "en": "How many passes over the images?",
            "zh": "应当训练多少轮？",
        },
        HELD_OUT | {"epochs": "5,10,20,40"},
    ),
    "frameworks": Study(
        {
            "en": "Why do the published frameworks disagree? The texts' PyTorch starts biases at "
            "random, the others at zero; their TensorFlow cuts the batches once and shuffles the "
            "batches, so that the short one may come anywhere, the others the examples.",
            "zh": "为什么已发表的各框架结果不一致？教材的 PyTorch 版偏置从随机值开始，"
            "其他版本从零开始；TensorFlow 版的批量只划分一次，打乱的是批量，"
            "不满的那一批也就可能在任何位置；其他版本打乱的是样本。",
        },
        {"bias_init": "pytorch,zeros", "order": "examples,batches", "seed": "0:64"},
    ),
    "short_batch": Study(
        {
            "en": "Is it that the others end every epoch with a step on 96 images? With batches of "
            "250 there is no short one: 60,000 = 240 x 250.",
            "zh": "是因为其他版本每轮都以只有 96 张图的一步结束吗？批量为 250 时没有不满的批："
            "60,000 = 240 x 250。",
        },
        {"batch_size": "250", "order": "examples,batches", "seed": "0:32"},
    ),
    "variance": Study(
        {
            "en": "Why do seeds differ: by their initial weights, or by the order of the examples?",
            "zh": "种子之间的差别从何而来：初始权重，还是样本的次序？",
        },
        {"seed": "0:8", "order_seed": "0:8"},
    ),
}

FRAMEWORKS = {
    "pytorch": ("pytorch", "examples"),
    "mxnet": ("zeros", "examples"),
    "tensorflow": ("zeros", "batches"),
}
"""How the texts' code for each framework starts biases, and what it shuffles."""

_BETWEEN = {
    "en": "{name} less PyTorch: {theirs} in the published runs, {ours} between our runs that start "
    "biases and shuffle as those two do; what is left is {left}. {verdict}",
    "zh": "{name} 减 PyTorch：已发表的运行相差 {theirs}，"
    "我们按这两者的方式初始化偏置、打乱样本的运行相差 {ours}；剩下 {left}。{verdict}",
}
_VERDICTS = {
    "en": {
        "all": "So the two settings may explain all of it.",
        "part": "So they explain a part of it, and something else the rest.",
        "none": "So they do not explain it: something else does.",
        "more": "So they would explain more than there is: something else works against them.",
        "open": "So these runs cannot tell whether they explain it.",
    },
    "zh": {
        "all": "所以这两项设置可以解释全部的差别。",
        "part": "所以它们只解释了一部分，其余另有原因。",
        "none": "所以它们不能解释，原因在别处。",
        "more": "所以单凭它们差别还会更大：另有原因抵消了一部分。",
        "open": "所以这些运行不能说明它们是否解释了这一差别。",
    },
}


def said(
    study: str | None,
    entries: "Sequence[Entry]",
    axes: Sequence[str],
    preset: Mapping[str, Any],
    language: str = "en",
) -> list[str]:
    """Return what the runs of a sweep say, a study's own question included.

    Args:
      study: its name, a key of STUDIES; None of a sweep without one.
      entries, axes, preset, language: as `findings.sentences`.
    """
    from lenet.analysis import findings

    found = findings.sentences(entries, axes, preset, language)
    return found + (between_frameworks(entries, language) if study == "frameworks" else [])


def between_frameworks(entries: "Sequence[Entry]", language: str = "en") -> list[str]:
    """Return what the study `frameworks` says of the difference between the published means.

    Args:
      entries: its runs.
      language: "en" or "zh".
    """
    from lenet.analysis import findings, published, stats, summary

    cells = {(s.config["bias_init"], s.config["order"]): s for s in summary.ranked(entries)}
    found = []
    for name in ("mxnet", "tensorflow"):
        here, other = (cells.get(FRAMEWORKS[each]) for each in (name, "pytorch"))
        ours = here and other and findings.difference(here, other)
        if not ours:
            continue
        theirs = stats.equal_distributions(
            published.runs(name).test_acc, published.runs("pytorch").test_acc
        ).difference
        rest = left(ours, theirs)
        verdict = _VERDICTS[language][explains(ours, rest)]
        found.append(
            _BETWEEN[language].format(
                name=published.NAMES[name],
                ours=summary.signed(ours),
                theirs=summary.signed(theirs),
                left=summary.signed(rest),
                verdict=verdict,
            )
        )
    return found


def left(ours: "Interval", theirs: "Interval") -> "Interval":
    """Return theirs less ours: independent, so that the squares of the half-widths add up."""
    from lenet.analysis.stats import Interval

    half = math.hypot(ours.high - ours.mean, theirs.high - theirs.mean)
    mean = theirs.mean - ours.mean
    return Interval(mean, mean - half, mean + half)


def explains(ours: "Interval", rest: "Interval") -> str:
    """Return whether a difference of ours explains one of theirs, of which `rest` is left.

    none: ours may be 0, and what is left is surely not; open: both may be 0. Where ours is surely
    not 0: all, if nothing may be left; part, if surely something is left in the same direction;
    more, if in the other.
    """
    something_left = rest.low > 0 or rest.high < 0
    if ours.low <= 0 <= ours.high:
        return "none" if something_left else "open"
    if not something_left:
        return "all"
    return "part" if (rest.mean > 0) == (ours.mean > 0) else "more"
