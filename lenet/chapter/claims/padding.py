"""Claims of the book about padding."""

import itertools

from lenet import ops
from lenet.chapter.claims.claim import Finding, truth
from lenet.chapter.page import Page
from lenet.inspect.receptive_field import uses
from lenet.ops import shapes


def ten_layers_lose_a_third(page: Page) -> Finding:
    """Ten layers of 5×5 reduce 240×240 to 200×200, and 30% of the pixels are lost."""
    size = (240, 240)
    for _ in range(10):
        size = ops.output_shape(size, 5)
    lost = 1 - size[0] * size[1] / 240**2
    return Finding(
        truth(size == (200, 200) and round(lost, 1) == 0.3),
        "The output shape is computed ten times in a row.",
        "The result is {height}×{width}; {lost:.1%} of the pixels are lost.",
        {"height": size[0], "width": size[1], "lost": lost},
    )


def even_kernels_pad_unevenly(page: Page) -> Finding:
    """An even kernel keeps the size with ⌈p/2⌉ rows of zeros above and ⌊p/2⌋ below."""
    sizes = list(itertools.product(range(1, 65), range(2, 33, 2)))
    kept = [
        ops.output_shape((n, n), k, padding=(((p := k - 1) - p // 2, p // 2),) * 2) == (n, n)
        for n, k in sizes
    ]
    same = all(shapes.same_padding(k) == ((k // 2, k // 2 - 1),) * 2 for k in range(2, 33, 2))
    return Finding(
        truth(all(kept) and same),
        "The output shape is computed for all image sizes up to 64 and even kernels up to 32.",
        "The size stays the same in {kept} of {n} cases.",
        {"kept": sum(kept), "n": len(sizes)},
    )


def zero_padding_uses_all_pixels_equally(page: Page) -> Finding:
    """With zero padding all pixels of the input are used equally often."""
    used = uses((5, 5), 3, padding=1)
    return Finding(
        truth((used == used[0, 0]).all()),
        "The 3×3 windows that contain each pixel of a 5×5 image with padding 1 are counted.",
        "A corner pixel is used {corner:.0f} times, the centre pixel {centre:.0f} times.",
        {"corner": used[0, 0], "centre": used[2, 2]},
    )
