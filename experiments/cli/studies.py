"""Sweeps with a name: what the chapter leaves to try, and questions that published runs raise.

A study is the flags of a sweep. The studies of the chapter's exercise (6.6: window, channels,
layers, learning rate, initialisation, epochs) hold out 10,000 images to select by.
"""

from typing import NamedTuple

from lenet.analysis import book_search
from lenet.language import mark

HELD_OUT = {"valid": "10000", "seed": "0:6"}
FRESH = "5000:5064"
"""Seeds of studies that check what earlier ones suggested."""


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
    "variance_dropped": Study(
        mark(
            "And without the short batch, whose 96 images the order chooses? The same design with "
            "fresh seeds, the short batch dropped."
        ),
        {"short_batch": "drop", "seed": "5000:5008", "order_seed": "5100:5108"},
    ),
    "last_step": Study(
        mark(
            "Does the last step of an epoch, on 96 images, cost accuracy because it is last? The "
            "short batch stays last, comes first, is dropped, or counts for its share of a whole "
            "batch."
        ),
        {"short_batch": "last,first,drop,scale", "seed": FRESH},
    ),
    "last_size": Study(
        mark(
            "How does the size of the last batch matter? Batch sizes 251, 252, 254, 256, 258, 260 "
            "and 250 are nearly the same, and leave a last batch of 11, 24, 56, 96, 144, 200 and "
            "250."
        ),
        {"batch_size": "251,252,254,256,258,260,250", "seed": FRESH},
    ),
    "longer": Study(
        mark("Do seeds differ less, or only on the test images, when runs are longer?"),
        {"epochs": "10,20,40", "seed": FRESH},
    ),
    "next_edition": Study(
        mark(
            "What will the book's next edition print? Learning rate 0.1, batch size 128, the short "
            "batch dropped; and with it, as the runs that are published."
        ),
        {"lr": "0.1", "batch_size": "128", "short_batch": "drop,last", "seed": FRESH},
    ),
    "early_stopping": Study(
        mark(
            "How often does early stopping stop the setting that would have won? 320 settings of "
            "the book's own search space, for each activation, all trained to the end."
        ),
        {
            "activation": "sigmoid,relu",
            "lr": "0.01..1:log80",
            "batch_size": "32,64,128,256",
            "valid": "10000",
            "seed": "5000:5002",
        },
    ),
    "book_search": Study(
        mark(
            "What would the book's own search have found with other seeds? Its 25 settings of "
            "learning rate and batch size, of which it trained some to the end and stopped others."
        ),
        {
            "zip": "true",
            "lr": ",".join(str(lr) for lr, _ in book_search.SETTINGS),
            "batch_size": ",".join(str(size) for _, size in book_search.SETTINGS),
            "seed": "5000:5008",
        },
    ),
}
