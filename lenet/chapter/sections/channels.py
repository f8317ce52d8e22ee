"""Channels, of images and of layers (Chinese edition 6.1, English 7.1)."""

import jax.numpy as jnp
from jax import Array

from lenet import ops
from lenet.chapter.page import Page
from lenet.figures import style


def channels(page: Page) -> None:
    """Images have channels, and the output of a layer has channels of its own: the feature maps."""
    page.say(
        "With channels the kernel has four indices: "
        "H[i, j, d] = Σ V[a, b, c, d] · X[i + a, j + b, c], summed over a, b and the channels c."
    )
    x = picture()
    kernel = jnp.zeros((3, 3, 3, 3))
    kernel = kernel.at[:, :, :, 0].set(jnp.array([1.0, 0, -1])[None, None] / 9)  # red, not blue
    kernel = kernel.at[1, :, :, 1].set(jnp.array([1.0, 0, -1])[:, None] / 3)  # a vertical edge
    kernel = kernel.at[:, 1, :, 2].set(jnp.array([1.0, 0, -1])[:, None] / 3)  # a horizontal one
    maps = ops.conv2d(x, kernel, padding=1)
    page.show("X.shape, V.shape, H.shape", (x.shape, kernel.shape, maps.shape))
    page.check(
        "conv2d equals this sum",
        (abs(maps - _by_definition(x, kernel)) < 1e-6).all(),  # multiples of 1/9 up to 1
    )
    red, blue = maps[0, 3, 3, 0], maps[0, 3, 12, 0]
    page.check(
        "the first feature map is 1 in the red square and −1 in the blue square",
        jnp.allclose(jnp.array([red, blue]), jnp.array([1.0, -1.0]), rtol=1e-6),
    )
    page.check(
        "the second feature map is 0 inside a square and nonzero at its left side",
        maps[0, 3, 3, 1] == 0 and maps[0, 3, 1, 1] != 0,
    )
    with page.figure("channels", "Feature maps: colour and edges", (10, 2.9)) as figure:
        axes = figure.subplots(1, 4)
        axes[0].imshow(x[0])
        axes[0].set(xticks=[], yticks=[], title=page.t("input, 16×16×3"))
        titles = (page.t("red minus blue"), page.t("vertical edges"), page.t("horizontal edges"))
        for d, title in enumerate(titles):
            style.matrix(axes[d + 1], maps[0, :, :, d], title=title, signed=True)


def picture() -> Array:
    """Return a red, a blue and a white square on black, [1, 16, 16, 3]."""
    black = jnp.zeros((1, 16, 16, 3))
    red = black.at[:, 1:7, 1:7, 0].set(1)
    return red.at[:, 1:7, 10:15, 2].set(1).at[:, 10:15, 5:12, :].set(1)


def _by_definition(x: Array, kernel: Array) -> Array:
    """Return the sum over a, b and c, one window at a time."""
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = x.shape[1:3]
    windows = [
        jnp.einsum("bijc,cd->bijd", padded[:, a : a + height, b : b + width], kernel[a, b])
        for a in range(3)
        for b in range(3)
    ]
    return jnp.stack(windows).sum(0)
