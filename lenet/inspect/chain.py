"""A network as a chain of layers, each of which takes what the one before returns."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float

from lenet.model import ACTIVATIONS
from lenet.ops.shapes import Size

Sides = tuple[Size, Size]
"""Padding before and after: down, across."""
NONE: Sides = ((0, 0), (0, 0))


class Convolution(NamedTuple):
    """A cross-correlation plus a bias."""

    kernel: Float[np.ndarray, "kh kw Ci Co"]  # Ci of each group
    bias: Float[np.ndarray, " Co"]
    stride: Size
    padding: Sides
    dilation: Size
    groups: int


class Pooling(NamedTuple):
    """The maximum or the average of windows; in an average, zeros of the padding count."""

    mode: str  # "max" or "avg"
    size: Size
    stride: Size
    padding: Sides


class Dense(NamedTuple):
    """A product with a matrix plus a bias."""

    kernel: Float[np.ndarray, "in out"]
    bias: Float[np.ndarray, " out"]


class Activation(NamedTuple):
    """A function of each number."""

    name: str  # a key of lenet.model.ACTIVATIONS


class Scaling(NamedTuple):
    """A product and a sum with numbers of each channel or unit."""

    scale: Float[np.ndarray, " C"]
    shift: Float[np.ndarray, " C"]


class Flatten(NamedTuple):
    """Maps [H, W, C] as a row, pixel by pixel."""


Layer = Convolution | Pooling | Dense | Activation | Scaling | Flatten
KINDS = {
    Convolution: "conv",
    Pooling: "pool",
    Dense: "dense",
    Activation: "activation",
    Scaling: "scaling",
    Flatten: "flatten",
}


class Link(NamedTuple):
    """A layer in its place."""

    name: str  # its kind, and which of them it is: "conv2"
    layer: Layer
    shape: tuple[int, ...]  # that it returns of an image: (H, W, C) or (features,)


Chain = tuple[Link, ...]


def outputs(
    chain: Chain, images: Float[Array | np.ndarray, "B H W C"]
) -> Iterator[Float[Array, "B ..."]]:
    """Yield what each layer of a chain returns for images of 0 to 1, in order."""
    x = jnp.asarray(images)
    for link in chain:
        x = _applied(link.layer, x)
        yield x


def _applied(layer: Layer, x: Array) -> Array:
    match layer:
        case Convolution(kernel, bias, stride, padding, dilation, groups):
            numbers = ("NHWC", "HWIO", "NHWC")
            highest = lax.Precision.HIGHEST
            y = lax.conv_general_dilated(
                *(x, jnp.asarray(kernel), stride, padding, None, dilation, numbers),
                feature_group_count=groups,
                precision=highest,
            )
            return y + bias[None, None, None]
        case Pooling(mode, size, stride, padding):
            start, reduce = (-np.inf, lax.max) if mode == "max" else (0.0, lax.add)
            window, steps, sides = (1, *size, 1), (1, *stride, 1), ((0, 0), *padding, (0, 0))
            y = lax.reduce_window(x, np.float32(start), reduce, window, steps, sides)
            return y if mode == "max" else y / math.prod(size)
        case Dense(kernel, bias):
            return jnp.dot(x, kernel, precision="highest") + bias[None]
        case Activation(name):
            return ACTIVATIONS[name](x)
        case Scaling(scale, shift):
            last = (1,) * (x.ndim - 1) + (-1,)
            return x * scale.reshape(last) + shift.reshape(last)
        case Flatten():
            return x.reshape(len(x), -1)
