"""What the layers of a network give for some images, and how to sum that up.

Pure: parameters and images in, arrays out.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from lenet.engine.sgd import Params
from lenet.model import LeNet

SATURATED = 0.05
"""A sigmoid within this of 0 or 1 (a tanh of −1 or 1) counts as saturated: its slope is small."""


def activations(model: LeNet, params: Params, images: Array) -> dict[str, Array]:
    """Return what each layer gives: after its activation, or for pools and the last as it is.

    Args:
      model: any LeNet.
      params: its parameters.
      images: float [B, H, W, C], scaled to 0 to 1 as in training, or uint8, which is then scaled.

    Returns:
      by name, in order: conv1 [B, H, W, C1], pool1 [B, H/2, W/2, C1], ..., dense1 [B, units], ...;
      the last are the logits [B, K]
    """
    if images.dtype == jnp.uint8:
        images = images.astype(jnp.float32) / 255
    plain = model.clone(conv="lax")  # the same parameters, and maps that are images
    _, seen = plain.apply({"params": params}, images, mutable="activations")
    return {name.removesuffix("_out"): v[0] for name, v in seen["activations"].items()}


class Statistics(NamedTuple):
    """What a layer's units do over a set of images."""

    mean: float
    deviation: float  # standard deviation over images and units
    saturated: float  # the fraction within SATURATED of the end of the activation's range
    dead: float  # the fraction of units (of channels, for maps) that give one value for all images


def statistics(model: LeNet, values: dict[str, Array]) -> dict[str, Statistics]:
    """Sum up what `activations` gave, layer by layer.

    A ReLU has one end, 0, so there `saturated` is the fraction of exact zeros. Logits have no end:
    their `saturated` is 0.
    """
    logits = f"dense{len(model.hidden) + 1}"
    return {
        name: _statistics(np.asarray(value), "" if name == logits else model.activation)
        for name, value in values.items()
    }


def _statistics(value: np.ndarray, activation: str) -> Statistics:
    ends = {
        "sigmoid": (value < SATURATED) | (value > 1 - SATURATED),
        "tanh": np.abs(value) > 1 - SATURATED,
        "relu": value == 0,
    }.get(activation, np.zeros(value.shape, bool))
    units = value.reshape(-1, value.shape[-1])
    dead = (units == units[:1]).all(axis=0)
    return Statistics(
        float(value.mean(dtype=np.float64)),
        float(value.std(dtype=np.float64)),
        float(ends.mean()),
        float(dead.mean()),
    )
