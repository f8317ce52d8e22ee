"""Section 4: many input and output channels."""

from functools import lru_cache, partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lenet import ops, reference
from lenet.chapter import cost, rounding
from lenet.chapter.exercises.draws import integers, normal
from lenet.chapter.page import Page
from lenet.figures import style
from lenet.ops.shapes import Padding, Size


def two_kernels_in_a_row_are_one(page: Page) -> None:
    """Can two consecutive convolutions, with nothing between them, be written as one? Of what size?
    Conversely, can every kernel be split into two smaller ones?
    """
    page.say("Their strict convolution, the inner sum, is one kernel of size k₁ + k₂ − 1.")
    x = integers(0, (100, 9, 9, 2))
    first, second = integers(1, (3, 3, 2, 4)), integers(2, (2, 4, 4, 3))
    one = composed(first, second)
    page.show("composed(kernel_3x3x2x4, kernel_2x4x4x3).shape", one.shape)
    page.check("kernels of 3×3 and 2×4 combine to 4×6", one.shape == (4, 6, 2, 3))
    page.check(
        "one convolution equals the two convolutions for {n} images, exactly",
        (ops.conv2d(x, one) == ops.conv2d(ops.conv2d(x, first), second)).all(),
        n=len(x),
    )

    page.say("Conversely, in a row, (p, q) and (r, s) combine to (a, b, c) = (pr, ps + qr, qs).")
    p, q, r, s = np.random.default_rng(0).integers(-9, 10, (4, 1000))
    a, b, c = p * r, p * s + q * r, q * s
    page.check("so b² − 4ac = (ps − qr)² ≥ 0", (b**2 - 4 * a * c == (p * s - q * r) ** 2).all())
    page.say("For (1, 0, 1), this value is −4, so the kernel cannot be split, like many others:")
    a, b, c = np.random.default_rng(1).normal(size=(3, 100_000))
    share = float((b**2 < 4 * a * c).mean())
    page.show("(b**2 < 4 * a * c).mean()", share)
    page.check("more than a third of random kernels of length 3 cannot be split", share > 1 / 3)

    pairs = [integers(i, (2, 2, 1, 1)) for i in range(2)]
    page.check(
        "the top row of two combined 2×2 kernels is the combination of their top rows",
        (composed(*pairs)[:1] == composed(pairs[0][:1], pairs[1][:1])).all(),
    )
    page.check(
        "doubling one and halving the other changes nothing: 7 free weights, where 3×3 has 9",
        (composed(2 * pairs[0], pairs[1] / 2) == composed(*pairs)).all(),
    )
    page.answer(
        "Yes: their strict convolution, summed over the intermediate channels, is one kernel of "
        "size k₁ + k₂ − 1. The converse is false: with one channel, no 3×3 kernel with top row 1, "
        "0, 1 is the combination of two 2×2 kernels."
    )


def composed(first: Array, second: Array) -> Array:
    """Return the kernel whose convolution is that with `first` and then with `second`.

    [kh, kw, Ci, C] and [lh, lw, C, Co] -> [kh + lh − 1, kw + lw − 1, Ci, Co]. The first kernel is
    taken as Ci images of C channels, convolved strictly (flipped) wherever the two overlap.
    """
    rows, columns = second.shape[0] - 1, second.shape[1] - 1
    images = first.transpose(2, 0, 1, 3)
    return ops.convolve2d(images, second, padding=(rows, columns)).transpose(1, 2, 0, 3)


