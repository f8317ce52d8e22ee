"""LeNet-5 of LeCun, Bottou, Bengio and Haffner, *Gradient-Based Learning*, 1998, section II.B.

    C1  6 feature maps, 5×5        S2  their subsampling    C3  16 feature maps, 5×5, of some of S2
    S4  their subsampling          C5  120 units            F6  84 units
    RBF the distance of F6 from a bitmap of 7×12 pixels for each class

Assumed, because the paper leaves it open or prints only a picture: the bitmaps are drawn here in
the manner of its figure 3; every class is a digit; and the criterion is that of equation 9 without
its rubbish class, which is the cross-entropy of the negated distances.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array
from jaxtyping import Float, Num

from lenet import ops
from lenet.networks.layers import BIAS_INITIALIZERS, WINDOW, Conv2D, Dense, OfForms
from lenet.ops import blocks

SIDE = 32
"""Height and width of the input; smaller images are padded with background."""

BACKGROUND, FOREGROUND = -0.1, 1.175
"""What pixels of 0 and 1 become, so that the mean is about 0 and the variance about 1."""

OF_C3 = (
    *(tuple(sorted((i + j) % 6 for j in range(3))) for i in range(6)),
    *(tuple(sorted((i + j) % 6 for j in range(4))) for i in range(6)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5), (0, 1, 2, 3, 4, 5)),
)
"""The feature maps of S2 that each of C3 sees (table I): 60 pairs in all."""

DIGITS = """
.......  .......  .......  .......  .......  .......  .......  .......  .......  .......
..###..  ...#...  .#####.  .#####.  ....##.  #######  ..####.  #######  .#####.  .#####.
.##.##.  ..##...  ##...##  ##...##  ...###.  ##.....  .##....  ##...##  ##...##  ##...##
##...##  .###...  ##...##  .....##  ..#.##.  ##.....  ##.....  .....##  ##...##  ##...##
##...##  ...#...  .....##  .....##  .##.##.  ##.....  ##.....  ....##.  ##...##  ##...##
##...##  ...#...  ....##.  ..####.  ##..##.  ######.  ######.  ....##.  .#####.  ##...##
##...##  ...#...  ...##..  .....##  #######  .....##  ##...##  ...##..  ##...##  .######
##...##  ...#...  ..##...  .....##  ....##.  .....##  ##...##  ...##..  ##...##  .....##
##...##  ...#...  .##....  .....##  ....##.  .....##  ##...##  ..##...  ##...##  .....##
.##.##.  ...#...  ##.....  ##...##  ....##.  ##...##  ##...##  ..##...  ##...##  ....##.
..###..  .#####.  #######  .#####.  ....##.  .#####.  .#####.  ..##...  .#####.  .####..
.......  .......  .......  .......  .......  .......  .......  .......  .......  .......
"""


def bitmaps() -> np.ndarray:
    """Return the centres of the radial basis functions: ±1, float32 [10, 84]."""
    rows = [line.split() for line in DIGITS.strip().splitlines()]
    digits = ["".join(parts) for parts in zip(*rows, strict=True)]
    return np.array([[1 if pixel == "#" else -1 for pixel in digit] for digit in digits], "float32")


def squash(a: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return 1.7159 · tanh(2/3 · a), which maps ±1 to ±1 (appendix A)."""
    return 1.7159 * jnp.tanh(2 / 3 * a)


def uniform(bound: float) -> nn.initializers.Initializer:
    """Return the initialiser that draws from U(±bound)."""

    def init(key: Array, shape: Sequence[int], dtype: jax.typing.DTypeLike = jnp.float32) -> Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


def papers(fan_in: int) -> nn.initializers.Initializer:
    """Return the initialiser of a unit with `fan_in` inputs: U(±2.4 / fan_in) (appendix A)."""
    return uniform(2.4 / fan_in)


