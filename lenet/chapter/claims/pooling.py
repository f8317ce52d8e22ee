"""Claims of the book about pooling."""

import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from lenet import data, ops, train
from lenet.chapter.claims.claim import SEEDS, Finding, decided, truth
from lenet.chapter.exercises import training
from lenet.chapter.page import Page
from lenet.inspect import transforms
from lenet.inspect.predictions import SHIFTS, robustness
from lenet.model import network


def pooling_quarters(page: Page) -> Finding:
    """Pooling with a 2×2 window and stride 2 reduces the number of values to a quarter."""
    sizes = [(h, w) for h in range(2, 65, 2) for w in range(2, 65, 2)]
    quarter = [4 * np.prod(ops.output_shape(size, 2, stride=2)) == np.prod(size) for size in sizes]
    return Finding(
        truth(all(quarter)),
        "The output shape is computed for every even size up to 64.",
        "Exactly a quarter remains in all {n} cases. An odd size loses its last row or column.",
        {"n": sum(quarter)},
    )


def strides_default_to_the_window(page: Page) -> Finding:
    """In the frameworks the stride of a pooling layer defaults to its window."""
    x = jnp.ones((1, 9, 9, 1))
    ours, flax = ops.max_pool(x, 3).shape[1], nn.max_pool(x, (3, 3)).shape[1]
    return Finding(
        truth(ours == flax == 3),
        "A 9×9 input is pooled with a 3×3 window and no stride, by Flax and by this project.",
        "Flax gives {flax}×{flax}, because its stride defaults to 1. This project gives "
        "{ours}×{ours}, like PyTorch in the book.",
        {"flax": flax, "ours": ours},
    )


def max_pooling_tolerates_a_pixel(page: Page) -> Finding:
    """After 2×2 max pooling, a pattern is still detected when it moves by one pixel."""
    spots = jnp.eye(64).reshape(64, 8, 8, 1)[jnp.arange(64) % 8 < 7]  # not in the last column
    unchanged, common = [], []
    for stride in (1, 2):
        here = ops.max_pool(spots, 2, stride=stride)
        there = ops.max_pool(transforms.shift(spots, 0, 1), 2, stride=stride)
        unchanged.append((here == there).all((1, 2, 3)).mean())
        common.append(((here * there).sum((1, 2, 3)) > 0).mean())
    overlap, windows = common[0], unchanged[1]
    return Finding(
        "true" if windows == 1 else "partly" if overlap == 1 else "false",
        "A single bright pixel, at each place of an 8×8 image, moves right by one pixel.",
        "With stride 1, a common output responds in {overlap:.0%} of places. With the default "
        "stride, 2, the feature map is unchanged in {windows:.0%}, where both pixels share a "
        "window.",
        {"overlap": overlap, "windows": windows},
    )


def lenet_tolerates_a_pixel(page: Page) -> Finding:
    """LeNet, thanks to pooling, tolerates a shift of the image by one pixel."""
    images = data.load(valid=10_000)
    pools = ("avg", "max")
    runs = [training.modern(pool=pool, seed=seed) for pool in pools for seed in SEEDS]
    found = []
    for config in page.track(runs, "training"):
        _, params = train.run(config, images)
        by_shift = robustness(network(config, images.num_classes), params, images.test)["shift"]
        found.append([by_shift[pixels] for pixels in SHIFTS])
    curves = dict(zip(pools, np.array(found).reshape(2, -1, len(SHIFTS)), strict=True))
    with page.figure("shifts", "Test accuracy of LeNet on shifted images", (7, 3.8)) as figure:
        axes = figure.subplots()
        names = {"avg": page.t("average pooling"), "max": page.t("max pooling")}
        for (pool, values), marker in zip(curves.items(), "os", strict=True):
            axes.plot(SHIFTS, values.mean(0), marker=marker, label=names[pool])
            axes.fill_between(SHIFTS, values.min(0), values.max(0), alpha=0.2)
        axes.set(xlabel=page.t("shift, in pixels"), ylabel=page.t("test accuracy"), ylim=(0, 1))
        axes.set_xticks(SHIFTS)
        axes.legend()
    lost = {pool: values[:, :1] - values for pool, values in curves.items()}  # [S, shifts]
    # In proportion to the shift, one pixel would cost a quarter of what four cost.
    spared = np.minimum(*(values[:, 4] / 4 - values[:, 1] for values in lost.values()))
    verdict, test = decided(page, spared)
    return Finding(
        verdict,
        "LeNet with ReLU is trained for one epoch and tested on shifted images. Does a shift of 1 "
        "pixel lower accuracy by less than a quarter as much as a shift of 4, with both poolings, "
        "by a sign test over seeds?",
        "A shift of 1 pixel lowers test accuracy by {avg1:.3f} with average and {max1:.3f} with "
        "max pooling; a shift of 4 pixels by {avg4:.3f} and {max4:.3f} (less than a quarter as "
        "much with {above} of {n} seeds, p = {p:.1g}). Without pooling a pixel costs more: shifts "
        "in docs/en/within.md.",
        {f"{pool}{pixels}": lost[pool][:, pixels].mean() for pool in pools for pixels in (1, 4)}
        | test,
    )
