"""Claims of the texts that only training decides, on real images (Fashion-MNIST)."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from lenet import data, train
from lenet.chapter import rounding
from lenet.chapter.claims.ledger import INTRODUCTION, LENET, POOLING, Finding, claim, truth
from lenet.chapter.exercises import training
from lenet.chapter.page import Page
from lenet.config import Config
from lenet.data import Data, Split
from lenet.engine import metrics, sgd
from lenet.inspect import transforms
from lenet.model import network

SHIFTS = range(5)  # pixels


@claim(INTRODUCTION, "true", seconds=60)
def permuted_pixels_are_alike_to_a_dense_network(page: Page) -> Finding:
    """Putting the pixels into another order changes nothing for a fully connected network, unlike
    for a convolutional one.
    """
    images = data.load()
    key = jax.random.key(0)
    learnt, tested = (_permuted(split, key) for split in (images.train, images.test))
    shuffled = dataclasses.replace(images, train=learnt, test=tested)
    settings = [dataclasses.replace(training.modern(), seed=seed) for seed in training.SEEDS]
    pairs = [
        [training.accuracies(config, each)[1] for each in (images, shuffled)]
        for config in page.track(settings, "training")
    ]
    before, after = np.array(pairs).T
    apart, bound = _dense_paths(images.train, key)
    return Finding(
        truth(apart <= bound and after.max() < before.min()),
        "A dense network is trained on both, its first weights permuted alike: the same path? "
        "LeNet is trained on both.",
        "The losses of the dense network differ by {apart:.0e} of their size, rounding. LeNet's "
        "test accuracy falls from {before:.3f} to {after:.3f} (one pass, {n} seeds).",
        {"apart": apart, "before": before.mean(), "after": after.mean(), "n": len(before)},
    )


def _permuted(split: Split, key: Array) -> Split:
    images = transforms.permute_pixels(jnp.asarray(split.images), key)
    return Split(np.asarray(images), split.labels)


def _dense_paths(split: Split, key: Array, steps: int = 50) -> tuple[float, float]:
    """Train a dense network on images and on permuted ones; return how far its losses part."""
    first_key, second_key = jax.random.split(key)
    x = jnp.asarray(split.images[: steps * 100], jnp.float32).reshape(steps, 100, 28, 28, 1) / 255
    labels = jnp.asarray(split.labels[: steps * 100]).reshape(steps, 100)
    first = jax.random.normal(first_key, (120, 28, 28, 1)) / 28
    last = jax.random.normal(second_key, (120, 10)) / 11

    def loss(weights: tuple[Array, Array], batch: tuple[Array, Array]) -> Array:
        pixels, labels = batch
        hidden = jax.nn.relu(pixels.reshape(100, -1) @ weights[0].reshape(120, -1).T)
        sums = metrics.of_batch(hidden @ weights[1], labels, jnp.ones(100, bool))
        return sums.loss_sum / sums.count

    @jax.jit
    def losses(first: Array, x: Array) -> Array:
        def step(
            weights: tuple[Array, Array], batch: tuple[Array, Array]
        ) -> tuple[tuple[Array, Array], Array]:
            value, gradient = jax.value_and_grad(loss)(weights, batch)
            updates = jax.tree.map(lambda g: -0.1 * g, gradient)
            return optax.apply_updates(weights, updates), value

        return jax.lax.scan(step, (first, last), (x, labels))[1]

    def permuted(images: Array) -> Array:
        return transforms.permute_pixels(images.reshape(-1, 28, 28, 1), key).reshape(images.shape)

    here, there = losses(first, x), losses(permuted(first), permuted(x))
    # each step adds the rounding of sums over the pixels to the weights
    return float((abs(here - there) / here).max()), float(
        rounding.tolerance(steps * 784, jnp.ones(()))
    )


@claim(POOLING, "true", seconds=60)
def a_pixel_of_shift_is_forgiven(page: Page) -> Finding:
    """LeNet, with its pooling, tolerates a shift of the image by a pixel."""
    images = data.load(valid=10_000)
    found: dict[str, list[list[float]]] = {"avg": [], "max": []}
    runs = [(pool, seed) for pool in found for seed in training.SEEDS]
    for pool, seed in page.track(runs, "training"):
        config = dataclasses.replace(training.modern(pool=pool), seed=seed)
        found[pool].append(_accuracy_by_shift(config, images))
    curves = {pool: np.array(values) for pool, values in found.items()}  # [S, shifts]
    caption = "Test accuracy of LeNet on shifted images, the mean of four directions"
    with page.figure("shifts", caption, size=(7, 3.8)) as figure:
        axes = figure.subplots()
        names = {"avg": page.t("average pooling"), "max": page.t("max-pooling")}
        for (pool, values), marker in zip(curves.items(), "os", strict=True):
            axes.plot(SHIFTS, values.mean(0), marker=marker, label=names[pool])
            axes.fill_between(SHIFTS, values.min(0), values.max(0), alpha=0.2)
        axes.set(xlabel=page.t("shift, in pixels"), ylabel=page.t("test accuracy"), ylim=(0, 1))
        axes.set_xticks(list(SHIFTS))
        axes.legend()
    lost = {pool: values[:, :1] - values for pool, values in curves.items()}  # [S, shifts]
    # In proportion to the shift, one pixel would cost a quarter of what four cost.
    forgiven = all((values[:, 1] < values[:, 4] / 4).all() for values in lost.values())
    return Finding(
        truth(forgiven),
        "LeNet with ReLU is trained for a pass, and tested on images shifted by 0 to 4 pixels: "
        "does the first pixel cost less than a quarter of what four cost, with every seed?",
        "One pixel costs {avg1:.3f} of accuracy with average and {max1:.3f} with max-pooling, four "
        "cost {avg4:.3f} and {max4:.3f} ({n} seeds each). What a network without pooling would "
        "lose is not measured.",
        {
            "avg1": lost["avg"][:, 1].mean(),
            "max1": lost["max"][:, 1].mean(),
            "avg4": lost["avg"][:, 4].mean(),
            "max4": lost["max"][:, 4].mean(),
            "n": len(training.SEEDS),
        },
    )


def _accuracy_by_shift(config: Config, images: Data) -> list[float]:
    """Return the test accuracy by shift, averaged over up, down, left and right."""
    _, params = train.run(config, images)
    model = network(config, images.num_classes)

    def accuracy(down: int, right: int) -> float:
        moved = np.asarray(transforms.shift(jnp.asarray(images.test.images), down, right))
        sums = sgd.evaluate(model, params, Split(moved, images.test.labels))
        return metrics.means(sums)[1]

    ways = ((1, 0), (-1, 0), (0, 1), (0, -1))
    return [float(np.mean([accuracy(s * down, s * right) for down, right in ways])) for s in SHIFTS]


@claim(LENET, "true", seconds=300)
def relu_and_max_pooling_work_better(page: Page) -> Finding:
    """ReLU and max-pooling work better than the sigmoid and average pooling."""
    images = data.load(valid=10_000)
    base = Config(epochs=5)  # with smaller batches the sigmoid does not leave the plateau
    cells = {
        f"{activation}, {pool}": training.tune(
            page,
            dataclasses.replace(base, activation=activation, pool=pool),
            (0.1, 0.3, 0.9),
            images,
        )
        for activation in ("sigmoid", "relu")
        for pool in ("avg", "max")
    }
    scores = training.measure(page, cells, images)
    test = {name: score[:, 1] for name, score in scores.items()}
    relu = (test["relu, avg"] + test["relu, max"] - test["sigmoid, avg"] - test["sigmoid, max"]) / 2
    pool = (test["sigmoid, max"] + test["relu, max"] - test["sigmoid, avg"] - test["relu, avg"]) / 2
    both, one = ((a > 0).all() for a in (np.stack([relu, pool]), np.stack([relu + pool])))
    return Finding(
        "true" if both else "partly" if one else "false",
        "All four networks are trained, each at the best of three learning rates on validation: "
        "does each change help, with every seed?",
        "ReLU with max-pooling reaches {modern:.3f} on test images, sigmoid with average pooling "
        "{book:.3f}, after {epochs} passes. ReLU adds {relu}, max-pooling {pool} ({n} seeds).",
        {
            "modern": test["relu, max"].mean(),
            "book": test["sigmoid, avg"].mean(),
            "epochs": base.epochs,
            "relu": training.spread(relu),
            "pool": training.spread(pool),
            "n": len(relu),
        },
    )
