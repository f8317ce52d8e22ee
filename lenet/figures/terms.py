"""The terms that axes, legends and titles of charts have for settings and measures."""

from collections.abc import Callable

from lenet.language import mark

Translate = Callable[..., str]
"""The translation of a language: a text, and the values of its {names}."""

TERMS = {
    "valid_accuracy": mark("validation accuracy"),
    "valid_loss": mark("validation loss (nats)"),
    "test_accuracy": mark("test accuracy"),
    "test_loss": mark("test loss (nats)"),
    "train_accuracy": mark("training accuracy"),
    "train_loss": mark("training loss (nats)"),
    "activation": mark("activation function"),
    "pool": mark("pooling"),
    "channels": mark("output channels"),
    "kernel_size": mark("kernel size"),
    "hidden": mark("hidden units"),
    "init": mark("weight initialisation"),
    "bias_init": mark("bias initialisation"),
    "conv": mark("convolution algorithm"),
    "precision": mark("numerical precision"),
    "lr": mark("learning rate"),
    "epochs": mark("epochs"),
    "batch_size": mark("batch size"),
    "momentum": mark("momentum"),
    "nesterov": mark("Nesterov momentum"),
    "weight_decay": mark("weight decay"),
    "schedule": mark("learning rate schedule"),
    "warmup": mark("warm-up epochs"),
    "order": mark("shuffling of"),
    "seed": mark("seed"),
    "order_seed": mark("seed of shuffling"),
    "dataset": mark("dataset"),
    "valid": mark("held-out examples"),
}
"""By field of Config or of Row; others are called what they are."""

VALUES = {
    "avg": mark("average"),
    "max": mark("max"),
    "relu": "ReLU",
    "pytorch": "PyTorch",
    "zeros": mark("all zero"),
    "examples": mark("examples"),
    "batches": mark("batches"),
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


def term(t: Translate, name: str) -> str:
    """Return what a setting or measure is called in a language."""
    return t(TERMS[name]) if name in TERMS else name


def value(t: Translate, shown: str) -> str:
    """Return what a value of a setting is called in a language."""
    return t(VALUES[shown]) if shown in VALUES else shown
