"""Find how a network convolves: XLA's convolution is slow inside a compiled loop on a CPU."""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from lenet.engine import forward
from lenet.language import mark

REMEDY = mark(
    "warning: a convolution of XLA is slow in a compiled loop on a CPU. Write "
    "nn.Conv(..., conv_general_dilated=lenet.ops.conv_general_dilated)"
)


def slow(model: nn.Module, image_shape: tuple[int, ...]) -> bool:
    """Return whether a network for images of (H, W, C) trains with XLA's convolution on a CPU.

    An epoch is a loop, and so whatever the network computes is in one (docs/speed.md).
    """
    return jax.default_backend() == "cpu" and "= conv_general_dilated[" in _program(
        model, image_shape
    )


def direct(model: nn.Module, image_shape: tuple[int, ...]) -> bool:
    """Return whether a network for images of (H, W, C) trains with the direct convolution."""
    return jax.default_backend() == "cpu" and "correlate_last_" in _program(model, image_shape)


@functools.lru_cache(maxsize=1)
def _program(model: nn.Module, image_shape: tuple[int, ...]) -> str:
    """Return what JAX traces of a network in training."""

    def apply(key: Array, images: Array) -> Array:
        params, collections = forward.init(model, key, image_shape)
        drawn = key if forward.takes_train(model) else None
        return forward.train(model, params, collections, images, drawn)[0]

    images = jax.ShapeDtypeStruct((2, *image_shape), jnp.uint8)
    return str(jax.make_jaxpr(apply)(jax.random.key(0), images))
