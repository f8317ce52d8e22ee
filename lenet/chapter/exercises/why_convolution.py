"""Section 1: why convolutions."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import scipy
from jax import Array

from lenet import ops
from lenet.chapter.exercises.convolution import correlate
from lenet.chapter.exercises.draws import integers
from lenet.chapter.page import Page
from lenet.figures import style
from lenet.inspect.receptive_field import Window, influence, receptive_field, uses
from lenet.inspect.transforms import permute_pixels, shift


def one_by_one_is_a_network_for_each_pixel(page: Page) -> None:
    """Let the window be a single pixel, Δ = 0. Show that convolutions with ReLU between them are
    then one fully connected network, applied to the channels of each pixel separately.
    """
    page.say("At Δ = 0, the sum contains no neighbour: y[i, j, d] = Σ_c kernel[c, d] · x[i, j, c].")
    x, first, second = integers(0, (100, 5, 5, 3)), integers(1, (3, 4)), integers(2, (4, 2))

    def convolutions(images: Array) -> Array:
        hidden = jax.nn.relu(ops.conv2d(images, first[None, None]))
        return ops.conv2d(hidden, second[None, None])

    pixels = x.reshape(-1, 3)  # a batch of pixels, as if each were an example of 3 features
    page.show("pixels.shape", pixels.shape)
    dense = jax.nn.relu(pixels @ first) @ second
    page.check(
        "two 1×1 convolutions equal the fully connected network on each of {n} pixels, exactly",
        (convolutions(x) == dense.reshape(100, 5, 5, 2)).all(),
        n=len(pixels),
    )
    y, keys = convolutions(x), jax.random.split(jax.random.key(3), 10)
    page.check(
        "permuting the pixels permutes the outputs in the same way, for {n} permutations",
        all((convolutions(permute_pixels(x, k)) == permute_pixels(y, k)).all() for k in keys),
        n=len(keys),
    )

    page.say("The gradient of output pixel (2, 3) with respect to the input, with all weights 1:")

    def used(side: int) -> Array:  # of 5×5 pixels with 3 channels
        kernel = jnp.ones((side, side, 3, 1))
        return influence(
            lambda image: ops.conv2d(image[None], kernel, padding=side // 2)[0, :, :, 0],
            jnp.ones((5, 5, 3)),
            (2, 3),
        )

    alone = jnp.zeros((5, 5, 3), bool).at[2, 3].set(True)
    page.check("at Δ = 0, the gradient is 0 everywhere except at (2, 3)", (used(1) == alone).all())
    page.check("at Δ = 1, the gradient is nonzero at 9 pixels", used(3).any(-1).sum() == 9)
    with page.figure("1.1", "The pixels that output pixel (2, 3) depends on", (6, 3)) as figure:
        for axes, side in zip(figure.subplots(1, 2), (1, 3), strict=True):
            title = page.t("Δ = {delta}: {side}×{side} window", delta=side // 2, side=side)
            style.matrix(axes, used(side).any(-1), title=title)
    page.answer(
        "At Δ = 0, the layer is a matrix product over the channels of each pixel. Two such layers "
        "and a ReLU are a fully connected network that all pixels share, each on its own."
    )


def sound_is_an_image_of_height_one(page: Page) -> None:
    """Sound is a sequence. What is a convolution over time? When do locality and translation
    invariance hold for sound? Can tools for images be used?
    """
    page.say("Sound has one axis: y[i] = Σ_a k[a] · x[i + a], conv2d on an image of height 1.")
    sounds, kernels = np.asarray(integers(0, (100, 50))), np.asarray(integers(1, (100, 7)))
    page.show("conv1d(sounds, kernels).shape", conv1d(sounds, kernels).shape)
    own = conv1d(sounds, kernels)[np.arange(100), :, np.arange(100)]  # sound n by kernel n
    by_numpy = [np.correlate(s, k, "valid") for s, k in zip(sounds, kernels, strict=True)]
    page.check("equal to numpy.correlate in {n} pairs", np.array_equal(own, by_numpy), n=len(own))

    page.say(
        "Locality: a click is short, so a short kernel suffices. Translation invariance: a click "
        "sounds the same at any time. So filter noise that hides a click with the click itself."
    )
    click = np.array([1, 1, 1, 1, 1, -1, -1, 1, 1, -1, 1, -1, 1])  # unlike itself, when shifted
    starts = np.arange(188)
    sounds = np.random.default_rng(0).integers(-1, 2, (188, 200))
    sounds[starts[:, None], starts[:, None] + np.arange(13)[None, :]] += 3 * click[None, :]
    heard = conv1d(sounds, click[None, :])[:, :, 0]
    page.check(
        "the largest output is where the click starts, in {n} sounds",
        (heard.argmax(1) == starts).all(),
        n=len(sounds),
    )
    at_click = starts[:, None] == np.arange(188)[None, :]
    page.check(
        "the output there is at least 39 − 13 = 26, elsewhere at most 3 + 13 = 16",
        heard[at_click].min() >= 26 and heard[~at_click].max() <= 16,
    )
    early, late = (
        conv1d(np.pad(sounds, ((0, 0), at)), click[None, :]) for at in ((0, 20), (20, 0))
    )
    page.check("a delay of 20 samples delays the output", (late[:, 20:] == early[:, :-20]).all())

    page.say(
        "A convolution with cosines and sines of many pitches gives an image, the spectrogram: "
        "time runs across, pitch upwards, 12 rows per octave. Compare a melody with the same "
        "melody an octave higher and 4 frames later:"
    )
    melody = np.array([0, 4, 7, 2])
    low, high = spectrogram(melody, 512), spectrogram(melody + 12, 512 + 4 * 512)
    page.show("spectrogram(melody).shape", low.shape)
    piece = low[:14, :16]  # the rows and frames with the notes
    match = correlate(jnp.asarray(high), jnp.asarray(piece))
    page.check(
        "the first melody, used as a kernel, finds the second 12 rows higher and 4 frames later",
        np.unravel_index(match.argmax(), match.shape) == (12, 4),
    )
    with page.figure("1.2", "A click in noise, a melody in a spectrogram", (9, 4.6)) as figure:
        (sound, first), (output, second) = figure.subplots(2, 2)
        sound.plot(sounds[60], "-", color=style.GREY, label=page.t("sound"))
        sound.plot(
            np.arange(60, 73), sounds[60, 60:73], ".-", color=style.ORANGE, label=page.t("click")
        )
        sound.legend(ncols=2, loc="upper right")
        sound.set(ylim=(-4.5, 6.5), ylabel=page.t("amplitude"))
        output.plot(heard[60], "-", color=style.BLUE)
        output.set(xlabel=page.t("time (samples)"), ylabel=page.t("filtered with the click"))
        for axes, image, corner in ((first, low, (0, 0)), (second, high, (12, 4))):
            style.matrix(axes, image, numbers=False, windows=[(*corner, *piece.shape)])
            axes.set(aspect="auto", xticks=range(0, 24, 4), yticks=range(0, 36, 12))
            axes.set(xlabel=page.t("time (frames)"), ylabel=page.t("pitch (semitones)"))
            axes.invert_yaxis()
    page.answer(
        "A convolution over time is a weighted sum of nearby samples, with the same kernel at all "
        "times. This suits sounds that are short and may occur at any time. In a spectrogram, a "
        "later sound moves right and a higher sound moves up, so tools for images apply."
    )


def conv1d(sounds: np.ndarray, kernels: np.ndarray, stride: int = 1) -> np.ndarray:
    """Cross-correlate sounds [B, T] with kernels [Co, k] over time; return [B, T', Co]."""
    x = jnp.asarray(sounds, jnp.float32)[:, None, :, None]
    kernel = jnp.asarray(kernels.T, jnp.float32)[None, :, None, :]
    return np.asarray(ops.conv2d(x, kernel, stride=(1, stride))[:, 0])


def spectrogram(melody: np.ndarray, start: int) -> np.ndarray:
    """Return the amplitude of each pitch over time [pitch, frame], one frame per 512 samples.

    Pitches are the 36 semitones from 220 Hz up. The sound has 8000 samples a second; the melody
    begins after `start` of them.

    Args:
      melody: semitones above 220 Hz, one for each note of 2048 samples.
      start: silence before the melody, in samples.
    """
    # The phase's step from sample to sample, for each pitch.
    steps = 2 * np.pi * 220 / 8000 * 2 ** (np.arange(36) / 12)
    time = np.arange(2048)
    notes = np.sin(np.outer(steps[melody], time)).ravel()
    sound = np.pad(notes, (start, 25 * 512 - start - notes.size))
    phase = np.outer(steps, time[:1024])
    kernels = np.concatenate([np.cos(phase), np.sin(phase)]) * np.hanning(1024)[None, :]
    cosine, sine = np.split(conv1d(sound[None, :], kernels, stride=512)[0].T, 2)
    return np.hypot(cosine, sine)


def place_is_what_pooling_over_the_image_forgets(page: Page) -> None:
    """When is translation invariance a bad idea? Find a task that it makes impossible."""
    page.say("An 8×8 image has one bright pixel. The label: is it in the upper or lower half?")
    images = jnp.eye(64).reshape(64, 8, 8, 1)
    lower = jnp.arange(64) >= 32
    kernels, bias = integers(0, (3, 3, 1, 1000)), integers(1, (1000,))

    def total(images: Array) -> Array:
        maps = ops.conv2d(images, kernels) + bias[None, None, None]
        return jax.nn.relu(maps).sum((1, 2))

    page.say("Convolution, ReLU, a sum over the feature map. First, with circular padding:")
    wrapped = total(jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="wrap"))
    page.check(
        "for {n} random kernels and biases, the sum is the same at all {places} places",
        (wrapped == wrapped[:1]).all(),
        n=kernels.shape[3],
        places=len(images),
    )
    zeros = total(jnp.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0))))
    page.check("two rows of zeros around leave the sum equal", (zeros == zeros[:1]).all())
    page.say(
        "Later layers get the same input for both labels, so they give the same answer for all "
        "images. The two possible answers are correct for a fraction of"
    )
    page.show("lower.mean(), (~lower).mean()", (lower.mean().item(), (~lower).mean().item()))
    page.check("the accuracy is one half, chance level, whatever the weights", lower.mean() == 0.5)
    rows = jnp.arange(8.0)[None, :, None, None] - 3.5  # −3.5 in the first row, 3.5 in the last
    page.check(
        "one fully connected unit, weighted by row number, classifies all images correctly",
        (((images * rows).sum((1, 2, 3)) > 0) == lower).all(),
    )
    one_row = total(jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0))))
    page.say("With one row of zeros, fewer windows contain a border pixel, so position leaks in:")
    page.check("the sum then differs between places", (one_row != one_row[:1]).any())
    with page.figure("1.3", "The sum over the feature map ignores position", (8, 4)) as figure:
        kernel = jnp.array([[0.0, 1, 0], [1, 2, 1], [0, 1, 0]])[:, :, None, None]
        grid = figure.subplots(2, 3)
        for (left, middle, right), at in zip(grid, (18, 45), strict=True):
            image = images[at : at + 1]
            y = ops.conv2d(image, kernel, padding=1)
            label = page.t("lower half") if lower[at] else page.t("upper half")
            style.matrix(left, image[0, :, :, 0], title=label, numbers=False)
            title = page.t("feature map: sum {sum:.0f}", sum=y.sum().item())
            style.matrix(middle, y[0, :, :, 0], title=title, numbers=False)
            answer = f"{(image * rows).sum().item():+.1f}".replace("-", "−")
            title = page.t("unit weighted by row: {sum}", sum=answer)
            weights = jnp.broadcast_to(rows[0, :, :, 0], (8, 8))
            style.matrix(right, weights, title=title, numbers=False, signed=True)
    page.answer(
        "When the answer depends on position: sky is above, ground below. A convolution and a sum "
        "over the feature map give both halves the same number, away from the border, so half of "
        "the images are right. One fully connected unit is right for all. LeNet keeps position, "
        "because its dense layers have separate weights for each place in a feature map."
    )


