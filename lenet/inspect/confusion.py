"""The confusion matrix of a trained network, and its most confident mistakes."""

import numpy as np
from jaxtyping import Float, Int


def confusion(
    labels: Int[np.ndarray, " N"], predicted: Int[np.ndarray, " N"], num_classes: int
) -> Int[np.ndarray, "K K"]:
    """Return the confusion matrix; rows are true classes, columns predictions.

    >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    counts = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(counts, (labels, predicted), 1)
    return counts


def worst(
    labels: Int[np.ndarray, " N"], probabilities: Float[np.ndarray, "N K"], count: int
) -> Int[np.ndarray, " M"]:
    """Return the indices of at most `count` misclassified examples, most confident first."""
    predicted = probabilities.argmax(1)
    wrong = np.flatnonzero(predicted != labels)
    surest = np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")
    return wrong[surest[:count]]
