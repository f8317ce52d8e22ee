"""Section 6: LeNet."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lenet import config as config_module
from lenet import data, train
from lenet.analysis import stats
from lenet.chapter.exercises import training
from lenet.chapter.exercises.training import HELD_OUT
from lenet.chapter.page import Page
from lenet.config import Config
from lenet.data import Split
from lenet.engine import forward
from lenet.figures import style
from lenet.inspect.activations import activations, statistics
from lenet.language import listed
from lenet.model import LeNet


def max_pooling_learns_sooner_than_average_pooling(page: Page) -> None:
    """Replace average pooling with max pooling. Does the network improve?"""
    page.say("Only the pooling changes, and ReLU replaces the slow sigmoid (see 6.1b).")
    images = data.load(valid=HELD_OUT)
    rates = (0.05, 0.1, 0.2)
    average, maximum = (
        {
            f"{page.t(training.POOLINGS[pool])} {lr:g}": training.modern(pool=pool, lr=lr)
            for lr in rates
        }
        for pool in ("avg", "max")
    )
    scores, _ = training.measure(page, average | maximum, images)
    pairs = [(scores[a], scores[b]) for a, b in zip(average, maximum, strict=True)]
    tuned = [training.best({name: scores[name] for name in of}) for of in (average, maximum)]
    page.value("best settings on the validation set", listed(tuned))
    leads = np.array([(after - before)[:, 0] for before, after in pairs])
    page.value(
        "validation accuracy, max minus average pooling (rows: learning rates, columns: seeds)",
        leads,
    )
    lead = stats.interval(leads.mean(axis=0))
    page.value("lead averaged over learning rates [95% CI over seeds]", str(lead))
    page.check(
        "averaged over {rates} learning rates, max pooling is more accurate: the 95% CI over "
        "{seeds} seeds is above 0",
        lead.side == "higher",
        rates=len(rates),
        seeds=len(training.SEEDS),
    )
    gap = training.gap(scores[tuned[0]], scores[tuned[1]])
    page.value("lead at the best learning rates [95% CI, paired by seed]", str(gap))
    for name in tuned:
        training.warn_of_edge(page, (average | maximum)[name].lr, rates)
    with page.figure("6.1a", "Accuracy by pooling and learning rate", (7, 3.6)) as figure:
        training.draw(page, figure, scores, page.t("pooling and learning rate"))
    page.answer(
        "Slightly: after one epoch, max pooling leads by {lead:.3f} in validation accuracy, "
        "averaged over learning rates. At the best rates, chosen with the same seeds, the lead is "
        "{gap} (95% CI).",
        lead=lead.mean,
        gap=gap,
    )


def relu_learns_sooner_than_sigmoid(page: Page) -> None:
    """Replace the sigmoid with ReLU (the English edition says "softmax layer", a slip). Does the
    network improve?
    """
    page.say(
        "The network has no softmax layer to replace; the exercise means the activation functions "
        "between its layers. Average pooling stays. Each activation function uses the better of "
        "two learning rates, with the book's batch size of 256."
    )
    images = data.load(valid=HELD_OUT)
    base = Config(epochs=5, valid=HELD_OUT)
    sigmoid = training.tune(page, base, (0.3, 0.9), images)
    rectified = config_module.replace(base, activation="relu")
    relu = training.tune(page, rectified, (0.1, 0.3), images)
    scores, _ = training.measure(page, {"sigmoid": sigmoid, "ReLU": relu}, images)
    gap = training.gap(scores["sigmoid"], scores["ReLU"])
    page.value("validation lead of ReLU [95% CI, paired by seed]", str(gap))
    page.check(
        "ReLU is more accurate than the sigmoid: the 95% CI is above 0", gap.side == "higher"
    )
    with page.figure("6.1b", "Accuracy after {n} epochs", (6, 3.6), n=base.epochs) as figure:
        training.draw(page, figure, scores, page.t("activation"))
    page.answer(
        "Yes, it learns faster: test accuracy after {n} epochs is {low:.2f} to {high:.2f} with "
        "ReLU, {least:.2f} to {most:.2f} with the sigmoid. We did not measure longer training.",
        n=base.epochs,
        low=scores["ReLU"][:, 1].min(),
        high=scores["ReLU"][:, 1].max(),
        least=scores["sigmoid"][:, 1].min(),
        most=scores["sigmoid"][:, 1].max(),
    )


def accuracy_by_window_after_one_epoch(page: Page) -> None:
    """How does the accuracy depend on the size of the convolution window?"""
    images = data.load(valid=HELD_OUT)
    sizes = {f"{k}×{k}": training.modern(kernel_size=k) for k in (3, 5, 7)}
    scores, weights = training.measure(page, sizes, images)
    gaps = training.gaps(page, scores)
    page.check(
        "a larger window gives smaller feature maps, and so fewer weights in the first dense layer",
        np.all(np.diff(weights) < 0),
    )
    with page.figure("6.2a", "Accuracy by window size", (6, 3.6)) as figure:
        training.draw(page, figure, scores, page.t("convolution window"), weights)
    page.answer(
        "Validation accuracy after one epoch at one learning rate: {small:.3f} with 3×3, "
        "{book:.3f} with 5×5, {large:.3f} with 7×7. Over {seeds} seeds: {gaps}.",
        seeds=len(training.SEEDS),
        gaps=gaps,
        small=scores["3×3"][:, 0].mean(),
        book=scores["5×5"][:, 0].mean(),
        large=scores["7×7"][:, 0].mean(),
    )


def accuracy_by_channels_after_one_epoch(page: Page) -> None:
    """How does the accuracy depend on the number of channels?"""
    images = data.load(valid=HELD_OUT)
    channels = ((3, 8), (6, 16), (12, 32))
    widths = {f"{a}, {b}": training.modern(channels=(a, b)) for a, b in channels}
    scores, weights = training.measure(page, widths, images)
    half, book, double = (score.mean(axis=0)[0] for score in scores.values())
    gaps = training.gaps(page, scores)
    few, some, many = weights
    page.check("the parameters less than double", some < 2 * few and many < 2 * some)
    with page.figure("6.2b", "Accuracy by channels of the two convolutions", (6, 3.6)) as figure:
        training.draw(page, figure, scores, page.t("channels"), weights)
    page.answer(
        "Validation accuracy after one epoch at one learning rate: {half:.3f} with half the "
        "channels, {book:.3f} with the book's 6 and 16, {double:.3f} with twice as many. Over "
        "{seeds} seeds: {gaps}.",
        seeds=len(training.SEEDS),
        gaps=gaps,
        half=half,
        book=book,
        double=double,
    )


def each_convolution_leaves_fewer_parameters(page: Page) -> None:
    """How does the accuracy depend on the number of convolutional layers?"""
    page.say("Windows are 3×3 here, because the input of a third layer is only 6×6.")
    images = data.load(valid=HELD_OUT)
    depths = {str(n): training.modern(channels=(6, 16, 32)[:n], kernel_size=3) for n in (1, 2, 3)}
    scores, weights = training.measure(page, depths, images)
    one, two, three = (score.mean(axis=0)[0] for score in scores.values())
    gaps = training.gaps(page, scores)
    page.check(
        "each further convolution and pooling reduces the number of parameters",
        weights == sorted(weights, reverse=True),
    )
    with page.figure("6.2c", "Accuracy by number of convolutional layers", (6, 3.6)) as figure:
        training.draw(page, figure, scores, page.t("convolutional layers"), weights)
    page.answer(
        "Validation accuracy after one epoch at one learning rate: {one:.3f} with one layer, "
        "{two:.3f} with two, {three:.3f} with three. Over {seeds} seeds: {gaps}. One layer needs "
        "{ratio:.1f} times the parameters of two, most of them after its large feature maps. We "
        "did not measure longer training.",
        seeds=len(training.SEEDS),
        gaps=gaps,
        one=one,
        two=two,
        three=three,
        ratio=weights[0] / weights[1],
    )


def hidden_dense_layers_hold_most_parameters(page: Page) -> None:
    """How does the accuracy depend on the number of hidden dense layers?"""
    images = data.load(valid=HELD_OUT)
    widths = ((), (84,), (120, 84), (120, 120, 84))
    depths = {str(len(hidden)): training.modern(hidden=hidden) for hidden in widths}
    scores, weights = training.measure(page, depths, images)
    training.gaps(page, scores)
    gap = training.gaps(page, {name: scores[name] for name in ("0", "2")})
    page.check("without them, a ninth of the parameters is left", weights[0] < weights[2] / 9)
    with page.figure("6.2d", "Accuracy by number of hidden dense layers", (6, 3.6)) as figure:
        training.draw(page, figure, scores, page.t("hidden dense layers"), weights)
    page.answer(
        "Validation accuracy after one epoch at one learning rate: {none:.3f} without hidden dense "
        "layers, {two:.3f} with two and {three:.3f} with three. Over {seeds} seeds: {gap}. Without "
        "hidden dense layers there are {few:,} parameters instead of {many:,}.",
        seeds=len(training.SEEDS),
        gap=gap,
        none=scores["0"][:, 0].mean(),
        two=scores["2"][:, 0].mean(),
        three=scores["3"][:, 0].mean(),
        few=weights[0],
        many=weights[2],
    )


def the_best_learning_rate_lies_between_too_slow_and_chance(page: Page) -> None:
    """How does the accuracy depend on the learning rate?"""
    page.say("A run that diverges counts as chance level, 0.1.")
    images = data.load(valid=HELD_OUT)
    rates = {f"{lr:g}": training.modern(lr=lr) for lr in (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)}
    scores, _ = training.measure(page, rates, images)
    best = training.best(scores)
    gap = training.gap(scores["0.01"], scores[best])
    page.check(
        "the best learning rate on the validation set is neither the smallest nor the largest",
        best in list(scores)[1:-1],
    )
    page.check(
        "{rate} is worse than the best: the 95% CI, paired by seed, is above 0",
        gap.side == "higher",
        rate="0.01",
    )
    page.check("at 1, every run ends near chance level, below 0.2", scores["1"].max() < 0.2)
    with page.figure("6.2e", "Accuracy by learning rate", (7, 3.6)) as figure:
        training.draw(page, figure, scores, page.t("learning rate"))
    page.answer(
        "Strongly: from chance level at 1 to a test accuracy of {accuracy:.3f} at {best}, the "
        "highest of these; a rate beside it may be as good. A learning rate that is too small gets "
        "less far in one epoch: {slow:.3f} at 0.01.",
        best=best,
        accuracy=scores[best][:, 1].mean(),
        slow=scores["0.01"][:, 1].mean(),
    )


def small_initial_weights_stay_at_chance_level(page: Page) -> None:
    """How does the accuracy depend on the initialisation of the weights?"""
    images = data.load(valid=HELD_OUT)
    names = ("normal", "pytorch", "xavier_uniform", "he_normal", "orthogonal")
    inits = {name: training.modern(init=name) for name in names}
    scores, _ = training.measure(page, inits, images)
    page.check(
        "with normal weights of standard deviation 0.01, every run stays at chance level",
        scores["normal"].max() < 0.2,
    )
    others = {name: score for name, score in scores.items() if name != "normal"}
    page.check("all others exceed 0.7 with every seed", min(s.min() for s in others.values()) > 0.7)
    gap = training.gap(scores["pytorch"], scores["he_normal"])
    page.check(
        "He initialisation beats PyTorch's: the 95% CI, paired by seed, is above 0",
        gap.side == "higher",
    )
    with page.figure("6.2f", "Accuracy by initial weights", (7, 3.6)) as figure:
        training.draw(page, figure, scores, page.t("initial weights"))
    page.answer(
        "Decisively, if the weights are too small: with a standard deviation of 0.01, the network "
        "stays at chance level. All others learn: test accuracy after one epoch is {worst:.3f} to "
        "{most:.3f}. The best on the validation set is {best}.",
        worst=min(score[:, 1].mean() for score in others.values()),
        most=max(score[:, 1].mean() for score in others.values()),
        best=training.best(others),
    )


def more_epochs_overfit(page: Page) -> None:
    """How does the accuracy depend on the number of epochs?"""
    images = data.take(data.load(valid=HELD_OUT), train=10_000, test=1_000)
    config = training.modern(epochs=25, schedule="constant")
    page.say(
        "{seeds} runs of {epochs} epochs at a constant learning rate, on a small training set of "
        "{count:,} images ({seen:,} images in total), where overfitting comes early.",
        seeds=len(training.SEEDS),
        epochs=config.epochs,
        count=len(images.train.labels),
        seen=len(training.SEEDS) * config.epochs * len(images.train.labels),
    )
    curves = []
    for seed in page.track(training.SEEDS, "training"):
        epochs = train.fit(train.start(dataclasses.replace(config, seed=seed), images))
        curves.append([(row.train_loss, row.valid_loss, row.valid_accuracy) for row, _ in epochs])
    learnt, loss, accuracy = np.moveaxis(np.array(curves), 2, 0)  # each [S, epochs]
    lowest = 1 + loss.argmin(axis=1)
    page.value("epoch with the lowest validation loss, by run", lowest)
    page.value("epoch with the highest validation accuracy, by run", 1 + accuracy.argmax(axis=1))
    early, late = accuracy[:, 0], accuracy[:, -5:].mean(axis=1)
    page.value("validation accuracy after the first epoch, by run", early)
    page.value("mean validation accuracy over the last 5 epochs, by run", late)
    page.check("in every run, accuracy is higher over the last 5 epochs", (late > early).all())
    learns, rises = learnt[:, -1] / learnt[:, 4], loss[:, -5:].mean(axis=1) / loss.min(axis=1)
    page.value("training loss at the end relative to the loss after 5 epochs, by run", learns)
    page.value("validation loss over the last 5 epochs relative to its minimum, by run", rises)
    page.check("in every run, the training loss still falls after 5 epochs", (learns < 1).all())
    page.check("on average, validation loss ends above 1.1 times its minimum", rises.mean() > 1.1)
    with page.figure("6.2g", "Loss and accuracy by epoch", (9, 3.6)) as figure:
        left, right = figure.subplots(1, 2)
        at = np.arange(1, config.epochs + 1)
        for axes, values, label, line, colour in (
            (left, learnt, page.t("training set"), "--", style.ORANGE),
            (left, loss, page.t("validation"), "-", style.BLUE),
            (right, accuracy, page.t("validation"), "-", style.BLUE),
        ):
            axes.plot(at, values.mean(0), line, color=colour, label=label)
            axes.fill_between(at, values.min(0), values.max(0), color=colour, alpha=0.2)
        for axes, label in ((left, page.t("loss (nats)")), (right, page.t("accuracy"))):
            axes.set(xlabel=page.t("epoch"), ylabel=label)
            axes.locator_params(axis="x", integer=True)
            axes.legend()
    page.answer(
        "Accuracy grows with the number of epochs: validation accuracy is {first:.3f} after the "
        "first, {middle:.3f} over epochs 11 to 15 and {last:.3f} over the last 5 of {epochs}. The "
        "validation loss is lowest after {least} to {most} epochs and ends at {rises:.1f} times "
        "its minimum, while the training loss still falls: the network overfits.",
        first=early.mean(),
        middle=accuracy[:, 10:15].mean(),
        last=late.mean(),
        epochs=config.epochs,
        least=lowest.min(),
        most=lowest.max(),
        rises=rises.mean(),
    )


def digits_are_easier_than_clothes(page: Page) -> None:
    """Train the improved network on MNIST, the handwritten digits that the original LeNet
    recognised.
    """
    digits, clothes = (data.load(name, valid=HELD_OUT) for name in ("mnist", "fashion_mnist"))
    page.say("The same network, with the same learning rate, on both datasets:")
    of_digits, _ = training.measure(page, {"MNIST": training.modern(dataset="mnist")}, digits)
    of_clothes, _ = training.measure(page, {"Fashion-MNIST": training.modern()}, clothes)
    scores = of_digits | of_clothes
    tests = {name: score[:, 1] for name, score in scores.items()}
    page.check(
        "with every seed, the network is more accurate on digits than on clothes",
        tests["MNIST"].min() > tests["Fashion-MNIST"].max(),
    )
    with page.figure("6.3", "The same network on digits and on clothes", (6, 3.6)) as figure:
        training.draw(page, figure, scores, page.t("dataset"))
    page.answer(
        "The network recognises digits better than clothes: after one epoch at the same learning "
        "rate, test accuracy is {digits:.3f} on digits and {clothes:.3f} on clothes.",
        digits=tests["MNIST"].mean(),
        clothes=tests["Fashion-MNIST"].mean(),
    )


def sweaters_and_coats_separate_in_the_dense_layers(page: Page) -> None:
    """Compare the activations of the first and second layer for sweaters and coats."""
    images = data.load(valid=HELD_OUT)
    model, networks = training.trained(page, training.modern(), images)
    garments = [images.class_names.index(name) for name in ("Pullover", "Coat")]
    known, new = ([of_class(split, k) for k in garments] for split in (images.train, images.test))
    page.say(
        "Distance between the mean activations of the two classes, in units of the spread within "
        "a class, by layer (one row per network):"
    )
    layers = ("image", "conv1", "conv2", "dense1", "dense2")
    page.show("layers", layers)
    found = []
    for params in networks:
        four = [layer_values(model, params, pictures) for pictures in (*known, *new)]
        found.append([nearest_mean(*(values[layer] for values in four)) for layer in layers])
    apart, named = np.moveaxis(np.array(found), 2, 0)  # each [S, layers]
    page.show("apart", apart)
    page.say("Fraction of test images that the nearer of the two class means classifies correctly:")
    page.show("named", named)
    page.check(
        "in every network, the second layer separates the classes more than the first, and the "
        "last hidden layer more than the second",
        (np.diff(apart[:, [1, 2, 4]]) > 0).all(),
    )
    page.check(
        "class means in the first two layers and those of pixels differ by less than 0.05",
        (abs(named[:, 1:3] - named[:, :1]) < 0.05).all(),
    )
    page.check(
        "in every network, class means in the last hidden layer classify better than pixels",
        (named[:, 4] > named[:, 0]).all(),
    )
    with page.figure("6.4", "Feature maps of a pullover and a coat", (9, 5)) as figure:
        axes = figure.subplots(2, 3, width_ratios=(1, 1.5, 1))
        for row, (label, pictures) in enumerate(
            zip((page.t("pullover"), page.t("coat")), new, strict=True)
        ):
            maps = activations(model, networks[0], pictures[:1])
            style.matrix(axes[row, 0], pictures[0, ..., 0], title=label)
            style.matrix(axes[row, 1], tiled(maps["conv1"][0], 3), title=page.t("first layer"))
            style.matrix(axes[row, 2], tiled(maps["conv2"][0], 4), title=page.t("second layer"))
    page.answer(
        "The classes separate layer by layer: their distance is {apart_first:.2f} in the first, "
        "{apart_second:.2f} in the second and {apart_last:.2f} in the last hidden layer. Class "
        "means classify {first:.2f} and {second:.2f} of the test images correctly in the first "
        "two layers, {pixels:.2f} on pixels, and {last:.2f} in the last hidden layer.",
        apart_first=apart[:, 1].mean(),
        apart_second=apart[:, 2].mean(),
        apart_last=apart[:, 4].mean(),
        pixels=named[0, 0],
        first=named[:, 1].mean(),
        second=named[:, 2].mean(),
        last=named[:, 4].mean(),
    )


def of_class(split: Split, label: int) -> Array:
    """Return the first 1,000 images of a class, float [N, 28, 28, 1] from 0 to 1."""
    return jnp.asarray(split.images[split.labels == label][:1000], jnp.float32) / 255


def layer_values(model: LeNet, params: forward.Params, images: Array) -> dict[str, np.ndarray]:
    """Return the pixels and the activations of each layer as vectors [N, units]."""
    values = {"image": images, **activations(model, params, images)}
    return {
        name: np.asarray(value, np.float64).reshape(len(images), -1)
        for name, value in values.items()
    }


def nearest_mean(
    a: np.ndarray, b: np.ndarray, new_a: np.ndarray, new_b: np.ndarray
) -> tuple[float, float]:
    """Classify examples of two classes by the nearer class mean.

    Args:
      a, b: examples [N, units] of the classes, to take the means of.
      new_a, new_b: examples to classify.

    Returns:
      the distance of the means over the spread within a class, and the accuracy
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


