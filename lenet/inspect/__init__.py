"""Ask a trained network questions: predictions, mistakes, activations, receptive fields."""

from lenet.inspect.confusion import confusion, worst
from lenet.inspect.predictions import (
    Calibration,
    accuracy,
    add_noise,
    calibration,
    images_of,
    kernels,
    logits,
    probabilities,
    robustness,
)
from lenet.inspect.transforms import permute_pixels, shift

__all__ = [
    "Calibration",
    "accuracy",
    "add_noise",
    "calibration",
    "confusion",
    "images_of",
    "kernels",
    "logits",
    "permute_pixels",
    "probabilities",
    "robustness",
    "shift",
    "worst",
]
