"""Pictures of what a network makes of an image."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from matplotlib.figure import Figure

from lenet.engine.forward import Params
from lenet.figures import style
from lenet.inspect.activations import activations as given


def activations(
    model: nn.Module, params: Params, image: np.ndarray, class_names: Sequence[str]
) -> bytes:
    """Return a PNG of what every layer gives for an image, uint8 [H, W, C], and the probabilities.

    `class_names` are K.
    """
    layers = {
        name: np.asarray(x[0]) for name, x in given(model, params, jnp.asarray(image[None])).items()
    }
    *hidden, last = layers
    probabilities = np.asarray(jax.nn.softmax(layers[last]))
    rows = len(hidden) + 2
    with style.style():
        figure = Figure(figsize=(9, 1.15 * rows + 0.6), layout="constrained")
        heights = [*[1] * (rows - 1), 1.6]
        bands: Any = figure.subfigures(rows, 1, height_ratios=heights)
        picture = bands[0].subplots()
        style.matrix(picture, image[:, :, 0], title="input", numbers=False, limits=(0, 255))
        for band, name in zip(bands[1:], hidden, strict=False):
            values = layers[name]
            maps = np.moveaxis(values, 2, 0) if values.ndim == 3 else values.reshape(1, 1, -1)
            band.suptitle(f"{name}: {' × '.join(map(str, values.shape))}", fontsize=9)
            # A layer's maps share their black and white.
            limits = (float(values.min()), float(values.max()))
            for axes, channel in zip(
                band.subplots(1, len(maps), squeeze=False)[0], maps, strict=True
            ):
                style.matrix(axes, channel, numbers=False, limits=limits)
                axes.set_aspect("auto" if channel.shape[0] == 1 else "equal")
        bars = bands[-1].subplots()
        bars.bar(range(len(probabilities)), probabilities, color=style.BLUE)
        bars.set_xticks(range(len(class_names)), class_names, rotation=30, ha="right")
        bars.set(ylim=(0, 1), ylabel="probability")
        return style.png(figure)
