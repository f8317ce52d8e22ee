"""The layers of LeNet, each in several forms with the same parameters, and their initial values."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jax.nn import initializers
from jaxtyping import Num

from lenet import ops
from lenet.ops import blocks, native
from lenet.ops.shapes import Padding, Size, pair

WINDOW = 2
"""Side and stride of a pooling window."""

POOLS = {"avg": ops.avg_pool, "max": ops.max_pool}

KERNEL_INITIALIZERS: dict[str, initializers.Initializer] = {
    "xavier_uniform": initializers.glorot_uniform(),
    "xavier_normal": initializers.glorot_normal(),
    "he_uniform": initializers.he_uniform(),
    "he_normal": initializers.he_normal(),
    "lecun_uniform": initializers.lecun_uniform(),
    "lecun_normal": initializers.lecun_normal(),
    "orthogonal": initializers.orthogonal(),
    "normal": initializers.normal(0.01),
    # torch.nn.Linear and Conv2d: U(±1/√fan_in)
    "pytorch": initializers.variance_scaling(1 / 3, "fan_in", "uniform"),
}


def _uniform_bias(fan_in: int) -> Any:
    """PyTorch's default: U(−1/√fan_in, 1/√fan_in), with the fan-in of the layer's kernel."""
    bound = 1 / math.sqrt(fan_in)

    def init(key: Array, shape: Sequence[int], dtype: jax.typing.DTypeLike = jnp.float32) -> Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


BiasInitializer = Callable[[int], initializers.Initializer]
"""Takes the fan-in of the kernel beside the bias."""

BIAS_INITIALIZERS: dict[str, BiasInitializer] = {
    "zeros": lambda fan_in: initializers.zeros,
    "pytorch": _uniform_bias,
}


class Conv2D(nn.Module):
    """A convolutional layer: cross-correlate with a learned kernel, then add a bias per channel.

    y = conv2d(x, kernel) + bias, with kernel [kh, kw, Ci, Co] and bias [Co].

    Attributes:
      features: Co.
      kernel_size: one integer or (kh, kw).
      padding, stride: as in `ops.conv2d`; only the "lax" form takes them.
      use_bias: whether there is a bias.
      form: "lax" maps images [B, H, W, Ci] to [B, H', W', Co]; "matmul" maps blocks to blocks, and
        "native" to blocks of a pooling window.

    >>> layer = Conv2D(features=1, kernel_size=(1, 2))
    >>> x = jnp.ones((1, 6, 8, 1))
    >>> layer.apply(layer.init(jax.random.key(0), x), x).shape
    (1, 6, 7, 1)
    """

    features: int
    kernel_size: int | Sequence[int]
    padding: Padding = 0
    stride: int | Sequence[int] = 1
    use_bias: bool = True
    kernel_init: initializers.Initializer = KERNEL_INITIALIZERS["xavier_uniform"]
    bias_init: BiasInitializer = BIAS_INITIALIZERS["zeros"]
    form: str = "lax"

    @nn.compact
    def __call__(self, x: Num[Array, "..."]) -> Num[Array, "..."]:
        """Map images or blocks to feature maps of the same layout."""
        channels = x.shape[-1] if self.form == "lax" else x.shape[2]
        shape = (*pair(self.kernel_size, "kernel_size", least=1), channels, self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        bias = jnp.zeros(self.features, jnp.float32)
        if self.use_bias:
            init = self.bias_init(math.prod(shape[:3]))
            bias = self.param("bias", init, (self.features,), jnp.float32)
        kernel, bias = kernel.astype(x.dtype), bias.astype(x.dtype)
        if self.form == "lax":
            y = ops.conv2d(x, kernel, stride=self.stride, padding=self.padding)
            return y + bias[None, None, None]
        if self.padding != 0 or self.stride != 1:
            raise ValueError(
                f"the {self.form} form pads in blocks.split and has stride 1, "
                f"not padding={self.padding} and stride={self.stride}"
            )
        if self.form == "native":
            return native.conv2d(x, kernel, bias, WINDOW)
        return blocks.conv2d(x, kernel, bias)


class Dense(nn.Module):
    """A fully connected layer: y = x · kernel + bias, with kernel [in, out] and bias [out].

    Attributes:
      features: the number of outputs.
      form: "lax" maps rows [B, in] to rows [B, out]; "matmul" and "native" map columns [in, B] to
        [out, B], as blocks have their examples last, too.
      grid: (H, W) of the maps that columns are made of, channel by channel; the kernel's rows are
        the same features pixel by pixel, as rows [B, in] have them.
    """

    features: int
    kernel_init: initializers.Initializer = KERNEL_INITIALIZERS["xavier_uniform"]
    bias_init: BiasInitializer = BIAS_INITIALIZERS["zeros"]
    form: str = "lax"
    grid: Size = (1, 1)

    @nn.compact
    def __call__(self, x: Num[Array, "..."]) -> Num[Array, "..."]:
        """Map rows to rows or columns to columns."""
        inputs = x.shape[1] if self.form == "lax" else x.shape[0]
        kernel = self.param("kernel", self.kernel_init, (inputs, self.features), jnp.float32)
        bias = self.param("bias", self.bias_init(inputs), (self.features,), jnp.float32)
        kernel, bias = kernel.astype(x.dtype), bias.astype(x.dtype)
        if self.form == "lax":
            return x @ kernel + bias[None]
        kernel = kernel.reshape(*self.grid, -1, self.features).transpose(2, 0, 1, 3)
        return kernel.reshape(inputs, -1).T @ x + bias[:, None]


class OfForms:
    """A network of the project whose field `conv` names the form of its layers."""


def plain(model: nn.Module) -> nn.Module:
    """Return a network with the same parameters whose layers return maps that are images.

    The others, `conv="matmul"` and `"native"`, return blocks (`lenet.ops.blocks`).
    """
    if isinstance(model, OfForms) and model.conv in ("matmul", "native"):
        return model.clone(conv="lax")
    return model