def backward_costs_twice_the_forward(page: Page) -> None:
    """What do the forward and the backward pass of a convolution cost, in operations and in memory?
    (The Chinese edition also asks about the forward pass with a 1×1 kernel.)
    """
    page.say("The forward pass takes Co·Ci·kh·kw·H'·W' multiply-adds.")
    page.say(
        "The backward pass takes twice as many: the gradient of the output times the kernel gives "
        "the gradient of the input; times the input, the gradient of the kernel."
    )
    layers = (  # kernel, size of the input, channels in and out, stride
        (5, 14, 6, 16, 1),  # the second of LeNet
        (5, 260, 128, 128, 1),  # the book's example of cost: the output is 256×256
        (5, 260, 128, 128, 2),
        (1, 256, 128, 128, 1),
    )
    rows, costs, kept = [], [], []
    for k, n, ci, co, s in layers:
        convolve = partial(ops.conv2d, stride=s)
        x, kernel = cost.floats(1, n, n, ci), cost.floats(k, k, ci, co)
        y = jax.eval_shape(convolve, x, kernel)
        formula = y.size * k * k * ci
        forward = cost.operations(convolve, x, kernel) / 2
        backward = partial(jax.vjp, convolve)
        back = cost.operations(lambda x, k, dy, f=backward: f(x, k)[1](dy), x, kernel, y) / 2
        costs.append((formula, forward, back))
        # What the function of gradients holds is what the forward pass has to keep.
        held = jax.tree.leaves(jax.eval_shape(backward, x, kernel)[1])
        kept.append({a.shape for a in held} == {x.shape, kernel.shape})
        megabytes = (a.size * a.dtype.itemsize / 1e6 for a in (x, kernel, y))
        rows.append((f"{k}×{k}", f"{n}×{n}×{ci}", co, s, int(forward), int(back), *megabytes))
    headers = page.t(
        "kernel | input | Co | stride | forward | backward | input, MB | kernel, MB | output, MB"
    )
    page.table(rows, headers, intfmt=",", floatfmt=".3f")
    page.check("the count of the compiler equals the formula", all(f == c for f, c, _ in costs))
    page.check(
        "for the backward pass, the count is twice that of the forward pass",
        all(b == 2 * f for f, _, b in costs),
    )
    page.check("the backward pass needs the input and the kernel, not the output", all(kept))
    by_size = costs[1][0] / costs[3][0]
    page.check("a 1×1 kernel costs Co·Ci·H·W, 1/25 of the cost of a 5×5 kernel", by_size == 25)
    page.answer(
        "The forward pass takes Co·Ci·kh·kw·H'·W' multiply-adds, the backward pass twice as many. "
        "The forward pass stores input, kernel and output; the backward pass also a gradient of "
        "each. The inputs of all layers stay in memory until the backward pass reaches them."
    )


def twice_the_channels_cost_four_times(page: Page) -> None:
    """By what factor does the cost grow if the number of input and output channels doubles? And if
    the padding doubles?
    """
    page.say("A 5×5 layer from 8 to 16 channels, and from 16 to 32:")
    small, large = (
        cost.operations(ops.conv2d, cost.floats(1, 28, 28, c), cost.floats(5, 5, c, 2 * c)) / 2
        for c in (8, 16)
    )
    page.value("multiply-adds", (int(small), int(large)))
    page.check("doubling all channels multiplies the cost by 4", large == 4 * small)

    page.say("With padding p on each side, a 28×28 input and a 5×5 kernel give (24 + 2p)² outputs:")
    rows = []
    for p in (0, 1, 2, 4, 8, 16, 32, 64):
        formula = (28 + 2 * p - 5 + 1) ** 2 * 25
        # Padded first: the compiler then counts the products with these zeros.
        x, kernel = cost.floats(1, 28 + 2 * p, 28 + 2 * p, 1), cost.floats(5, 5, 1, 1)
        rows.append((p, 24 + 2 * p, formula, cost.operations(ops.conv2d, x, kernel) / 2))
    headers = page.t("padding | output | formula | compiler")
    page.table(rows, headers, intfmt=",", floatfmt=",.0f")
    page.check("the count of the compiler equals the formula", all(f == c for _, _, f, c in rows))
    grown = [after[3] / before[3] for before, after in pairwise(rows[1:])]
    page.value("cost factor for each doubling of the padding, from 1", [round(g, 2) for g in grown])
    page.check(
        "each doubling of p costs a larger factor, always less than 4",
        (np.diff([*grown, 4]) > 0).all(),
    )
    page.answer(
        "Doubling the channels multiplies the cost by 4. Doubling the padding multiplies it by "
        "((n + 4p − k + 1)/(n + 2p − k + 1))²: {few:.2f} from p = 2 to 4 here, and close to 4 "
        "only with far more zeros than pixels.",
        few=grown[1],
    )


