"""Sweeps with a name: what the chapter leaves to try, and questions that published runs raise.

A study is the flags of a sweep. The studies of the chapter's exercise (6.6: window, channels,
layers, learning rate, initialisation, epochs) hold out 10,000 images to select by.
"""

from typing import NamedTuple

from lenet.language import mark

HELD_OUT = {"valid": "10000", "seed": "0:6"}


class Study(NamedTuple):
    """A named sweep."""

    question: str
    flags: dict[str, str]  # as on the command line of experiments.sweep


STUDIES: dict[str, Study] = {
    "window": Study(
        mark("How large should the window be?"),
        HELD_OUT | {"kernel_size": "3,5,7,9"},
    ),
    "channels": Study(
        mark("How many channels should the convolutions have?"),
        HELD_OUT | {"channels": "2,5/3,8/6,16/12,32"},
    ),
    "layers": Study(
        mark("How many layers? (With 3×3 windows, so that three convolutions and poolings fit.)"),
        HELD_OUT | {"kernel_size": "3", "channels": "6/6,16/6,16,32", "hidden": "/84/120,84"},
    ),
    "rate": Study(
        mark("Which learning rate?"),
        HELD_OUT | {"lr": "0.03,0.1,0.3,0.6,0.9,1.5,3,6"},
    ),
    "initialisation": Study(
        mark("Which initial weights?"),
        HELD_OUT | {"init": "xavier_uniform,xavier_normal,he_uniform,orthogonal,normal,pytorch"},
    ),
    "epochs": Study(
        mark("How many epochs?"),
        HELD_OUT | {"epochs": "5,10,20,40"},
    ),
    "frameworks": Study(
        mark(
            "Why do the book's frameworks disagree? Its PyTorch code initialises biases at random, "
            "its MXNet and TensorFlow code with zeros. Its TensorFlow code forms the batches once "
            "and shuffles their order, so the batch of 96 images can come anywhere in an epoch; "
            "the PyTorch and MXNet code shuffles the examples."
        ),
        {"bias_init": "pytorch,zeros", "order": "examples,batches", "seed": "0:64"},
    ),
    "short_batch": Study(
        mark(
            "Does the last step of an epoch, on only 96 images, explain the difference? With a "
            "batch size of 250 no batch is short: 60,000 = 240 × 250."
        ),
        {"batch_size": "250", "order": "examples,batches", "seed": "0:32"},
    ),
    "variance": Study(
        mark("What makes seeds differ: the initial weights or the order of the examples?"),
        {"seed": "0:8", "order_seed": "0:8"},
    ),
}
