"""LeNet with batch normalisation, as the book's section on batch normalisation has it."""

import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jax.nn import initializers
from jaxtyping import Float, Num

from lenet import ops
from lenet.networks.layers import WINDOW, Conv2D, Dense
from lenet.ops import blocks

POOLS = {"avg": ops.avg_pool, "max": ops.max_pool}
XAVIER = initializers.glorot_uniform()
MOMENTUM = 0.9
"""Of the running statistics, which are MOMENTUM · old + (1 − MOMENTUM) · new after each step."""


class BNLeNet(nn.Module):
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

        x, grid = jnp.asarray(images), (1, 1)
        # Of part of a block the statistics would count zeros that fill it.
        blocked = self.conv == "matmul" and not any(side % 4 for side in x.shape[1:3])
        form = "matmul" if blocked else "lax"

        def normalised(x: Array, name: str, axis: int) -> Array:
            return nn.BatchNorm(
                not train, axis, momentum=MOMENTUM, epsilon=1e-5, name=f"bn_{name}"
            )(x)

        if blocked:
            x = blocks.split(x, 4)
        for i, channels in enumerate((6, 16), start=1):
            x = _convolution(channels, blocked, f"conv{i}")(x)
            x = normalised(x, f"conv{i}", 2 if blocked else -1)
            if blocked:
                x = blocks.activate_and_pool(x, nn.sigmoid, WINDOW, self.pool)
            else:
                x = POOLS[self.pool](nn.sigmoid(x), WINDOW)
        if blocked:
            grid = (x.shape[3], x.shape[4])
            x = x[0, 0].reshape(-1, x.shape[-1])
        else:
            x = x.reshape(len(x), -1)
        for i, units in enumerate((120, 84), start=1):
            x = Dense(units, XAVIER, form=form, grid=grid, name=f"dense{i}")(x)
            x = nn.sigmoid(normalised(x, f"dense{i}", 0 if blocked else -1))
            grid = (1, 1)
        x = Dense(self.num_classes, XAVIER, form=form, name="dense3")(x)
        return x.T if blocked else x


def _convolution(channels: int, blocked: bool, name: str) -> nn.Module:
    if blocked:
        return Conv2D(channels, 5, kernel_init=XAVIER, form="matmul", name=name)
    return nn.Conv(
        channels,
        (5, 5),
        padding="VALID",
        kernel_init=XAVIER,
        conv_general_dilated=ops.conv_general_dilated,
        name=name,
    )
