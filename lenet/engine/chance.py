"""Chance level: the loss and accuracy of a network that ignores its input. Free of jax."""

import math

PLATEAU = 0.05
"""A mean loss within this share of log K is at chance level."""


def loss(num_classes: int) -> float:
    """Return the loss of random guessing: log K, in nats.

    >>> round(loss(10), 3)
    2.303
    """
    return math.log(num_classes)


def at_level(accuracy: float, num_classes: int) -> bool:
    """Return whether an accuracy is at chance level: at most 1/K and half of that, or 0.05, more.

    With a single class nothing is left to chance.

    >>> [at_level(0.15, 10), at_level(0.16, 10), at_level(0.15, 2), at_level(0.02, 100)]
    [True, False, True, False]
    """
    return num_classes > 1 and accuracy <= min(1.5 / num_classes, 1 / num_classes + 0.05)


def collapsed(train_loss: float, num_classes: int) -> bool:
    """Return whether training ended at chance level: at a mean loss of 95% of log K nats or more.

    The loss decides, not the accuracy: on a plateau, accuracy may be anywhere up to 0.2 by chance.
    A run that diverged has collapsed, too: it counts as one of no loss and an accuracy of 1/K.

    >>> [collapsed(loss, 10) for loss in (2.303, 2.18, 2.19, 30.0)]
    [True, False, True, True]
    """
    return bool(train_loss >= (1 - PLATEAU) * loss(num_classes))


def on_plateau(mean_loss: float, accuracy: float, num_classes: int) -> bool:
    """Return whether a network is at chance level: loss about log K nats, accuracy about 1/K.

    >>> [on_plateau(2.303, 0.1, 10), on_plateau(2.303, 0.3, 10), on_plateau(1.9, 0.1, 10)]
    [True, False, False]
    """
    guess = loss(num_classes)
    return at_level(accuracy, num_classes) and abs(mean_loss - guess) <= PLATEAU * guess
