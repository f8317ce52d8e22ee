"""Claims of the book about cross-correlation and receptive fields."""

from functools import partial

import jax
import jax.numpy as jnp

from lenet import ops
from lenet.chapter import rounding
from lenet.chapter.claims.claim import Finding, truth
from lenet.chapter.page import Page
from lenet.inspect.receptive_field import Window, receptive_field


def a_learned_kernel_absorbs_the_flip(page: Page) -> Finding:
    """A learned layer gives the same output with cross-correlation and with strict convolution."""
    keys = jax.random.split(jax.random.key(2), 3)
    x = jax.random.normal(keys[0], (8, 9, 9, 1))
    target = ops.conv2d(x, jax.random.normal(keys[1], (3, 3, 1, 1)))
    start = jax.random.normal(keys[2], (100, 3, 3, 1, 1))

    def path(operation, kernel):  # type: ignore[no-untyped-def]
        def step(kernel, _):  # type: ignore[no-untyped-def]
            gradient = jax.grad(lambda k: ((operation(x, k) - target) ** 2).mean())(kernel)
            return kernel - 0.1 * gradient, operation(x, kernel)

        return jax.lax.scan(step, kernel, None, length=50)

    kernels, outputs = jax.jit(jax.vmap(partial(path, ops.conv2d)))(start)
    flipped = jax.jit(jax.vmap(partial(path, ops.convolve2d)))
    strict, strict_outputs = flipped(start[:, ::-1, ::-1])
    apart = max(
        abs(kernels - strict[:, ::-1, ::-1]).max() / abs(kernels).max(),
        abs(outputs - strict_outputs).max() / abs(outputs).max(),
    )
    # 50 steps, each with the rounding of sums over 49 windows and 8 images
    bound = 50 * rounding.tolerance(8 * 49, jnp.ones(()))
    return Finding(
        truth(apart <= bound),
        "Two layers learn one target for 50 steps, starting from kernels flipped to each other.",
        "From {n} starting points, each kernel stays the flip of the other; the relative "
        "difference of the outputs is {apart:.1g}.",
        {"n": len(start), "apart": apart},
    )


def a_field_may_exceed_the_input(page: Page) -> Finding:
    """The receptive field of a unit may be larger than the input."""
    layers = [Window(5, padding=2)] * 2
    size = receptive_field(layers).size
    kernel = jnp.ones((5, 5, 1, 1))
    x = jnp.ones((1, 6, 6, 1))
    for _ in layers:
        x = ops.conv2d(x, kernel, padding=2)
    return Finding(
        truth(x.shape == (1, 6, 6, 1) and size > 6),
        "The receptive field of two padded 5×5 layers on a 6×6 image is computed layer by layer.",
        "The receptive field is {size}×{size}: at most 6×6 pixels, the rest is padding.",
        {"size": size},
    )
