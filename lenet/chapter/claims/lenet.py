"""Claims of the book about LeNet."""

from lenet import config as config_module
from lenet import data
from lenet.chapter.claims.claim import Finding, decided, truth
from lenet.chapter.exercises import training
from lenet.chapter.page import Page
from lenet.config import Config

FRESH = range(200, 216)
"""Of a claim whose first seeds, 100 to 115, showed that its rates were at the edge of collapse."""


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
    images = data.load(valid=training.HELD_OUT)
    # With smaller batches the sigmoid does not leave the plateau.
    base = Config(epochs=5, valid=training.HELD_OUT)
    tried = {("sigmoid", "avg"): (0.5, 1.0, 2.0), ("relu", "max"): (0.1, 0.2, 0.4)}
    cells = {
        f"{activation} + {page.t(training.POOLINGS[pool])}": training.tune(
            page,
            config_module.replace(base, activation=activation, pool=pool),
            rates,
            images,
            back=1,
        )
        for (activation, pool), rates in tried.items()
    }
    scores, _ = training.measure(page, cells, images, FRESH)
    book, modern = (score[:, 1] for score in scores.values())
    verdict, test = decided(page, modern - book)
    return Finding(
        verdict,
        "Both networks are trained, each one step below the best of three learning rates on the "
        "validation set, with seeds that chose nothing: at the best, single runs collapse. Is the "
        "test accuracy of ReLU and max pooling higher, by a sign test over seeds? "
        "(`experiments.compare` takes the two changes apart.)",
        "Test accuracy after {epochs} epochs: {modern:.3f} with ReLU and max pooling, {book:.3f} "
        "with sigmoid and average pooling; higher with {above} of {n} seeds, p = {p:.1g}.",
        {"modern": modern.mean(), "book": book.mean(), "epochs": base.epochs, **test},
    )
