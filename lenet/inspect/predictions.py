"""Look inside a trained network: parameters and images in, arrays out.

`lenet.activations` has what each layer gives for some images; here is what the network as a whole
makes of them. `experiments.predict` and `experiments.report` show it.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lenet.data import Split
from lenet.engine import sgd
from lenet.engine.sgd import Params
from lenet.inspect.transforms import shift
from lenet.model import LeNet

BATCH = 500
"""Images at a time."""


def probabilities(model: LeNet, params: Params, images: np.ndarray) -> np.ndarray:
    """Return softmax(logits), float32 [N, K], for uint8 images [N, H, W, C]."""
    return np.asarray(jax.nn.softmax(logits(model, params, images)))


def logits(model: LeNet, params: Params, images: np.ndarray) -> np.ndarray:
    """Return the logits, float32 [N, K], for uint8 images [N, H, W, C], N at least 1."""
    parts = [
        np.asarray(_logits(model, params, images[i : i + BATCH]))
        for i in range(0, len(images), BATCH)
    ]
    return np.concatenate(parts)


@partial(jax.jit, static_argnames="model")
def _logits(model: LeNet, params: Params, images: Array) -> Array:
    with jax.default_matmul_precision("highest"):
        return sgd.logits(model, params, images)


def confusion(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """Return how many examples of each class [K] were taken for each [K]: int [K, K], rows truth.

    >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    counts = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(counts, (labels, predicted), 1)
    return counts


def worst(labels: np.ndarray, probabilities: np.ndarray, count: int) -> np.ndarray:
    """Return the mistakes the network is surest of, the surest first: indices [<= count].

    Args:
      labels: int [N].
      probabilities: float [N, K].
      count: at most.
    """
    predicted = probabilities.argmax(1)
    wrong = np.flatnonzero(predicted != labels)
    surest = np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")
    return wrong[surest[:count]]


class Calibration(NamedTuple):
    """How often a network is right where it says it is so sure; bins of equal width, [M]."""

    counts: np.ndarray  # predictions in each bin
    confidence: np.ndarray  # their mean probability; nan where there are none
    accuracy: np.ndarray  # how many of them are right
    error: float  # expected calibration error: mean of |accuracy - confidence| over all examples


def calibration(labels: np.ndarray, probabilities: np.ndarray, bins: int = 10) -> Calibration:
    """Return the reliability of the predictions (Guo et al., 2017, arXiv:1706.04599).

    ECE = Σ_m n_m / N · |accuracy_m − confidence_m| over bins (m/M, (m+1)/M] of the largest
    probability.

    Args:
      labels: int [N].
      probabilities: float [N, K].
      bins: M.
    """
    sure = probabilities.max(1).astype(np.float64)
    right = probabilities.argmax(1) == labels
    bin_of = np.clip(np.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(bin_of, minlength=bins)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(bin_of, sure, bins) / counts
        accuracy = np.bincount(bin_of, right, bins) / counts
    gap = np.nan_to_num(np.abs(accuracy - confidence))
    error = float((gap * counts).sum() / len(labels))
    return Calibration(counts, confidence, accuracy, error)


def add_noise(images: np.ndarray, deviation: float, seed: int = 0) -> np.ndarray:
    """Return uint8 images with normal noise, its deviation a share of white, cut to 0 to 255."""
    noise = np.random.default_rng(seed).normal(0, 255 * deviation, images.shape)
    return np.clip(np.rint(images + noise), 0, 255).astype(np.uint8)


def accuracy(model: LeNet, params: Params, split: Split) -> float:
    """Return the share of the examples whose largest logit is their label's."""
    predicted = probabilities(model, params, split.images).argmax(1)
    return float((predicted == split.labels).mean())


SHIFTS = (0, 1, 2, 3, 4)
NOISE = (0.0, 0.05, 0.1, 0.2, 0.3)


def robustness(model: LeNet, params: Params, split: Split) -> dict[str, dict[float, float]]:
    """Return the accuracy on moved and on noisy images.

    Returns:
      "shift": by pixels, the mean over the four directions; "noise": by its deviation as a share
      of white
    """

    def moved(pixels: int) -> float:
        ways = {(pixels, 0), (-pixels, 0), (0, pixels), (0, -pixels)}
        splits = (
            split._replace(images=np.asarray(shift(jnp.asarray(split.images), *way)))
            for way in sorted(ways)
        )
        return float(np.mean([accuracy(model, params, each) for each in splits]))

    def noisy(deviation: float) -> float:
        images = add_noise(split.images, deviation)
        return accuracy(model, params, split._replace(images=images))

    return {"shift": {s: moved(s) for s in SHIFTS}, "noise": {d: noisy(d) for d in NOISE}}


def images_of(split: Split, names: tuple[str, ...], chosen: tuple[str, ...]) -> np.ndarray:
    """Return the index of the first example of each chosen class, [len(chosen)]."""
    return np.array([int(np.argmax(split.labels == names.index(name))) for name in chosen])


def kernels(params: Params, layer: str = "conv1") -> np.ndarray:
    """Return the kernels of a convolution as pictures: float32 [C_out, C_in, h, w]."""
    return np.asarray(jnp.transpose(params[layer]["kernel"], (3, 2, 0, 1)))
