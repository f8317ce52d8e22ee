"""What a sweep found: the runs of each setting together, ranked."""

import csv
import dataclasses
import io
import statistics
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple

from tabulate import tabulate

from lenet import config
from lenet.analysis import stats, terms
from lenet.analysis.stats import Interval
from lenet.config import PRESETS, Config, LeNet
from lenet.engine import chance
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


def estimate(values: Sequence[float]) -> Estimate:
    """Return the mean of a sample and its 95% CI by Student's t: half = t(0.975; n − 1) · sd/√n.

    Raises:
      ValueError: for no value.

    >>> [round(x, 3) for x in estimate([1.0, 2.0, 3.0, 4.0])]
    [4, 2.5, 1.291, 2.054]
    """
    n, mean = len(values), statistics.fmean(values)
    if n < 2:
        return Estimate(n, mean, None, None)
    sd = statistics.stdev(values)
    _, low, high = stats.interval(values)
    return Estimate(n, mean, sd, (high - low) / 2)


class Setting(NamedTuple):
    """The runs that differ in nothing but their seeds."""

    config: Config  # that of the first
    runs: list[Entry]  # that finished
    diverged: int  # runs that did not
    num_classes: int

    def finals(self, measure: str) -> list[float]:
        """Return a field of Row after the last epoch of each run that finished."""
        return [getattr(run.rows[-1], measure) for run in self.runs]

    def final(self, measure: str) -> Estimate | None:
        """Return the estimate of a measure after the last epoch; None where there is none."""
        values = self.finals(measure)
        return estimate(values) if values and None not in values else None

    def by_seed(self, measure: str) -> dict[tuple[int, ...], float]:
        """Return a measure after the last epoch by the values of SEEDS."""
        seeds = (tuple(getattr(run.config, seed) for seed in SEEDS) for run in self.runs)
        return dict(zip(seeds, self.finals(measure), strict=True))

    def minus(self, other: "Setting", confidence: float = 0.95) -> Interval | None:
        """Return the difference in test accuracy, paired by seed, with its CI.

        None if the two share fewer than 2 seeds.
        """
        ours, theirs = (each.by_seed("test_accuracy") for each in (self, other))
        shared = sorted(ours.keys() & theirs.keys())
        if len(shared) < 2:
            return None
        return stats.interval([ours[seed] - theirs[seed] for seed in shared], confidence)

    def shown(self, axis: str) -> str:
        """Return its value on an axis, in short."""
        return shown(getattr(self.config, axis))

    @property
    def stuck(self) -> int:
        """How many runs ended at chance level."""
        return sum(chance.at_level(x, self.num_classes) for x in self.finals("test_accuracy"))


@dataclasses.dataclass(frozen=True)
class Sweep:
    """The finished runs of a sweep, and the settings that they make."""

    entries: Sequence[Entry]
    axes: Sequence[str]  # what varies, seeds apart
    preset: Config  # the settings to compare with
    num_classes: Mapping[str, int] = dataclasses.field(default_factory=dict)  # by dataset
    study: str | None = None  # its name, if it has one

    @classmethod
    def of_record(cls, entries: Sequence[Entry], record: Mapping[str, Any]) -> "Sweep":
        """Return the sweep that sweep.json describes."""
        several = (name for name, values in record["axes"].items() if len(values) > 1)
        return cls(
            entries,
            axes=[name for name in several if name not in SEEDS],
            preset=_preset(record["preset"], entries),
            num_classes=classes(record.get("data", [])),
            study=record["flags"].get("study"),
        )

    @cached_property
    def measure(self) -> str:
        """What ranks: accuracy on the validation split, or on the test set without one."""
        held_out = all(row.valid_accuracy is not None for e in self.entries for row in e.rows)
        return "valid_accuracy" if held_out else "test_accuracy"

    @cached_property
    def settings(self) -> list[Setting]:
        """By the mean of `measure`, the best first; equal ones in the order of the sweep.

        Those of which every run diverged come last.
        """
        found: dict[Config, list[Entry]] = {}
        for entry in self.entries:
            without = dataclasses.replace(entry.config, seed=0, order_seed=0)
            found.setdefault(without, []).append(entry)
        settings = []
        for runs in found.values():
            config, finished = runs[0].config, [run for run in runs if run.diverged is None]
            num_classes = self.num_classes.get(config.dataset, CLASSES)
            settings.append(Setting(config, finished, len(runs) - len(finished), num_classes))

        def score(setting: Setting) -> float:
            final = setting.final(self.measure)
            return -final.mean if final else 1.0  # below any accuracy

        return sorted(settings, key=score)

    @cached_property
    def base(self) -> Setting | None:
        """The setting whose values on all axes are those of the preset, if there is one."""
        usual = [getattr(self.preset, axis) for axis in self.axes]
        same = (s for s in self.settings if [getattr(s.config, a) for a in self.axes] == usual)
        return next(same, None)


def _preset(name: str, entries: Sequence[Entry]) -> Config:
    """The preset's Config; of another network than LeNet what it says of the training."""
    network = entries[0].config.network if entries else LeNet()
    known = {field.name for field in config.fields(network=network)}
    return Config(network, **{key: v for key, v in PRESETS[name].items() if key in known})


def classes(data: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return the number of classes of each dataset that sweep.json or compare.json describes.

    >>> classes([{"name": "mine", "class_names": ["cat", "dog"]}, {"name": "old"}])
    {'mine': 2}
    """
    return {each["name"]: len(each["class_names"]) for each in data if "class_names" in each}


def to_csv(sweep: Sweep) -> str:
    """Return summary.csv: a line for each setting, the columns of its axes first."""
    rows = []
    for rank, setting in enumerate(sweep.settings, start=1):
        row: dict[str, Any] = {"rank": rank} | {axis: setting.shown(axis) for axis in sweep.axes}
        row |= {"n": len(setting.runs), "diverged": setting.diverged}
        for measure in MEASURES:
            numbers: dict[str, float] = {}
            if final := setting.final(measure):
                numbers["mean"] = final.mean
                if final.sd is not None and final.half is not None:
                    low, high = final.mean - final.half, final.mean + final.half
                    numbers |= {"sd": final.sd, "low95": low, "high95": high}
            for part in ("mean", "sd", "low95", "high95"):
                row[f"{measure}_{part}"] = f"{numbers[part]:.6g}" if part in numbers else ""
        rows.append(row)
    return rows_csv(rows)


def rows_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows, all with the same names, as CSV."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def table(sweep: Sweep, language: str = "en", most: int = 20) -> str:
    """Return the ranked settings for a terminal, at most so many: mean ± 95% CI."""
    t = partial(translate, language)
    measures = [m for m in MEASURES if any(s.final(m) for s in sweep.settings)]
    rows = [
        [
            rank,
            *(t(terms.valued(setting.shown(axis))) for axis in sweep.axes),
            len(setting.runs),
            setting.diverged or "",
            *(setting.final(measure) or "-" for measure in measures),
        ]
        for rank, setting in enumerate(sweep.settings[:most], start=1)
    ]
    heads = ["", *map(t, map(terms.named, sweep.axes)), "n", t("diverged")]
    heads += [t(terms.named(measure)) for measure in measures]
    more = len(sweep.settings) - most
    text = tabulate(rows, heads, disable_numparse=True)
    return text + (t("\n… {n} more", n=more) if more > 0 else "")


def shown(value: Any) -> str:
    """Return a setting's value in short."""
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