def the_two_forms_differ_by_rounding(page: Page) -> None:
    """Are the two results of the last example in this section of the book, a 1×1 convolution as
    loops and as a matrix product, exactly equal?
    """
    x, k = normal(0, (2000, 3, 3, 3)), normal(1, (2000, 2, 3, 1, 1))
    product = jax.jit(jax.vmap(reference.corr2d_multi_in_out_1x1))
    loop = jax.jit(jax.vmap(reference.corr2d_multi_in_out))
    y1, y2 = product(x, k), loop(x, k)
    page.say(
        "In {n} random draws on this machine, how many results are bitwise identical, and how "
        "many pass the test of the book, a sum of differences below 1e-6?",
        n=len(x),
    )
    apart = np.asarray(abs(y1 - y2).sum((1, 2, 3)))
    page.show(
        "(apart == 0).sum(), (apart < 1e-6).sum()",
        (int((apart == 0).sum()), int((apart < 1e-6).sum())),
    )
    page.check(
        "all differences are within the rounding bound for a sum of 3 products",
        (abs(y1 - y2) <= rounding.tolerance(3, product(abs(x), abs(k)))).all(),
    )

    page.say("The order alone makes a difference. The same products, added from left or right:")
    orders = between_orders(x.reshape(2000, 3, 9), k[..., 0, 0])
    equal, failed = (orders == 0).mean(), (orders >= 1e-6).mean()
    page.show("(orders == 0).mean(), (orders >= 1e-6).mean()", f"{equal:.3f}, {failed:.3f}")
    page.check("more than 2% of the draws exceed the bound of the book, 1e-6", failed > 0.02)
    whole = integers(0, (2000, 3, 3, 3)), integers(1, (2000, 2, 3, 1, 1))
    page.check("with integers, all results are equal", (product(*whole) == loop(*whole)).all())
    with page.figure("4.4", "Difference between two orders of summing 3 products") as figure:
        axes = figure.subplots()
        axes.hist(orders * 1e6, bins=60, color=style.BLUE)
        axes.axvline(1, linestyle="--", color=style.ORANGE, label=page.t("bound in the book"))
        axes.set(xlabel=page.t("sum of differences (millionths)"), ylabel=page.t("draws"))
        axes.legend()
    page.answer(
        "As real numbers, yes. But float32 rounds each sum, and the rounding error depends on the "
        "order: {percent:.0f}% of the draws exceed an absolute bound of 1e-6. A sound test bounds "
        "the difference relative to the size of the products.",
        percent=100 * failed,
    )


