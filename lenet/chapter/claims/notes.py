"""Claims of the course notes."""

import jax
import jax.numpy as jnp

from lenet import ops
from lenet.chapter.claims.claim import Finding, truth
from lenet.chapter.page import Page
from lenet.inspect import transforms


def padding_defaults_to_one_and_stride_to_zero(page: Page) -> Finding:
    """By default padding is 1 and stride is 0."""
    x = jnp.ones((1, 6, 8, 1))
    default = ops.conv2d(x, jnp.ones((1, 2, 1, 1))).shape[1:3]
    try:
        ops.conv2d(x, jnp.ones((1, 2, 1, 1)), stride=0, padding=1)
        possible = True
    except ValueError:
        possible = False
    # The text's own first layer gives no padding and no stride, and takes 6×8 to 6×7.
    swapped = ops.output_shape((6, 8), (1, 2), stride=1, padding=0) == (6, 7) == default
    return Finding(
        truth(possible and not swapped),
        "The first layer in the notes specifies neither. Which values give its output size, 6×7?",
        "Padding 0 and stride 1: the notes swap the two. Stride 0 is an error: no window moves.",
    )


def convolution_and_cross_correlation_give_the_same(page: Page) -> Finding:
    """Cross-correlation and convolution give the same result."""
    x = jax.random.normal(jax.random.key(3), (1000, 6, 6, 1))
    kernel = jax.random.normal(jax.random.key(4), (3, 3, 1, 1))
    same, alike = (
        (ops.conv2d(x, k) == ops.convolve2d(x, k)).all((1, 2, 3)).sum()
        for k in (kernel, kernel + kernel[::-1, ::-1])
    )
    return Finding(
        truth(same == len(x)),
        "Both are applied to random images, with a random kernel and with a symmetric one.",
        "Results agree for {same} of {n} images with the first, for {alike} with the second.",
        {"same": same, "n": len(x), "alike": alike},
    )


def the_formula_shifts_right(page: Page) -> Finding:
    """z[i, j] = x[i, j + 1] is the image x moved right by one pixel."""
    x = jnp.arange(12.0).reshape(1, 3, 4, 1)
    z = x[:, :, 1:]
    right, left = (transforms.shift(x, 0, by) for by in (1, -1))
    return Finding(
        truth((z == right[:, :, :-1]).all()),
        "The formula is applied to an image and compared with shifts to the left and to the right.",
        "The result equals the shift to the {side}.",
        {"side": page.t("left") if (z == left[:, :, :-1]).all() else page.t("right")},
    )


# The shape of the second text's training function as it stands in print: what follows the inner
# function, and the body of the loop over epochs, have lost their indentation.
PRINTED = """
def train(net, epochs):
    def init_weights(layer):
        pass
net.apply(init_weights)
for epoch in range(epochs):
    metric = 0
net.train()
    for batch in batches:
        pass
"""


def the_training_function_runs(page: Page) -> Finding:
    """The training function runs as printed."""
    try:
        compile(PRINTED, "text", "exec")
        error = ""
    except SyntaxError as found:
        error = type(found).__name__
    return Finding(
        truth(not error),
        "A function with the same indentation is passed to the Python compiler.",
        "The compiler raises {error}: the page layout lost the indentation of the function body.",
        {"error": error},
    )
