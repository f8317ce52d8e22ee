"""Convolution as a matrix product (the exercises of 6.2, 6.4, 7.2 and 7.4 ask for it)."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from lenet import ops, reference
from lenet.chapter.exercises.convolution import kernel_matrix
from lenet.chapter.exercises.draws import integers
from lenet.chapter.page import Page
from lenet.figures import style
from lenet.ops import blocks


def matrix_product(page: Page) -> None:
    """A convolution is one matrix product: pixels in rows (im2col), the kernel in a Toeplitz
    matrix, or blocks in between.
    """
    x, k = jnp.arange(9.0).reshape(3, 3), jnp.arange(4.0).reshape(2, 2)
    page.say(
        "The pixels under each window become a row, the kernel a column. This is im2col "
        "(Chellapilla, Puri and Simard, 2006)."
    )
    rows = ops.patches(x[None, :, :, None], 2).reshape(4, 4)
    page.show("patches(X, 2)", rows)
    page.show("patches(X, 2) @ K.ravel()", rows @ k.ravel())
    page.check(
        "the second row gives 1·0 + 2·1 + 4·2 + 5·3 = 25; all four equal corr2d(X, K)",
        (rows @ k.ravel()).tolist() == [19, 25, 37, 43],
    )
    page.say("With channels, a row holds the pixels of all input channels; outputs are columns.")
    two, kernels = jnp.stack([x, x + 1], -1)[None], jnp.stack([k, k + 1], -1)[..., None]
    kernels = jnp.concatenate([kernels, kernels + 1, kernels + 2], -1)
    wide, columns = ops.patches(two, 2).reshape(4, 8), kernels.reshape(8, 3)
    page.show("patches(X, 2) @ K.reshape(8, 3)", wide @ columns)
    loops = reference.corr2d_multi_in_out(two[0].transpose(2, 0, 1), kernels.transpose(3, 2, 0, 1))
    page.check(
        "4×8 times 8×3 gives the twelve outputs of the section on multiple channels",
        (wide @ columns == loops.reshape(3, 4).T).all(),
    )
    page.say("The other way round, the kernel becomes a matrix, its weights along diagonals:")
    toeplitz = kernel_matrix(k, (3, 3))
    page.show("kernel_matrix(K, (3, 3))", toeplitz.astype(int))
    page.check(
        "this Toeplitz matrix times the nine pixels is again 19, 25, 37, 43",
        (toeplitz @ x.ravel() == rows @ k.ravel()).all(),
    )
    places = int(kernel_matrix(jnp.ones((2, 2)), (3, 3)).sum())
    page.check(
        "im2col copies pixels: 16 numbers instead of 9. The Toeplitz matrix has {zeros} zeros in "
        "36 places",
        rows.size == places == 36 - 20,
        zeros=36 - places,
    )
    page.say(
        "The training loop of this project is in between (docs/en/speed.md): one product for each "
        "block of t×t outputs, a Toeplitz matrix of that size."
    )
    kernel, bias, images = integers(0, (5, 5, 2, 3)), jnp.zeros(3), integers(1, (4, 12, 12, 2))
    page.check(
        "for t = 1, the matrix is the column of im2col",
        (_toeplitz(kernel, bias, 1)[:-1] == kernel.reshape(-1, 3)).all(),
    )
    convolved = ops.conv2d(images, kernel)
    page.check(
        "for t = 1, 2 and 4, the product equals conv2d exactly, for images of integers",
        all((_by_blocks(images, kernel, bias, t) == convolved).all() for t in (1, 2, 4)),
    )
    with page.figure(
        "matrix_product", "A 3×3 kernel as a matrix: a column for each output", (8, 4.2)
    ) as figure:
        ones = jnp.arange(1.0, 10).reshape(3, 3, 1, 1)
        for axes, t in zip(figure.subplots(1, 3), (1, 2, 4), strict=True):
            matrix = _toeplitz(ones, jnp.zeros(1), t)[:-1]
            title = page.t("{t}×{t} outputs: {rows}×{columns}", t=t, **_shape(matrix.shape))
            style.matrix(axes, matrix, title=title, numbers=False, limits=(0, 9))
            axes.set(xlabel=page.t("outputs"), ylabel=page.t("pixels"), aspect="auto")


@partial(jax.jit, static_argnums=3)
def _by_blocks(images: Array, kernel: Array, bias: Array, t: int) -> Array:
    """Convolve images [B, H, W, Ci] in blocks of t×t outputs."""
    size = images.shape[1] - kernel.shape[0] + 1, images.shape[2] - kernel.shape[1] + 1
    return blocks.merge(blocks.conv2d(blocks.split(images, t), kernel, bias), size)


_toeplitz = jax.jit(blocks.toeplitz, static_argnums=2)


def _shape(shape: tuple[int, ...]) -> dict[str, int]:
    return dict(zip(("rows", "columns"), shape, strict=True))
