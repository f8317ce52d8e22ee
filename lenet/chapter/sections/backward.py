"""The backward passes of convolution and max pooling, by hand."""

import jax
import jax.numpy as jnp
from jax import Array

from lenet import ops, reference
from lenet.chapter.exercises.convolution import correlate, kernel_matrix
from lenet.chapter.exercises.draws import integers
from lenet.chapter.page import Page
from lenet.figures import style


def backward(page: Page) -> None:
    """The backward pass of a convolution is two more convolutions; that of max pooling gives each
    gradient to the largest pixel.
    """
    x, k = jnp.arange(9.0).reshape(3, 3), jnp.arange(4.0).reshape(2, 2)
    y, g = reference.corr2d(x, k), jnp.arange(1.0, 5).reshape(2, 2)
    page.say("The loss has the gradient G for the output Y = corr2d(X, K):")
    page.show("G", g)
    dx, dk = reference.corr2d_backward(x, k, g)
    page.say("A weight meets one pixel for each output, so its gradient is corr2d(X, G):")
    page.show("dK", dk)
    page.check(
        "the first is 0·1 + 1·2 + 3·3 + 4·4 = 27, and the others 37, 57, 67",
        dk.ravel().tolist() == [27, 37, 57, 67],
    )
    page.say("A pixel meets each weight in another output: pad G and convolve it strictly with K.")
    page.show("dX", dx)
    page.check(
        "the middle pixel gets 0·4 + 1·3 + 2·2 + 3·1 = 10, and corner pixels 0, 2, 6, 12",
        dx.tolist() == [[0, 1, 2], [2, 10, 10], [6, 17, 12]],
    )
    page.check(
        "Y is linear in X and in K, so ΣY·G = ΣX·dX = ΣK·dK = {sum:.0f}",
        (y * g).sum() == (x * dx).sum() == (k * dk).sum() == 352,
        sum=(y * g).sum(),
    )
    rows = ops.patches(x[None, :, :, None], 2).reshape(4, 4)
    page.check(
        "as matrix products: dK = patchesᵀ · G, and dX = Toeplitzᵀ · G",
        (rows.T @ g.ravel() == dk.ravel()).all()
        and (kernel_matrix(k, (3, 3)).T @ g.ravel() == dx.ravel()).all(),
    )
    draws = (integers(0, (200, 4, 4)), integers(1, (200, 2, 3)), integers(2, (200, 3, 2)))
    by_hand = jax.jit(jax.vmap(reference.corr2d_backward))(*draws)
    page.check(
        "for {n} random draws, this equals the automatic gradient of conv2d, exactly",
        all((a == b).all() for a, b in zip(by_hand, jax.vmap(_automatic)(*draws), strict=True)),
        n=len(draws[0]),
    )

    page.say("Max pooling with 2×2 windows at stride 1:")
    image = jnp.array([[1.0, 3, 2], [0, 1, 5], [4, 2, 1]])
    page.show("X", image)
    page.show("pool2d(X, (2, 2))", reference.pool2d(image, (2, 2)))
    given = reference.max_pool2d_backward(image, (2, 2), g)
    page.show("dX", given)
    page.check(
        "3 gets 1, 4 gets 3, and 5, the maximum of two windows, gets 2 + 4 = 6",
        given.tolist() == [[0, 1, 0], [0, 0, 6], [3, 0, 0]],
    )
    page.check("nothing is lost: both sums are 10", given.sum() == g.sum() == 10)
    tied = reference.max_pool2d_backward(jnp.zeros((2, 2)), (2, 2), jnp.ones((1, 1)))
    page.check("among equal pixels, the first gets all", tied.ravel().tolist() == [1, 0, 0, 0])
    images, over = integers(3, (200, 3, 4), least=-2, most=2), integers(4, (200, 2, 3))
    pooled = jax.jit(jax.vmap(lambda x, g: reference.max_pool2d_backward(x, (2, 2), g)))
    page.check(
        "for {n} random draws, many with ties, this equals the automatic gradient of max_pool",
        (pooled(images, over) == _automatic_pool(images, over)).all(),
        n=len(images),
    )
    with page.figure("backward", "Forward (above) and backward (below)", (9, 4.6)) as figure:
        upper, lower = figure.subplots(2, 5)
        forward = (("X", x), ("K", k), ("Y", y), ("X", image))
        for axes, (name, values) in zip(upper, forward, strict=False):
            style.matrix(axes, values, title=name)
        pooling = reference.pool2d(image, (2, 2))
        style.matrix(upper[4], pooling, title=page.t("maximum"))
        back = (("dX", dx), ("dK", dk), ("G", g), ("dX", given), ("G", g))
        for axes, (name, values) in zip(lower, back, strict=True):
            style.matrix(axes, values, title=name, signed=True)


def _automatic(x: Array, k: Array, g: Array) -> tuple[Array, Array]:
    """Return the gradients that JAX gives for an image and a kernel."""
    dx, dk = jax.vjp(correlate, x, k)[1](g)
    return dx, dk


@jax.jit
def _automatic_pool(x: Array, g: Array) -> Array:
    """Return the gradient that JAX gives for images [N, H, W]."""

    def pool(x: Array) -> Array:
        return ops.max_pool(x[..., None], 2, stride=1)[..., 0]

    (dx,) = jax.vjp(pool, x)[1](g)
    return dx
