"""Claims of the book about the step from fully connected layers to convolutions."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lenet import data, ops, reference
from lenet.chapter import rounding
from lenet.chapter.claims.claim import SEEDS, Finding, decided, truth
from lenet.chapter.exercises import training
from lenet.chapter.exercises.convolution import correlate
from lenet.chapter.exercises.draws import integers
from lenet.chapter.page import Page
from lenet.chapter.sections import introduction
from lenet.data import Split
from lenet.engine import metrics
from lenet.inspect import transforms
from lenet.inspect.receptive_field import influence


def a_shared_local_layer_is_a_convolution(page: Page) -> Finding:
    """A fully connected layer whose weights are shared by translation invariance and zero outside a
    window is a convolution.
    """
    x_key, v_key = jax.random.split(jax.random.key(0))
    x = jax.random.normal(x_key, (1000, 7, 7))
    v = jax.random.normal(v_key, (1000, 3, 3))
    excess = jax.jit(jax.vmap(introduction.excess))(v, x).max()
    return Finding(
        truth(excess <= 1),
        "The layer with weight W[i, j, k, l] = V[k − i, l − j] is compared with a convolution.",
        "In {n} random layers, the difference is at most {excess:.2f} times the rounding bound.",
        {"n": len(x), "excess": excess},
    )


def a_shifted_input_shifts_the_feature_map(page: Page) -> Finding:
    """Shifting the input shifts the feature map, and a pixel outside the receptive field changes
    nothing.
    """
    x, kernel = integers(0, (1000, 9, 9, 1)), integers(1, (3, 3, 1, 1))
    y, moved = ops.conv2d(x, kernel), ops.conv2d(transforms.shift(x, 2, 1), kernel)
    seen = influence(lambda image: correlate(image, jnp.ones((3, 3))), x[0, :, :, 0], (2, 4))
    window = jnp.zeros((9, 9), bool).at[2:5, 4:7].set(True)
    return Finding(
        truth((moved[:, 2:, 1:] == y[:, :-2, :-1]).all() and (seen == window).all()),
        "Images of integers are shifted by (2, 1), and the gradient of one output is computed.",
        "All {n} feature maps shift exactly; output (2, 4) depends on {pixels} pixels, its window.",
        {"n": len(x), "pixels": seen.sum()},
    )


def shared_and_local_weights_are_few(page: Page) -> Finding:
    """For a megapixel image, a fully connected layer needs 10¹² weights, 4·10⁶ with translation
    invariance, and 4Δ² with locality as well.
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
        "The offsets are counted: 2·1000 − 1 along each axis, of which 2Δ + 1 lie within Δ.",
        "The orders of magnitude are right: {free:.0e} weights, then exactly {tied:,}. For Δ = "
        "{delta}, locality leaves (2Δ + 1)² = {local} weights; the book's formula gives {said}.",
        {"free": free, "tied": tied, "local": local, "said": 4 * delta**2, "delta": delta},
    )


def dense_networks_ignore_pixel_order(page: Page) -> Finding:
    """Permuting the pixels changes nothing for a fully connected network, but it does for a
    convolutional network.
    """
    images = data.load()
    key = jax.random.key(0)
    learnt, tested = (
        Split(np.asarray(transforms.permute_pixels(split.images, key)), split.labels)
        for split in (images.train, images.test)
    )
    shuffled = dataclasses.replace(images, train=learnt, test=tested)
    settings = [training.modern(valid=0, seed=seed) for seed in SEEDS]
    pairs = [
        [training.accuracies(config, each)[1] for each in (images, shuffled)]
        for config in page.track(settings, "training")
    ]
    before, after = np.array(pairs).T
    apart, bound = _dense_paths(images.train, key)
    verdict, test = decided(page, before - after)
    return Finding(
        verdict if apart <= bound else "false",
        "A fully connected network is trained on original and permuted images, its first weights "
        "permuted alike, and the losses are compared. LeNet is also trained on both. Does its test "
        "accuracy fall, by a sign test over seeds?",
        "The losses of the fully connected network differ by rounding ({apart:.0e}). LeNet's test "
        "accuracy falls from {before:.3f} to {after:.3f} (one epoch; with {above} of {n} seeds, "
        "p = {p:.1g}).",
        {"apart": apart, "before": before.mean(), "after": after.mean(), **test},
    )


Pair = tuple[Array, Array]


def _dense_paths(split: Split, key: Array, steps: int = 50) -> tuple[float, float]:
    """Train a dense network on images and permuted images; return their loss difference, bound."""
    first_key, second_key = jax.random.split(key)
    x = jnp.asarray(split.images[: steps * 100], jnp.float32).reshape(steps, 100, 28, 28, 1) / 255
    labels = jnp.asarray(split.labels[: steps * 100]).reshape(steps, 100)
    first = jax.random.normal(first_key, (120, 28, 28, 1)) / 28
    last = jax.random.normal(second_key, (120, 10)) / 11

    def loss(weights: Pair, batch: Pair) -> Array:
        pixels, labels = batch
        hidden = jax.nn.relu(pixels.reshape(100, -1) @ weights[0].reshape(120, -1).T)
        sums = metrics.of_batch(hidden @ weights[1], labels, jnp.ones(100, bool))
        return sums.loss_sum / sums.count

    @jax.jit
    def losses(first: Array, x: Array) -> Array:
        def step(weights: Pair, batch: Pair) -> tuple[Pair, Array]:
            value, gradient = jax.value_and_grad(loss)(weights, batch)
            return jax.tree.map(lambda w, g: w - 0.1 * g, weights, gradient), value

        return jax.lax.scan(step, (first, last), (x, labels))[1]

    def permuted(images: Array) -> Array:
        return transforms.permute_pixels(images.reshape(-1, 28, 28, 1), key).reshape(images.shape)

    here, there = losses(first, x), losses(permuted(first), permuted(x))
    # each step adds the rounding of sums over the pixels to the weights
    bound = rounding.tolerance(steps * 784, jnp.ones(()))
    return float((abs(here - there) / here).max()), float(bound)
