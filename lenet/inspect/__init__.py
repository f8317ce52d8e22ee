"""Ask a trained network questions: predictions, mistakes, activations, receptive fields."""

from lenet.inspect.predictions import (
    Calibration,
    accuracy,
    add_noise,
    calibration,
    confusion,
    images_of,
    kernels,
    logits,
    probabilities,
    robustness,
    worst,
)

__all__ = [
    "Calibration",
    "accuracy",
    "add_noise",
    "calibration",
    "confusion",
    "images_of",
    "kernels",
    "logits",
    "probabilities",
    "robustness",
    "worst",
]
