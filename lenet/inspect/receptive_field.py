"""Receptive fields: which pixels a unit depends on, by arithmetic, by gradients and by trial."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float

from lenet.ops import conv_transpose2d, output_shape


class Window(NamedTuple):
    """What a convolution or a pooling does along one axis."""

    size: int
    stride: int = 1
    padding: int = 0  # before the first pixel
    dilation: int = 1  # pixels between neighbouring weights


class ReceptiveField(NamedTuple):
    """What the units of a layer see of the input, along one axis: from the first pixel to the last.

    A stride larger than the window, or dilations without small ones before them, leave pixels
    between them unseen.
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

    A window k at stride s over units that are j pixels apart widens the field by (k − 1)·j, or
    (k − 1)·δ·j with dilation δ, and puts its own units s·j apart.

    >>> conv, pool = Window(5, padding=2), Window(2, stride=2)  # LeNet
    >>> receptive_field([conv, pool, Window(5), pool])
    ReceptiveField(size=16, stride=4, start=-2)
    """
    size, apart, start = 1, 1, 0
    for window in windows:
        size += (window.size - 1) * window.dilation * apart
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


LARGE = 1e4
"""Beside images of 0 to 1, for `measured`."""


def measured(
    function: Callable[[Float[Array, "B H W C"]], Mapping[str, Any]], image_shape: tuple[int, ...]
) -> dict[str, tuple[tuple[int, int], int | None]]:
    """Return the receptive fields of what `function` returns of images of (H, W, C), by name.

    A row of an image, then a column, is replaced by what is no number, and by a large number, as a
    comparison stops the former and a sigmoid the latter: what changes depends on it. A field is
    (down, across), the largest that units have within the image; beside it are the pixels between
    neighbouring units, None where there is no map or their distance varies. Outputs are maps
    [B, H', W', C'] or features [B, F]; what is no number to begin with is left out. A weight of 0
    reads a pixel, too.

    >>> def function(images):
    ...     pairs = images[:, :-1] + images[:, 1:]
    ...     maps = {"pairs": pairs, "every other": pairs[:, ::2, ::2]}
    ...     return maps | {"flat": pairs.reshape(len(pairs), -1), "mean": pairs.mean((1, 2))}
    >>> found = measured(function, (8, 8, 1))
    >>> found["pairs"], found["every other"], found["flat"], found["mean"]
    (((2, 1), 1), ((2, 1), 2), ((2, 1), None), ((8, 8), None))
    """
    height, width = image_shape[:2]
    image = np.random.default_rng(0).random(image_shape, np.float32)
    images = np.tile(image, (1 + 2 * (height + width), 1, 1, 1))
    for begin, value in ((1, np.nan), (1 + height + width, LARGE)):
        images[begin + np.arange(height), np.arange(height)] = value
        images[begin + height + np.arange(width), :, np.arange(width)] = value
    with jax.debug_nans(False):
        outputs = {name: np.asarray(x) for name, x in function(jnp.asarray(images)).items()}
    found = {}
    for name, (clean, *changed) in outputs.items():
        if clean.ndim in (1, 3) and np.isfinite(clean).all():
            # To rounding, which may depend on the place in a batch.
            near = (1e-4 if clean.dtype.itemsize >= 4 else 0.02) * np.abs(clean).max()
            touched = ~(np.abs(np.stack(changed) - clean) <= near)
            touched = touched[: height + width] | touched[height + width :]
            rows, columns = touched[:height], touched[height:]
            if clean.ndim == 3:
                rows, columns = rows.any((2, 3)), columns.any((1, 3))
            (down, apart), (across, also) = _extent(rows), _extent(columns)
            is_map = clean.ndim == 3 and apart == also
            found[name] = (down, across), apart if is_map else None
    return found


def _extent(touched: Bool[np.ndarray, "pixels units"]) -> tuple[int, int | None]:
    """The most pixels from the first to the last of a unit, and how far apart neighbours are."""
    seen = touched[:, touched.any(0)]
    if not seen.size:
        return 0, None
    first, last = seen.argmax(0), len(seen) - 1 - seen[::-1].argmax(0)
    # Where the edge of the image does not cut them.
    starts = np.diff(first)[(first[:-1] > 0)]
    ends = np.diff(last)[(last[1:] < len(seen) - 1)]
    apart = {*starts.tolist(), *ends.tolist()}
    return int((last - first).max()) + 1, apart.pop() if len(apart) == 1 else None


def paths(windows: Iterable[Window]) -> np.ndarray:
    """Return the number of paths from each pixel of a receptive field to its unit, int [size].

    Along one axis. With equal weights everywhere, the gradient of a unit is proportional to them;
    with independent random weights of mean 0, the expected square of its gradient is. This is the
    effective receptive field of Luo et al., *Understanding the Effective Receptive Field in Deep
    Convolutional Neural Networks*, 2016.

    >>> paths([Window(3), Window(3)]).tolist()
    [1, 2, 3, 2, 1]
    """
    count, apart = np.ones(1, int), 1
    for window in windows:
        between = window.dilation * apart
        weights = np.zeros((window.size - 1) * between + 1, int)
        weights[::between] = 1
        count, apart = np.convolve(count, weights), apart * window.stride
    return count


def effective_size(count: np.ndarray, share: float = 0.95) -> int:
    """Return the width of the smallest window, in the middle, that has `share` of `paths` [size].

    >>> effective_size(paths([Window(3)] * 3), 0.9)  # 25 of 27 paths
    5
    """
    total, half = count.sum(), len(count) // 2
    cuts = range(half, -1, -1)
    cut = next(c for c in cuts if count[c : len(count) - c].sum() >= share * total)
    return len(count) - 2 * cut


def uses(size: tuple[int, int], window: int, *, padding: int = 0) -> Float[Array, "H W"]:
    """Return how many windows of side `window`, at stride 1, see each pixel of an image, [H, W].

    >>> uses((3, 3), 3, padding=1).astype(int).tolist()
    [[4, 6, 4], [6, 9, 6], [4, 6, 4]]
    """
    windows = jnp.ones((1, *output_shape(size, window, padding=padding), 1))
    kernel = jnp.ones((window, window, 1, 1))
    return conv_transpose2d(windows, kernel, padding=padding)[0, :, :, 0]
