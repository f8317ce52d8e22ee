"""Sweeps with a name: what the chapter leaves to try, and two questions it does not ask.

A study is the flags of a sweep. Those of the chapter's exercise (6.6: window, channels, layers,
learning rate, initialisation, epochs) hold out 10,000 images to select by.
"""

from typing import NamedTuple

HELD_OUT = {"valid": "10000", "seed": "0:8"}


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
            "batches, the others the examples.",
            "zh": "为什么已发表的各框架结果不一致？教材的 PyTorch 版偏置从随机值开始，"
            "其他版本从零开始；TensorFlow 版的批量只划分一次，打乱的是批量，其他版本打乱的是样本。",
        },
        {"bias_init": "pytorch,zeros", "order": "examples,batches", "seed": "0:64"},
    ),
    "variance": Study(
        {
            "en": "Why do seeds differ: by their initial weights, or by the order of the examples?",
            "zh": "种子之间的差别从何而来：初始权重，还是样本的次序？",
        },
        {"seed": "0:8", "order_seed": "0:8"},
    ),
}
