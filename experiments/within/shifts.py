"""What takes the place of pooling, and what a shift of the image by a pixel or two then changes.

Estimands: test accuracy; the share of test images whose answer is the same under two random shifts
(consistency: Zhang, arXiv 1904.11486); accuracy on shifted images. At one learning rate, which
was not chosen for any of them.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array
from jaxtyping import Float, Num
from numpy.typing import NDArray

from experiments.within.chunks import chunks
from lenet import ops
from lenet.analysis import terms
from lenet.analysis.stats import interval
from lenet.config import Config
from lenet.data import Data
from lenet.data.splits import Split
from lenet.figures import vega
from lenet.figures.vega import Chart, Spec, Translate, channel
from lenet.language import Message, mark, message
from lenet.ops import native
from lenet.settings import choice

DOWN = ("none", "avg", "max", "blur", "stride")
"""Nothing; average or max pooling; max pooling that is blurred before it is thinned out (Zhang);
convolutions of stride 2 without pooling (Springenberg et al., arXiv 1412.6806)."""
MOST = 4
"""Pixels of the largest shift."""


class Pooled(nn.Module):
    """LeNet with ReLU, and one of five ways to make its maps smaller.

    >>> import jax
    >>> images = jnp.zeros((2, 28, 28, 1))
    >>> Pooled(down="blur").apply(Pooled(down="blur").init(jax.random.key(0), images), images).shape
    (2, 10)
    """

    down: str = choice("max", "what makes the maps smaller", among=DOWN)
    num_classes: int = 10

    @nn.compact
    def __call__(self, images: Num[Array, "B H W C"]) -> Float[Array, "B K"]:
        """Return the logits of images."""
        x, xavier = images, nn.initializers.glorot_uniform()
        for i, (channels, padding) in enumerate(((6, 2), (16, 0)), start=1):
            x = nn.Conv(
                channels,
                (5, 5),
                strides=2 if self.down == "stride" else 1,
                padding=padding,
                kernel_init=xavier,
                conv_general_dilated=native.conv_general_dilated,
                name=f"conv{i}",
            )(x)
            x = smaller(nn.relu(x), self.down)
        x = x.reshape(len(x), -1)
        for i, units in enumerate((120, 84), start=1):
            x = nn.relu(nn.Dense(units, kernel_init=xavier, name=f"dense{i}")(x))
        return nn.Dense(self.num_classes, kernel_init=xavier, name="dense3")(x)


def smaller(x: Num[Array, "B H W C"], down: str) -> Num[Array, "B h w C"]:
    """Return maps of half the side, rounded down; the same maps for "none" and "stride"."""
    match down:
        case "avg":
            return ops.avg_pool(x, 2)
        case "max":
            return ops.max_pool(x, 2)
        case "blur":
            dense = ops.max_pool(x, 2, stride=1)
            mirrored = jnp.pad(dense, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
            return ops.blur_pool(mirrored)
    return x


class Design(NamedTuple):
    """Five networks at a learning rate; seeds that nothing else uses."""

    networks: tuple[str, ...] = DOWN
    rates: tuple[float, ...] = (0.1,)
    seeds: int = 8
    first_seed: int = 6_300_000
    epochs: int = 10


def measure(data: Data, design: Design) -> dict[str, Any]:
    """Return what each run has right on test images, shifted and not, and how often shifts agree.

    Returns:
      `runs`: down, lr, seed, and counts of test images: `right`; `same`, whose class is the same
      under two random shifts of up to 3 pixels down and across; `shifted`, right after shifts by 1
      to MOST pixels, the mean of four directions.
    """
    test = data.test
    once, again = (_random(test.images, seed) for seed in (0, 1))
    far = [
        [shifted(test.images, np.full((len(test.labels), 2), (down * by, across * by)))
         for down, across in ((1, 0), (-1, 0), (0, 1), (0, -1))]
        for by in range(1, MOST + 1)
    ]  # fmt: skip
    found = []
    for down in design.networks:
        configs = [
            Config(
                network=Pooled(down=down),
                dataset=data.name,
                lr=lr,
                seed=seed,
                epochs=design.epochs,
            )
            for lr in design.rates
            for seed in range(design.first_seed, design.first_seed + design.seeds)
        ]
        for chunk in chunks(configs, data):
            state = chunk.train(design.epochs)
            right, _ = chunk.evaluate(state)
            answers = [chunk.evaluate(state, Split(x, test.labels))[1] for x in (once, again)]
            same = (answers[0] == answers[1]).sum(-1)
            after = [
                np.mean([chunk.evaluate(state, Split(x, test.labels))[0] for x in images], 0)
                for images in far
            ]
            for lane, run in enumerate(chunk.runs):
                config = configs[run]
                found.append(
                    {"down": down, "lr": config.lr, "seed": config.seed}
                    | {"right": int(right[lane]), "same": int(same[lane])}
                    | {"shifted": [float(each[lane]) for each in after]}
                )
    return {"images": len(test.labels), "runs": found}


def shifted(images: NDArray[np.uint8], by: NDArray[Any]) -> NDArray[np.uint8]:
    """Return images [N, H, W, C], each moved down and across by its [N, 2] pixels; zeros come in.

    >>> image = np.arange(1, 5, dtype=np.uint8).reshape(1, 2, 2, 1)
    >>> shifted(image, np.array([[0, 1]]))[0, :, :, 0].tolist()
    [[0, 1], [0, 3]]
    """
    n, height, width, _ = images.shape
    most = int(np.abs(by).max())
    padded = np.pad(images, ((0, 0), (most, most), (most, most), (0, 0)))
    rows = np.arange(height)[None, :, None] + most - by[:, 0, None, None]
    columns = np.arange(width)[None, None, :] + most - by[:, 1, None, None]
    return padded[np.arange(n)[:, None, None], rows, columns]


def _random(images: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    return shifted(images, np.random.default_rng(seed).integers(-3, 4, (len(images), 2)))


RATE = 0.1
"""At which networks are compared in words; chosen before the runs."""
NAMES = {
    "none": mark("nothing"),
    **terms.POOLINGS,
    "blur": mark("max pooling, blurred"),
    "stride": mark("convolution of stride 2"),
}
COMPARED = mark(
    "Against max pooling at a learning rate of {rate:g}: {name}: test accuracy {accuracy}, answers "
    "that stay under a shift {same} (differences, 99.375% CIs paired by seed: 95% for the eight)."
)


def said(record: dict[str, Any]) -> list[Message]:
    """Return what the runs say, in words: each network against max pooling."""
    accuracy, same = (_values(record, name, RATE) for name in ("right", "same"))
    return [
        message(
            COMPARED,
            rate=RATE,
            name=message(NAMES[down]),
            accuracy=interval(accuracy[down] - accuracy["max"], 1 - 0.05 / 8),
            same=interval(same[down] - same["max"], 1 - 0.05 / 8),
        )
        for down in DOWN
        if down != "max"
    ]


def table(record: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """Return heads and rows: accuracy, and what a shift changes, at each learning rate."""
    rows: list[list[Any]] = []
    for lr in dict.fromkeys(run["lr"] for run in record["runs"]):
        right, same = (_values(record, name, lr) for name in ("right", "same"))
        after = _values(record, "shifted", lr)
        for down in DOWN:
            fields = [interval(x[down]).shown(".1%") for x in (right, same)]
            fields += [f"{x:.1%}" for x in after[down].mean(0)]
            rows.append([NAMES[down], f"{lr:g}", *fields])
    heads = [
        mark("in place of pooling"),
        mark("learning rate"),
        mark("test accuracy [95% CI]"),
        mark("same answer under two shifts [95% CI]"),
        mark("accuracy, shifted by 1 pixel"),
        mark("by 2"),
        mark("by 3"),
        mark("by 4"),
    ]
    return heads, rows


def charts(record: dict[str, Any]) -> list[Chart]:
    """Return accuracy by the size of the shift."""
    right, after = _values(record, "right", RATE), _values(record, "shifted", RATE)
    rows = [
        {"series": down, "shift": by, "accuracy": float(value)}
        for down in DOWN
        for by, value in enumerate([right[down].mean(), *after[down].mean(0)])
    ]

    def draw(t: Translate) -> Spec:
        x = channel(
            "shift", t(mark("pixels by which the image is shifted")), axis={"tickMinStep": 1}
        )
        title = t(mark("test accuracy"))
        y = channel("accuracy", title, axis={"format": "~%"}, scale={"zero": False})
        names = {name: t(each) for name, each in NAMES.items()}
        return vega.lines("shifts", title, x, y, names, "format(datum.accuracy, '.1%')")

    return [Chart(draw, {"shifts": rows})]


def _values(record: dict[str, Any], field: str, lr: float) -> dict[str, NDArray[np.float64]]:
    """Return shares of the test images by network, in the order of the seeds."""
    return {
        down: np.array(
            [run[field] for run in record["runs"] if (run["down"], run["lr"]) == (down, lr)]
        )
        / record["images"]
        for down in DOWN
    }
