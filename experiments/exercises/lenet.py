"""Section 6: LeNet."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from matplotlib.figure import Figure
from tabulate import tabulate

from experiments.exercises import exercise, training
from experiments.page import Page
from lenet import data, plots, train
from lenet.activations import activations, statistics
from lenet.config import Config
from lenet.data import Split
from lenet.model import LeNet

HELD_OUT = 10_000
"""Training images kept for validation: what is chosen here is chosen on them."""


@exercise("6.1a", "R", seconds=75)
def max_pooling_learns_sooner_than_average_pooling(page: Page) -> None:
    """Put max-pooling in the place of average pooling. Is the network better for it?"""
    page.say(
        "Everything but the pooling stays, and ReLU stands for the sigmoid, with which a run takes "
        "far longer (see 6.1b)."
    )
    images = data.load(valid=HELD_OUT)
    rates = (0.05, 0.1, 0.2)
    grid = {
        f"{pool} {lr:g}": training.modern(pool=pool, lr=lr)
        for pool in ("avg", "max")
        for lr in rates
    }
    scores = training.measure(page, grid, images)
    average, maximum = (
        {name: score for name, score in scores.items() if name.startswith(pool)}
        for pool in ("avg", "max")
    )
    tuned = (training.best(average), training.best(maximum))
    page.show("best on validation", tuned)
    page.check(
        "at a learning rate of {low} and of {middle} every seed does better with max-pooling",
        all((scores[f"max {lr:g}"] > scores[f"avg {lr:g}"]).all() for lr in rates[:2]),
        low=rates[0],
        middle=rates[1],
    )
    gap = (scores[tuned[1]] - scores[tuned[0]])[:, 1]
    page.check("with the best rate for each they are less than 0.03 apart", abs(gap.mean()) < 0.03)
    caption = "Accuracy with average and with max-pooling, by learning rate"
    with page.figure("6.1a", caption, (7, 3.6)) as figure:
        training.draw(page, figure.subplots(), scores, page.t("pooling and learning rate"))
    page.answer(
        "It learns sooner: max-pooling is ahead at small learning rates. With the best "
        "rate for each, it changes the test accuracy of the same seed by {gap:+.3f} ± "
        "{deviation:.3f}: three seeds do not say much more.",
        gap=gap.mean(),
        deviation=gap.std(ddof=1),
    )


@exercise("6.1b", "R", seconds=120)
def relu_learns_sooner_than_sigmoid(page: Page) -> None:
    """Put ReLU in the place of the sigmoid (the English edition says "softmax layer", a slip). Is
    the network better for it?
    """
    page.say(
        "The network has no softmax to replace: the activations between its layers are meant. "
        "Average pooling stays. Each activation has the better of two learning rates, and the "
        "chapter's batches of 256: with smaller ones the sigmoid was still guessing."
    )
    images = data.load(valid=HELD_OUT)
    base = Config(epochs=5)
    sigmoid = training.tune(page, base, (0.3, 0.9), images)
    relu = training.tune(page, dataclasses.replace(base, activation="relu"), (0.1, 0.3), images)
    scores = training.measure(page, {"sigmoid": sigmoid, "ReLU": relu}, images)
    page.check(
        "the worst run with ReLU is more accurate than the best with the sigmoid",
        scores["ReLU"].min() > scores["sigmoid"].max(),
    )
    with page.figure("6.1b", "Accuracy after {n} passes", (6, 3.6), n=base.epochs) as figure:
        training.draw(page, figure.subplots(), scores, page.t("activation"))
    page.answer(
        "Yes, it learns far sooner: after {n} passes the test accuracy with ReLU is {low:.2f} to "
        "{high:.2f}, with the sigmoid {least:.2f} to {most:.2f}. What the sigmoid reaches with "
        "more passes is not measured here.",
        n=base.epochs,
        low=scores["ReLU"][:, 1].min(),
        high=scores["ReLU"][:, 1].max(),
        least=scores["sigmoid"][:, 1].min(),
        most=scores["sigmoid"][:, 1].max(),
    )


@exercise("6.2a", "R", seconds=50)
def the_window_matters_little(page: Page) -> None:
    """How does the accuracy depend on the size of the convolution window?"""
    images = data.load(valid=HELD_OUT)
    sizes = {f"{k}×{k}": training.modern(kernel_size=k) for k in (3, 5, 7)}
    scores = training.measure(page, sizes, images)
    means = [score.mean(axis=0)[0] for score in scores.values()]
    apart = max(means) - min(means)
    page.check("the means differ by less than 0.02 on validation images", apart < 0.02)
    page.check(
        "a larger window leaves smaller maps, and so the first dense layer fewer weights",
        np.all(np.diff([training.parameters(config, images) for config in sizes.values()]) < 0),
    )
    with page.figure("6.2a", "Accuracy by window size", (6, 3.6)) as figure:
        axes = figure.subplots()
        training.draw(page, axes, scores, page.t("convolution window"))
        training.label_parameters(page, axes, sizes, images)
    page.answer(
        "Hardly: the means lie within {apart:.3f} of each other. The most accurate on validation "
        "images is {best}, too close to call.",
        apart=apart,
        best=training.best(scores),
    )


@exercise("6.2b", "R", seconds=50)
def half_the_channels_cost_a_little(page: Page) -> None:
    """How does the accuracy depend on the number of channels?"""
    images = data.load(valid=HELD_OUT)
    channels = ((3, 8), (6, 16), (12, 32))
    widths = {f"{a}, {b}": training.modern(channels=(a, b)) for a, b in channels}
    scores = training.measure(page, widths, images)
    half, book, double = (score.mean(axis=0)[0] for score in scores.values())
    page.check("half the channels do worse than twice the channels, in the mean", half < double)
    page.check("twice the channels change it by less than 0.02", abs(double - book) < 0.02)
    with page.figure("6.2b", "Accuracy by channels of the two convolutions", (6, 3.6)) as figure:
        axes = figure.subplots()
        training.draw(page, axes, scores, page.t("channels"))
        training.label_parameters(page, axes, widths, images)
    page.answer(
        "A little: from half the channels to twice as many the accuracy on validation images goes "
        "from {half:.3f} to {double:.3f}, with {book:.3f} for the chapter's 6 and 16. Three seeds "
        "do not tell neighbours apart.",
        half=half,
        book=book,
        double=double,
    )


@exercise("6.2c", "R", seconds=50)
def a_third_convolution_does_not_help_at_once(page: Page) -> None:
    """How does the accuracy depend on the number of convolution layers?"""
    page.say("Windows are 3×3 here, for a third layer has maps of 6×6 left to look at.")
    images = data.load(valid=HELD_OUT)
    depths = {str(n): training.modern(channels=(6, 16, 32)[:n], kernel_size=3) for n in (1, 2, 3)}
    scores = training.measure(page, depths, images)
    one, two, three = (score.mean(axis=0)[0] for score in scores.values())
    page.check("three do worse than two on validation images, in the mean", three < two)
    page.check("one is no more than 0.02 from two", abs(one - two) < 0.02)
    weights = [training.parameters(config, images) for config in depths.values()]
    page.check(
        "with each convolution and pooling the network has fewer weights",
        weights == sorted(weights, reverse=True),
    )
    with page.figure("6.2c", "Accuracy by number of convolution layers", (6, 3.6)) as figure:
        axes = figure.subplots()
        training.draw(page, axes, scores, page.t("convolution layers"))
        training.label_parameters(page, axes, depths, images)
    page.answer(
        "After one pass at the same learning rate a third layer does harm: {one:.3f}, {two:.3f} "
        "and {three:.3f} with one, two and three. One layer needs {ratio:.1f} times the parameters "
        "of two, most of them in the dense layer behind its large maps. What longer training would "
        "give a deep network is not measured here.",
        one=one,
        two=two,
        three=three,
        ratio=weights[0] / weights[1],
    )


@exercise("6.2d", "R", seconds=60)
def hidden_dense_layers_are_hardly_needed(page: Page) -> None:
    """How does the accuracy depend on the number of dense layers before the last?"""
    images = data.load(valid=HELD_OUT)
    widths = ((), (84,), (120, 84), (120, 120, 84))
    depths = {str(len(hidden)): training.modern(hidden=hidden) for hidden in widths}
    scores = training.measure(page, depths, images)
    none, _, two, three = (score.mean(axis=0)[0] for score in scores.values())
    page.check(
        "without any, the accuracy is within 0.02 of the chapter's two", abs(none - two) < 0.02
    )
    page.check("a third brings no more than 0.01", three < two + 0.01)
    weights = [training.parameters(config, images) for config in depths.values()]
    page.check(
        "and without any, less than a ninth of the parameters is left", weights[0] < weights[2] / 9
    )
    with page.figure("6.2d", "Accuracy by number of hidden dense layers", (6, 3.6)) as figure:
        axes = figure.subplots()
        training.draw(page, axes, scores, page.t("dense layers before the last"))
        training.label_parameters(page, axes, depths, images)
    page.answer(
        "Hardly: without any hidden dense layer the accuracy on validation images is {none:.3f}, "
        "with two {two:.3f}, with three {three:.3f}. The maps of the convolutions are enough, with "
        "{few:,} parameters in place of {many:,}.",
        none=none,
        two=two,
        three=three,
        few=weights[0],
        many=weights[2],
    )


@exercise("6.2e", "R", seconds=70)
def the_best_learning_rate_lies_between_too_slow_and_guessing(page: Page) -> None:
    """How does the accuracy depend on the learning rate?"""
    page.say("A run that diverges counts as a guess, 0.1.")
    images = data.load(valid=HELD_OUT)
    rates = {f"{lr:g}": training.modern(lr=lr) for lr in (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)}
    scores = training.measure(page, rates, images)
    best = training.best(scores)
    chosen = scores[best]
    page.check(
        "the best on validation is neither the least nor the largest", best in list(scores)[1:-1]
    )
    page.check(
        "{rate} costs more than 0.05 of accuracy against the best, in the mean over seeds",
        scores["0.01"][:, 0].mean() < chosen[:, 0].mean() - 0.05,
        rate="0.01",
    )
    page.check("at 1 every run ends as a guess, below 0.2", scores["1"].max() < 0.2)
    with page.figure("6.2e", "Accuracy by learning rate", (7, 3.6)) as figure:
        training.draw(page, figure.subplots(), scores, page.t("learning rate"))
    page.answer(
        "Strongly: from guessing at 1 to the best at {best}, with a test accuracy of "
        "{accuracy:.3f}. Too small a rate does not get far in one pass: {slow:.3f} at 0.003.",
        best=best,
        accuracy=chosen[:, 1].mean(),
        slow=scores["0.003"][:, 1].mean(),
    )


@exercise("6.2f", "R", seconds=75)
def small_initial_weights_leave_the_network_guessing(page: Page) -> None:
    """How does the accuracy depend on how the weights are initialised?"""
    images = data.load(valid=HELD_OUT)
    names = ("normal", "pytorch", "xavier_uniform", "he_normal", "orthogonal")
    inits = {name: training.modern(init=name) for name in names}
    scores = training.measure(page, inits, images)
    page.check(
        "from small normal weights, of deviation 0.01, every run is left guessing",
        scores["normal"].max() < 0.2,
    )
    others = {name: score for name, score in scores.items() if name != "normal"}
    page.check(
        "all others get above 0.75 with every seed", min(s.min() for s in others.values()) > 0.75
    )
    page.check(
        "He's, made for ReLU, does better than PyTorch's with every seed",
        (scores["he_normal"] > scores["pytorch"]).all(),
    )
    with page.figure("6.2f", "Accuracy by initial weights", (7, 3.6)) as figure:
        training.draw(page, figure.subplots(), scores, page.t("initial weights"))
    page.answer(
        "Decisively, if the weights are too small: with a deviation of 0.01, one pass does not get "
        "off guessing. The others all learn, from {worst:.3f} to {most:.3f} on test images after "
        "one pass; the best on validation images is {best}.",
        worst=min(score[:, 1].mean() for score in others.values()),
        most=max(score[:, 1].mean() for score in others.values()),
        best=training.best(others),
    )


@exercise("6.2g", "R", seconds=60)
def more_passes_learn_the_training_images_by_heart(page: Page) -> None:
    """How does the accuracy depend on the number of passes over the training images?"""
    images = data.take(data.load(valid=HELD_OUT), train=10_000, test=1_000)
    config = training.modern(epochs=25, schedule="constant")
    page.say(
        "{seeds} runs of {epochs} passes over {count:,} images at a constant learning rate, "
        "{seen:,} images seen in all: few images, so that their number of passes tells soon.",
        seeds=len(training.SEEDS),
        epochs=config.epochs,
        count=len(images.train.labels),
        seen=len(training.SEEDS) * config.epochs * len(images.train.labels),
    )
    curves = np.array(
        [
            [
                (row.train_loss, row.valid_loss, row.valid_accuracy)
                for row, _ in train.fit(train.start(dataclasses.replace(config, seed=seed), images))
            ]
            for seed in page.track(training.SEEDS, "training")
        ]
    )  # [S, epochs, 3]
    learnt, loss, accuracy = np.moveaxis(curves, 2, 0)  # each [S, epochs]
    page.show("1 + loss.argmin(axis=1)", 1 + loss.argmin(axis=1))
    page.show("1 + accuracy.argmax(axis=1)", 1 + accuracy.argmax(axis=1))
    page.check(
        "the training loss ends below half of what it was after 5 passes, in every run",
        (learnt[:, -1] < learnt[:, 4] / 2).all(),
    )
    page.check(
        "over the last 5 passes the validation loss is 1.2 times its lowest or more, in every run",
        (loss[:, -5:].mean(axis=1) > 1.2 * loss.min(axis=1)).all(),
    )
    with page.figure("6.2g", "Loss and accuracy by pass", (9, 3.6)) as figure:
        _draw_passes(page, figure, learnt, loss, accuracy)
    lowest = 1 + loss.argmin(axis=1)
    page.answer(
        "It grows at first, then stays about where it is: {accuracy:.3f} on validation "
        "images over the last 5 of {epochs} passes. The validation loss is lowest after {first} to "
        "{last} passes; from there on the network learns its training images by heart.",
        accuracy=accuracy[:, -5:].mean(),
        epochs=config.epochs,
        first=lowest.min(),
        last=lowest.max(),
    )


def _draw_passes(
    page: Page, figure: Figure, learnt: np.ndarray, loss: np.ndarray, accuracy: np.ndarray
) -> None:
    """Draw mean and range over seeds of [S, epochs]."""
    left, right = figure.subplots(1, 2)
    epochs = np.arange(1, loss.shape[1] + 1)
    for axes, values, label, line, colour in (
        (left, learnt, page.t("training set"), "--", plots.ORANGE),
        (left, loss, page.t("validation"), "-", plots.BLUE),
        (right, accuracy, page.t("validation"), "-", plots.BLUE),
    ):
        axes.plot(epochs, values.mean(axis=0), line, color=colour, label=label)
        axes.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.2)
    for axes, label in ((left, page.t("loss (nats)")), (right, page.t("accuracy"))):
        axes.set(xlabel=page.t("passes over the training images"), ylabel=label)
        axes.locator_params(axis="x", integer=True)
        axes.legend()


@exercise("6.3", "R", seconds=30)
def digits_are_easier_than_clothes(page: Page) -> None:
    """Train the improved network on MNIST, the digits that the first LeNet read."""
    digits, clothes = (data.load(name, valid=HELD_OUT) for name in ("mnist", "fashion_mnist"))
    page.say("The same network, with the same learning rate, on both sets:")
    of_digits = training.measure(page, {"MNIST": training.modern(dataset="mnist")}, digits)
    of_clothes = training.measure(page, {"Fashion-MNIST": training.modern()}, clothes)
    scores = of_digits | of_clothes
    tests = {name: score[:, 1] for name, score in scores.items()}
    page.check("above 0.97 on MNIST's test images with every seed", tests["MNIST"].min() > 0.97)
    page.check(
        "more accurate on digits than on clothes with every seed",
        tests["MNIST"].min() > tests["Fashion-MNIST"].max(),
    )
    with page.figure("6.3", "The same network on digits and on clothes", (6, 3.6)) as figure:
        training.draw(page, figure.subplots(), scores, page.t("data set"))
    page.answer(
        "Digits are the easier task: one pass gives a test accuracy of {digits:.3f} on them, and "
        "{clothes:.3f} on clothes.",
        digits=tests["MNIST"].mean(),
        clothes=tests["Fashion-MNIST"].mean(),
    )


@exercise("6.4", "R", seconds=30)
def sweaters_and_coats_part_in_the_dense_layers(page: Page) -> None:
    """Look at the activations of the first and second layer for sweaters and coats."""
    images = data.load(valid=HELD_OUT)
    model, networks = training.trained(page, training.modern(), images)
    garments = [images.class_names.index(name) for name in ("Pullover", "Coat")]
    seen, new = ([of_class(split, k) for k in garments] for split in (images.train, images.test))
    page.say(
        "How far apart are the two? The distance between their mean activations, in units of the "
        "spread within a class, by layer (a row for each network):"
    )
    layers = ("image", "conv1", "conv2", "dense1", "dense2")
    page.show("layers", layers)
    by_network = [[layer_values(model, p, x) for x in (*seen, *new)] for p in networks]
    apart, named = np.moveaxis(
        np.array(
            [
                [nearest_mean(*(values[layer] for values in four)) for layer in layers]
                for four in by_network
            ]
        ),
        2,
        0,
    )  # each [S, layers]
    page.show("apart", apart)
    page.say("How often does the nearer of the two means name a test image rightly?")
    page.show("named", named)
    page.check(
        "in every network the second layer parts them more than the first, the last hidden layer "
        "more than the second",
        (np.diff(apart[:, [1, 2, 4]]) > 0).all(),
    )
    page.check(
        "the means of the first two layers name images no better than those of the pixels, within "
        "0.05",
        (abs(named[:, 1:3] - named[:, :1]) < 0.05).all(),
    )
    page.check(
        "the means of the last hidden layer name them better by more than 0.05",
        (named[:, 4] > named[:, 0] + 0.05).all(),
    )
    caption = "A pullover and a coat, and what the first and the second layer make of them"
    with page.figure("6.4", caption, (9, 5)) as figure:
        axes = figure.subplots(2, 3, width_ratios=(1, 1.5, 1))
        for row, (label, pictures) in enumerate(
            zip((page.t("pullover"), page.t("coat")), new, strict=True)
        ):
            maps = activations(model, networks[0], pictures[:1])
            plots.matrix(axes[row, 0], pictures[0, ..., 0], title=label)
            plots.matrix(axes[row, 1], tiled(maps["conv1"][0], 3), title=page.t("first layer"))
            plots.matrix(axes[row, 2], tiled(maps["conv2"][0], 4), title=page.t("second layer"))
    page.answer(
        "The first layer answers to edges and surfaces, alike in both; the maps of the second are "
        "coarser and more selective. Their means tell the two apart no better than pixels do "
        "({first:.2f} and {second:.2f} of test images, pixels {pixels:.2f}); the last hidden "
        "layer does: {last:.2f}.",
        pixels=named[0, 0],
        first=named[:, 1].mean(),
        second=named[:, 2].mean(),
        last=named[:, 4].mean(),
    )


def of_class(split: Split, label: int, most: int = 1000) -> Array:
    """Return the first images of a class, float [N, 28, 28, 1] from 0 to 1."""
    return jnp.asarray(split.images[split.labels == label][:most], jnp.float32) / 255


def layer_values(model: LeNet, params: train.Params, images: Array) -> dict[str, np.ndarray]:
    """Return the pixels and the activations of each layer as vectors [N, units]."""
    values = {"image": images, **activations(model, params, images)}
    return {
        name: np.asarray(value, np.float64).reshape(len(images), -1)
        for name, value in values.items()
    }


def nearest_mean(
    a: np.ndarray, b: np.ndarray, new_a: np.ndarray, new_b: np.ndarray
) -> tuple[float, float]:
    """Tell two classes apart by the nearer of their means.

    Args:
      a, b: examples [N, units] of the classes, to take the means of.
      new_a, new_b: examples to name.

    Returns:
      the distance of the means over the spread within a class, and the fraction named rightly
    """
    means = a.mean(axis=0), b.mean(axis=0)
    across = means[0] - means[1]
    middle = (means[0] + means[1]) / 2
    spread = np.sqrt((a.var(axis=0).sum() + b.var(axis=0).sum()) / 2)
    right = ((new_a - middle) @ across > 0).mean() + ((new_b - middle) @ across < 0).mean()
    return np.linalg.norm(across) / spread, right / 2


def tiled(maps: Array, columns: int) -> np.ndarray:
    """Lay the channels of [H, W, C] beside and below each other, with a bright line between."""
    top = float(maps.max())
    framed = np.pad(np.asarray(maps), ((0, 1), (0, 1), (0, 0)), constant_values=top)
    height, width, channels = framed.shape
    rows = framed.transpose(2, 0, 1).reshape(channels // columns, columns, height, width)
    return rows.transpose(0, 2, 1, 3).reshape(-1, columns * width)[:-1, :-1]


@exercise("6.5", "R", seconds=30)
def strange_images_fade_on_their_way_up(page: Page) -> None:
    """What do the layers do when the network is shown noise, or pictures of another kind?"""
    images = data.load(valid=HELD_OUT)
    model, networks = training.trained(page, training.modern(), images)
    clothes = np.asarray(images.test.images[:1000, ..., 0], np.float64) / 255
    inputs = {
        page.t("test images"): clothes,
        page.t("inverted"): 1 - clothes,
        page.t("stripes"): stripes(len(clothes)),
        page.t("shuffled pixels"): shuffled(clothes),
        page.t("noise"): np.random.default_rng(0).uniform(size=clothes.shape),
    }
    page.say("{n:,} images of each kind are shown to each network:", n=len(clothes))
    layers = ("conv1", "pool1", "conv2", "pool2", "dense1", "dense2")
    activity, top = np.empty((len(networks), len(inputs), len(layers))), []
    for i, params in enumerate(networks):
        for j, pictures in enumerate(inputs.values()):
            values = activations(model, params, jnp.asarray(pictures[..., None], jnp.float32))
            sums = statistics(model, values)
            activity[i, j] = [sums[name].mean for name in layers]
            top.append(jax.nn.softmax(values["dense3"]).max(axis=1))
    largest = np.array(top).reshape(len(networks), len(inputs), -1)  # probability [S, kinds, n]
    sure, certain = largest.mean(axis=2), (largest > 0.9).mean(axis=2)
    _confidence_table(page, list(inputs), sure, certain)
    share = activity[:, -1] / activity[:, 0]  # noise over test images [S, layers]
    first, last = share[:, 0], share[:, -1]
    page.show("mean activation for noise / for test images, conv1 and dense2", share[:, [0, -1]])
    page.check(
        "in every network the last hidden layer answers to noise less than 0.6 times as much as to "
        "clothes, and less than half as much as the first layer does",
        (last < 0.6).all() and (last < first / 2).all(),
    )
    page.check(
        "every network is less sure of each other kind than of test images, by 0.05 at least",
        (sure[:, 1:] < sure[:, :1] - 0.05).all(),
    )
    page.check(
        "yet every network gives some inverted and some striped images more than 0.9 for one class",
        (certain[:, 1:3] > 0.02).all(),
    )
    caption = "One image of each kind; mean activation by layer; mean of the largest probability"
    with page.figure("6.5", caption, (9, 5.4)) as figure:
        _draw_strange(page, figure, inputs, layers, activity.mean(axis=0), sure)
    page.answer(
        "Noise excites the first layer {first:.1f} times as much as clothes, the last hidden layer "
        "{last:.1f} times: it has edges in plenty, but not the patterns that later layers answer "
        "to. A class is named all the same, with {noise:.2f} on average for noise and "
        "{clothes:.2f} for clothes; and {certain:.0%} of the inverted images get more than 0.9.",
        first=first.mean(),
        last=last.mean(),
        noise=sure[:, -1].mean(),
        clothes=sure[:, 0].mean(),
        certain=certain[:, 1].mean(),
    )


def stripes(count: int, size: int = 28) -> np.ndarray:
    """Return images [N, size, size] of waves: any direction, 3 to 14 pixels apart."""
    rng = np.random.default_rng(1)
    i, j = np.mgrid[:size, :size]
    angle, phase = rng.uniform(0, 2 * np.pi, (2, count, 1, 1))
    across = i[None] * np.cos(angle) + j[None] * np.sin(angle)
    return 0.5 + 0.5 * np.sin(2 * np.pi * across / rng.uniform(3, 14, (count, 1, 1)) + phase)


def shuffled(images: np.ndarray) -> np.ndarray:
    """Return images [N, H, W], the pixels of each put in an order of its own."""
    flat = images.reshape(len(images), -1)
    return np.random.default_rng(2).permuted(flat, axis=1).reshape(images.shape)


def _confidence_table(page: Page, kinds: list[str], sure: np.ndarray, certain: np.ndarray) -> None:
    rows = [
        (kind, training.spread(s), f"{c.mean():.1%}")
        for kind, s, c in zip(kinds, sure.T, certain.T, strict=True)
    ]
    headers = ("", page.t("largest probability"), page.t("above 0.9"))
    page.table(tabulate(rows, headers=headers, colalign=("left", "right", "right")))


def _draw_strange(
    page: Page,
    figure: Figure,
    inputs: dict[str, np.ndarray],
    layers: Sequence[str],
    activity: np.ndarray,
    sure: np.ndarray,
) -> None:
    grid = figure.add_gridspec(2, 1, height_ratios=(1, 1.6))
    above, below = grid[0].subgridspec(1, len(inputs)), grid[1].subgridspec(1, 2)
    for i, (kind, pictures) in enumerate(inputs.items()):
        plots.matrix(figure.add_subplot(above[i]), pictures[0], title=kind, limits=(0, 1))
    left, right = figure.add_subplot(below[0]), figure.add_subplot(below[1])
    for kind, means, marker in zip(inputs, activity, "os^vD", strict=True):
        left.plot(layers, means, marker=marker, label=kind)
    left.set(ylabel=page.t("mean activation"))
    left.set_ylim(bottom=0)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=len(inputs))
    right.barh(list(inputs), sure.mean(axis=0), xerr=sure.std(axis=0, ddof=1), color=plots.SKY)
    right.axvline(0.1, color=plots.GREY, linestyle=":")
    right.set(xlabel=page.t("mean of the largest probability (a guess: 0.1)"), xlim=(0, 1))
    right.invert_yaxis()
