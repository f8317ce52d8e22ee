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
    shown = plain(model)
    if not isinstance(model, LeNet):
        return modules.captured(shown, params, images)
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


def _statistics(value: np.ndarray, activation: str | None) -> Statistics:
    saturated = dead = None
    if activation is not None:
        ends = {
            "sigmoid": (value < SATURATED) | (value > 1 - SATURATED),
            "tanh": np.abs(value) > 1 - SATURATED,
            "relu": value == 0,
        }.get(activation, np.zeros(value.shape, bool))
        units = value.reshape(-1, value.shape[-1])
        saturated = float(ends.mean())
        dead = float((units == units[:1]).all(axis=0).mean())
    return Statistics(
        float(value.mean(dtype=np.float64)),
        float(value.std(dtype=np.float64)),
        # Over images: a unit that is constant carries no information on them, however large it is.
        math.sqrt(value.var(0, dtype=np.float64).mean()),
        saturated,
        dead,
    )
