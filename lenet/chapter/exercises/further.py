"""Section 7: topics beyond the book's present editions."""

import itertools
from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lenet import ops
from lenet.chapter import cost
from lenet.chapter.exercises.convolution import correlate
from lenet.chapter.exercises.draws import integers
from lenet.chapter.page import Page
from lenet.inspect.receptive_field import Window, effective_size, paths
from lenet.ops import blocks


def blocks_trade_products_for_copies(page: Page) -> None:
    """A convolution with a 5×5 window is computed for blocks of t×t outputs, one matrix product for
    all blocks. What does t change, and which t is best?
    """
    page.say(
        "A block of t×t outputs needs the blocks of pixels that it sees, q = 1 + ⌈(k − 1)/t⌉ down "
        "and across. Per input channel and output, that is (q·t)² products and (q·t)²/t² copies."
    )
    kernel, bias = cost.floats(5, 5, 2, 3), cost.floats(3)
    rows = []
    for t in (1, 2, 3, 4, 5, 6, 8, 12):
        q = 1 + -(-4 // t)
        matrix = jax.eval_shape(partial(blocks.toeplitz, block=t), kernel, bias)
        pixels = (matrix.shape[0] - 1) // 2  # without the row of the bias, per input channel
        rows.append((t, (q * t) ** 2, pixels, pixels / t**2, pixels / 25))
    headers = page.t("t | formula | products | copies | products, relative to 25")
    page.table(rows, headers, floatfmt=".2f")
    page.check("the height of the matrix equals the formula", all(r[1] == r[2] for r in rows))
    copies = {r[0]: r[3] for r in rows}
    page.check(
        "4 copies are the fewest, and t = 4 = k − 1 is the smallest t that needs no more",
        min(copies.values()) == 4 and min(t for t, c in copies.items() if c == 4) == 4,
    )
    page.answer(
        "A larger t copies fewer pixels but multiplies more zeros. From t = k − 1 on, a block "
        "sees 2×2 blocks: 4 copies instead of 25, for {times:.2f} times the products. A larger t "
        "only adds products. Which is faster depends on the machine (docs/en/speed.md).",
        times=next(r[4] for r in rows if r[0] == 4),
    )


def dilations_count_in_base_k(page: Page) -> None:
    """How many pixels in a row can n layers of width k see without a gap, if dilations are free?"""
    page.say(
        "A path takes one of k weights in each layer, so there are kⁿ paths: no unit sees more "
        "pixels. With dilations 1, k, k², …, a path to pixel p spells p in base k:"
    )
    page.show("paths([Window(3, dilation=d) for d in (1, 3, 9)])", _by_dilations(3, (1, 3, 9)))
    page.check(
        "then each of kⁿ pixels has exactly one path, for k up to 5 and n up to 5",
        all(
            _by_dilations(k, [k**i for i in range(n)]).tolist() == [1] * k**n
            for k in range(2, 6)
            for n in range(1, 6)
        ),
    )
    page.say("All dilations up to 12 for three layers of width 3, in rising order:")
    found = {
        d: _by_dilations(3, d) for d in itertools.combinations_with_replacement(range(1, 13), 3)
    }
    whole = {d: len(c) for d, c in found.items() if c.all()}
    widest = max(whole.values())
    page.value("choices, and choices without a gap", (len(found), len(whole)))
    page.value("widest without a gap", {d: n for d, n in whole.items() if n == widest})
    page.check(
        "only 1, 3, 9 sees 27 pixels without a gap",
        [d for d, n in whole.items() if n == widest] == [(1, 3, 9)] and widest == 27,
    )
    page.check(
        "every choice without a gap has a layer with dilation 1",
        all(1 in d for d in whole),
    )
    with page.figure("7.2", "Paths by pixel, three layers of width 3", (8, 3.4)) as figure:
        axes = figure.subplots()
        for dilations in ((1, 1, 1), (1, 2, 4), (2, 2, 2), (1, 3, 9)):
            count = found[dilations]
            at = np.arange(len(count)) - len(count) // 2
            label = page.t("dilations {a}, {b}, {c}", **dict(zip("abc", dilations, strict=True)))
            axes.plot(at, count, marker=".", label=label)
        axes.set(xlabel=page.t("pixel"), ylabel=page.t("paths"))
        axes.legend()
    page.answer(
        "kⁿ, with dilations 1, k, k², …: each pixel then has exactly one path. Without dilation, "
        "n layers see n·(k − 1) + 1 pixels: 7 instead of 27 for three layers of width 3."
    )


def _by_dilations(k: int, dilations: tuple[int, ...] | list[int]) -> np.ndarray:
    return paths([Window(k, dilation=d) for d in dilations])


def any_kernel_is_separable_with_enough_multipliers(page: Page) -> None:
    """Can every convolution be written as a depthwise one and a 1×1 convolution? What if the
    depthwise one has m kernels for each input channel?
    """
    page.say(
        "For input channel c, the full kernel is a matrix of k² rows and Co columns. Depthwise and "
        "1×1 make it a product of k²×m by m×Co, so its rank is at most m."
    )
    depth, point = integers(0, (3, 3, 1, 4 * 2)), integers(1, (1, 1, 4 * 2, 16))
    one = jnp.einsum("abcm,cmd->abcd", depth.reshape(3, 3, 4, 2), point.reshape(4, 2, 16))
    x = integers(2, (20, 6, 6, 4))
    page.check(
        "with m = 2, the two equal one full convolution for {n} images, exactly",
        (_separable(x, depth, point) == ops.conv2d(x, one)).all(),
        n=len(x),
    )
    page.value("rank for each input channel", [int(r) for r in _ranks(one)])
    page.check("the rank is 2 for each input channel", (_ranks(one) == 2).all())
    full = integers(3, (3, 3, 4, 16))
    page.check("a random full kernel has rank 9, so m must be 9", (_ranks(full) == 9).all())
    page.say("With m = k², the depthwise kernels can be the k² single pixels: this is im2col.")
    pixels = jnp.tile(jnp.eye(9).reshape(3, 3, 1, 9), (1, 1, 1, 4))
    rows = ops.conv2d(x, pixels, groups=4).reshape(20, 4, 4, 4, 9)
    page.check(
        "single pixels give the rows of patches",
        (rows.swapaxes(3, 4).reshape(20, 4, 4, 36) == ops.patches(x, 3)).all(),
    )
    page.check(
        "then the 1×1 kernel is the full kernel, and the results are equal, exactly",
        (
            _separable(x, pixels, full.transpose(2, 0, 1, 3).reshape(1, 1, 36, 16))
            == ops.conv2d(x, full)
        ).all(),
    )
    page.answer(
        "No: for each input channel, the kernels of all outputs are then multiples of one. With m "
        "kernels they have rank m, and m = k² (or Co, if smaller) suffices for every convolution. "
        "With k² single pixels as kernels, this is the matrix product of im2col."
    )


def _separable(x: Array, depth: Array, point: Array) -> Array:
    return ops.conv2d(ops.conv2d(x, depth, groups=x.shape[3]), point)


def _ranks(kernel: Array) -> np.ndarray:
    """Return the rank of [kh·kw, Co] for each input channel, [Ci]."""
    kh, kw, ci, co = kernel.shape
    matrices = np.asarray(kernel, np.float64).transpose(2, 0, 1, 3).reshape(ci, kh * kw, co)
    return np.linalg.matrix_rank(matrices)


def a_wider_blur_changes_less(page: Page) -> None:
    """Which blurs before a stride of 2 keep the mean of the outputs when the image moves by a
    pixel? By how much do single outputs still change?
    """
    page.say(
        "Binomial weights: 1, 1; 1, 2, 1; and so on, each the last convolved with 1, 1. Their "
        "alternating sum is 0, so the fastest change of pixels, 1, −1, 1, −1, is removed."
    )
    taps = [np.array([1])]
    for _ in range(4):
        taps.append(np.convolve(taps[-1], [1, 1]))
    signs = [int((t * (-1) ** np.arange(len(t))).sum()) for t in taps]
    page.value("alternating sums", {str(t.tolist()): s for t, s in zip(taps, signs, strict=True)})
    rows = jnp.asarray(list(itertools.product((0.0, 1.0), repeat=10)))
    moved = jnp.roll(rows, 1, axis=-1)
    table, means = [], []
    for t in taps:
        before, after = (blurred(highest(r), t.tolist()) for r in (rows, moved))
        apart = abs(after - before)
        means.append(bool((before.mean(-1) == after.mean(-1)).all()))
        table.append((str(t.tolist()), float(apart.max()), float(apart.mean())))
    page.say("Maximum of two pixels, blur, stride 2, for all {n} rows of 10 pixels:", n=len(rows))
    page.table(table, page.t("weights | largest change | mean change"), floatfmt=".3f")
    page.check("without blur, the mean of the outputs can change", not means[0])
    page.check(
        "with each of the blurs, whose alternating sum is 0, it never does",
        all(means[1:]) and signs == [1, 0, 0, 0, 0],
    )
    changes = np.array([row[1:] for row in table])
    page.check(
        "a wider blur changes outputs less on average, and never more at most",
        (np.diff(changes, axis=0) <= 0).all() and (np.diff(changes[:, 1]) < 0).all(),
    )
    page.answer(
        "Those whose weights have the alternating sum 0, so that each pixel counts the same in "
        "even and odd places. Single outputs still change, by {least:.2f} on average with "
        "1, 4, 6, 4, 1, instead of {most:.2f} without a blur.",
        least=changes[-1, 1],
        most=changes[0, 1],
    )


def highest(rows: Array) -> Array:
    """Return the maximum of each pixel and the next in rows [..., n] whose ends meet."""
    return jnp.maximum(rows, jnp.roll(rows, -1, axis=-1))


def blurred(rows: Array, taps: Sequence[int] = (1, 2, 1)) -> Array:
    """Blur rows [..., n] whose ends meet, and keep every second pixel: [..., n / 2]."""
    k = len(taps)
    x = jnp.pad(rows.reshape(-1, rows.shape[-1]), ((0, 0), ((k - 1) // 2, k // 2)), mode="wrap")
    image = jnp.tile(x[:, None, :, None], (1, k, 1, 1))  # the same row k times: one row of outputs
    return ops.blur_pool(image, taps).reshape(*rows.shape[:-1], -1)


def a_strided_convolution_has_a_dilated_gradient(page: Page) -> None:
    """What are the backward passes of a convolution with stride s?"""
    page.say("Stride s keeps every s-th output, so put s − 1 zeros between the gradients G.")
    x, k, s = integers(0, (50, 7, 9)), integers(1, (50, 3, 3)), 2
    g = integers(2, (50, 3, 4))
    spread = jnp.zeros((50, 5, 7)).at[:, ::s, ::s].set(g)
    page.show("G[0]", g[0])
    page.show("spread[0]", spread[0])

    def strided(x: Array, k: Array) -> Array:
        return ops.conv2d(x[None, :, :, None], k[:, :, None, None], stride=s)[0, :, :, 0]

    dx, dk = jax.vmap(lambda x, k, g: jax.vjp(strided, x, k)[1](g))(x, k, g)
    page.check(
        "the gradient of the kernel is corr2d(X, spread), for {n} draws, exactly",
        (jax.vmap(correlate)(x, spread) == dk).all(),
        n=len(x),
    )

    def dilated(x: Array, g: Array) -> Array:
        return ops.conv2d(x[None, :, :, None], g[:, :, None, None], dilation=s)[0, :, :, 0]

    page.check(
        "this is a convolution of X with the kernel G and dilation s",
        (jax.vmap(dilated)(x, g) == dk).all(),
    )

    def transposed(g: Array, k: Array) -> Array:
        whole = ops.conv_transpose2d(g[None, :, :, None], k[:, :, None, None], stride=s)
        return whole[0, :, :, 0]

    page.check(
        "the gradient of the image is the transposed convolution of G with stride s",
        (jax.vmap(transposed)(g, k) == dx).all(),
    )
    page.say("On 8 rows, a 3×3 window with stride 2 never sees the last row:")
    (unseen,) = jax.vjp(partial(strided, k=k[0]), jnp.zeros((8, 9)))[1](g[0])
    page.check(
        "pixels that no window sees get the gradient 0",
        (unseen[-1] == 0).all() and (unseen[:-1] == dx[0]).all(),
    )
    page.answer(
        "For the kernel: a convolution of the image with the gradients as a kernel of dilation s. "
        "For the image: the transposed convolution with stride s. Rows and columns that no window "
        "sees get 0."
    )


def differences_check_a_backward_pass(page: Page) -> None:
    """How can a backward pass be checked without another one, by changing one number at a time?
    Where does this fail?
    """
    x, k, target = integers(0, (6, 6)), integers(1, (3, 3)), integers(2, (4, 4))

    def loss(k: Array) -> Array:
        return ((correlate(x, k) - target) ** 2).sum()

    gradient = jax.grad(loss)(k)
    page.say("A squared error is quadratic in the kernel, so (L(w + h) − L(w − h))/2h is exact.")
    page.show("gradient", gradient)
    page.check(
        "with h = 1, this difference equals the gradient for each of the 9 weights, exactly",
        (central(loss, k, 1.0) == gradient).all(),
    )
    page.say("Through a sigmoid, the error of the difference has two parts, as h shrinks:")

    def smooth(k: Array) -> Array:
        return jax.nn.sigmoid(correlate(x, k) / 50).sum()

    exact = jax.grad(smooth)(k)
    steps = 10.0 ** np.arange(2, -5, -1)
    errors = [float(abs(central(smooth, k, h) - exact).max()) for h in steps]
    page.table(zip(steps, errors, strict=True), page.t("h | largest error"), floatfmt=".1e")
    least = int(np.argmin(errors))
    page.check(
        "the error is smallest in between: large steps bend, small ones round",
        0 < least < len(steps) - 1,
    )
    page.say("Max pooling has a kink where two pixels of a window are equal:")

    def pooled(image: Array) -> Array:
        return ops.max_pool(image[None, :, :, None], 2).sum()

    tied = jnp.array([[2.0, 2.0], [0, 1]])
    by_rule, by_difference = jax.grad(pooled)(tied), central(pooled, tied, 0.5)
    page.show("gradient, differences", jnp.stack([by_rule.ravel(), by_difference.ravel()]))
    page.check(
        "the backward pass gives 1 to the first pixel, the difference 1/2 to both",
        by_rule.ravel().tolist() == [1, 0, 0, 0]
        and by_difference.ravel().tolist() == [0.5, 0.5, 0, 0],
    )
    page.check(
        "without ties, both agree",
        (
            jax.grad(pooled)(jnp.array([[3.0, 1], [0, 2]]))
            == central(pooled, jnp.array([[3.0, 1], [0, 2]]), 0.25)
        ).all(),
    )
    page.answer(
        "Compare with (L(w + h) − L(w − h))/2h. For a quadratic loss every h is exact; otherwise "
        "here h = {best:g} is best, because larger steps bend and smaller ones round. At kinks, "
        "such as ties in max pooling, the difference is a mean of both sides.",
        best=steps[least],
    )


def central(function: Callable[[Array], Array], at: Array, h: float) -> Array:
    """Return the central difference of a function with respect to each number of an array."""
    moves = h * jnp.eye(at.size).reshape(-1, *at.shape)
    apart = jax.jit(jax.vmap(lambda move: function(at + move) - function(at - move)))
    return (apart(moves) / (2 * h)).reshape(at.shape)


def stride_and_dilation_widen_what_counts(page: Page) -> None:
    """The effective receptive field of plain layers grows with the square root of their number.
    What do strides and dilations change?
    """
    page.say("The middle with 95% of the paths, for n layers of width 3:")
    depths = (1, 2, 3, 4, 5)
    designs: dict[str, Callable[[int], list[Window]]] = {
        page.t("plain"): lambda n: [Window(3)] * n,
        page.t("stride 2"): lambda n: [Window(3, stride=2)] * n,
        page.t("dilations 1, 3, 9, …"): lambda n: [Window(3, dilation=3**i) for i in range(n)],
    }
    counts = {name: [paths(design(n)) for n in depths] for name, design in designs.items()}
    sizes = {name: [(effective_size(c), len(c)) for c in each] for name, each in counts.items()}
    rows = [
        (n, *(f"{m} / {size}" for m, size in at))
        for n, *at in zip(depths, *sizes.values(), strict=True)
    ]
    page.table(rows, page.t("layers") + " | " + " | ".join(sizes), disable_numparse=True)
    plain, strided, dilated = ([m for m, _ in each] for each in sizes.values())
    page.check(
        "with stride 2, each layer from the second on makes the effective size 1.5 to 2.5 times",
        all(1.5 <= b / a <= 2.5 for a, b in itertools.pairwise(strided[1:])),
    )
    page.check(
        "with dilations 1, 3, 9, …, all pixels count the same",
        all((each == 1).all() for each in counts[list(designs)[2]]),
    )
    page.check(
        "after five layers, the order is plain, stride, dilation: {a}, {b}, {c} pixels",
        plain[-1] < strided[-1] < dilated[-1],
        a=plain[-1],
        b=strided[-1],
        c=dilated[-1],
    )
    with page.figure("7.7", "Paths by pixel after {n} layers", (8, 3.4), n=4) as figure:
        axes = figure.subplots()
        for name, each in counts.items():
            count = each[3]
            at = np.arange(len(count)) - len(count) // 2
            axes.plot(at, count / count.sum(), label=name)
        axes.set(xlabel=page.t("pixel"), ylabel=page.t("share of the paths"), yscale="log")
        axes.legend()
    page.answer(
        "Both make it grow exponentially: a stride of 2 doubles it with each layer, and dilations "
        "1, 3, 9, … triple it, with the same weight on each pixel. Five plain layers reach {plain} "
        "pixels, with stride 2 {strided}, with dilations {dilated}.",
        plain=plain[-1],
        strided=strided[-1],
        dilated=dilated[-1],
    )
