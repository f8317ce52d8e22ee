"""What a sweep found: the runs of each setting together, ranked."""

import csv
import dataclasses
import io
import statistics
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from tabulate import tabulate

from lenet.analysis import stats, terms
from lenet.config import Config
from lenet.engine import chance
from lenet.engine.rows import Row
from lenet.language import translate
from lenet.records.ledger import Entry

SEEDS = ("seed", "order_seed")
"""Fields of Config in which runs of one setting may differ."""

CLASSES = 10
"""Of a dataset whose record names no classes: all that were kept before records named them."""

MEASURES = ("valid_accuracy", "valid_loss", "test_accuracy", "test_loss")


class Estimate(NamedTuple):
    """A mean, and how sure it is."""

    n: int
    mean: float
    sd: float | None  # None of a single value, as below
    half: float | None  # the interval is mean ± half

    def __str__(self) -> str:
        """Return the mean with its interval, such as 0.8123 ± 0.0045."""
        return f"{self.mean:.4f}" + ("" if self.half is None else f" ± {self.half:.4f}")


def estimate(values: Sequence[float], level: float = 0.95) -> Estimate:
    """Return the mean of a sample and its interval by Student's t.

    half = t(1 − (1 − level)/2; n − 1) · sd / √n

    Raises:
      ValueError: for no value.

    >>> [round(x, 3) for x in estimate([1.0, 2.0, 3.0, 4.0])]
    [4, 2.5, 1.291, 2.054]
    """
    n, mean = len(values), statistics.fmean(values)
    if n < 2:
        return Estimate(n, mean, None, None)
    sd = statistics.stdev(values)
    _, low, high = stats.interval(values, level)
    return Estimate(n, mean, sd, (high - low) / 2)


class Setting(NamedTuple):
    """The runs that differ in nothing but their seeds."""

    config: Config  # that of the first
    rows: list[list[Row]]  # of each run that finished, an epoch each
    diverged: int  # runs that did not
    seeds: list[tuple[int, ...]]  # of each run that finished, the values of SEEDS
    num_classes: int

    def finals(self, measure: str) -> list[float]:
        """Return a field of Row after the last epoch of each run that finished."""
        return [getattr(rows[-1], measure) for rows in self.rows]

    def final(self, measure: str) -> Estimate | None:
        """Return the estimate of a measure after the last epoch; None where there is none."""
        values = self.finals(measure)
        return estimate(values) if values and None not in values else None

    def by_seed(self, measure: str) -> dict[tuple[int, ...], float]:
        """Return a measure after the last epoch by the values of SEEDS."""
        return dict(zip(self.seeds, self.finals(measure), strict=True))

    def shown(self, axis: str) -> str:
        """Return its value on an axis, in short."""
        return shown(getattr(self.config, axis))

    @property
    def stuck(self) -> int:
        """How many runs ended at chance level."""
        return sum(chance.at_level(x, self.num_classes) for x in self.finals("test_accuracy"))


def classes(data: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return the number of classes of each dataset that sweep.json or compare.json describes.

    >>> classes([{"name": "mine", "class_names": ["cat", "dog"]}, {"name": "old"}])
    {'mine': 2}
    """
    return {each["name"]: len(each["class_names"]) for each in data if "class_names" in each}


def varied(axes: Mapping[str, Sequence[Any]]) -> list[str]:
    """Return which axes of a sweep make its settings: those of several values, seeds apart.

    >>> varied({"lr": [0.1, 0.9], "pool": ["avg"], "seed": [0, 1]})
    ['lr']
    """
    return [name for name, values in axes.items() if len(values) > 1 and name not in SEEDS]


def selection(entries: Sequence[Entry]) -> str:
    """Return the measure that ranks: of the validation split, or of the test set without one."""
    held_out = all(row.valid_accuracy is not None for entry in entries for row in entry.rows)
    return "valid_accuracy" if held_out else "test_accuracy"


def ranked(entries: Sequence[Entry], num_classes: Mapping[str, int] | None = None) -> list[Setting]:
    """Return the settings by the mean of the measure that selects, the best first.

    Those of which every run diverged come last. Equal ones stay in the order of the sweep.

    Args:
      entries: the finished runs.
      num_classes: by dataset, as `classes` returns it; CLASSES where it names none.
    """
    found: dict[Config, list[Entry]] = {}
    for entry in entries:
        without = dataclasses.replace(entry.config, seed=0, order_seed=0)
        found.setdefault(without, []).append(entry)
    settings = []
    for runs in found.values():
        finished = [run for run in runs if run.diverged is None]
        settings.append(
            Setting(
                runs[0].config,
                [run.rows for run in finished],
                len(runs) - len(finished),
                [tuple(getattr(run.config, seed) for seed in SEEDS) for run in finished],
                (num_classes or {}).get(runs[0].config.dataset, CLASSES),
            )
        )
    measure = selection(entries)

    def score(setting: Setting) -> float:
        final = setting.final(measure)
        return -final.mean if final else 1.0  # below any accuracy

    return sorted(settings, key=score)


def to_csv(settings: Sequence[Setting], axes: Sequence[str]) -> str:
    """Return summary.csv: a line for each setting, the columns of `axes` first."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    parts = ("mean", "sd", "low95", "high95")
    columns = [f"{measure}_{part}" for measure in MEASURES for part in parts]
    writer.writerow(["rank", *axes, "n", "diverged", *columns])
    for rank, setting in enumerate(settings, start=1):
        cells: list[Any] = [rank, *map(setting.shown, axes)]
        cells += [len(setting.rows), setting.diverged]
        for measure in MEASURES:
            cells += _cells(setting.final(measure))
        writer.writerow(cells)
    return file.getvalue()


def rows_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows, all with the same names, as CSV."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _cells(final: Estimate | None) -> list[str]:
    if final is None:
        return [""] * 4
    ends = (
        (None, None) if final.half is None else (final.mean - final.half, final.mean + final.half)
    )
    return ["" if x is None else f"{x:.6g}" for x in (final.mean, final.sd, *ends)]


def table(
    settings: Sequence[Setting], axes: Sequence[str], language: str = "en", most: int = 20
) -> str:
    """Return the ranked settings for a terminal, at most so many: mean ± 95% CI."""
    t = partial(translate, language)
    measures = [m for m in MEASURES if any(s.final(m) for s in settings)]
    rows = [
        [
            rank,
            *(t(terms.valued(setting.shown(axis))) for axis in axes),
            len(setting.rows),
            setting.diverged or "",
            *(plus_minus(setting.final(measure)) or "-" for measure in measures),
        ]
        for rank, setting in enumerate(settings[:most], start=1)
    ]
    heads = ["", *map(t, map(terms.named, axes)), "n", t("diverged")]
    heads += [t(terms.named(measure)) for measure in measures]
    text = tabulate(rows, heads, disable_numparse=True)
    return text + (t("\n… {n} more", n=len(settings) - most) if len(settings) > most else "")


def plus_minus(final: Estimate | None) -> str:
    """Return an estimate such as 0.8123 ± 0.0045; nothing for none."""
    return "" if final is None else str(final)


def shown(value: Any) -> str:
    """Return a setting's value in short."""
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