def a_kernel_over_words_finds_a_phrase(page: Page) -> None:
    """Would convolutions suit text as well? What is difficult about language?"""
    words = ["not", "good", "very", "film", "was"]
    page.say("A word is a one-hot vector, a sentence an image of height 1, a channel per word.")
    kernel = one_hot(words, "not good")[0, :, :, :, None]  # [1, 2, Ci, 1]
    page.show("kernel.shape", kernel.shape)
    sentences = jnp.asarray(list(itertools.product(range(5), repeat=6)))
    found = ops.conv2d(jax.nn.one_hot(sentences, 5)[:, None], kernel)[:, 0, :, 0]
    there = (sentences[:, :-1] == 0) & (sentences[:, 1:] == 1)
    page.check(
        "in all {n} sentences of 6 words, the output is 2 at “not good”, at most 1 elsewhere",
        ((found == 2) == there).all() and (found <= 2).all(),
        n=len(sentences),
    )
    page.say("The maximum over a sentence of any length tells whether the phrase occurs:")
    for sentence in ("film was not good", "was very good"):
        page.show(f"strongest({sentence!r})", strongest(words, sentence, kernel))

    page.say("But one word in between hides the phrase, and the kernel detects “very good”:")
    page.check(
        "“was not very good” and “was very good” give the same output",
        strongest(words, "was not very good", kernel)
        == strongest(words, "was very good", kernel)
        == 1,
    )
    page.say("Words far apart need a wide window or many layers, such as three layers of width 3:")

    def three_layers(sentence: Array) -> Array:
        for _ in range(3):
            sentence = ops.conv2d(sentence, jnp.ones((1, 3, 1, 1)))
        return sentence

    reach = receptive_field([Window(3)] * 3).size
    heard = influence(three_layers, jnp.ones((1, 1, 20, 1)), (0, 0, 0, 0)).ravel()
    page.value("words (of 20) that the first output depends on", heard.astype(int))
    page.check(
        "the gradient is 0 outside the {reach} words given by the formula",
        (heard == (jnp.arange(20) < reach)).all(),
        reach=reach,
    )
    page.check(
        "⌈(n − 1)/(k − 1)⌉ layers of width k span n words; one layer fewer does not",
        all(
            receptive_field([Window(k)] * depth(n, k)).size
            >= n
            > receptive_field([Window(k)] * (depth(n, k) - 1)).size
            for n in range(2, 65)
            for k in range(2, 8)
        ),
    )
    page.show("[depth(n, 3) for n in (5, 20, 100)]", [depth(n, 3) for n in (5, 20, 100)])
    with page.figure("1.4", "“not good” as a kernel", (9, 3.6)) as figure:
        columns = figure.subplots(2, 2, height_ratios=(5, 1)).T
        two = ("film was not good", "film was not very good")
        for (upper, lower), sentence in zip(columns, two, strict=True):
            x = one_hot(words, sentence)
            style.matrix(upper, x[0, 0].T, numbers=False, windows=[(0, 2, 2, 2)])
            upper.set_xticks(range(x.shape[2]), sentence.split())
            upper.set_yticks(range(5), words)
            y = ops.conv2d(x, kernel, padding=((0, 0), (0, 1)))
            style.matrix(lower, y[0, :, :, 0], limits=(0, 2))
            lower.set_ylabel(page.t("output"), rotation=0, ha="right", va="center")
    page.answer(
        "Yes: a kernel of width n detects a phrase of n words anywhere, in sentences of any "
        "length. But meaning depends on order and on words far apart: one word in between hides "
        "the phrase, and with width 3, an output depends on {n} words only after {layers} layers.",
        layers=depth(100, 3),
        n=100,
    )