def strange_images_fade_on_their_way_up(page: Page) -> None:
    """What are the activations when the network sees noise, or images of another kind?"""
    images = data.load(valid=HELD_OUT)
    model, networks = training.trained(page, training.modern(), images)
    clothes = np.asarray(images.test.images[:1000, ..., 0], np.float64) / 255
    # The pixels of each image are permuted separately.
    pixels = np.random.default_rng(2).permuted(clothes.reshape(len(clothes), -1), axis=1)
    inputs = {
        page.t("test images"): clothes,
        page.t("inverted"): 1 - clothes,
        page.t("stripes"): stripes(len(clothes)),
        page.t("shuffled pixels"): pixels.reshape(clothes.shape),
        page.t("noise"): np.random.default_rng(0).uniform(size=clothes.shape),
    }
    page.say("Each network sees {n:,} images of each kind:", n=len(clothes))
    layers = ("conv1", "pool1", "conv2", "pool2", "dense1", "dense2")
    responses = []
    for params, pictures in itertools.product(networks, inputs.values()):
        values = activations(model, params, jnp.asarray(pictures[..., None], jnp.float32))
        sums, largest = statistics(model, values), jax.nn.softmax(values["dense3"]).max(axis=1)
        # Of a ReLU, the saturated are the zeros.
        confidence = (sums["dense2"].saturated, largest.mean(), (largest > 0.9).mean())
        responses.append([*confidence, *(sums[name].mean for name in layers)])
    by_kind = np.array(responses).reshape(len(networks), len(inputs), -1)  # [S, kinds, ...]
    (silent, sure, certain), activity = np.moveaxis(by_kind[..., :3], 2, 0), by_kind[..., 3:]
    rows = [
        (kind, training.spread(sure[:, i]), f"{certain[:, i].mean():.1%}")
        for i, kind in enumerate(inputs)
    ]
    headers = page.t("images | largest probability | above 0.9")
    page.table(rows, headers, colalign=("left", "right", "right"))
    share = activity[:, -1] / activity[:, 0]  # noise over test images [S, layers]
    first, last = share[:, 0], share[:, -1]
    page.value(
        "mean activation, noise over test images (rows: networks, columns: conv1, dense2)",
        share[:, [0, -1]],
    )
    page.value(
        "zeros in the last hidden layer (rows: networks, columns: test images, noise)",
        silent[:, [0, -1]],
    )
    page.check(
        "in every network, the last hidden layer responds less to noise than to clothes, and the "
        "ratio is smaller than in the first layer",
        (last < 1).all() and (last < first).all(),
    )
    page.check(
        "every network is less confident about each other kind than about test images",
        (sure[:, 1:] < sure[:, :1]).all(),
    )
    page.check("yet every network is sure of some inverted images", (certain[:, 1] > 0).all())
    with page.figure("6.5", "Images of each kind, and how LeNet responds", (9, 5.4)) as figure:
        grid = figure.add_gridspec(2, 1, height_ratios=(1, 1.6))
        above, below = grid[0].subgridspec(1, len(inputs)), grid[1].subgridspec(1, 2)
        for i, (kind, pictures) in enumerate(inputs.items()):
            style.matrix(figure.add_subplot(above[i]), pictures[0], title=kind, limits=(0, 1))
        left, right = figure.add_subplot(below[0]), figure.add_subplot(below[1])
        for kind, means, marker in zip(inputs, activity.mean(axis=0), "os^vD", strict=True):
            left.plot(layers, means, marker=marker, label=kind)
        left.set(ylabel=page.t("mean activation"))
        left.set_ylim(bottom=0)
        handles = left.get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=len(inputs))
        right.barh(list(inputs), sure.mean(0), xerr=sure.std(0, ddof=1), color=style.SKY)
        right.axvline(0.1, color=style.GREY, linestyle=":")
        right.set(xlabel=page.t("mean of the largest probability (chance level: 0.1)"), xlim=(0, 1))
        right.invert_yaxis()
    page.answer(
        "Noise activates the first layer {first:.1f} times as strongly as clothes, and the last "
        "hidden layer {last:.1f} times; there, {zeros:.0%} of the values are 0 for noise, "
        "{usual:.0%} for clothes. The network still picks a class, with a mean probability of "
        "{noise:.2f} for noise and {clothes:.2f} for clothes; {certain:.0%} of the inverted "
        "images get more than 0.9.",
        first=first.mean(),
        last=last.mean(),
        zeros=silent[:, -1].mean(),
        usual=silent[:, 0].mean(),
        noise=sure[:, -1].mean(),
        clothes=sure[:, 0].mean(),
        certain=certain[:, 1].mean(),
    )


def stripes(count: int) -> np.ndarray:
    """Return images [N, 28, 28] of waves: any direction, 3 to 14 pixels apart."""
    rng = np.random.default_rng(1)
    i, j = np.mgrid[:28, :28]
    angle, phase = rng.uniform(0, 2 * np.pi, (2, count, 1, 1))
    across = i[None] * np.cos(angle) + j[None] * np.sin(angle)
    return 0.5 + 0.5 * np.sin(2 * np.pi * across / rng.uniform(3, 14, (count, 1, 1)) + phase)
