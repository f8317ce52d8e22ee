"""Claims of the texts that arithmetic, gradients and random draws decide."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from lenet import ops, reference
from lenet.chapter import rounding
from lenet.chapter.claims.ledger import (
    CHANNELS,
    CONVOLUTION,
    FIRST,
    INTRODUCTION,
    LENET,
    PADDING,
    POOLING,
    SECOND,
    Finding,
    claim,
    truth,
)
from lenet.chapter.cost import operations
from lenet.chapter.page import Page
from lenet.inspect import transforms
from lenet.inspect.receptive_field import Window, influence, receptive_field, uses
from lenet.ops import shapes


@claim(INTRODUCTION, "true")
def tied_and_cut_it_convolves(page: Page) -> Finding:
    """A fully connected layer, tied by translation invariance and zero outside a window, is a
    convolution.
    """
    x_key, v_key = jax.random.split(jax.random.key(0))
    x = jax.random.normal(x_key, (1000, 7, 7))
    v = jax.random.normal(v_key, (1000, 3, 3))

    def both(x: jax.Array, v: jax.Array) -> tuple[jax.Array, ...]:
        dense = reference.dense2d(reference.tied_weight(v, (7, 7)), x)
        pair = [ops.conv2d(a[None, :, :, None], b[:, :, None, None], padding=1)[0, :, :, 0]
                for a, b in ((x, v), (abs(x), abs(v)))]  # fmt: skip
        return dense, *pair

    dense, convolved, size = jax.jit(jax.vmap(both))(x, v)
    excess = (abs(dense - convolved) / rounding.tolerance(9, size)).max()
    return Finding(
        truth(excess <= 1),
        "The weight W[i, j, k, l] = V[k − i, l − j] is built, multiplied and compared.",
        "In {n} random layers the two differ by at most {excess:.2f} of what rounding allows.",
        {"n": len(x), "excess": excess},
    )


@claim(INTRODUCTION, "true")
def a_shift_shifts_the_map(page: Page) -> Finding:
    """Shifting the input shifts the feature map, and a pixel outside the receptive field changes
    nothing.
    """
    x_key, k_key = jax.random.split(jax.random.key(1))
    x = jax.random.randint(x_key, (1000, 9, 9, 1), -9, 10).astype(jnp.float32)
    kernel = jax.random.randint(k_key, (3, 3, 1, 1), -9, 10).astype(jnp.float32)
    y, moved = ops.conv2d(x, kernel), ops.conv2d(transforms.shift(x, 2, 1), kernel)
    seen = influence(
        lambda image: ops.conv2d(image[None, :, :, None], jnp.ones((3, 3, 1, 1)))[0, :, :, 0],
        x[0, :, :, 0],
        (2, 4),
    )
    rows, columns = jnp.nonzero(seen)
    within = (rows.min(), rows.max(), columns.min(), columns.max()) == (2, 4, 4, 6)
    return Finding(
        truth((moved[:, 2:, 1:] == y[:, :-2, :-1]).all() and seen.sum() == 9 and within),
        "Images of whole numbers are shifted by (2, 1); the gradient of one output is taken.",
        "{n} maps shift exactly; the output at (2, 4) depends on {pixels} pixels, those under it.",
        {"n": len(x), "pixels": seen.sum()},
    )


@claim(INTRODUCTION, "partly")
def from_a_trillion_to_a_few_weights(page: Page) -> Finding:
    """On a megapixel a fully connected layer needs 10¹² weights, a tied one 4·10⁶, one that is
    also local 4Δ².
    """
    side, delta = 1000, 5
    free, tied, local = side**4, (2 * side - 1) ** 2, (2 * delta + 1) ** 2
    # the formulas, counted on a small image: how many different weights a dense layer then has
    names = jnp.arange(1.0, 50).reshape(7, 7)  # every offset of a 4×4 image, a number each
    counted = len(np.unique(reference.tied_weight(names, (4, 4))))
    exact = (free, tied, local) == (10**12, 4 * 10**6, 4 * delta**2)
    near = free == 10**12 and counted == 7**2 and abs(tied / 4e6 - 1) < 0.01
    return Finding(
        "true" if exact else "partly" if near else "false",
        "The offsets are counted: 2·1000 − 1 along an axis, and 2Δ + 1 within Δ.",
        "The order is right: {free:.0e}, then exactly {tied:,}, and (2Δ + 1)² = {local} where the "
        "text has {said}, for Δ = {delta}.",
        {"free": free, "tied": tied, "local": local, "said": 4 * delta**2, "delta": delta},
    )


@claim(CONVOLUTION, "true")
def a_learned_layer_does_not_care(page: Page) -> Finding:
    """A learned layer gives the same whether it cross-correlates or convolves strictly."""
    keys = jax.random.split(jax.random.key(2), 3)
    x = jax.random.normal(keys[0], (8, 9, 9, 1))
    target = ops.conv2d(x, jax.random.normal(keys[1], (3, 3, 1, 1)))
    start = jax.random.normal(keys[2], (100, 3, 3, 1, 1))

    def path(operation, kernel):  # type: ignore[no-untyped-def]
        def step(kernel, _):  # type: ignore[no-untyped-def]
            gradient = jax.grad(lambda k: ((operation(x, k) - target) ** 2).mean())(kernel)
            return kernel - 0.1 * gradient, operation(x, kernel)

        return jax.lax.scan(step, kernel, None, length=50)

    kernels, outputs = jax.jit(jax.vmap(lambda k: path(ops.conv2d, k)))(start)
    strict, strict_outputs = jax.jit(jax.vmap(lambda k: path(ops.convolve2d, k)))(
        start[:, ::-1, ::-1]
    )
    apart = max(
        abs(kernels - strict[:, ::-1, ::-1]).max() / abs(kernels).max(),
        abs(outputs - strict_outputs).max() / abs(outputs).max(),
    )
    # 50 steps, each with the rounding of sums over 49 windows and 8 images
    bound = 50 * rounding.tolerance(8 * 49, jnp.ones(()))
    return Finding(
        truth(apart <= bound),
        "Both learn the same target for 50 steps, one from the flipped kernel of the other.",
        "From {n} starts the kernels stay each other's flip; the outputs differ by {apart:.1g} of "
        "their size.",
        {"n": len(start), "apart": apart},
    )


@claim(CONVOLUTION, "true")
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
        "Two padded 5×5 layers on an image of 6×6; the field is added up layer by layer.",
        "A unit sees {size}×{size} places, of which 6×6 at most are pixels; the rest is padding.",
        {"size": size},
    )


@claim(PADDING, "true")
def ten_layers_lose_a_third(page: Page) -> Finding:
    """Ten layers of 5×5 make 200×200 of 240×240, and 30 % of the pixels are lost."""
    size = (240, 240)
    for _ in range(10):
        size = ops.output_shape(size, 5)
    lost = 1 - size[0] * size[1] / 240**2
    return Finding(
        truth(size == (200, 200) and round(lost, 1) == 0.3),
        "The output shape is worked out ten times.",
        "{height}×{width} are left; {lost:.1%} are lost.",
        {"height": size[0], "width": size[1], "lost": lost},
    )


@claim(PADDING, "true")
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
        "The output shape is worked out for every image up to 64 and every even kernel up to 32.",
        "The size is kept in {kept} of {n} cases.",
        {"kept": sum(kept), "n": len(sizes)},
    )


@claim(PADDING, "false")
def zero_padding_uses_all_pixels_equally(page: Page) -> Finding:
    """With zero padding all pixels of the input are used equally often."""
    used = uses((5, 5), 3, padding=1)
    return Finding(
        truth((used == used[0, 0]).all()),
        "The windows that see each pixel of a 5×5 image are counted, 3×3 with padding 1.",
        "A corner is used {corner:.0f} times, the centre {centre:.0f}.",
        {"corner": used[0, 0], "centre": used[2, 2]},
    )


@claim(CHANNELS, "true")
def over_53_billion_operations(page: Page) -> Finding:
    """A 5×5 convolution from 128 to 128 channels of a 256×256 image takes over 53 billion
    operations.
    """
    formula = 2 * 256 * 256 * 5 * 5 * 128 * 128
    x = jax.ShapeDtypeStruct((1, 260, 260, 128), jnp.float32)  # two rows of padding on each side
    counted = operations(ops.conv2d, x, jax.ShapeDtypeStruct((5, 5, 128, 128), jnp.float32))
    return Finding(
        truth(counted == formula and 53e9 < formula < 54e9),
        "H·W·k²·Ci·Co multiplications and as many additions; the compiler counts the same.",
        "{billions:.2f} billion multiplications and additions.",
        {"billions": formula / 1e9},
    )


@claim(CHANNELS, "false")
def one_by_one_agrees_to_a_millionth(page: Page) -> Finding:
    """The 1×1 convolution by a matrix product and by the loop agree: the absolute differences sum
    to less than 10⁻⁶.
    """
    draws = np.random.default_rng(0)
    x = draws.normal(size=(2000, 3, 9)).astype(np.float32)
    k = draws.normal(size=(2000, 2, 3)).astype(np.float32)
    # A sum of three, in the two orders that implementations take.
    first, second, third = (k[:, :, c, None] * x[:, None, c] for c in range(3))
    apart = abs((first + second) + third - (first + (second + third)))
    differences = apart.sum((1, 2))
    return Finding(
        truth((differences < 1e-6).all()),
        "The texts' test is repeated on random float32 draws of its shapes, a sum of three taken "
        "in both orders.",
        "It fails in {fails} of {n} draws, at worst {worst:.1e}: a test must be relative to the "
        "size of the sum.",
        {"fails": (differences >= 1e-6).sum(), "n": len(x), "worst": differences.max()},
    )


@claim(POOLING, "true")
def pooling_quarters(page: Page) -> Finding:
    """Pooling 2×2 with stride 2 leaves a quarter of the numbers."""
    sizes = [(h, w) for h in range(2, 65, 2) for w in range(2, 65, 2)]
    quarter = [4 * np.prod(ops.output_shape(size, 2, stride=2)) == np.prod(size) for size in sizes]
    return Finding(
        truth(all(quarter)),
        "The output shape is worked out for every even size up to 64.",
        "A quarter is left in {n} of {n} cases; of an odd size a row or column is dropped.",
        {"n": sum(quarter)},
    )


@claim(POOLING, "false")
def strides_default_to_the_window(page: Page) -> Finding:
    """In the frameworks the stride of a pooling layer defaults to its window."""
    x = jnp.ones((1, 9, 9, 1))
    ours, flax = ops.max_pool(x, 3).shape[1], nn.max_pool(x, (3, 3)).shape[1]
    return Finding(
        truth(ours == flax == 3),
        "A 3×3 window is pooled over 9×9 with Flax and with this project, no stride given.",
        "Flax gives {flax}×{flax}, which is stride 1; ours {ours}×{ours}, as the "
        "texts' PyTorch does.",
        {"flax": flax, "ours": ours},
    )


@claim(POOLING, "partly")
def max_pooling_forgives_a_pixel(page: Page) -> Finding:
    """Behind 2×2 max-pooling a pattern is still found when it moves by one pixel."""
    spots = jnp.eye(64).reshape(64, 8, 8, 1)[jnp.arange(64) % 8 < 7]  # not in the last column
    unchanged, common = [], []
    for stride in (1, 2):
        here = ops.max_pool(spots, 2, stride=stride)
        there = ops.max_pool(transforms.shift(spots, 0, 1), 2, stride=stride)
        unchanged.append((here == there).all((1, 2, 3)).mean())
        common.append(((here * there).sum((1, 2, 3)) > 0).mean())
    overlap, windows = common[0], unchanged[1]
    return Finding(
        "true" if windows == 1 else "partly" if overlap == 1 else "false",
        "A single bright pixel in every place of 8×8 is moved right by one and pooled.",
        "At stride 1 a common output answers in {overlap:.0%} of places; at the default stride "
        "2 the map stays the same in {windows:.0%}, where both pixels share a window.",
        {"overlap": overlap, "windows": windows},
    )


@claim(LENET, "false")
def thirty_percent_smaller(page: Page) -> Finding:
    """Images of 28×28 are a 30 % reduction of the original 32×32."""
    reduction = 1 - 28**2 / 32**2
    return Finding(
        truth(round(reduction, 1) == 0.3),
        "The pixels are counted.",
        "{before} pixels become {after}: {reduction:.1%} fewer.",
        {"before": 32**2, "after": 28**2, "reduction": reduction},
    )


@claim(FIRST, "false")
def padding_one_and_stride_nought(page: Page) -> Finding:
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
        "The text's own layer names neither, and its output is 6×7: which values give that?",
        "Padding 0 and stride 1 do: the two were swapped. A stride of 0 never moves: an error.",
    )


@claim(SECOND, "false")
def convolution_and_cross_correlation_give_the_same(page: Page) -> Finding:
    """Cross-correlation and convolution give the same result."""
    x = jax.random.normal(jax.random.key(3), (1000, 6, 6, 1))
    kernel = jax.random.normal(jax.random.key(4), (3, 3, 1, 1))
    same = (ops.conv2d(x, kernel) == ops.convolve2d(x, kernel)).all((1, 2, 3)).sum()
    symmetric = kernel + kernel[::-1, ::-1]
    alike = (ops.conv2d(x, symmetric) == ops.convolve2d(x, symmetric)).all((1, 2, 3)).sum()
    return Finding(
        truth(same == len(x)),
        "Both are applied to random images, with a random kernel and with one equal to its flip.",
        "{same} of {n} images give the same with the first, {alike} with the second.",
        {"same": same, "n": len(x), "alike": alike},
    )


@claim(SECOND, "false")
def that_shift_goes_right(page: Page) -> Finding:
    """z[i, j] = x[i, j + 1] is the image x moved to the right by a pixel."""
    x = jnp.arange(12.0).reshape(1, 3, 4, 1)
    z = x[:, :, 1:]
    right, left = (transforms.shift(x, 0, by) for by in (1, -1))
    return Finding(
        truth((z == right[:, :, :-1]).all()),
        "The formula is applied to an image and compared with both shifts.",
        "It equals the shift to the {side}.",
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


@claim(SECOND, "false")
def the_training_function_runs(page: Page) -> Finding:
    """The training function runs as it is printed."""
    try:
        compile(PRINTED, "text", "exec")
        error = ""
    except SyntaxError as found:
        error = type(found).__name__
    return Finding(
        truth(not error),
        "A function of the same indentation is given to Python's compiler.",
        "It answers {error}: the page layout lost the indentation of the body.",
        {"error": error},
    )
