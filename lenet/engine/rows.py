"""The row of an epoch: what metrics.jsonl keeps, from the engine to the report. Free of jax."""

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lenet.config import Config
from lenet.engine import chance
from lenet.errors import DivergedError

if TYPE_CHECKING:
    from lenet.engine.metrics import Metrics

AVERAGED = ("averaged_loss", "averaged_accuracy")
"""Fields that are there where weights are averaged."""

DIVERGED = 10
"""A run has diverged when the mean loss of an epoch exceeds this many times chance level, log K."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One epoch, as metrics.jsonl keeps it."""

    epoch: int
    train_loss: float  # running means over the epoch, while the parameters move
    train_accuracy: float
    valid_loss: float | None
    valid_accuracy: float | None
    test_loss: float  # after the epoch
    test_accuracy: float
    count: int  # training examples seen in the epoch
    seconds: float  # for training them; evaluation apart
    examples_per_second: float
    running: list[tuple[float, float, float]]  # (epochs, loss, accuracy) at fifths of the epoch
    averaged_loss: float | None = None  # on the test images, of the averaged weights
    averaged_accuracy: float | None = None
    # [N] of the test images, uint8 or uint16; of several runs after the last epoch alone
    classes: np.ndarray | None = dataclasses.field(default=None, compare=False, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values for JSON, except the predicted classes."""
        values = {name: getattr(self, name) for name in _KEPT}
        return {k: v for k, v in values.items() if v is not None or k not in AVERAGED}

    @classmethod
    def from_dict(cls, values: Any) -> "Row":
        """Return the row that `to_dict` wrote, read back from JSON; other names are ignored.

        Raises:
          ValueError: naming the field that is missing or not a finite number.
        """
        if not isinstance(values, dict):
            raise ValueError(f"expected an object, found {type(values).__name__}")
        found: dict[str, Any] = {name: values.get(name) for name in _KEPT}
        for name, value in found.items():
            held_out = name in ("valid_loss", "valid_accuracy") and name in values
            held_out |= name in AVERAGED
            if name != "running" and not is_finite(value) and not (held_out and value is None):
                raise ValueError(f"{name}: expected a finite number, found {value!r:.40}")
        points = found["running"]
        if not isinstance(points, list) or not all(
            isinstance(point, list) and len(point) == 3 and all(map(is_finite, point))
            for point in points
        ):
            raise ValueError("running: expected a list of three finite numbers each")
        return cls(**{**found, "running": [tuple(point) for point in points]})


_KEPT = [field.name for field in dataclasses.fields(Row) if field.name != "classes"]


def is_finite(value: Any) -> bool:
    """Return whether a value read from JSON is a finite number."""
    try:
        return type(value) in (int, float) and math.isfinite(value)
    except OverflowError:  # an integer that no float holds
        return False


def report(
    num_classes: int,
    config: Config,
    number: int,
    seconds: float,
    steps: "Metrics",
    valid: "Metrics | None",
    test: "Metrics",
    averaged: "Metrics | None" = None,
) -> Row:
    """Return the row of epoch `number`, from 1, of a run.

    Args:
      num_classes: K, for chance level.
      config: of the run; errors name its learning rate.
      number, seconds: of the epoch; the time to train, without evaluation.
      steps: the metrics of each step, [S].
      valid, test: the metrics on both splits after the epoch.
      averaged: the metrics of the averaged weights on the test split.

    Raises:
      DivergedError: naming the first step whose loss was not finite, or the epoch whose mean loss
        was far above chance level.
    """
    from lenet.engine import metrics  # with jax, which readers of rows do not wait for

    _check_finite(num_classes, config, number, steps)
    for after in filter(None, (valid, test)):
        if not np.isfinite(after.loss_sum):  # the last step went too far
            raise _diverged(config, f"the loss was {after.loss_sum} after epoch {number}")
    # Summed in float64: the book's running mean over an epoch, at fifths of it as it plots them.
    sums = (steps.loss_sum, steps.correct, steps.count)
    loss, correct, count = (np.cumsum(x, dtype=np.float64) for x in sums)
    every = max(len(loss) // 5, 1)
    points = [i for i in range(len(loss)) if (i + 1) % every == 0 or i == len(loss) - 1]
    running = [
        (number - 1 + (i + 1) / len(loss), loss[i] / count[i], correct[i] / count[i])
        for i in points
    ]
    valid_loss, valid_accuracy = metrics.means(valid) if valid else (None, None)
    test_loss, test_accuracy = metrics.means(test)
    averaged_loss, averaged_accuracy = metrics.means(averaged) if averaged else (None, None)
    return Row(
        epoch=number,
        train_loss=float(loss[-1] / count[-1]),
        train_accuracy=float(correct[-1] / count[-1]),
        valid_loss=valid_loss,
        valid_accuracy=valid_accuracy,
        test_loss=test_loss,
        test_accuracy=test_accuracy,
        count=int(count[-1]),
        seconds=seconds,
        examples_per_second=float(count[-1] / seconds),
        running=[(float(x), float(y), float(z)) for x, y, z in running],
        averaged_loss=averaged_loss,
        averaged_accuracy=averaged_accuracy,
    )


def _check_finite(num_classes: int, config: Config, number: int, steps: "Metrics") -> None:
    losses = np.asarray(steps.loss_sum, np.float64) / np.asarray(steps.count)
    if not np.isfinite(losses).all():
        first = int(np.flatnonzero(~np.isfinite(losses))[0])
        at = (number - 1) * len(losses) + first + 1
        raise _diverged(config, f"the loss was {losses[first]} at step {at} (epoch {number})")
    guess = chance.loss(num_classes)
    if losses.mean() > DIVERGED * guess:
        raise _diverged(
            config,
            f"the mean loss in epoch {number} was {losses.mean():.3g}, more than {DIVERGED} times "
            f"chance level ({guess:.2f})",
        )


def _diverged(config: Config, what: str) -> DivergedError:
    return DivergedError(f"diverged: {what} with lr={config.lr:g}. Lower the learning rate.")
