"""LeNet with batch normalisation, as the book's section on batch normalisation has it."""

import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Float, Num

from lenet import ops
from lenet.networks.layers import KERNEL_INITIALIZERS, POOLS, WINDOW, Conv2D, Dense, OfForms
from lenet.ops import blocks

CHANNELS, HIDDEN = (6, 16), (120, 84)
MOMENTUM = 0.9
"""Of the running statistics, which are MOMENTUM · old + (1 − MOMENTUM) · new after each step."""


class BNLeNet(OfForms, nn.Module):
    """Convolution without padding, batch normalisation, sigmoid and pooling, twice; dense layers.

    1 → 6 channels, 5×5 → 16 channels, 5×5 → 120 → 84 → K. Each layer but the last is normalised
    before its sigmoid. Running statistics are 0.9 · old + 0.1 · new, ε is 1e-5. Weights are
    Xavier's, biases start at zero: what they add, the normalisation takes away.

    Attributes:
      pool: "avg" or "max".
      num_classes: K.
      conv: "matmul" for products of blocks (`lenet.ops.blocks`), where images consist of whole
        blocks of 4×4, or "lax"; both have the same parameters and, to rounding, the same result.

    >>> import jax, jax.numpy as jnp
    >>> variables = BNLeNet().init(jax.random.key(0), jnp.zeros((1, 28, 28, 1)))
    >>> sum(x.size for x in jax.tree.leaves(variables["params"]))
    44878
    """

    pool: str = "avg"
    num_classes: int = 10
    conv: str = "lax"

    @nn.compact
    def __call__(self, images: Num[Array, "B H W C"], train: bool = False) -> Float[Array, "B K"]:
        """Return the logits of images; in training normalised by the statistics of the batch."""
        x = jnp.asarray(images)
        # Of part of a block the statistics would count zeros that fill it.
        whole = not any(side % 4 for side in x.shape[1:3])
        on = self._on_blocks if self.conv == "matmul" and whole else self._on_images
        return on(x, train)

    def _on_images(self, x: Array, train: bool) -> Array:
        for i, channels in enumerate(CHANNELS, start=1):
            x = nn.Conv(
                channels,
                (5, 5),
                padding="VALID",
                kernel_init=KERNEL_INITIALIZERS["xavier_uniform"],
                conv_general_dilated=ops.conv_general_dilated,
                name=f"conv{i}",
            )(x)
            x = nn.sigmoid(_normalisation(f"conv{i}", train)(x))
            x = POOLS[self.pool](x, WINDOW)
        x = x.reshape(len(x), -1)
        for i, units in enumerate(HIDDEN, start=1):
            x = Dense(units, name=f"dense{i}")(x)
            x = nn.sigmoid(_normalisation(f"dense{i}", train)(x))
        return Dense(self.num_classes, name="dense3")(x)

    def _on_blocks(self, x: Array, train: bool) -> Array:
        x = blocks.split(x, 4)
        for i, channels in enumerate(CHANNELS, start=1):
            x = Conv2D(channels, 5, form="matmul", name=f"conv{i}")(x)
            x = _normalisation(f"conv{i}", train, axis=2)(x)
            x = blocks.activate_and_pool(x, nn.sigmoid, WINDOW, self.pool)
        grid = (x.shape[3], x.shape[4])
        x = x[0, 0].reshape(-1, x.shape[-1])
        for i, units in enumerate(HIDDEN, start=1):
            x = Dense(units, form="matmul", grid=grid, name=f"dense{i}")(x)
            x = nn.sigmoid(_normalisation(f"dense{i}", train, axis=0)(x))
            grid = (1, 1)
        return Dense(self.num_classes, form="matmul", name="dense3")(x).T


def _normalisation(layer: str, train: bool, axis: int = -1) -> nn.BatchNorm:
    """Return the normalisation of what `layer` computes, whose channels are along `axis`."""
    return nn.BatchNorm(not train, axis, momentum=MOMENTUM, epsilon=1e-5, name=f"bn_{layer}")
