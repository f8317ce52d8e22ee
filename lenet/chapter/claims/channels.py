"""Claims of the book about channels."""

import numpy as np

from lenet import ops
from lenet.chapter import cost
from lenet.chapter.claims.claim import Finding, truth
from lenet.chapter.exercises.channels import between_orders
from lenet.chapter.page import Page


def a_convolution_takes_53_billion_operations(page: Page) -> Finding:
    """A 5×5 convolution of a 256×256 image from 128 to 128 channels takes over 53 billion
    operations.
    """
    formula = 2 * 256 * 256 * 5 * 5 * 128 * 128
    x = cost.floats(1, 260, 260, 128)  # two rows of padding on each side
    counted = cost.operations(ops.conv2d, x, cost.floats(5, 5, 128, 128))
    return Finding(
        truth(counted == formula and 53e9 < formula < 54e9),
        "H·W·k²·Ci·Co multiplications and as many additions: does the compiler count the same?",
        "Both give {billions:.2f} billion multiplications and additions.",
        {"billions": formula / 1e9},
    )


def one_by_one_agrees_to_a_millionth(page: Page) -> Finding:
    """The 1×1 convolution as a matrix product and as a loop agree: the sum of absolute differences
    is below 10⁻⁶.
    """
    draws = np.random.default_rng(0)
    x = draws.normal(size=(2000, 3, 9)).astype(np.float32)
    k = draws.normal(size=(2000, 2, 3)).astype(np.float32)
    differences = between_orders(x, k)
    return Finding(
        truth((differences < 1e-6).all()),
        "The book's test is repeated on random float32 inputs, adding the terms in both orders.",
        "The test fails in {fails} of {n} draws; the largest sum of differences is {worst:.1e}. "
        "The bound should be relative to the size of the sum.",
        {"fails": (differences >= 1e-6).sum(), "n": len(x), "worst": differences.max()},
    )
