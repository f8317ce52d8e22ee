"""Section 7, trained: LeNet without its dense head, and LeNet on few images."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array

from lenet import config as config_module
from lenet import data, train
from lenet.chapter.exercises import training
from lenet.chapter.exercises.training import HELD_OUT
from lenet.chapter.page import Page
from lenet.config import Config
from lenet.data import Data, Split
from lenet.engine import lanes, sgd
from lenet.engine import sweep as engine
from lenet.engine.rows import Row
from lenet.figures import style
from lenet.model import ACTIVATIONS, WINDOW, LeNet, network
from lenet.ops import blocks
from lenet.ops.shapes import same_padding


class Averaged(LeNet):
    """LeNet without its dense head: global average pooling, then one dense layer."""

    @nn.compact
    def __call__(self, images: Array | np.ndarray) -> Array:
        """Return the logits of images."""
        x = blocks.split(
            jnp.asarray(images, jnp.float32), WINDOW**2, same_padding(self.kernel_size)
        )
        for i in range(2):
            x = self._convolution(i)(x)
            x = blocks.activate_and_pool(x, ACTIVATIONS[self.activation], WINDOW, self.pool)
        means = x[0, 0].mean((1, 2))  # [C, H, W, B] -> [C, B]
        return self._dense(1, self.num_classes)(means).T


def averages_replace_the_dense_head(page: Page) -> None:
    """Replace LeNet's dense layers by global average pooling and one dense layer. How much accuracy
    is lost?
    """
    images = data.take(data.load(valid=HELD_OUT), train=20_000)
    config = training.modern(epochs=2)
    page.say(
        "{epochs} epochs over {images:,} training images, with ReLU and max pooling, and {seeds} "
        "seeds for each head. Test accuracy, mean ± standard deviation:",
        epochs=config.epochs,
        images=len(images.train.labels),
        seeds=len(training.SEEDS),
    )
    heads = {
        page.t("two hidden dense layers"): network(config, 10),
        page.t("one dense layer"): network(config_module.replace(config, hidden=()), 10),
        page.t("global average pooling"): Averaged(
            activation="relu", pool="max", kernel_init=config.init
        ),
    }
    runs = [
        (model, dataclasses.replace(config, seed=s))
        for model in heads.values()
        for s in training.SEEDS
    ]
    found = [_trained_accuracy(model, run, images) for model, run in page.track(runs, "training")]
    scores = dict(zip(heads, np.array(found).reshape(len(heads), -1), strict=True))
    counts = [_size(model) for model in heads.values()]
    rows = [
        (name, f"{n:,}", training.spread(score))
        for (name, score), n in zip(scores.items(), counts, strict=True)
    ]
    page.table(rows, page.t("head | parameters | test"), disable_numparse=True)
    page.check("the parameters are 61,706, 6,582 and 2,742", counts == [61_706, 6_582, 2_742])
    dense, _, averaged = scores.values()
    page.check(
        "with every seed and head, accuracy exceeds 0.5, five times chance level",
        min(score.min() for score in scores.values()) > 0.5,
    )
    page.check(
        "the dense head is more accurate than global average pooling with every pair of seeds",
        dense.min() > averaged.max(),
    )
    page.answer(
        "Test accuracy falls from {dense:.3f} to {averaged:.3f} after {epochs} epochs, with "
        "{times:.1f} times fewer parameters. We did not tune the learning rate or train longer.",
        dense=dense.mean(),
        averaged=averaged.mean(),
        epochs=config.epochs,
        times=counts[0] / counts[2],
    )


def _trained_accuracy(model: nn.Module, config: Config, images: Data) -> float:
    """Return the test accuracy of a network after training."""
    placed = lanes.spread(1, sgd.sharers(model, config, images.image_shape))
    program = engine.compiled(model, config, images, placed)
    return [row for row, _ in train.fit(program)][-1].test_accuracy


def _size(model: nn.Module) -> int:
    """Return the number of parameters for images of 28×28×1."""
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 28, 28, 1)))
    return sum(p.size for p in jax.tree.leaves(shapes))


def noise_can_be_memorised(page: Page) -> None:
    """Can LeNet overfit 32 images, even of noise with random labels? What does it tell about a
    program if it cannot?
    """
    draw = np.random.default_rng(0)
    noise, fresh = (
        Split(
            draw.integers(0, 256, (n, 28, 28, 1)).astype(np.uint8),
            draw.integers(0, 10, n).astype(np.int32),
        )
        for n in (32, 1000)
    )
    images = Data(noise, None, fresh, "noise", "random numbers", tuple("0123456789"))
    config = training.modern(dataset="noise", valid=0, epochs=250, schedule="constant")
    page.say(
        "Training images: 32, of random pixels with random labels; {epochs} steps on all of them.",
        epochs=config.epochs,
    )
    losses, row = _memorised(config, images)
    page.value("training accuracy", row.train_accuracy)
    page.value("training loss", f"{row.train_loss:.4f}")
    page.check(
        "all 32 labels are memorised, with a loss below 0.01",
        row.train_accuracy == 1 and row.train_loss < 0.01,
    )
    low, high = (0.1 + side * 5 * (0.1 * 0.9 / 1000) ** 0.5 for side in (-1, 1))
    page.check(
        "on 1,000 fresh images of noise, accuracy stays at chance level: {accuracy:.3f} is "
        "between {low:.3f} and {high:.3f}",
        low < row.test_accuracy < high,
        accuracy=row.test_accuracy,
        low=low,
        high=high,
    )
    page.say("Now with a fault on purpose: the pixels are lost on the way, all images are black.")
    black = dataclasses.replace(images, train=Split(0 * noise.images, noise.labels))
    flat, stuck = _memorised(config, black)
    most = np.bincount(noise.labels).max() / 32
    entropy = _entropy(noise.labels)
    page.check(
        "accuracy is then at most the share of the most frequent label, {most:.3f}",
        stuck.train_accuracy <= most,
        most=most,
    )
    page.check(
        "the loss stays above {entropy:.3f}, the least loss of a network that ignores the image",
        min(flat) > entropy - 1e-4,
        entropy=entropy,
    )
    with page.figure("7.9a", "Training loss on 32 images of noise", (7, 3.4)) as figure:
        axes = figure.subplots()
        axes.semilogy(losses, label=page.t("noise"))
        axes.semilogy(flat, label=page.t("black images (a fault)"))
        axes.axhline(entropy, color=style.GREY, lw=1, label=page.t("least loss without the image"))
        axes.set(xlabel=page.t("step"), ylabel=page.t("training loss"))
        axes.legend()
    page.answer(
        "Yes: {parameters:,} parameters memorise 32 images of noise (Zhang et al., 2017). So this "
        "is a quick test of a training program. A network that cannot memorise a few images does "
        "not see them, or does not learn from its gradient.",
        parameters=61_706,
    )


def _memorised(config: Config, images: Data) -> tuple[list[float], Row]:
    """Return the training loss of each epoch, and the row of the last."""
    rows = [row for row, _ in train.fit(train.start(config, images))]
    return [row.train_loss for row in rows], rows[-1]


def _entropy(labels: np.ndarray) -> float:
    """Return the entropy of labels: the least mean loss of a network that ignores its input."""
    share = np.bincount(labels) / len(labels)
    share = share[share > 0]
    return float(-(share * np.log(share)).sum())


def memorising_few_images_is_not_learning(page: Page) -> None:
    """Overfit 10, 100 and 1,000 training images of clothes. How accurate is it on others?"""
    every = data.load()
    counts = {10: 200, 100: 200, 1_000: 40}  # images, epochs
    scores: dict[int, Any] = {}
    learnt: dict[int, Any] = {}
    runs = [(n, epochs, seed) for n, epochs in counts.items() for seed in training.SEEDS]
    for n, epochs, seed in page.track(runs, "training"):
        some = data.take(every, train=n, test=1_000)
        config = training.modern(
            valid=0, epochs=epochs, seed=seed, batch_size=min(n, 32), schedule="constant"
        )
        _, row = _memorised(config, some)
        scores.setdefault(n, []).append(row.test_accuracy)
        learnt.setdefault(n, []).append(row.train_accuracy)
    rows = [
        (f"{n:,}", f"{min(learnt[n]):.3f}", training.spread(np.array(scores[n]))) for n in counts
    ]
    page.say("The first images of the training set, three seeds, test accuracy on 1,000 images:")
    page.table(rows, page.t("images | training (least) | test"), disable_numparse=True)
    page.check(
        "10 and 100 images are memorised with every seed", min(*learnt[10], *learnt[100]) == 1
    )
    page.check(
        "10 times the images give a higher test accuracy, with every pair of seeds",
        max(scores[10]) < min(scores[100]) and max(scores[100]) < min(scores[1_000]),
    )
    page.check("for 10 and 100 images, it stays below 0.8", max(*scores[10], *scores[100]) < 0.8)
    page.answer(
        "Test accuracy is {ten:.2f} after 10 images, {hundred:.2f} after 100 and {thousand:.2f} "
        "after 1,000, although training accuracy is 1 or close to it. Memorising checks the "
        "program; only other images measure what was learned.",
        ten=np.mean(scores[10]),
        hundred=np.mean(scores[100]),
        thousand=np.mean(scores[1_000]),
    )
