"""Refuse to train with a version of JAX that computes wrong results.

jax 0.10.2 took the wrong rows of a product that is reduced at once (github.com/jax-ml/jax, issue
39103), and threads have raced in a sum over a broadcast array (tensorflow, issue 126812, which is
XLA's). Whole numbers that float32 holds exactly leave no doubt.

The convolution that a compiler of this machine made (`ops.native`) is held to sums in float64, and
to the bound that rounding has: whatever order n products are added in, a sum is within
n·u / (1 − n·u) times the sum of their magnitudes, with u = 2⁻²⁴.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lenet.errors import UsageError
from lenet.ops import blocks, native

ROWS = 32_769
"""One more than the product is right for in jax 0.10.2."""


def check() -> None:
    """Compute a matrix product and two sums, and compare each with whole numbers.

    Raises:
      UsageError: naming what was wrong.
    """
    rows = np.arange(ROWS) % 1021
    left, right = np.arange(64 * 48).reshape(64, 48) % 17, np.arange(48 * 32).reshape(48, 32) % 13
    expected = (left @ right, rows**2, np.array(1 << 21))
    names = ("a matrix product", "a product that is reduced", "a sum")
    for name, found, exact in zip(names, _computed(left, right, rows), expected, strict=True):
        if not np.array_equal(found, exact):
            raise UsageError(
                f"jax {jax.__version__} computes {name} wrongly on this "
                f"{jax.default_backend()}: install another version (the project pins one that is "
                "right)"
            )


@jax.jit
def _computed(left: Array, right: Array, rows: Array) -> tuple[Array, Array, Array]:
    left, right, rows = (x.astype(jnp.float32) for x in (left, right, rows))
    points = jnp.stack([rows, jnp.zeros_like(rows), jnp.zeros_like(rows)], axis=1)
    with jax.default_matmul_precision("highest"):
        product = left @ right
        squares = jax.vmap(lambda point: jnp.sum((jnp.eye(3) @ point) ** 2))(points)
    ones = jnp.broadcast_to(jnp.minimum(left[:1, 1:2], 1), (2, 1024, 1024))
    return product, squares, ones.sum()


@functools.cache
def check_native() -> None:
    """Compare the direct convolution and its gradients with sums in float64.

    Raises:
      UsageError: naming what was wrong.
    """
    draw = np.random.default_rng(0)
    shapes = (19, 10, 9, 2), (3, 2, 2, 7), (7,), (19, 8, 8, 7)
    given = [draw.standard_normal(shape).astype(np.float32) for shape in shapes]
    exact, bounds = _convolution(*given), rounding(*given)
    names = ("a convolution", "the images' gradient", "the kernel's gradient", "the bias' gradient")
    for layer in (_in_blocks, _channels_last):
        for name, found, right, bound in zip(
            names, _computed_by(layer, *given), exact, bounds, strict=True
        ):
            if not (np.abs(np.asarray(found, np.float64) - right) <= bound).all():
                raise UsageError(
                    f"direct convolution: {name} is wrong with the kernel that the C++ compiler "
                    "made. Let CXX name another compiler, or use matrix products: conv=matmul; in "
                    "a network of your own lenet.ops.conv_general_dilated"
                )


def _in_blocks(images: Array, kernel: Array, bias: Array) -> Array:
    y = native.conv2d(blocks.split(images, 1), kernel, bias, 2)
    return blocks.merge(
        y, (images.shape[1] - len(kernel) + 1, images.shape[2] - kernel.shape[1] + 1)
    )


def _channels_last(images: Array, kernel: Array, bias: Array) -> Array:
    numbers = ("NHWC", "HWIO", "NHWC")
    y = native.conv_general_dilated(images, kernel, (1, 1), "VALID", dimension_numbers=numbers)
    return y + bias[None, None, None]


@functools.partial(jax.jit, static_argnums=0)
def _computed_by(layer: Callable[..., Array], *given: Array) -> tuple[Array, ...]:
    """Return what a layer makes of images, kernel and bias, and their gradients for dy."""
    y, gradients = jax.vjp(layer, *given[:-1])
    return y, *gradients(given[-1])


def rounding(
    images: np.ndarray, kernel: np.ndarray, bias: np.ndarray, dy: np.ndarray
) -> list[np.ndarray]:
    """Return how far a convolution and its gradients may be from sums without rounding.

    Of images [B, H, W, Ci], a kernel [kh, kw, Ci, Co], a bias [Co] and the gradient of the outputs
    [B, H − kh + 1, W − kw + 1, Co], at stride 1.
    """
    magnitudes = _convolution(*map(np.abs, (images, kernel, bias, dy)))
    ones = _convolution(*(np.ones_like(x) for x in (images, kernel, bias, dy)))  # n, for each sum
    u = 2.0**-24
    return [n * u / (1 - n * u) * sums for n, sums in zip(ones, magnitudes, strict=True)]


def _convolution(
    images: np.ndarray, kernel: np.ndarray, bias: np.ndarray, dy: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Return a convolution and the gradients of images, kernel and bias in float64."""
    images, kernel, bias, dy = (x.astype(np.float64) for x in (images, kernel, bias, dy))
    (_, height, width, _), (rows, columns, _, _) = dy.shape, kernel.shape
    y, dx, dk = np.zeros_like(dy) + bias, np.zeros_like(images), np.zeros_like(kernel)
    for u in range(rows):
        for v in range(columns):
            seen = np.s_[:, u : u + height, v : v + width]
            y += images[seen] @ kernel[u, v]
            dx[seen] += dy @ kernel[u, v].T
            dk[u, v] = np.tensordot(images[seen], dy, ([0, 1, 2], [0, 1, 2]))
    return y, dx, dk, dy.sum((0, 1, 2))
