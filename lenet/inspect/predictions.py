"""Predictions of a trained network: probabilities, calibration, robustness.

For mistakes see `confusion`, for the outputs of single layers `activations`.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array
from jaxtyping import Float, Int, UInt8

from lenet.data import Split
from lenet.engine import forward
from lenet.engine.forward import Params
from lenet.inspect.transforms import shift
from lenet.ops import of_xla

BATCH = 500
"""Images per call of the network."""


def probabilities(
    model: nn.Module, params: Params, images: UInt8[np.ndarray, "N H W C"]
) -> Float[np.ndarray, "N K"]:
    """Return softmax(logits) of images, float32."""
    return np.asarray(jax.nn.softmax(logits(model, params, images)))


def logits(
    model: nn.Module, params: Params, images: UInt8[np.ndarray, "N H W C"]
) -> Float[np.ndarray, "N K"]:
    """Return the logits of images, float32; N is at least 1."""
    parts = [
        np.asarray(_logits(model, params, images[i : i + BATCH]))
        for i in range(0, len(images), BATCH)
    ]
    return np.concatenate(parts)


@partial(jax.jit, static_argnames="model")
def _logits(model: nn.Module, params: Params, images: Array) -> Array:
    with jax.default_matmul_precision("highest"), of_xla():
        return forward.logits(model, params, images)


class Calibration(NamedTuple):
    """Accuracy by confidence: how often predictions of a given probability are correct; M bins."""

    counts: Int[np.ndarray, " M"]  # predictions in each bin
    confidence: Float[np.ndarray, " M"]  # their mean probability; nan where there are none
    accuracy: Float[np.ndarray, " M"]  # the fraction of them that is correct
    error: float  # expected calibration error: mean of |accuracy − confidence| over all examples


def calibration(
    labels: Int[np.ndarray, " N"], probabilities: Float[np.ndarray, "N K"], bins: int = 10
) -> Calibration:
    """Return the reliability of the predictions (Guo et al., 2017, arXiv:1706.04599).

    ECE = Σ_m n_m / N · abs(accuracy_m − confidence_m) over M bins (m/M, (m+1)/M] of the largest
    probability.
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


def add_noise(
    images: UInt8[np.ndarray, "N H W C"], deviation: float, seed: int = 0
) -> UInt8[np.ndarray, "N H W C"]:
    """Return images with Gaussian noise, clipped to 0 to 255.

    `deviation` is the standard deviation of the noise, as a fraction of white (255).
    """
    noise = np.random.default_rng(seed).normal(0, 255 * deviation, images.shape)
    return np.clip(np.rint(images + noise), 0, 255).astype(np.uint8)


def accuracy(model: nn.Module, params: Params, split: Split) -> float:
    """Return the accuracy: the fraction of examples whose largest logit is the label's."""
    predicted = probabilities(model, params, split.images).argmax(1)
    return float((predicted == split.labels).mean())


SHIFTS = (0, 1, 2, 3, 4)
NOISE = (0.0, 0.05, 0.1, 0.2, 0.3)


def robustness(model: nn.Module, params: Params, split: Split) -> dict[str, dict[float, float]]:
    """Return the accuracy on shifted and on noisy images.

    Returns:
      "shift": by pixels, the mean over the four directions; "noise": by its standard deviation as
      a fraction of white
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
