"""Section 6: LeNet."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from matplotlib.figure import Figure
from tabulate import tabulate

from lenet import data, train
from lenet.chapter.exercises import exercise, training
from lenet.chapter.page import Page
from lenet.config import Config
from lenet.data import Split
from lenet.engine import sgd
from lenet.figures import style
from lenet.inspect.activations import activations, statistics
from lenet.model import LeNet

HELD_OUT = 10_000
"""Training images kept for validation: what is chosen here is chosen on them."""


@exercise("6.1a", "R", seconds=90)
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
    page.value("best on validation", ", ".join(tuned))
    leads = np.array([(scores[f"max {lr:g}"] - scores[f"avg {lr:g}"])[:, 0] for lr in rates])
    page.value(
        "lead of max-pooling on validation images, a row for each rate, a column for each seed",
        leads,
    )
    page.check(
        "in the mean over the {rates} rates and the {seeds} seeds max-pooling is ahead",
        leads.mean() > 0,
        rates=len(rates),
        seeds=len(training.SEEDS),
    )
    gap, error = training.gap(scores[tuned[0]], scores[tuned[1]])
    page.value("lead with the best rate for each ± standard error", f"{gap:+.3f} ± {error:.3f}")
    page.check(
        "with the best rate for each they are less than 0.05 apart, even three standard errors "
        "further",
        abs(gap) + 3 * error < 0.05,
    )
    caption = "Accuracy with average and with max-pooling, by learning rate"
    with page.figure("6.1a", caption, (7, 3.6)) as figure:
        training.draw(page, figure.subplots(), scores, page.t("pooling and learning rate"))
    page.answer(
        "A little: after one pass max-pooling is ahead by {lead:.3f} on validation images, in the "
        "mean over the rates. With the best rate for each it is {gap:+.3f}, with a standard error "
        "of {error:.3f}: less than three of these is not conclusive.",
        lead=leads.mean(),
        gap=gap,
        error=error,
    )


@exercise("6.1b", "R", seconds=150)
def relu_learns_sooner_than_sigmoid(page: Page) -> None:
    """Put ReLU in the place of the sigmoid (the English edition says "softmax layer", a slip). Is
    the network better for it?
    """
    page.say(
        "The network has no softmax to replace: the activations between its layers are meant. "
        "Average pooling stays. Each activation has the better of two learning rates, and the "
        "chapter's batches of 256."
    )
    images = data.load(valid=HELD_OUT)
    base = Config(epochs=5)
    sigmoid = training.tune(page, base, (0.3, 0.9), images)
    relu = training.tune(page, dataclasses.replace(base, activation="relu"), (0.1, 0.3), images)
    scores = training.measure(page, {"sigmoid": sigmoid, "ReLU": relu}, images)
    gap, error = training.gap(scores["sigmoid"], scores["ReLU"])
    page.value("lead of ReLU on validation images ± standard error", f"{gap:+.3f} ± {error:.3f}")
    page.check("in the mean over seeds ReLU is more accurate than the sigmoid", gap > 0)
    with page.figure("6.1b", "Accuracy after {n} passes", (6, 3.6), n=base.epochs) as figure:
        training.draw(page, figure.subplots(), scores, page.t("activation"))
    page.answer(
        "Yes, it learns sooner: after {n} passes the test accuracy with ReLU is {low:.2f} to "
        "{high:.2f}, with the sigmoid {least:.2f} to {most:.2f}. What the sigmoid reaches with "
        "more passes is not measured here.",
        n=base.epochs,
        low=scores["ReLU"][:, 1].min(),
        high=scores["ReLU"][:, 1].max(),
        least=scores["sigmoid"][:, 1].min(),
        most=scores["sigmoid"][:, 1].max(),
    )


@exercise("6.2a", "R", seconds=50)
def the_window_changes_little_in_one_pass(page: Page) -> None:
    """How does the accuracy depend on the size of the convolution window?"""
    images = data.load(valid=HELD_OUT)
    sizes = {f"{k}×{k}": training.modern(kernel_size=k) for k in (3, 5, 7)}
    scores = training.measure(page, sizes, images)
    gaps = training.gaps(page, scores)
    page.check(
        "neighbours are less than 0.05 apart, even three standard errors further",
        all(abs(gap) + 3 * error < 0.05 for gap, error in gaps),
    )
    page.check(
        "a larger window leaves smaller maps, and so the first dense layer fewer weights",
        np.all(np.diff([training.parameters(config, images) for config in sizes.values()]) < 0),
    )
    with page.figure("6.2a", "Accuracy by window size", (6, 3.6)) as figure:
        axes = figure.subplots()
        training.draw(page, axes, scores, page.t("convolution window"))
        training.label_parameters(page, axes, sizes, images)
    page.answer(
        "Little, after one pass at one learning rate: {small:.3f} with 3×3, {book:.3f} with 5×5 "
        "and {large:.3f} with 7×7 on validation images. Differences of less than three standard "
        "errors are not conclusive.",
        small=scores["3×3"][:, 0].mean(),
        book=scores["5×5"][:, 0].mean(),
        large=scores["7×7"][:, 0].mean(),
    )


@exercise("6.2b", "R", seconds=50)
def channels_change_little_in_one_pass(page: Page) -> None:
    """How does the accuracy depend on the number of channels?"""
    images = data.load(valid=HELD_OUT)
    channels = ((3, 8), (6, 16), (12, 32))
    widths = {f"{a}, {b}": training.modern(channels=(a, b)) for a, b in channels}
    scores = training.measure(page, widths, images)
    half, book, double = (score.mean(axis=0)[0] for score in scores.values())
    gaps = training.gaps(page, scores)
    page.check(
        "neighbours are less than 0.05 apart, even three standard errors further",
        all(abs(gap) + 3 * error < 0.05 for gap, error in gaps),
    )
    few, some, many = (training.parameters(config, images) for config in widths.values())
    page.check(
        "twice the channels take less than twice the parameters",
        some < 2 * few and many < 2 * some,
    )
    with page.figure("6.2b", "Accuracy by channels of the two convolutions", (6, 3.6)) as figure:
        axes = figure.subplots()
        training.draw(page, axes, scores, page.t("channels"))
        training.label_parameters(page, axes, widths, images)
    page.answer(
        "Little, after one pass at one learning rate: {half:.3f} on validation images with half "
        "the channels, {book:.3f} with the chapter's 6 and 16, {double:.3f} with twice as many. "
        "Differences of less than three standard errors are not conclusive.",
        half=half,
        book=book,
        double=double,
    )


@exercise("6.2c", "R", seconds=50)
def each_convolution_leaves_fewer_parameters(page: Page) -> None:
    """How does the accuracy depend on the number of convolution layers?"""
    page.say("Windows are 3×3 here, for a third layer has maps of 6×6 left to look at.")
    images = data.load(valid=HELD_OUT)
    depths = {str(n): training.modern(channels=(6, 16, 32)[:n], kernel_size=3) for n in (1, 2, 3)}
    scores = training.measure(page, depths, images)
    one, two, three = (score.mean(axis=0)[0] for score in scores.values())
    gap, error = training.gaps(page, scores)[0]
    page.check(
        "one and two are less than 0.05 apart, even three standard errors further",
        abs(gap) + 3 * error < 0.05,
    )
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
        "After one pass at the same learning rate the accuracy on validation images is {one:.3f}, "
        "{two:.3f} and {three:.3f} with one, two and three; differences of less than three "
        "standard errors are not conclusive. One layer needs {ratio:.1f} times the parameters "
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
    training.gaps(page, scores)
    gap, error = training.gap(scores["0"], scores["2"])
    page.check(
        "none and the chapter's two are less than 0.05 apart, even three standard errors further",
        abs(gap) + 3 * error < 0.05,
    )
    weights = [training.parameters(config, images) for config in depths.values()]
    page.check(
        "without any, less than a ninth of the parameters is left", weights[0] < weights[2] / 9
    )
    with page.figure("6.2d", "Accuracy by number of hidden dense layers", (6, 3.6)) as figure:
        axes = figure.subplots()
        training.draw(page, axes, scores, page.t("dense layers before the last"))
        training.label_parameters(page, axes, depths, images)
    page.answer(
        "Hardly, after one pass at one learning rate: without any hidden dense layer the accuracy "
        "on validation images is {none:.3f}, with two {two:.3f}, with three {three:.3f}. Without "
        "any, {few:,} parameters do in place of {many:,}.",
        none=scores["0"][:, 0].mean(),
        two=scores["2"][:, 0].mean(),
        three=scores["3"][:, 0].mean(),
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
    gap, error = training.gap(scores["0.01"], scores[best])
    page.check(
        "the best on validation is neither the least nor the largest", best in list(scores)[1:-1]
    )
    page.check(
        "{rate} is behind the best by more than three standard errors",
        gap > 3 * error,
        rate="0.01",
    )
    page.check("at 1 every run ends as a guess, below 0.2", scores["1"].max() < 0.2)
    with page.figure("6.2e", "Accuracy by learning rate", (7, 3.6)) as figure:
        training.draw(page, figure.subplots(), scores, page.t("learning rate"))
    page.answer(
        "Strongly: from guessing at 1 to the best at {best}, with a test accuracy of "
        "{accuracy:.3f}. Too small a rate does not get as far in one pass: {slow:.3f} at 0.01.",
        best=best,
        accuracy=scores[best][:, 1].mean(),
        slow=scores["0.01"][:, 1].mean(),
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
        "all others get above 0.7 with every seed", min(s.min() for s in others.values()) > 0.7
    )
    gap, error = training.gap(scores["pytorch"], scores["he_normal"])
    page.check(
        "He's, made for ReLU, is ahead of PyTorch's by more than three standard errors",
        gap > 3 * error,
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
    lowest = 1 + loss.argmin(axis=1)
    page.value("pass with the lowest validation loss, by run", lowest)
    page.value("pass with the highest validation accuracy, by run", 1 + accuracy.argmax(axis=1))
    early, late = accuracy[:, 0], accuracy[:, -5:].mean(axis=1)
    page.value("validation accuracy after the first pass, by run", early)
    page.value("validation accuracy over the last 5 passes, by run", late)
    page.check("it is higher over the last 5 passes, in every run", (late > early).all())
    learns, rises = learnt[:, -1] / learnt[:, 4], loss[:, -5:].mean(axis=1) / loss.min(axis=1)
    page.value("training loss at the end / after 5 passes, by run", learns)
    page.value("validation loss over the last 5 passes / at its lowest, by run", rises)
    page.check("after 5 passes the training loss still falls, in every run", (learns < 1).all())
    page.check(
        "the validation loss ends at more than 1.1 times its lowest, in the mean over runs",
        rises.mean() > 1.1,
    )
    with page.figure("6.2g", "Loss and accuracy by pass", (9, 3.6)) as figure:
        _draw_passes(page, figure, learnt, loss, accuracy)
    page.answer(
        "It grows: on validation images from {first:.3f} after the first pass to {middle:.3f} over "
        "passes 11 to 15 and {last:.3f} over the last 5 of {epochs}. The validation loss is lowest "
        "after {least} to {most} passes and ends {rises:.1f} times as large, while the training "
        "loss still falls: the network learns its training images by heart.",
        first=early.mean(),
        middle=accuracy[:, 10:15].mean(),
        last=late.mean(),
        epochs=config.epochs,
        least=lowest.min(),
        most=lowest.max(),
        rises=rises.mean(),
    )


def _draw_passes(
    page: Page, figure: Figure, learnt: np.ndarray, loss: np.ndarray, accuracy: np.ndarray
) -> None:
    """Draw mean and range over seeds of [S, epochs]."""
    left, right = figure.subplots(1, 2)
    epochs = np.arange(1, loss.shape[1] + 1)
    for axes, values, label, line, colour in (
        (left, learnt, page.t("training set"), "--", style.ORANGE),
        (left, loss, page.t("validation"), "-", style.BLUE),
        (right, accuracy, page.t("validation"), "-", style.BLUE),
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
    page.check(
        "more accurate on digits than on clothes with every seed",
        tests["MNIST"].min() > tests["Fashion-MNIST"].max(),
    )
    with page.figure("6.3", "The same network on digits and on clothes", (6, 3.6)) as figure:
        training.draw(page, figure.subplots(), scores, page.t("data set"))
    page.answer(
        "It reads digits better than it knows clothes: after one pass at the same learning rate "
        "the test accuracy is {digits:.3f} on digits, {clothes:.3f} on clothes.",
        digits=tests["MNIST"].mean(),
        clothes=tests["Fashion-MNIST"].mean(),
    )


@exercise("6.4", "R", seconds=30)
def sweaters_and_coats_part_in_the_dense_layers(page: Page) -> None:
    """Look at the activations of the first and second layer for sweaters and coats."""
    images = data.load(valid=HELD_OUT)
    model, networks = training.trained(page, training.modern(), images)
    garments = [images.class_names.index(name) for name in ("Pullover", "Coat")]
    known, new = ([of_class(split, k) for k in garments] for split in (images.train, images.test))
    page.say(
        "How far apart are the two? The distance between their mean activations, in units of the "
        "spread within a class, by layer (a row for each network):"
    )
    layers = ("image", "conv1", "conv2", "dense1", "dense2")
    page.show("layers", layers)
    by_network = [[layer_values(model, p, x) for x in (*known, *new)] for p in networks]
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
        "in every network the means of the last hidden layer name them better than those of the "
        "pixels",
        (named[:, 4] > named[:, 0]).all(),
    )
    caption = "A pullover and a coat, and what the first and the second layer make of them"
    with page.figure("6.4", caption, (9, 5)) as figure:
        axes = figure.subplots(2, 3, width_ratios=(1, 1.5, 1))
        for row, (label, pictures) in enumerate(
            zip((page.t("pullover"), page.t("coat")), new, strict=True)
        ):
            maps = activations(model, networks[0], pictures[:1])
            style.matrix(axes[row, 0], pictures[0, ..., 0], title=label)
            style.matrix(axes[row, 1], tiled(maps["conv1"][0], 3), title=page.t("first layer"))
            style.matrix(axes[row, 2], tiled(maps["conv2"][0], 4), title=page.t("second layer"))
    page.answer(
        "They come apart layer by layer: by {apart_first:.2f} in the first, {apart_second:.2f} "
        "in the second, {apart_last:.2f} in the last hidden layer. The means of the first two "
        "layers name {first:.2f} and {second:.2f} of the test images rightly, about as many as "
        "those of the pixels, {pixels:.2f}; those of the last hidden layer name more: {last:.2f}.",
        apart_first=apart[:, 1].mean(),
        apart_second=apart[:, 2].mean(),
        apart_last=apart[:, 4].mean(),
        pixels=named[0, 0],
        first=named[:, 1].mean(),
        second=named[:, 2].mean(),
        last=named[:, 4].mean(),
    )


def of_class(split: Split, label: int, most: int = 1000) -> Array:
    """Return the first images of a class, float [N, 28, 28, 1] from 0 to 1."""
    return jnp.asarray(split.images[split.labels == label][:most], jnp.float32) / 255


def layer_values(model: LeNet, params: sgd.Params, images: Array) -> dict[str, np.ndarray]:
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
        page.t("shuffled pixels"): pixels_shuffled(clothes),
        page.t("noise"): np.random.default_rng(0).uniform(size=clothes.shape),
    }
    page.say("{n:,} images of each kind are shown to each network:", n=len(clothes))
    layers = ("conv1", "pool1", "conv2", "pool2", "dense1", "dense2")
    activity = np.empty((len(networks), len(inputs), len(layers)))
    silent, top = np.empty((len(networks), len(inputs))), []
    for i, params in enumerate(networks):
        for j, pictures in enumerate(inputs.values()):
            values = activations(model, params, jnp.asarray(pictures[..., None], jnp.float32))
            sums = statistics(model, values)
            activity[i, j] = [sums[name].mean for name in layers]
            silent[i, j] = sums["dense2"].saturated  # of a ReLU: the share of zeros
            top.append(jax.nn.softmax(values["dense3"]).max(axis=1))
    largest = np.array(top).reshape(len(networks), len(inputs), -1)  # probability [S, kinds, n]
    sure, certain = largest.mean(axis=2), (largest > 0.9).mean(axis=2)
    _confidence_table(page, list(inputs), sure, certain)
    share = activity[:, -1] / activity[:, 0]  # noise over test images [S, layers]
    first, last = share[:, 0], share[:, -1]
    page.value(
        "mean activation for noise / for test images, conv1 and dense2, by network",
        share[:, [0, -1]],
    )
    page.value(
        "share of zeros in the last hidden layer, for test images and noise, by network",
        silent[:, [0, -1]],
    )
    page.check(
        "in every network the last hidden layer answers to noise less than to clothes, and its "
        "share of that is smaller than the first layer's",
        (last < 1).all() and (last < first).all(),
    )
    page.check(
        "every network is less sure of each other kind than of test images",
        (sure[:, 1:] < sure[:, :1]).all(),
    )
    page.check(
        "yet every network gives some inverted images more than 0.9 for one class",
        (certain[:, 1] > 0).all(),
    )
    caption = "One image of each kind; mean activation by layer; mean of the largest probability"
    with page.figure("6.5", caption, (9, 5.4)) as figure:
        _draw_strange(page, figure, inputs, layers, activity.mean(axis=0), sure)
    page.answer(
        "Noise excites the first layer {first:.1f} times as much as clothes, the last hidden layer "
        "{last:.1f} times; there {zeros:.0%} of the values are 0, for clothes {usual:.0%}. A class "
        "is named all the same, with {noise:.2f} on average for noise and {clothes:.2f} for "
        "clothes; and {certain:.0%} of the inverted images get more than 0.9.",
        first=first.mean(),
        last=last.mean(),
        zeros=silent[:, -1].mean(),
        usual=silent[:, 0].mean(),
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


def pixels_shuffled(images: np.ndarray) -> np.ndarray:
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
        style.matrix(figure.add_subplot(above[i]), pictures[0], title=kind, limits=(0, 1))
    left, right = figure.add_subplot(below[0]), figure.add_subplot(below[1])
    for kind, means, marker in zip(inputs, activity, "os^vD", strict=True):
        left.plot(layers, means, marker=marker, label=kind)
    left.set(ylabel=page.t("mean activation"))
    left.set_ylim(bottom=0)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=len(inputs))
    right.barh(list(inputs), sure.mean(axis=0), xerr=sure.std(axis=0, ddof=1), color=style.SKY)
    right.axvline(0.1, color=style.GREY, linestyle=":")
    right.set(xlabel=page.t("mean of the largest probability (a guess: 0.1)"), xlim=(0, 1))
    right.invert_yaxis()
