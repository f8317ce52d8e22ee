"""Section 6: train, measure and draw settings, for the exercises that train networks."""

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lenet import train
from lenet.analysis import stats
from lenet.analysis.stats import MARGIN, Interval
from lenet.chapter.page import PAIRS, Page
from lenet.config import PRESETS, Config
from lenet.data import Data
from lenet.engine import forward
from lenet.errors import DivergedError
from lenet.figures import style
from lenet.inspect import layers
from lenet.language import Listed, Message, listed, mark, message
from lenet.model import LeNet, lenet_of, network

SEEDS = (0, 1, 2)
"""Every setting is trained once with each: the initial weights and the order of images differ."""

POOLINGS = {"avg": mark("average"), "max": mark("max")}

HELD_OUT = 10_000
"""Training images held out for validation, as in `data.load(valid=HELD_OUT)`."""


def modern(**changes: Any) -> Config:
    """Return LeNet with ReLU and max pooling, trained for one epoch.

    Batches of 32 take 1,563 steps over 50,000 images, and a learning rate that falls to 0 along a
    cosine lets each run end where it settles: seeds differ far less than at a constant rate.
    """
    short = {"batch_size": 32, "schedule": "cosine", "epochs": 1, "valid": HELD_OUT}
    return Config(**PRESETS["modern"] | short | changes)


def tune(
    page: Page, config: Config, rates: Sequence[float], data: Data, *, back: int = 0
) -> Config:
    """Return `config` with the learning rate of best validation accuracy, from one run each.

    It is the one `back` places below the best of the ascending `rates`, if there is one.
    """
    tried = [dataclasses.replace(config, lr=lr, seed=len(SEEDS)) for lr in rates]
    found = [accuracies(each, data)[0] for each in page.track(tried, "choosing a learning rate")]
    shown = (
        message(PAIRS[0], name=f"{lr:g}", value=f"{accuracy:.3f}")
        for lr, accuracy in zip(rates, found, strict=True)
    )
    page.value(
        "validation accuracy by learning rate ({activation} activation, {pool} pooling)",
        listed(shown),
        activation=config.activation,
        pool=page.t(POOLINGS[config.pool]),
    )
    best = int(np.argmax(found))
    if back and best >= back:
        page.note("Trained one step lower, where no run should collapse.")
    else:
        warn_of_edge(page, rates[best], rates)
    return dataclasses.replace(config, lr=rates[max(0, best - back)])


def warn_of_edge(page: Page, best: float, rates: Sequence[float]) -> None:
    """Say so if the best learning rate is the lowest or highest that was tried."""
    if best in (min(rates), max(rates)):
        page.note(
            "{rate} is at the edge of what was tried: a rate beyond it may be better.",
            rate=f"{best:g}",
        )


def measure(
    page: Page, settings: Mapping[str, Config], data: Data, seeds: Sequence[int] = SEEDS
) -> tuple[dict[str, np.ndarray], list[int]]:
    """Train each setting with each seed; print the amount of training and the accuracies.

    Returns:
      by name of the setting: accuracy [S, 2] of each seed on validation and on test images; a run
      that diverged counts as chance level, 1/K. Then the number of parameters of each setting
    """
    images = len(data.train.labels)
    page.say(
        "Settings: {settings}; seeds per setting: {seeds}; training images: {images:,}; images in "
        "total: {seen:,}. Accuracy, mean ± standard deviation over seeds:",
        settings=len(settings),
        seeds=len(seeds),
        images=images,
        seen=images * len(seeds) * sum(config.epochs for config in settings.values()),
    )
    runs = [
        dataclasses.replace(config, seed=seed) for config in settings.values() for seed in seeds
    ]
    found = np.array([accuracies(run, data) for run in page.track(runs, "training")])
    scores = dict(zip(settings, found.reshape(-1, len(seeds), 2), strict=True))
    networks = [network(config, data.num_classes) for config in settings.values()]
    tables = [layers.layers(model, data.image_shape) for model in networks]
    counts = [sum(layer.parameters for layer in table) for table in tables]
    rows = [
        (name, f"{count:,}", *map(spread, score.T))
        for (name, score), count in zip(scores.items(), counts, strict=True)
    ]
    align = ("left", "right", "right", "right")
    headers = page.t("setting | parameters | validation | test")
    page.table(rows, headers, colalign=align, disable_numparse=True)
    return scores, counts


