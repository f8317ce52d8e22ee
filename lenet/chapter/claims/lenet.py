"""Claims of the book about LeNet."""

import numpy as np

from lenet import config as config_module
from lenet import data
from lenet.chapter.claims.claim import Finding, truth
from lenet.chapter.exercises import training
from lenet.chapter.page import Page
from lenet.config import Config


def images_are_30_percent_smaller(page: Page) -> Finding:
    """Images of 28×28 are a 30% reduction of the original 32×32."""
    reduction = 1 - 28**2 / 32**2
    return Finding(
        truth(round(reduction, 1) == 0.3),
        "The pixels are counted.",
        "{before} pixels become {after}: {reduction:.1%} fewer.",
        {"before": 32**2, "after": 28**2, "reduction": reduction},
    )


def relu_and_max_pooling_work_better(page: Page) -> Finding:
    """ReLU and max pooling work better than the sigmoid and average pooling."""
    images = data.load(valid=10_000)
    # With smaller batches the sigmoid does not leave the plateau.
    base = Config(epochs=5, valid=10_000)
    cells = {
        f"{activation} + {page.t(training.POOLINGS[pool])}": training.tune(
            page,
            config_module.replace(base, activation=activation, pool=pool),
            (0.1, 0.3, 0.9),
            images,
        )
        for activation in ("sigmoid", "relu")
        for pool in ("avg", "max")
    }
    scores, _ = training.measure(page, cells, images)
    book, pooled, rectified, modern = (score[:, 1] for score in scores.values())
    relu = (rectified + modern - book - pooled) / 2
    pool = (pooled + modern - book - rectified) / 2
    both, one = ((a > 0).all() for a in (np.stack([relu, pool]), np.stack([relu + pool])))
    return Finding(
        "true" if both else "partly" if one else "false",
        "All four networks are trained, each at the best of three learning rates on the "
        "validation set. Does each change help with every seed?",
        "Test accuracy after {epochs} epochs: {modern:.3f} with ReLU and max pooling, {book:.3f} "
        "with sigmoid and average pooling. Gains: ReLU {relu}, max pooling {pool} ({n} seeds).",
        {
            "modern": modern.mean(),
            "book": book.mean(),
            "epochs": base.epochs,
            "relu": training.spread(relu),
            "pool": training.spread(pool),
            "n": len(relu),
        },
    )
