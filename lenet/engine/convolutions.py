"""Find XLA's convolution in a network, which is slow inside a compiled loop on a CPU."""

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
    if jax.default_backend() != "cpu":
        return False

    def apply(key: Array, images: Array) -> Array:
        params, collections = forward.init(model, key, image_shape)
        drawn = key if forward.takes_train(model) else None
        return forward.train(model, params, collections, images, drawn)[0]

    images = jax.ShapeDtypeStruct((2, *image_shape), jnp.uint8)
    return "= conv_general_dilated[" in str(jax.make_jaxpr(apply)(jax.random.key(0), images))
