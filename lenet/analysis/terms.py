"""The terms for settings, their values and measures in sentences, tables and charts."""

from typing import Any

from lenet.config import Config, LeNet
from lenet.language import Message, mark, message

TERMS = {
    "valid_accuracy": mark("validation accuracy"),
    "valid_loss": mark("validation loss (nats)"),
    "test_accuracy": mark("test accuracy"),
    "test_loss": mark("test loss (nats)"),
    "train_accuracy": mark("training accuracy"),
    "train_loss": mark("training loss (nats)"),
    "averaged_accuracy": mark("test accuracy, averaged weights"),
    "averaged_loss": mark("test loss, averaged weights (nats)"),
    "network": mark("network"),
    "activation": mark("activation function"),
    "pool": mark("pooling"),
    "channels": mark("output channels"),
    "kernel_size": mark("kernel size"),
    "hidden": mark("hidden units"),
    "init": mark("weight initialisation"),
    "bias_init": mark("bias initialisation"),
    "conv": mark("convolution algorithm"),
    "precision": mark("numerical precision"),
    "output": mark("output layer"),
    "connections": mark("connections of C3"),
    "squashing": mark("squashing function"),
    "pixels": mark("pixel values"),
    "weights": mark("initial weights"),
    "optimizer": mark("optimizer"),
    "average": mark("averaging of weights"),
    "clip": mark("clipping norm"),
    "lr": mark("learning rate"),
    "epochs": mark("epochs"),
    "batch_size": mark("batch size"),
    "parts": mark("parts of a minibatch"),
    "momentum": mark("momentum"),
    "nesterov": mark("Nesterov momentum"),
    "weight_decay": mark("weight decay"),
    "schedule": mark("learning rate schedule"),
    "warmup": mark("warm-up epochs"),
    "order": mark("shuffling of"),
    "short_batch": mark("short batch"),
    "augment": mark("augmentation"),
    "seed": mark("seed"),
    "order_seed": mark("seed of shuffling"),
    "dataset": mark("dataset"),
    "valid": mark("held-out examples"),
}
"""By field of Config or of Row; others are called what they are."""

POOLINGS = {"avg": mark("average pooling"), "max": mark("max pooling")}
"""A network by its pooling."""

VALUES = {
    "avg": mark("average"),
    "max": mark("max"),
    "relu": "ReLU",
    "pytorch": "PyTorch",
    "zeros": mark("all zero"),
    "examples": mark("examples"),
    "batches": mark("batches"),
    "last": mark("last"),
    "first": mark("first"),
    "drop": mark("dropped"),
    "scale": mark("scaled to its share"),
    "none": mark("none"),
    "book": mark("the book's"),
    "True": mark("yes"),
    "False": mark("no"),
    "fashion_mnist": "Fashion-MNIST",
    "mnist": "MNIST",
    "kmnist": "KMNIST",
    "synthetic": mark("SYNTHETIC DATA"),
}
"""By value of a setting; others are shown as they are."""


def shown(value: Any) -> str:
    """Return a setting's value in short."""
    if isinstance(value, tuple | list):
        return ",".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def named(name: str) -> Message:
    """Return the term for a field of Config or of Row."""
    return Message(TERMS[name]) if name in TERMS else verbatim(name)


def valued(shown: str) -> Message:
    """Return the term for a value, given as `shown` has it."""
    return Message(VALUES[shown]) if shown in VALUES else verbatim(shown)


def setting(name: str, shown: str) -> Message:
    """Return a setting in words.

    >>> from lenet.language import translate
    >>> translate("en", setting("pool", "avg"))
    'pooling average'
    """
    return message("{name} {value}", name=named(name), value=valued(shown))


def network(config: Config) -> Message:
    """Return the network of a config, in short."""
    if isinstance(config.network, LeNet):
        return message(
            "LeNet ({activation}, {pool} pooling)",
            activation=valued(config.activation),
            pool=valued(config.pool),
        )
    return verbatim(type(config.network).__name__)


def verbatim(text: str) -> Message:
    """Return a text that is the same in every language, whatever is in it."""
    return Message("{text}", {"text": text})
