"""What contenders train: presets of the project, and a small network as a user might write it."""

from collections.abc import Callable
from typing import Any

from flax import linen as nn
from jax import Array, lax

from lenet import config as config_module
from lenet import ops
from lenet.config import PRESETS, Config
from lenet.ops import native
from lenet.settings import choice

CONVOLUTIONS: dict[str, Callable[..., Any]] = {
    "native": native.conv_general_dilated,
    "matmul": ops.conv_general_dilated,
    "lax": lax.conv_general_dilated,
}


class Small(nn.Module):
    """Two 3×3 convolutions with ReLU and max pooling, then a hidden layer: 113,386 parameters."""

    conv: str = choice(
        "native",
        "the direct convolution, matrix products, or XLA's with Flax's pooling",
        among=tuple(CONVOLUTIONS),
    )
    num_classes: int = 10

    @nn.compact
    def __call__(self, images: Array, train: bool = False) -> Array:
        """Return the logits [B, K] of images [B, H, W, C]."""
        conv = CONVOLUTIONS[self.conv]
        x = images
        for _ in range(2):
            x = nn.Conv(32, (3, 3), padding="VALID", conv_general_dilated=conv)(x)
            x = nn.relu(x)
            x = nn.max_pool(x, (2, 2), (2, 2)) if self.conv == "lax" else ops.max_pool(x, 2)
        x = nn.Dropout(0.25, deterministic=not train)(x.reshape(x.shape[0], -1))
        x = nn.relu(nn.Dense(128)(x))
        x = nn.Dropout(0.5, deterministic=not train)(x)
        return nn.Dense(self.num_classes)(x)


def config(name: str, **settings: Any) -> Config:
    """Return the checked Config of a network of `contenders.NETWORKS`, with other settings."""
    if name != "small":
        return config_module.from_dict(PRESETS[name] | settings)
    small = {"network": config_module.name_of(Small()), "optimizer": "adam", "lr": 0.001}
    return config_module.from_dict(small | {"batch_size": 64} | settings, Small())
