"""Ask a trained network questions: predictions, mistakes, activations, receptive fields."""

from lenet.inspect.predictions import (
    accuracy,
    add_noise,
    calibration,
    confusion,
    logits,
    probabilities,
    robustness,
    worst,
)
from lenet.inspect.transforms import permute_pixels, shift

__all__ = [
    "accuracy",
    "add_noise",
    "calibration",
    "confusion",
    "logits",
    "permute_pixels",
    "probabilities",
    "robustness",
    "shift",
    "worst",
]
