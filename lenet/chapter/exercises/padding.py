"""Section 3: padding and stride."""

from collections.abc import Sequence
from functools import partial
from itertools import product
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import scipy
from jax import Array, lax

from lenet import ops
from lenet.chapter import cost
from lenet.chapter.exercises.draws import integers
from lenet.chapter.page import Page
from lenet.figures import style
from lenet.inspect.receptive_field import Window, receptive_field
from lenet.ops.shapes import same_padding


def four_windows_fit_the_last_example(page: Page) -> None:
    """What is the output shape of the last example in this section of the book, an 8×8 input with a
    3×5 kernel, padding (0, 1) and stride (3, 4)? Does it agree with the code?
    """
    page.say("By the formula ⌊(n − k + p + s)/s⌋, where p counts both sides (0 rows, 2 columns):")
    by_formula = ((8 - 3 + 0 + 3) // 3, (8 - 5 + 2 + 4) // 4)
    page.show("(8 - 3 + 0 + 3) // 3, (8 - 5 + 2 + 4) // 4", by_formula)
    page.say("By hand, the rows and columns where a window fits into 8 rows and 10 columns:")
    tops = [i for i in range(0, 8, 3) if i + 3 <= 8]
    lefts = [j for j in range(0, 10, 4) if j + 5 <= 10]
    page.show("tops, lefts", (tops, lefts))
    x, kernel = jnp.arange(64.0).reshape(1, 8, 8, 1), jnp.ones((3, 5, 1, 1))
    y = ops.conv2d(x, kernel, stride=(3, 4), padding=(0, 1))
    page.show("conv2d(x, kernel, stride=(3, 4), padding=(0, 1)).shape", y.shape)
    page.check(
        "the formula, the count by hand and conv2d give the same shape",
        by_formula == (len(tops), len(lefts)) == y.shape[1:3],
    )
    padded = np.pad(np.asarray(x[0, :, :, 0]), ((0, 0), (1, 1)))
    sums = [[padded[i : i + 3, j : j + 5].sum() for j in lefts] for i in tops]
    page.check("the sums over the windows equal conv2d", np.array_equal(y[0, :, :, 0], sums))
    with page.figure("3.1", "The windows on the padded input of the last example") as figure:
        windows = [(i, j, 3, 5) for i in tops for j in lefts]
        style.matrix(figure.subplots(), padded, windows=windows)
    page.answer(
        "The output is {h}×{w}. A third window would start at row 6 or column 8 and does not fit; "
        "the last two rows and the last column of zeros are in no window.",
        h=y.shape[1],
        w=y.shape[2],
    )


def stride_two_halves_the_sampling_rate(page: Page) -> None:
    """What does a stride of 2 mean for an audio signal?"""
    rate, taps = 8000, 31
    page.say("The signal: {rate} samples per second, tones of 500 Hz and 3000 Hz.", rate=rate)
    time = np.arange(rate + taps - 1) / rate  # a little longer, so that each result lasts a second
    sound = np.sin(2 * np.pi * 500 * time) + np.sin(2 * np.pi * 3000 * time)
    x = jnp.asarray(sound, jnp.float32).reshape(1, 1, -1, 1)
    every_second = ops.conv2d(x[:, :, :rate], jnp.ones((1, 1, 1, 1)), stride=(1, 2))
    page.check("the kernel [1] keeps every second sample", (every_second == x[:, :, :rate:2]).all())
    low_pass = jnp.asarray(scipy.signal.firwin(taps, 1 / 2), jnp.float32)  # a smoothed sinc
    smooth = ops.conv2d(x, low_pass.reshape(1, -1, 1, 1), stride=(1, 2))
    plain, folded, clean = (spectrum(a) for a in (x[:, :, :rate], every_second, smooth))
    page.show("loudest(spectrum(sound))", loudest(plain))
    page.show("loudest(spectrum(every_second))", loudest(folded))
    page.check("the 3000 Hz tone becomes 4000 − 3000 = 1000 Hz", loudest(folded) == [500, 1000])

    page.say("A low-pass kernel of {taps} weights keeps only frequencies below 2000 Hz.", taps=taps)
    page.show("spectrum(smooth)[[500, 1000]]", clean[[500, 1000]])
    page.check("less than 1% of the false tone remains", clean[1000] < 0.01)
    page.check("the 500 Hz tone keeps 99% of its amplitude", abs(clean[500] - 1) < 0.01)
    with page.figure("3.2", "Amplitude by frequency, before and after a stride of 2") as figure:
        rows = figure.subplots(3, 1, sharex=True, sharey=True)
        titles = (page.t("sound"), page.t("every second sample"), page.t("low pass, stride 2"))
        for axes, values, title in zip(rows, (plain, folded, clean), titles, strict=True):
            axes.plot(values, "-", color=style.BLUE)
            axes.axvline(len(values) - 1, linestyle=":", color=style.GREY)
            axes.set(title=title, ylim=(0, 1.2))
        rows[1].set_ylabel(page.t("amplitude"))
        rows[2].set_xlabel(page.t("frequency (Hz)"))
    page.answer(
        "A stride of 2 halves the sampling rate: frequencies above a quarter of the old rate fold "
        "back as false tones (aliasing), unless a low-pass kernel removes them first."
    )


def spectrum(sound: Array) -> np.ndarray:
    """Return the amplitude of each whole frequency in one second of sound, in Hz from 0."""
    samples = np.asarray(sound, np.float64).ravel()
    return 2 * np.abs(np.fft.rfft(samples)) / len(samples)


def loudest(amplitudes: np.ndarray) -> list[int]:
    """Return the two frequencies with the largest amplitudes, in order."""
    return sorted(int(f) for f in np.argsort(amplitudes)[-2:])


def mirror_padding_makes_no_false_edge(page: Page) -> None:
    """Implement mirror padding, which reflects the image at the border. How does it differ from
    zero padding?
    """
    page.say("Mirror padding is indexing: to the left of pixel 0 is pixel 0 again, or pixel 1.")
    page.show("mirrored(4, 3, repeat=True)", mirrored(4, 3, repeat=True))
    page.show("mirrored(4, 3, repeat=False)", mirrored(4, 3, repeat=False))
    cases = [(n, p) for n in range(1, 13) for p in range(25)]
    modes: dict[bool, Literal["symmetric", "reflect"]] = {True: "symmetric", False: "reflect"}
    for repeat, mode in modes.items():
        same = all(
            (mirrored(n, p, repeat=repeat) == np.pad(np.arange(n), p, mode=mode)).all()
            for n, p in cases
        )
        page.check(
            "the result equals {mode} padding in NumPy for {n} combinations of size and width",
            same,
            mode=mode,
            n=len(cases),
        )

    page.say("A constant image has no edges. With an edge kernel and zero padding:")
    flat, edge = np.ones((1, 4, 4, 1), np.float32), np.array([-1.0, 0, 1], np.float32)
    edge = edge.reshape(1, 3, 1, 1)
    by_zeros, by_mirror = filtered(flat, edge)
    page.show("by_zeros[0, :, :, 0]", by_zeros[0, :, :, 0])
    kernels = np.array(integers(0, (3, 3, 1, 1000)))
    kernels[1, 1] -= kernels.sum((0, 1))  # so that each sums to 0
    responses = filtered(flat, kernels)
    page.check(
        "with mirror padding, {n} kernels that sum to 0 give 0 everywhere",
        (responses[1] == 0).all(),
        n=kernels.shape[3],
    )
    page.check("with zero padding, the inside is still 0", (responses[0][:, 1:-1, 1:-1] == 0).all())
    page.check("with zero padding, the left border is a false edge", (by_zeros[0, :, 0] == 1).all())

    page.say("No padding knows the image outside: on a ramp, mirror padding loses the slope.")
    ramp = np.broadcast_to(np.arange(4, dtype=np.float32)[None, None, :, None], (1, 4, 4, 1))
    _, slope = filtered(ramp, edge / 2)
    page.show("slope[0, 0, :, 0]", slope[0, 0, :, 0])
    page.check("slope 1 inside, 0 at the ends", (slope[..., 0] == np.array([[[0, 1, 1, 0]]])).all())
    with page.figure(
        "3.3", "Three kinds of padding, and edges of a constant image", (9, 5.4)
    ) as figure:
        upper, lower = figure.subplots(2, 3)
        image, frame = np.arange(1, 17).reshape(4, 4), [(2, 2, 4, 4)]
        style.matrix(upper[0], np.pad(image, 2), title=page.t("zeros"), windows=frame)
        for axes, repeat in ((upper[1], True), (upper[2], False)):
            at = mirrored(4, 2, repeat=repeat)
            style.matrix(axes, image[at][:, at], windows=frame)
        upper[1].set_title(page.t("mirrored, border repeated"))
        upper[2].set_title(page.t("mirrored, border not repeated"))
        for axes, values, title in (
            (lower[0], by_zeros[0, :, :, 0], page.t("edges, zero padding")),
            (lower[1], by_mirror[0, :, :, 0], page.t("edges, mirror padding")),
            (lower[2], edge[:, :, 0, 0], page.t("edge kernel")),
        ):
            style.matrix(axes, values, title=title, signed=True)
    page.answer(
        "Mirror padding needs only indexing. It keeps a constant image constant, where zero "
        "padding creates false edges, but it loses the slope at the border."
    )


def mirrored(n: int, p: int, *, repeat: bool) -> np.ndarray:
    """Return the index of the pixel at each place of a row of n, mirror-padded by p on each side.

    Args:
      n: pixels.
      p: padding on each side, of any width: further out the mirror image is mirrored again.
      repeat: whether the border pixel stands on both sides of the mirror.
    """
    there_and_back = 2 * n if repeat else max(2 * (n - 1), 1)
    place = np.arange(-p, n + p) % there_and_back
    return np.where(place < n, place, there_and_back - place - repeat)


def filtered(image: np.ndarray, kernel: np.ndarray) -> tuple[Array, Array]:
    """Return the feature map in the image's size, padded with zeros and mirrored (border once)."""
    (top, _), (left, _) = same_padding(kernel.shape[:2])
    rows = mirrored(image.shape[1], top, repeat=False)
    columns = mirrored(image.shape[2], left, repeat=False)
    around = jnp.asarray(image[:, rows][:, :, columns])
    weights = jnp.asarray(kernel)
    return ops.conv2d(jnp.asarray(image), weights, padding=(top, left)), ops.conv2d(around, weights)


def stride_s_saves_s_squared(page: Page) -> None:
    """What are the computational benefits of a stride larger than 1?"""
    page.say("A stride of s keeps one output in s²; the other outputs are not computed.")
    x, kernel = integers(0, (10, 62, 62, 3)), integers(1, (3, 3, 3, 8))
    strides = (1, 2, 3, 4, 5, 6)
    every = ops.conv2d(x, kernel)
    maps = {s: ops.conv2d(x, kernel, stride=s) for s in strides}
    page.check(
        "the output at strides 1 to 6 is exactly every s-th output at stride 1",
        all((maps[s] == every[:, ::s, ::s]).all() for s in strides),
    )
    page.say("Multiply-adds by the formula B·H'·W'·Co·kh·kw·Ci and by the count of the compiler:")
    formula = {s: maps[s].size * 3 * 3 * 3 for s in strides}
    counted = {s: cost.operations(partial(ops.conv2d, stride=s), x, kernel) / 2 for s in strides}
    rows = [
        (s, formula[s], int(counted[s]), maps[s].nbytes, formula[1] / formula[s]) for s in strides
    ]
    page.table(rows, page.t("stride | formula | compiler | bytes | reduction"), intfmt=",")
    page.check("the count of the compiler equals the formula", counted == formula)
    page.check(
        "multiply-adds and the bytes of the output fall by a factor of s²",
        all(
            s * s * counted[s] == counted[1] and s * s * maps[s].nbytes == every.nbytes
            for s in strides
        ),
    )
    page.answer(
        "A stride of s reduces the multiply-adds, the memory of the output and the work of later "
        "layers by a factor of s², exactly if s divides the size at stride 1."
    )


def neighbours_say_the_same(page: Page) -> None:
    """What are possible statistical benefits of a stride larger than 1?"""
    page.say("Neighbouring windows share pixels. For means over k pixels of noise, s pixels apart:")
    draws = 20_000
    noise = np.random.default_rng(0).normal(size=(draws, 20))
    pairs = [(k, s) for k in (2, 4, 8) for s in range(k + 3)]
    measured = {
        (k, s): np.corrcoef(noise[:, :k].mean(1), noise[:, s : s + k].mean(1))[0, 1]
        for k, s in pairs
    }
    # Fisher: the arc tangent of a correlation scatters by 1/√(n − 3), whatever the correlation.
    off = [abs(np.arctanh(measured[k, s]) - np.arctanh(shared(k, s))) for k, s in pairs if s > 0]
    page.check(
        "the correlation over {n} draws is 1 − s/k, and 0 for s ≥ k, within 5 standard errors",
        max(off) < 5 / np.sqrt(draws - 3),
        n=draws,
    )

    page.say(
        "A linear layer learns the sum of a row of 64 pixels from 100 noisy examples, given the "
        "means over windows of 4 pixels. It can represent the sum at each of these strides:"
    )
    strides = (1, 2, 4)
    errors = {s: excess_errors(s, draws=400) for s in strides}
    inputs = {s: ops.output_shape((1, 64), (1, 4), stride=s)[1] for s in strides}
    expected = {s: inputs[s] / (100 - inputs[s] - 1) for s in strides}
    rows = [(s, inputs[s], errors[s].mean(), expected[s]) for s in strides]
    page.table(rows, page.t("stride | weights d | excess error | d/(100 − d − 1)"))
    page.check(
        "the excess error over the noise is d/(n − d − 1) for d weights, within 5 standard errors",
        all(
            abs(errors[s].mean() - expected[s]) < 5 * errors[s].std() / np.sqrt(len(errors[s]))
            for s in strides
        ),
    )
    page.check(
        "the excess error at stride 4 is less than a fifth of that at stride 1",
        errors[4].mean() < errors[1].mean() / 5,
    )
    fields = [receptive_field([Window(3, stride=s)] * 3).size for s in (1, 2)]
    page.show("[receptive_field([Window(3, stride=s)] * 3).size for s in (1, 2)]", fields)
    page.check("the receptive field of three layers grows from 7 to 15 pixels", fields == [7, 15])

    with page.figure("3.5", "Correlation and excess error by stride", (9, 3.6)) as figure:
        left, right = figure.subplots(1, 2)
        for k, marker in ((2, "o"), (4, "s"), (8, "^")):
            at = [s for k_, s in measured if k_ == k]
            left.plot(at, [shared(k, s) for s in at], label=page.t("1 − s/{k}", k=k))
            dots = [measured[k, s] for s in at]
            left.plot(at, dots, marker, color=left.lines[-1].get_color(), linestyle="none")
        left.set(xlabel=page.t("stride s (pixels)"), ylabel=page.t("correlation"))
        left.legend()
        right.boxplot(list(errors.values()), tick_labels=[str(s) for s in errors])
        right.set(xlabel=page.t("stride s (pixels)"), ylabel=page.t("excess error"))
        right.set_yscale("log")
    page.answer(
        "The outputs of windows of k pixels, s apart, have correlation 1 − s/k, so a stride "
        "discards little new information. The next layer has fewer weights to learn from the same "
        "examples and a larger receptive field: its excess error fell from {a:.2f} to {b:.2f}.",
        a=errors[1].mean(),
        b=errors[4].mean(),
    )


def shared(k: int, s: int) -> float:
    """Return the fraction of a window of k pixels shared with the window s pixels further."""
    return max(1 - s / k, 0)


def excess_errors(stride: int, *, draws: int) -> np.ndarray:
    """Return the excess errors of linear fits of noisy row sums on means of 4 pixels.

    Args:
      stride: pixels between the windows.
      draws: how many times 100 new examples are drawn.

    Returns:
      [draws], the squared error beyond that of the noise, in units of its variance: exact, as the
      mean over all rows of white pixels
    """
    starts = np.arange(0, 61, stride)
    pixel = np.arange(64)[None, :] - starts[:, None]
    means = ((pixel >= 0) & (pixel < 4)) / 4  # [d, 64]
    rng = np.random.default_rng(stride)
    rows = rng.normal(size=(draws, 100, 64))
    target = rows.sum(2) + rng.normal(size=(draws, 100))
    features = rows @ means.T
    transposed = features.swapaxes(1, 2)
    weights = np.linalg.solve(transposed @ features, transposed @ target[..., None])[..., 0]
    return ((weights @ means - 1) ** 2).sum(1)


def stride_one_half_doubles_the_size(page: Page) -> None:
    """How could a stride of 1/2 be implemented, and when is it useful?"""
    page.say("To move the window by half a pixel, insert zeros between pixels, then convolve.")
    y, kernel = integers(0, (1000, 3, 3, 4)), integers(1, (3, 3, 2, 4))
    between = jnp.zeros((len(y), 5, 5, 4)).at[:, ::2, ::2].set(y)
    x_of_y = ops.conv_transpose2d(y, kernel, stride=2)
    page.show("conv_transpose2d(y_3x3, kernel_3x3, stride=2).shape", x_of_y.shape)
    page.check(
        "conv_transpose2d is the convolution of the image with zeros inserted",
        (x_of_y == ops.convolve2d(between, kernel.swapaxes(2, 3), padding=2)).all(),
    )
    x = integers(2, (1000, 7, 7, 2))
    inner = [(ops.conv2d(x, kernel, stride=2) * y).sum((1, 2, 3)), (x * x_of_y).sum((1, 2, 3))]
    page.check(
        "this transposes stride 2: ⟨conv(x), y⟩ = ⟨x, transposed(y)⟩ in {n} draws",
        (inner[0] == inner[1]).all(),
        n=len(x),
    )

    page.say(
        "With the weights 1, 3, 3, 1 (divided by 4) down and across, and one pixel cropped on "
        "each side, the result is linear interpolation. A ramp of 4 pixels becomes:"
    )
    ramp = jnp.tile(jnp.arange(4.0)[:, None], (1, 4)).reshape(1, 4, 4, 1)
    weights = jnp.array([1.0, 3, 3, 1]) / 4
    bilinear = (weights[:, None] * weights[None, :])[:, :, None, None]
    finer = ops.conv_transpose2d(ramp, bilinear, stride=2, padding=1)
    page.show("finer[0, 1:-1, 3, 0]", finer[0, 1:-1, 3, 0])
    page.check(
        "4×4 becomes 8×8, and a ramp of slope 1 has slope 1/2 inside",
        finer.shape == (1, 8, 8, 1) and (jnp.diff(finer[0, 1:-1, 1:-1, 0], axis=0) == 0.5).all(),
    )
    page.say(
        "But windows overlap: each pixel receives every s-th weight of the kernel, from a start "
        "that depends on its position. Ones at stride 2 give, at two neighbouring pixels:"
    )
    for row in ([1, 1, 1], [1, 2, 1], [1, 3, 1, 2], [1, 3, 3, 1]):
        page.show(f"spread_ones({row}, 2)", spread_ones(row, 2))
    rng = np.random.default_rng(3)
    drawn = [(rng.integers(-9, 10, k), s) for k in range(1, 9) for s in range(1, 9)]
    page.check(
        "at s neighbours, these are the sums of every s-th weight, for sizes and strides up to 8",
        all(spread_ones(w, s) == [w[a::s].sum() for a in range(s)] for w, s in drawn),
    )
    page.check(
        "with equal weights, these sums are equal exactly if the stride divides the size",
        all((len(set(spread_ones(0 * w + 1, s))) == 1) == (len(w) % s == 0) for w, s in drawn),
    )
    page.check(
        "with unequal weights this fails: at stride 2, 1, 2, 1 gives equal sums, though 2 does "
        "not divide 3, and 1, 3, 1, 2 does not, though 2 divides 4",
        (spread_ones([1, 2, 1], 2), spread_ones([1, 3, 1, 2], 2)) == ([2, 2], [2, 5]),
    )
    with page.figure("3.6", "Interpolation, and overlapping windows", (9, 3.2)) as figure:
        small, large, uneven, even = figure.subplots(1, 4)
        style.matrix(small, ramp[0, :, :, 0], title=page.t("ramp"))
        style.matrix(large, finer[0, :, :, 0], title=page.t("interpolated"), numbers=False)
        for axes, k in ((uneven, 3), (even, 4)):
            met = ops.conv_transpose2d(jnp.ones((1, 4, 4, 1)), jnp.ones((k, k, 1, 1)), stride=2)
            style.matrix(axes, met[0, :, :, 0], title=page.t("windows of {k}×{k}", k=k))
    page.answer(
        "Use a transposed convolution: each pixel is spread over a window, with windows 2 apart. "
        "It enlarges feature maps: to label each pixel, to generate images, to raise resolution. "
        "The sums of every s-th weight, from each of the s starting points, should be equal, or a "
        "checkerboard appears. Equal weights achieve this if the stride divides the size."
    )


def spread_ones(weights: Sequence[int] | np.ndarray, stride: int) -> list[int]:
    """Spread a row of ones over windows of `weights`, `stride` apart: `stride` pixels inside."""
    length = len(weights)
    apart = np.zeros(2 * length * stride, int)
    apart[::stride] = 1
    return np.convolve(apart, weights)[stride * length : stride * (length + 1)].tolist()


def the_formula_holds_for_every_combination(page: Page) -> None:
    """Try other combinations of padding and stride (Chinese edition only)."""
    page.say("Some combinations on an 8×8 input, with padding on each side:")
    tries = [(3, 1, 1), (3, 1, 2), (5, 2, 2), (3, 0, 3), (5, 0, 1), (2, 1, 4), (8, 0, 1), (1, 0, 8)]
    rows = [(k, p, s, shape_by_lax(8, k, (p, p), s)) for k, p, s in tries]
    page.table(rows, page.t("kernel | padding | stride | output"))
    grid = [
        (n, k, (above, below), s)
        for n, k, above, below, s in product(
            range(1, 9), range(1, 6), range(3), range(3), range(1, 5)
        )
        if k <= n + above + below
    ]
    page.check(
        "lax gives ⌊(n − k + p + s)/s⌋ in {n} combinations",
        all(shape_by_lax(n, k, p, s) == (n - k + sum(p) + s) // s for n, k, p, s in grid),
        n=len(grid),
    )
    page.say("For p = k − 1, the formula becomes ⌊(n + s − 1)/s⌋, and n/s if s divides n:")
    same = {
        (n, s): {shape_by_lax(n, k, same_padding(k)[0], s) for k in range(1, 6)}
        for n, s in product(range(1, 9), range(1, 5))
    }
    page.check(
        "for every kernel, the output size is then ⌊(n + s − 1)/s⌋, which is n/s rounded up",
        all(left == {(n + s - 1) // s} for (n, s), left in same.items()),
    )
    page.check(
        "the output size is n/s exactly if s divides n",
        all((left == {n / s}) == (n % s == 0) for (n, s), left in same.items()),
    )
    page.answer(
        "All {n} combinations follow ⌊(n − k + p + s)/s⌋. For p = k − 1, the kernel size cancels, "
        "and the output size is the input size divided by the stride, rounded up.",
        n=len(grid),
    )


def shape_by_lax(n: int, k: int, padding: tuple[int, int], stride: int) -> int:
    """Return the output size that lax gives for n rows; only shapes are computed."""
    convolve = partial(lax.conv_general_dilated, window_strides=(stride,), padding=[padding])
    return jax.eval_shape(convolve, cost.floats(1, 1, n), cost.floats(1, 1, k)).shape[2]
