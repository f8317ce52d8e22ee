"""Predictions of many runs: their vote, how far they agree, and the labels that they doubt."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Integer


class Vote(NamedTuple):
    """What runs of one setting say together."""

    accuracy: float  # of the class that most runs predict; the lowest class of equals
    agreement: float  # the share of images that two runs predict alike, over all pairs of runs


class Doubt(NamedTuple):
    """An image whose label most runs contradict."""

    image: int
    label: int
    vote: int  # the class that most runs predict
    share: float  # of the runs that predict it


def counts(classes: Integer[np.ndarray, "N R"], num_classes: int) -> Int[np.ndarray, "N K"]:
    """Return how many runs predict each class, for each image.

    >>> counts(np.array([[0, 2, 2]]), 3).tolist()
    [[1, 0, 2]]
    """
    return np.stack([(classes == k).sum(1) for k in range(num_classes)], 1)


def vote(
    classes: Integer[np.ndarray, "N R"], labels: Integer[np.ndarray, " N"], num_classes: int
) -> Vote:
    """Return the accuracy of the vote of R runs, and how far the runs agree.

        agreement = mean over images of Σ_k c_k·(c_k − 1) / (R·(R − 1))

    Args:
      classes: predicted by each run, R at least 2.
      labels: of the images.
      num_classes: K.
    """
    found, runs = counts(classes, num_classes), classes.shape[1]
    pairs = (found * (found - 1)).sum(1) / (runs * (runs - 1))
    return Vote(float((found.argmax(1) == labels).mean()), float(pairs.mean()))


def doubted(
    classes: Integer[np.ndarray, "N R"],
    labels: Integer[np.ndarray, " N"],
    num_classes: int,
    least: float,
) -> list[Doubt]:
    """Return the images that at least a share of the runs give one and the same wrong class.

    The most contradicted first. A wrong label is one reason; an image that looks like another
    class is the other.
    """
    found = counts(classes, num_classes)
    votes, share = found.argmax(1), found.max(1) / classes.shape[1]
    wrong = np.flatnonzero((votes != labels) & (share >= least))
    ordered = wrong[np.argsort(-share[wrong], kind="stable")]
    return [Doubt(int(i), int(labels[i]), int(votes[i]), float(share[i])) for i in ordered]