def accuracies(config: Config, data: Data) -> tuple[float, float]:
    """Return the accuracy on validation and on test images after training."""
    try:
        row, _ = train.run(config, data)
    except DivergedError:
        return 1 / data.num_classes, 1 / data.num_classes
    return row.valid_accuracy or 0.0, row.test_accuracy


def spread(values: np.ndarray) -> str:
    """Return mean and standard deviation over seeds as text."""
    return f"{values.mean():.3f} ± {values.std(ddof=1):.3f}"


def best(scores: Mapping[str, np.ndarray]) -> str:
    """Return the setting with the highest mean accuracy on validation images."""
    return max(scores, key=lambda name: scores[name][:, 0].mean())


def gap(first: np.ndarray, second: np.ndarray) -> Interval:
    """Return the gain in validation accuracy, second over first, paired by seed, with its 95% CI.

    Args:
      first, second: accuracy [S, 2], as `measure` returns it.
    """
    return stats.interval(second[:, 0] - first[:, 0])


SAID = {
    "higher": mark("{second} is more accurate than {first} ({gain})"),
    "lower": mark("{second} is less accurate than {first} ({gain})"),
    "equal": mark("{second} is as accurate as {first} to within {margin} ({gain})"),
    "open": mark("{first} and {second}: inconclusive ({gain})"),
}


def gaps(page: Page, scores: Mapping[str, np.ndarray]) -> Listed:
    """Show the `gap` between each setting and the next; return what they say.

    A gap is "equal" if two one-sided tests at 5% say so, which is if its 90% CI is within MARGIN.
    """
    said: list[Message] = []
    for (a, before), (b, after) in pairwise(scores.items()):
        gain = gap(before, after)
        narrow = stats.interval((after - before)[:, 0], 0.9)
        equal = narrow.low > -MARGIN and narrow.high < MARGIN
        key = "equal" if equal else gain.side
        said.append(message(SAID[key], first=a, second=b, gain=gain, margin=MARGIN))
    found = listed(said, "; ")
    page.value("difference in validation accuracy [95% CI, paired by seed]", found)
    return found


def draw(
    page: Page,
    figure: Figure,
    scores: Mapping[str, np.ndarray],
    xlabel: str,
    counts: Sequence[int] | None = None,
) -> None:
    """Draw validation and test accuracy by setting: each seed, mean and standard deviation.

    Args:
      page: translates the legend.
      figure: to draw on.
      scores: from `measure`.
      xlabel: translated name of what differs between the settings.
      counts: parameters of each setting, written below its name.
    """
    axes = figure.subplots()
    at, ticks = np.arange(len(scores)), list(scores)
    splits = ((page.t("validation"), "o", style.BLUE), (page.t("test"), "s", style.ORANGE))
    for i, (label, marker, colour) in enumerate(splits):
        values = np.array([score[:, i] for score in scores.values()])  # [settings, S]
        x, mean, deviation = at + (i - 0.5) * 0.24, values.mean(1), values.std(1, ddof=1)
        axes.errorbar(x, mean, deviation, fmt=marker, color=colour, capsize=4, label=label)
        axes.plot(x + 0.09, values, ".", color=colour, markersize=4, alpha=0.6)
    if counts:
        xlabel = page.t("{what}; below, number of parameters", what=xlabel)
        ticks = [f"{name}\n{n:,}" for name, n in zip(scores, counts, strict=True)]
    axes.set_xticks(at, ticks)
    axes.set(xlabel=xlabel, ylabel=page.t("accuracy"), xlim=(-0.5, len(scores) - 0.5))
    axes.grid(axis="y", color=style.GREY, alpha=0.3)
    axes.legend()


def trained(page: Page, config: Config, data: Data) -> tuple[LeNet, list[forward.Params]]:
    """Train a network with each seed; return the network and the parameters of each."""
    page.say(
        "{seeds} networks, trained with different seeds on {images:,} images each.",
        seeds=len(SEEDS),
        images=len(data.train.labels) * config.epochs,
    )
    runs = [dataclasses.replace(config, seed=seed) for seed in SEEDS]
    found = [train.run(each, data)[1] for each in page.track(runs, "training")]
    return lenet_of(network(config, data.num_classes), "the exercise"), found
