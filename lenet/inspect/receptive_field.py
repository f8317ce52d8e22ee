"""Receptive fields: which pixels of the input a unit depends on, by arithmetic and by gradients."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float

from lenet.ops import conv_transpose2d, output_shape


class Window(NamedTuple):
    """What a convolution or a pooling does along one axis."""

    size: int
    stride: int = 1
    padding: int = 0  # before the first pixel


class ReceptiveField(NamedTuple):
    """What the units of a layer see of the input, along one axis: from the first pixel to the last.

    A stride larger than the window leaves pixels between them unseen.
    """

    size: int  # pixels that a unit sees
    stride: int  # pixels between neighbouring units
    start: int  # the first pixel that unit 0 sees; below 0 in the padding

    def pixels(self, unit: int) -> range:
        """Return the pixels that `unit` sees, those in the padding included."""
        first = self.start + unit * self.stride
        return range(first, first + self.size)


def receptive_field(windows: Iterable[Window]) -> ReceptiveField:
    """Return what a unit sees after `windows`, from the input upwards.

    A window k at stride s over units that are j pixels apart widens the field by (k − 1)·j and puts
    its own units s·j apart.

    >>> conv, pool = Window(5, padding=2), Window(2, stride=2)  # LeNet
    >>> receptive_field([conv, pool, Window(5), pool])
    ReceptiveField(size=16, stride=4, start=-2)
    """
    size, apart, start = 1, 1, 0
    for window in windows:
        size += (window.size - 1) * apart
        start -= window.padding * apart
        apart *= window.stride
    return ReceptiveField(size, apart, start)


def influence(
    function: Callable[[Array], Array], image: Float[Array, "*shape"], unit: tuple[Any, ...]
) -> Bool[Array, "*shape"]:
    """Return which numbers of `image` the number `unit` of function(image) depends on.

    Those with a gradient other than 0: measured, so a unit that sees a pixel but gives it a weight
    of 0, or whose maximum lies elsewhere, does not count. `unit` is an index into the output.

    >>> influence(lambda x: x[1:] * x[:-1], jnp.ones(4), (1,)).tolist()
    [False, True, True, False]
    """
    return jnp.asarray(jax.grad(lambda x: function(x)[unit])(image) != 0)


def uses(size: tuple[int, int], window: int, *, padding: int = 0) -> Float[Array, "H W"]:
    """Return how many windows of side `window`, at stride 1, see each pixel of an image, [H, W].

    >>> uses((3, 3), 3, padding=1).astype(int).tolist()
    [[4, 6, 4], [6, 9, 6], [4, 6, 4]]
    """
    windows = jnp.ones((1, *output_shape(size, window, padding=padding), 1))
    kernel = jnp.ones((window, window, 1, 1))
    return conv_transpose2d(windows, kernel, padding=padding)[0, :, :, 0]
