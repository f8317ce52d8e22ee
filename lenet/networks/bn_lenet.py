"""LeNet with batch normalisation, as the book's section on batch normalisation has it."""

from flax import linen as nn
from jax import Array
from jax.nn import initializers
from jaxtyping import Float, Num

from lenet import ops

POOLS = {"avg": ops.avg_pool, "max": ops.max_pool}
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

    >>> import jax, jax.numpy as jnp
    >>> variables = BNLeNet().init(jax.random.key(0), jnp.zeros((1, 28, 28, 1)))
    >>> sum(x.size for x in jax.tree.leaves(variables["params"]))
    44878
    """

    pool: str = "avg"
    num_classes: int = 10

    @nn.compact
    def __call__(self, images: Num[Array, "B H W C"], train: bool = False) -> Float[Array, "B K"]:
        """Return the logits of images; in training normalised by the statistics of the batch."""

        def normalised(x: Array, name: str) -> Array:
            return nn.sigmoid(
                nn.BatchNorm(not train, momentum=MOMENTUM, epsilon=1e-5, name=f"bn_{name}")(x)
            )

        x, xavier = images, initializers.glorot_uniform()
        for i, channels in enumerate((6, 16), start=1):
            x = nn.Conv(
                channels,
                (5, 5),
                padding="VALID",
                kernel_init=xavier,
                conv_general_dilated=ops.conv_general_dilated,
                name=f"conv{i}",
            )(x)
            x = POOLS[self.pool](normalised(x, f"conv{i}"), 2)
        x = x.reshape(len(x), -1)
        for i, units in enumerate((120, 84), start=1):
            x = normalised(nn.Dense(units, kernel_init=xavier, name=f"dense{i}")(x), f"dense{i}")
        return nn.Dense(self.num_classes, kernel_init=xavier, name="dense3")(x)
