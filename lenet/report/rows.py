"""Rows of charts that several runs share."""

from collections.abc import Sequence
from typing import Any

from lenet.analysis import published
from lenet.analysis.summary import estimate


def spread(series: str, values: Sequence[float], **at: Any) -> dict[str, Any]:
    """Return the mean of runs and the range from the worst to the best of them.

    >>> spread("max", [0.75, 0.25], epoch=1)
    {'series': 'max', 'mean': 0.5, 'low': 0.25, 'high': 0.75, 'n': 2, 'epoch': 1}
    """
    found = estimate(values)
    low, high = min(values), max(values)
    return {"series": series, "mean": found.mean, "low": low, "high": high, "n": found.n, **at}


def interval(label: str, rank: int, values: Sequence[float]) -> dict[str, Any]:
    """Return the mean accuracy of runs and its 95 % interval, cut to 0 to 1.

    That of two runs may reach beyond; of a single run it is that run.
    """
    found = estimate(values)
    half = found.half or 0.0
    ends = {"low": max(found.mean - half, 0.0), "high": min(found.mean + half, 1.0)}
    return {"label": label, "rank": rank, "mean": found.mean, **ends, "n": found.n}


def published_rows() -> list[dict[str, Any]]:
    """Return the published runs, as `charts.published` draws them."""
    others = published.runs()
    return [
        {"framework": published.NAMES[framework], "test_accuracy": accuracy, "train_loss": loss}
        for framework, accuracy, loss in zip(
            others.framework, others.test_acc.tolist(), others.loss.tolist(), strict=True
        )
    ]
