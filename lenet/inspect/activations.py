"""Outputs of every layer of a network, and their statistics over images and units."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array
from jaxtyping import Num

from lenet.engine import forward
from lenet.engine.forward import Params
from lenet.inspect import modules
from lenet.model import LeNet
from lenet.networks.layers import plain

SATURATED = 0.05
"""A sigmoid this close to 0 or 1 (a tanh to −1 or 1) counts as saturated: its slope is small."""


def activations(
    model: nn.Module, params: Params, images: Num[Array | np.ndarray, "B H W C"]
) -> dict[str, Num[Array, "B ..."]]:
    """Return the output of each layer: after its activation, where the layer has one.

    Of another network than LeNet: what each innermost module returns, and last the logits, "".

    Images are floats from 0 to 1, as in training, or uint8, which is scaled.

    Returns:
      by name, in order: conv1 [B, H, W, C1], pool1 [B, H/2, W/2, C1], ..., dense1 [B, units], ...;
      the last are the logits [B, K]
    """
    if images.dtype == jnp.uint8:
        images = images.astype(jnp.float32) / 255
    if not isinstance(model, LeNet):
        return modules.captured(plain(model), params, images)
    # The direct kernel does not compute what pooling leaves out.
    shown = model.clone(conv="matmul") if model.conv == "native" else model
    _, seen = forward.sown(shown, params, images, "activations")
    return {name.removesuffix("_out"): v[0] for name, v in seen.items()}


class Statistics(NamedTuple):
    """Statistics of one layer's units over a set of images."""

    mean: float
    deviation: float  # standard deviation over images and units
    across: float  # standard deviation over the images alone, root mean square over units
    saturated: float | None  # fraction within SATURATED of an end of the activation's range
    dead: float | None  # fraction of units (channels, in maps) that are constant over all images
    gradient: float | None = None  # root mean square of d loss / d kernel, by `diagnose`
    weight: float | None = None  # root mean square of the kernel, by `diagnose`


def statistics(
    model: nn.Module, values: Mapping[str, Num[Array | np.ndarray, "N ..."]]
) -> dict[str, Statistics]:
    """Return the statistics of each layer's outputs, as `activations` returns them.

    A ReLU has one end, 0, so its `saturated` is the fraction of exact zeros. Logits have no end, so
    their `saturated` is 0. Of another network than LeNet both `saturated` and `dead` are None:
    its modules return what comes before an activation.
    """
    activation = dict.fromkeys(values, model.activation if isinstance(model, LeNet) else None)
    if isinstance(model, LeNet):
        activation[f"dense{len(model.hidden) + 1}"] = ""
    return {name: _statistics(np.asarray(x), activation[name]) for name, x in values.items()}


@np.errstate(over="ignore", invalid="ignore")  # a run that is about to diverge
def _statistics(value: np.ndarray, activation: str | None) -> Statistics:
    saturated = dead = None
    if activation is not None:
        ends = {
            "sigmoid": (value < SATURATED) | (value > 1 - SATURATED),
            "tanh": np.abs(value) > 1 - SATURATED,
            "relu": value == 0,
        }.get(activation, np.zeros(1, bool))
        saturated = float(np.count_nonzero(ends) / value.size)
        lowest, highest = value.min(0), value.max(0)
        channels = -1, value.shape[-1]
        same = lowest.reshape(channels).min(0) == highest.reshape(channels).max(0)
        dead = float(same.mean())
    # Moments about the first image, in float32, which is several times as fast as float64: of a
    # unit that is constant nothing is left, and one that tells images apart by little keeps its
    # digits.
    moved = np.subtract(value, value[0], dtype=np.float32)
    apart = moved.mean(0)
    moved -= apart
    variance = np.einsum("n...,n...->...", moved, moved) / len(moved)
    mean = np.add(value[0], apart, dtype=np.float64)
    within = float(variance.mean(dtype=np.float64))
    return Statistics(
        float(mean.mean()),
        # Over images and units: within the units, and between their means.
        math.sqrt(within + mean.var()),
        # Over images: a unit that is constant carries no information on them, however large it is.
        math.sqrt(within),
        saturated,
        dead,
    )
