"""Find how a network convolves: XLA's convolution is slow inside a compiled loop on a CPU."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from lenet.engine import forward
from lenet.language import mark
from lenet.ops import compiled

REMEDY = mark(
    "warning: a convolution of XLA is slow in a compiled loop on a CPU. Write "
    "nn.Conv(..., conv_general_dilated=lenet.ops.conv_general_dilated), or with a C++ compiler "
    "lenet.ops.native.conv_general_dilated"
)


def slow(model: nn.Module, image_shape: tuple[int, ...]) -> bool:
    """Return whether a network for images of (H, W, C) trains with XLA's convolution on a CPU.

    An epoch is a loop, and so whatever the network computes is in one (docs/en/speed.md).
    """
    program, *_ = traced(model, image_shape)
    return jax.default_backend() == "cpu" and "= conv_general_dilated[" in program


def direct(model: nn.Module, image_shape: tuple[int, ...]) -> bool:
    """Return whether a network for images of (H, W, C) trains with the direct convolution."""
    program, *_ = traced(model, image_shape)
    return "ffi_call[" in program and not compiled.missing() and compiled.library() in program


@functools.lru_cache(maxsize=64)  # a sweep may have so many networks
def traced(model: nn.Module, image_shape: tuple[int, ...]) -> tuple[str, Any, Any, Any]:
    """Trace a network on two images of (H, W, C), uint8.

    Returns:
      what JAX computes, as text; the shapes of what it returns in training and outside; and those
      of the collections that it keeps.
    """

    def apply(key: Array, images: Array) -> tuple[Array, Array, Any]:
        params, collections = forward.init(model, key, image_shape)
        drawn = key if forward.takes_train(model) else None
        trained, after = forward.train(model, params, collections, images, drawn)
        return trained, forward.logits(model, forward.variables(params, after), images), after

    images = jax.ShapeDtypeStruct((2, *image_shape), jnp.uint8)
    program, shapes = jax.make_jaxpr(apply, return_shape=True)(jax.random.key(0), images)
    return str(program), *shapes