class Partial(nn.Module):
    """C3: feature maps of 5×5 windows, each of some of the maps below; before the squashing.

    kernel [5, 5, P], for each pair of a map below and one here; bias [Co].

    Attributes:
      form: "lax" maps images to images, "matmul" blocks to blocks (`lenet.ops.blocks`).
    """

    form: str = "lax"

    @nn.compact
    def __call__(self, x: Num[Array, "..."]) -> Float[Array, "..."]:
        """Return the weighted sums of the windows, 16 maps of 6."""
        pairs = [(below, i) for i, maps in enumerate(OF_C3) for below in maps]
        of_map = jnp.array([2.4 / (25 * len(maps)) for maps in OF_C3])
        of_pair = of_map[np.array(pairs)[:, 1]]

        def init(key: Array, shape: Sequence[int], bounds: Array) -> Array:
            return jax.random.uniform(key, shape, jnp.float32, -1, 1) * bounds

        kernel = self.param("kernel", init, (5, 5, len(pairs)), of_pair[None, None])
        bias = self.param("bias", init, of_map.shape, of_map)
        # The whole kernel, zero where maps are not connected, by a product: quick in a loop.
        places = np.zeros((len(pairs), 1 + max(map(max, OF_C3)), len(OF_C3)), np.float32)
        for pair, (below, i) in enumerate(pairs):
            places[pair, below, i] = 1
        whole = jnp.tensordot(kernel, places, 1)
        if self.form == "matmul":
            return blocks.conv2d(x, whole, bias)
        return ops.conv2d(x, whole) + bias[None, None, None]


class Subsampling(nn.Module):
    """The sum of 2×2 windows times a coefficient, plus a bias, for each map; before the squashing.

    coefficient [C], bias [C].

    Attributes:
      axis: of the C maps.
    """

    axis: int = -1

    @nn.compact
    def __call__(self, means: Num[Array, "..."]) -> Float[Array, "..."]:
        """Map the means of the windows to maps of the same size."""
        shape = [1] * means.ndim
        shape[self.axis] = means.shape[self.axis]
        coefficient, bias = (
            self.param(name, papers(4), (shape[self.axis],)).reshape(shape)
            for name in ("coefficient", "bias")
        )
        return coefficient * (4 * means) + bias


SQUASHINGS: dict[str, Callable[[Array], Array]] = {
    "scaled_tanh": squash,
    "tanh": jnp.tanh,
    "sigmoid": nn.sigmoid,
}