def between_orders(x: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Return how far two orders of summing a 1×1 convolution of three channels lie apart.

    [B, 3, pixels] and [B, Co, 3] -> [B], the sum of the absolute differences.
    """
    a, b, c = np.moveaxis(k[..., None] * x[:, None], 2, 0)
    return abs(((a + b) + c) - (a + (b + c))).sum((1, 2))


def any_convolution_is_a_matrix_product(page: Page) -> None:
    """How is a convolution written as a matrix product if the window is larger than 1×1?"""
    page.say("Write the pixels under each window as a row, and each kernel as a column:")
    x, kernel = jnp.arange(16.0).reshape(1, 4, 4, 1), jnp.array([1.0, 2, 3, 4]).reshape(2, 2, 1, 1)
    rows = ops.patches(x, 2)
    page.show("patches(x, 2)[0, 0]", rows[0, 0])
    page.show("patches(x, 2).shape", rows.shape)
    cases: list[tuple[tuple[int, ...], tuple[int, ...], int | Size, Padding]] = [
        ((100, 14, 14, 6), (5, 5, 6, 16), 1, 0),  # images, kernel, stride, padding
        ((100, 8, 8, 3), (3, 3, 3, 4), 1, 1),
        ((100, 8, 8, 3), (3, 5, 3, 4), (3, 4), (0, 1)),
        ((100, 9, 9, 2), (2, 4, 2, 3), 2, ((1, 0), (2, 1))),
    ]
    page.check(
        "patches @ kernel equals conv2d for {n} shapes with 100 draws each, up to rounding",
        all(agree(normal(0, a), normal(1, b), s, p) for a, b, s, p in cases),
        n=len(cases),
    )
    shapes = cost.floats(1, 64, 64, 3), cost.floats(5, 5, 3, 8)
    matrix = jax.eval_shape(partial(ops.patches, window=5), shapes[0])
    by_product = cost.operations(as_product, *shapes) / 2
    page.show("operations(as_product, x, kernel) / 2", by_product)
    page.check("multiply-adds are the same", 2 * by_product == cost.operations(ops.conv2d, *shapes))
    more = matrix.size / shapes[0].size
    page.show("patches(x_64x64, 5).size / x_64x64.size", f"{more:.1f}")
    page.check(
        "at stride 1, the patch matrix is kh·kw·H'·W'/(H·W) times as large as the image",
        more == 25 * 60**2 / 64**2,
    )
    with page.figure("4.5", "A 2×2 convolution as a matrix product", (8, 4.6)) as figure:
        image, patches, column, result = figure.subplots(1, 4, width_ratios=(4, 4, 1, 1))
        style.matrix(image, x[0, :, :, 0], title=page.t("image"), windows=[(0, 1, 2, 2)])
        style.matrix(patches, rows.reshape(9, 4), title=page.t("patches"), windows=[(1, 0, 1, 4)])
        style.matrix(column, kernel.reshape(4, 1), title=page.t("kernel"))
        y = ops.conv2d(x, kernel).reshape(9, 1)
        style.matrix(result, y, title=page.t("output"), windows=[(1, 0, 1, 1)])
    page.answer(
        "Copy the pixels under each window into a row of a matrix (im2col). This matrix times the "
        "kernels as columns is the convolution, for any window, stride, padding and channels. The "
        "number of multiply-adds is the same, but at stride 1, for an image much larger than the "
        "window, the matrix takes nearly kh·kw times the memory of the input."
    )


def as_product(x: Array, kernel: Array, stride: int | Size = 1, padding: Padding = 0) -> Array:
    """Convolve by one matrix product."""
    rows = ops.patches(x, kernel.shape[:2], stride=stride, padding=padding)
    return rows @ kernel.reshape(-1, kernel.shape[3])


@partial(jax.jit, static_argnums=(2, 3))
def agree(x: Array, kernel: Array, stride: int | Size, padding: Padding) -> Array:
    """Return whether patches times kernel is conv2d, up to rounding."""
    convolve = partial(ops.conv2d, stride=stride, padding=padding)
    bound = rounding.tolerance(kernel[..., 0].size, convolve(abs(x), abs(kernel)))
    return (abs(as_product(x, kernel, stride, padding) - convolve(x, kernel)) <= bound).all()


def wider_strips_read_each_pixel_less_often(page: Page) -> None:
    """A fast k×k convolution can process the image in strips: k pixels wide for one column of
    outputs, or k + Δ pixels wide for several. Why is the second better, and how large can Δ be?
    """
    k, rows = 5, 16
    page.say("Strips overlap by k − 1 pixels: k + Δ pixels give D = Δ + 1 outputs per row.")
    page.say("If each strip is read once, an output costs (1 + (k − 1)/D)·(1 + (k − 1)/H') reads.")
    pixels = np.arange((rows + k - 1) * (64 + k - 1)).reshape(rows + k - 1, -1)
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (k, k))  # [H', 64, k, k]
    widths = (1, 2, 4, 8, 16, 32, 64)
    strips = {d: [windows[:, j : j + d].ravel() for j in range(0, 64, d)] for d in widths}
    formula = {d: (1 + (k - 1) / d) * (1 + (k - 1) / rows) for d in widths}
    memories = (len(pixels.ravel()), 200, 60)
    reads = {
        m: {d: sum(reads_of(s, m) for s in strips[d]) / (64 * rows) for d in widths}
        for m in memories
    }
    table = [(d, formula[d], *(reads[m][d] for m in memories)) for d in widths]
    headers = " | ".join(page.t("memory {m}", m=m) for m in memories)
    page.table(table, page.t("outputs D | formula") + " | " + headers, floatfmt=".3f")
    page.check("with enough memory, the count equals the formula", reads[memories[0]] == formula)
    page.check(
        "with less memory, the count equals the formula exactly if k rows of the strip fit",
        all(
            (reads[m][d] == formula[d]) == (k * (d + k - 1) <= m) for m in memories for d in widths
        ),
    )
    page.check(
        "strips for one column cost k times as many reads as infinitely wide strips",
        reads[200][1] == k * (1 + (k - 1) / rows),
    )
    with page.figure("4.6", "Reads per output by strip width, 5×5 kernel", (7, 4)) as figure:
        axes = figure.subplots()
        for m, marker in zip(memories, "os^", strict=True):
            y = list(reads[m].values())
            axes.plot(widths, y, marker=marker, label=page.t("memory: {m} pixels", m=m))
        axes.set_xscale("log", base=2)
        axes.set(xlabel=page.t("columns of outputs, D"), ylabel=page.t("reads per output"))
        axes.set_ylim(bottom=0)
        axes.set_xticks(widths, [str(d) for d in widths])
        axes.legend()
    page.answer(
        "In a wider strip, a pixel read once serves several outputs: 1 + (k − 1)/D reads instead "
        "of k, so at most k times fewer. The gain ends when about k rows of the strip no longer "
        "fit into fast memory (registers, cache): then every row is read again."
    )


def reads_of(accesses: np.ndarray, memory: int) -> int:
    """Return the number of reads with a memory of the most recently used pixels."""
    read = lru_cache(memory)(lambda pixel: pixel)
    for pixel in accesses.tolist():
        read(pixel)
    return read.cache_info().misses


def blocks_save_what_a_shuffle_mends(page: Page) -> None:
    """A c×c matrix over the channels is reduced to b blocks on its diagonal. How much faster is
    this, what is lost, and how can the loss be repaired?
    """
    c, b = 16, 4
    x = integers(0, (1000, 1, 1, c))
    first, second = (integers(seed, (c // b, c), least=1) for seed in (1, 2))
    whole = np.kron(np.eye(b), np.ones((c // b, c // b))) * np.tile(first, (b, 1))
    page.check(
        "a convolution in {b} groups of channels equals the product with the block-diagonal matrix",
        (in_blocks(x, first) == np.asarray(x) @ whole).all(),
        b=b,
    )
    counts = {
        n: cost.operations(in_blocks, cost.floats(1, 1, 1, c), cost.floats(c // n, c)) / 2
        for n in (1, 2, 4, 8, 16)
    }
    page.value("multiply-adds by number of blocks", {n: int(v) for n, v in counts.items()})
    page.check("b blocks take b times fewer, c²/b", all(n * v == c * c for n, v in counts.items()))

    page.say("Most input channels that any output channel depends on:")
    layer = in_blocks(jnp.eye(c)[:, None, None, :], first)  # one input channel at a time
    outputs = {
        "one layer": layer,
        "two layers": in_blocks(layer, second),
        "shuffled": in_blocks(channels_shuffled(layer, b), second),
    }
    masks = {name: y[:, 0, 0, :] != 0 for name, y in outputs.items()}  # [C, C'], inputs down
    page.show(
        "{name: m.sum(0).max() for name, m in masks.items()}",
        {name: int(m.sum(0).max()) for name, m in masks.items()},
    )
    page.check(
        "with two layers of blocks, an output still depends only on its own block",
        (masks["two layers"] == (whole != 0)).all(),
    )
    page.check("with shuffling, every output depends on every input", masks["shuffled"].all())
    with page.figure("4.7", "Dependence of outputs (across) on inputs (down)", (8, 3)) as figure:
        titles = (page.t("4 blocks"), page.t("two layers"), page.t("two layers, shuffled between"))
        for axes, title, mask in zip(figure.subplots(1, 3), titles, masks.values(), strict=True):
            style.matrix(axes, mask, title=title, signed=True)
    page.answer(
        "Blocks take b times fewer multiply-adds, but they never exchange information. Shuffling "
        "the channels between two such layers lets every output depend on every input (if c/b is "
        "at least b), still at {part:.0%} of the cost of one full layer.",
        part=2 / b,
    )


def in_blocks(x: Array, kernel: Array) -> Array:
    """Convolve 1×1 in groups: x [B, H, W, C], kernel [C/b, C']; group i gives outputs i·C'/b on."""
    return ops.conv2d(x, kernel[None, None], groups=x.shape[3] // kernel.shape[0])


def channels_shuffled(x: Array, blocks: int) -> Array:
    """Shuffle the channels so that each block receives channels of every block."""
    dealt = x.reshape(*x.shape[:3], blocks, -1).swapaxes(3, 4)
    return dealt.reshape(x.shape)