def one_hot(words: list[str], sentence: str) -> Array:
    """Return a sentence as [1, 1, n, words]: a 1 at each of its words."""
    places = jnp.array([words.index(word) for word in sentence.split()])
    return jax.nn.one_hot(places, len(words))[None, None]


def strongest(words: list[str], sentence: str, kernel: Array) -> float:
    """Return the largest output of the kernel over a sentence."""
    return float(ops.conv2d(one_hot(words, sentence), kernel).max())


def depth(n: int, k: int) -> int:
    """Return the number of layers of width k after which an output depends on n words."""
    return math.ceil((n - 1) / (k - 1))


def the_border_is_seen_less(page: Page) -> None:
    """What happens to an object at the border of the image?"""
    page.say("Number of 3×3 windows that contain each pixel of a 6×6 image, without padding:")
    none, one = (uses((6, 6), 3, padding=padding) for padding in (0, 1))
    page.show("uses((6, 6), 3)", none)
    page.check("a corner is used once, the middle 9 times", (none[0, 0], none[3, 3]) == (1, 9))
    page.check(
        "one row of zeros on each side reduces the difference: corner 4, border 6, middle 9",
        (one[0, 0], one[0, 3], one[3, 3]) == (4, 6, 9),
    )

    page.say("An object of 3×3 pixels moves out of the image. A kernel of ones detects it:")
    image = jnp.zeros((1, 12, 12, 1)).at[0, 4:7, 4:7].set(1)
    kernel = jnp.ones((3, 3, 1, 1))
    moved = jnp.concatenate([shift(image, 0, right) for right in range(8)])
    plain, padded = (ops.conv2d(moved, kernel, padding=p).max((1, 2, 3)) for p in (0, 1))
    page.value(
        "largest output by column of its right edge", dict(enumerate(plain.tolist(), start=6))
    )
    page.check(
        "the output stays at 9 while the object is complete, then falls with each column lost",
        plain.tolist() == [9, 9, 9, 9, 9, 9, 6, 3],
    )
    page.check("zero padding does not change this output", (padded == plain).all())

    page.say("Zero padding creates false edges. A constant image, filtered for vertical edges:")
    edge = jnp.broadcast_to(jnp.array([-1.0, 0, 1])[None, :], (3, 3))[:, :, None, None]
    flat = ops.conv2d(jnp.ones((1, 6, 6, 1)), edge, padding=1)[0, :, :, 0]
    page.show("conv2d(ones, edge, padding=1)", flat)
    page.check("inside, the output is 0", (flat[:, 1:-1] == 0).all())
    page.check("at the left and right border, the output is nonzero", (flat[:, (0, -1)] != 0).all())
    with page.figure("1.5", "Windows that use each pixel, and false edges", (9, 3.4)) as figure:
        axes = figure.subplots(1, 3)
        style.matrix(axes[0], none, title=page.t("uses, no padding"), limits=(0, 9))
        style.matrix(axes[1], one, title=page.t("uses, padding 1"), limits=(0, 9))
        style.matrix(axes[2], flat, title=page.t("edges of a constant image"), signed=True)
    page.answer(
        "Fewer windows contain it, so it contributes less: a corner pixel is used once, or "
        "{corner} times with zero padding, and a pixel inside {middle} times. The part outside "
        "the image is lost, and zero padding adds a false edge at the border.",
        corner=int(one[0, 0]),
        middle=int(one[3, 3]),
    )