class LeNet5(OfForms, nn.Module):
    """The network of 1998, 60,000 trainable parameters and 340,908 connections, or one after it.

    Each attribute but the first is a change that leads to the book's LeNet; with all of them it is
    that network.

    Attributes:
      num_classes: K; with radial basis functions it has to be 10: a bitmap is a digit.
      output: "rbf", or "dense" for a dense layer of K units.
      connections: "partial", or "full": each map of C3 sees all of S2.
      pool: "subsampling", or "avg" for the average, which nothing squashes.
      squashing: a key of `SQUASHINGS`.
      pixels: "scaled" to a mean of about 0, or "plain", from 0 to 1.
      weights: "1998", or "book" for Xavier's weights and PyTorch's biases. Partial connections and
        subsampling, which the book does not have, keep theirs.
      conv: "matmul" for products of blocks (`lenet.ops.blocks`), or "lax"; both have the same
        parameters and, to rounding, the same result.

    >>> variables = LeNet5().init(jax.random.key(0), jnp.zeros((1, 28, 28, 1)))
    >>> sum(x.size for x in jax.tree.leaves(variables["params"]))
    60000
    """

    num_classes: int = 10
    output: str = "rbf"
    connections: str = "partial"
    pool: str = "subsampling"
    squashing: str = "scaled_tanh"
    pixels: str = "scaled"
    weights: str = "1998"
    conv: str = "lax"

    def setup(self) -> None:
        """Make the layers, which return weighted sums."""
        self.c1 = self._convolution(6, 25, 25 * 6)
        partial = self.connections == "partial"
        self.c3 = Partial(self.conv) if partial else self._convolution(16, 150, 25 * 16)
        if self.pool == "subsampling":
            axis = 2 if self.conv == "matmul" else -1
            self.s2, self.s4 = Subsampling(axis), Subsampling(axis)
        self.c5 = self._convolution(120, 400, 120)  # dense: it sees all of S4
        self.f6 = self._dense(84, 120)
        if self.output == "dense":
            self.last = self._dense(self.num_classes, 84)

    def __call__(self, images: Num[Array, "B H W 1"]) -> Float[Array, "B K"]:
        """Return logits: with radial basis functions, negated squared distances from the bitmaps.

        Raises:
          ValueError: for images that are larger than 32×32 or have colours, or other classes.
        """
        squashed = SQUASHINGS[self.squashing]
        x = padded(images, self.num_classes if self.output == "rbf" else len(bitmaps()))
        x = scaled(x) if self.pixels == "scaled" else x
        x = x if self.conv == "lax" else blocks.split(x, 4)
        x = self._pooled(self.c1(x), "s2")
        x = self._pooled(self.c3(x), "s4")
        x = squashed(self.c5(x))
        x = x.reshape(len(images), -1) if self.conv == "lax" else x.reshape(-1, len(images))
        x = squashed(self.f6(x))
        x = self.last(x) if self.output == "dense" else x
        x = x if self.conv == "lax" else x.T
        return x if self.output == "dense" else -distances(x)

    def _pooled(self, x: Array, layer: str) -> Array:
        squashed = SQUASHINGS[self.squashing]
        if self.conv == "lax":
            x = ops.avg_pool(squashed(x), WINDOW)
        else:
            x = blocks.activate_and_pool(x, squashed, WINDOW, "avg")
        return x if self.pool == "avg" else squashed(getattr(self, layer)(x))

    def _dense(self, features: int, fan_in: int) -> Dense:
        return Dense(features, form=self.conv, **self._inits(fan_in, features))

    def _convolution(self, features: int, fan_in: int, fan_out: int) -> Conv2D:
        return Conv2D(features, 5, form=self.conv, **self._inits(fan_in, fan_out))

    def _inits(self, fan_in: int, fan_out: int) -> dict[str, Any]:
        if self.weights == "1998":
            return {"kernel_init": papers(fan_in), "bias_init": papers}
        xavier = uniform(math.sqrt(6 / (fan_in + fan_out)))
        return {"kernel_init": xavier, "bias_init": BIAS_INITIALIZERS["pytorch"]}


def distances(x: Float[Array, "B 84"]) -> Float[Array, "B 10"]:
    """Return Σ_j (x_j − w_j)² for the bitmap w of each class."""
    return ((x[:, None] - bitmaps()[None]) ** 2).sum(-1)


def padded(images: Num[Array, "B H W 1"], num_classes: int = 10) -> Float[Array, "B 32 32 1"]:
    """Surround images with background, which is 0; raise a ValueError as LeNet5."""
    height, width, channels = images.shape[1:]
    if max(height, width) > SIDE or channels != 1 or num_classes != len(bitmaps()):
        raise ValueError(
            f"LeNet-5 of 1998 maps grey images of at most {SIDE}×{SIDE} to 10 classes, not "
            f"{height}×{width}×{channels} to {num_classes}"
        )
    sides = [((SIDE - n) // 2, SIDE - n - (SIDE - n) // 2) for n in (height, width)]
    return jnp.pad(images, ((0, 0), *sides, (0, 0)))


def scaled(x: Num[Array, "..."]) -> Float[Array, "..."]:
    """Return pixels of 0 to 1 as the paper has them: a mean of about 0 and a variance of 1."""
    return BACKGROUND + (FOREGROUND - BACKGROUND) * x
