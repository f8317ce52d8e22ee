"""The ledger of a search, trials.jsonl: each setting when it is proposed, each leg when it ends.

{"trial": 3, "setting": {"lr": 0.12, "batch_size": 81}}
{"trial": 3, "seed": 0, "marks": [{"epoch": 1, ...}, {"epoch": 2, ...}], "diverged": null}

A leg continues a run, the training of a trial with one seed, from where its last leg ended. The
lines are sealed, and on the disk before anything follows from them.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lenet.engine.rows import Row, is_finite
from lenet.errors import RecordError
from lenet.records import reading

LEDGER = "trials.jsonl"


class Mark(NamedTuple):
    """An epoch of a run, as far as a search knows it: the test images have no part in it."""

    epoch: int
    train_loss: float
    valid_loss: float
    valid_accuracy: float
    examples: int
    seconds: float

    @classmethod
    def of(cls, row: Row) -> "Mark":
        """Return the mark of a row."""
        assert row.valid_loss is not None
        assert row.valid_accuracy is not None
        held_out = row.valid_loss, row.valid_accuracy
        return cls(row.epoch, row.train_loss, *held_out, row.count, row.seconds)


class Run(NamedTuple):
    """A trial with one seed, as far as it has been trained."""

    marks: tuple[Mark, ...] = ()
    diverged: str | None = None


@dataclasses.dataclass(frozen=True)
class Trial:
    """A setting that was proposed."""

    number: int
    setting: Mapping[str, Any]
    runs: Mapping[int, Run] = dataclasses.field(default_factory=dict)  # by number of the seed

    def value(self, epoch: int, seeds: int, chance: float) -> float | None:
        """Return the mean accuracy over the first `seeds` after an epoch; None if not known yet.

        A run that diverged counts at chance level.
        """
        found = [self.accuracy(seed, epoch, chance) for seed in range(seeds)]
        return None if None in found else sum(filter(None, found)) / seeds

    def accuracy(self, seed: int, epoch: int, chance: float) -> float | None:
        """Return the validation accuracy of a run after an epoch; None if not known yet."""
        run = self.runs.get(seed, Run())
        if len(run.marks) >= epoch:
            return run.marks[epoch - 1].valid_accuracy
        return chance if run.diverged else None

    @property
    def epochs(self) -> int:
        """Epochs trained, over all its seeds."""
        return sum(len(run.marks) for run in self.runs.values())

    @property
    def diverged(self) -> bool:
        """Whether every run diverged, or could not be trained."""
        return bool(self.runs) and all(run.diverged for run in self.runs.values())


class Leg(NamedTuple):
    """A line of the ledger: what was trained of a run, from where it was."""

    trial: int
    seed: int
    marks: tuple[Mark, ...]
    diverged: str | None


def append(path: Path, lines: Iterable[Trial | Leg]) -> None:
    """Add proposals and legs, and return when the disk has them.

    Raises:
      DiskError: when the disk does not take them.
    """
    reading.append(path, [_line(each) for each in lines])


def _line(each: Trial | Leg) -> dict[str, Any]:
    if isinstance(each, Trial):
        return {"trial": each.number, "setting": dict(each.setting)}
    return each._asdict() | {"marks": [mark._asdict() for mark in each.marks]}


def read(path: Path) -> list[Trial]:
    """Return the trials of a search, by number; none if there is no file.

    Raises:
      RecordError: naming the line that does not follow from those before it.
    """
    trials: list[Trial] = []
    for number, (_, values) in enumerate(reading.read_lines(path) if path.exists() else (), 1):
        try:
            trials = with_line(trials, _parsed(values))
        except (ValueError, KeyError, TypeError) as error:
            raise RecordError(f"{path}: line {number}: not a line of a search: {error}") from None
    return trials


def _parsed(values: Mapping[str, Any]) -> Trial | Leg:
    if "setting" in values:
        if not isinstance(values["setting"], dict):
            raise ValueError("setting: expected an object")
        return Trial(values["trial"], values["setting"])
    marks = tuple(Mark(**mark) for mark in values["marks"])
    if not all(is_finite(x) for mark in marks for x in mark):
        raise ValueError("marks: expected finite numbers")
    return Leg(values["trial"], values["seed"], marks, values["diverged"])


def with_line(trials: Sequence[Trial], line: Trial | Leg) -> list[Trial]:
    """Return the trials after another line.

    Raises:
      ValueError: if it does not follow from those before it.
    """
    if isinstance(line, Trial):
        if line.number != len(trials):
            raise ValueError(f"trial {line.number}, expected {len(trials)}")
        return [*trials, line]
    if not 0 <= line.trial < len(trials):
        raise ValueError(f"trial {line.trial} was not proposed")
    trial = trials[line.trial]
    run = trial.runs.get(line.seed, Run())
    epochs = [mark.epoch for mark in line.marks]
    first = len(run.marks) + 1
    if run.diverged or epochs != [*range(first, first + len(epochs))]:
        raise ValueError(f"epochs {epochs} of trial {trial.number}, expected {first} and following")
    longer = Run((*run.marks, *line.marks), line.diverged)
    after = dataclasses.replace(trial, runs={**trial.runs, line.seed: longer})
    return [*trials[: trial.number], after, *trials[trial.number + 1 :]]


def repair(path: Path) -> None:
    """Cut off a last line without its end, so that the next does not follow on it."""
    if path.exists():
        reading.repair(path, [line for line, _ in reading.read_lines(path)])