def convolution_commutes(page: Page) -> None:
    """Prove that f ∗ g = g ∗ f."""
    page.say(
        "(f ∗ g)(i) = Σ_a f(a) · g(i − a), over all integers a. Substitute b = i − a, so that a = "
        "i − b. As a takes every integer once, so does b, and the sum is Σ_b g(b) · f(i − b) = (g "
        "∗ f)(i). With two indices, substitute in both."
    )
    f, g = (np.asarray(integers(key, (1000, *size))) for key, size in ((0, (5, 4)), (1, (2, 6))))
    page.show("convolve(f, g).shape", convolve(f, g).shape)
    page.check(
        "f ∗ g = g ∗ f for {n} random pairs of sequences, exactly",
        (convolve(f[:, :1], g[:, :1]) == convolve(g[:, :1], f[:, :1])).all(),
        n=len(f),
    )
    page.check(
        "f ∗ g = g ∗ f for {n} pairs of images", (convolve(f, g) == convolve(g, f)).all(), n=len(f)
    )
    images, kernel = jnp.asarray(f)[..., None], jnp.asarray(g[0])[:, :, None, None]
    page.check(
        "convolve2d with padding k − 1 gives the same result",
        (ops.convolve2d(images, kernel, padding=(1, 5))[..., 0] == convolve(f, g[:1])).all(),
    )

    page.say(
        "Cross-correlation sums f(i + a) · g(a). With b = i + a, the sum is Σ_b g(b − i) · f(b): "
        "the cross-correlation of g and f at −i."
    )
    one, other = np.array([[[1.0, 2, 3]]]), np.array([[[1.0, 0, 0]]])
    page.show("correlate_all([1, 2, 3], [1, 0, 0])", correlate_all(one, other).ravel())
    page.show("correlate_all([1, 0, 0], [1, 2, 3])", correlate_all(other, one).ravel())
    page.check(
        "the two differ, so cross-correlation does not commute",
        (correlate_all(one, other) != correlate_all(other, one)).any(),
    )
    page.check(
        "swapping f and g flips the result, for all {n} pairs of images",
        (correlate_all(g, f) == correlate_all(f, g)[:, ::-1, ::-1]).all(),
        n=len(f),
    )
    with page.figure("1.6", "Products f(a) · g(b); framed: a + b = 2", (8, 4.2)) as figure:
        f_values, g_values = np.array([1, 2, 3]), np.array([4, 5, 6])
        products = np.outer(f_values, g_values)
        frames = [(2, 0, 1, 1), (1, 1, 1, 1), (0, 2, 1, 1)]
        left, right = figure.subplots(1, 2)
        style.matrix(left, products, title=page.t("f(a) · g(b)"), windows=frames)
        style.matrix(right, products.T, title=page.t("g(b) · f(a)"), windows=frames)
        left.set(xlabel="g", ylabel="f")
        right.set(xlabel="f", ylabel="g")
        for axes, down, across in ((left, f_values, g_values), (right, g_values, f_values)):
            axes.set_xticks(range(3), across)
            axes.set_yticks(range(3), down)
    page.answer(
        "Substitute b = i − a: both sides sum the products f(a) · g(b) with a + b = i. "
        "Cross-correlation sums those with a − b = i, so swapping f and g flips its result."
    )


PAIRED = "(h,w),(k,l)->(m,n)"
convolve = np.vectorize(scipy.signal.convolve2d, signature=PAIRED)
correlate_all = np.vectorize(scipy.signal.correlate2d, signature=PAIRED)
"""Convolve or cross-correlate [B, H, W] with [B, kh, kw] pair by pair, wherever they overlap."""
