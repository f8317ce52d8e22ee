"""Ask a trained network questions: predictions, mistakes, activations, receptive fields."""

from lenet.inspect.confusion import confusion, worst
from lenet.inspect.predictions import (
    accuracy,
    add_noise,
    calibration,
    logits,
    probabilities,
    robustness,
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
