"""What a sweep found: the runs of each setting together, ranked."""

import csv
import dataclasses
import io
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple

from tabulate import tabulate

from lenet import config, settings
from lenet.analysis import stats, terms
from lenet.analysis.outcomes import ended_with, outcome
from lenet.analysis.stats import Interval
from lenet.analysis.terms import shown
from lenet.config import OWN, PRESETS, Config, LeNet
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
    sd: float | None  # None of a single value
    interval: Interval | None  # None of a single value, and where it would not hold

    def __str__(self) -> str:
        """Return the mean with its interval, such as 0.8123 [0.8078, 0.8168]."""
        if self.interval is None:
            return f"{self.mean:.4f}"
        return f"{self.mean:.4f} [{self.interval.low:.4f}, {self.interval.high:.4f}]"


def estimate(values: Sequence[float], high: float = 1.0) -> Estimate:
    """Return the mean of a sample and its 95% CI by Student's t, cut to what a mean can be.

    Args:
      values: at least one, from 0 to `high`: 1 for an accuracy, infinity for a loss.
      high: the largest value there can be.

    Raises:
      ValueError: for no value.

    >>> str(estimate([0.80, 0.82, 0.84])), str(estimate([0.9, 1.0]))
    ('0.8200 [0.7703, 0.8697]', '0.9500 [0.3147, 1.0000]')
    """
    n, mean = len(values), statistics.fmean(values)
    if n < 2:
        return Estimate(n, mean, None, None)
    return Estimate(n, mean, statistics.stdev(values), stats.interval(values).within(0.0, high))


def over_seeds(values: Mapping[tuple[int, ...], float], confidence: float = 0.95) -> Interval:
    """Return the mean over runs, by the values of SEEDS, with Student's interval.

    Runs that share a seed are no replicates: where seeds are crossed, the interval is that over the
    means of the one or of the other, whichever is wider.
    """
    several = [seeds for seeds in zip(*values, strict=True) if len(set(seeds)) > 1]
    means = (stats.cluster_means([*values.values()], seeds) for seeds in several)
    found = [stats.interval(each, confidence) for each in means]
    return max(found, key=lambda interval: interval.high - interval.low)


class Setting(NamedTuple):
    """The runs that differ in nothing but their seeds."""

    config: Config  # that of the first
    entries: list[Entry]  # all that ended, diverged ones included
    num_classes: int

    @property
    def runs(self) -> list[Entry]:
        """Those that did not diverge."""
        return [entry for entry in self.entries if entry.diverged is None]

    @property
    def diverged(self) -> int:
        """How many runs diverged."""
        return self._ended("diverged")

    @property
    def collapsed(self) -> int:
        """How many runs ended at chance level."""
        return self._ended("collapsed")

    @property
    def example(self) -> Config | None:
        """The first run that learned; None if none did."""
        ends = ((entry.config, outcome(entry, self.num_classes)) for entry in self.entries)
        return next((config for config, how in ends if how == "learned"), None)

    @property
    def learned(self) -> bool:
        """Whether every run learned: only then do Student's intervals hold."""
        return self._ended("learned") == len(self.entries)

    def finals(self, measure: str) -> list[float]:
        """Return a field of Row after the last epoch of each run that did not diverge."""
        return [getattr(run.rows[-1], measure) for run in self.runs]

    def final(self, measure: str) -> Estimate | None:
        """Return the mean of a measure after the last epoch over all runs; None where one has none.

        A run that diverged counts with the accuracy of chance level. With a run that diverged or
        collapsed, outcomes are of two kinds, of whose mean no Student interval holds: it is None.
        """
        values = [ended_with(entry, measure, self.num_classes) for entry in self.entries]
        numbers = [value for value in values if value is not None]
        if not values or len(numbers) < len(values):
            return None
        high = 1.0 if measure.endswith("accuracy") else math.inf
        found = estimate(numbers, high)
        by_seed = self.by_seed(measure)
        if len(by_seed) < 2 or not self.learned:
            return found._replace(interval=None)
        return found._replace(interval=over_seeds(by_seed).within(0.0, high))

    def by_seed(self, measure: str) -> dict[tuple[int, ...], float]:
        """Return a measure after the last epoch by the values of SEEDS; diverged runs as `final`'s.

        Runs of which it has no value are left out.
        """
        ends = {
            tuple(getattr(entry.config, seed) for seed in SEEDS): ended_with(
                entry, measure, self.num_classes
            )
            for entry in self.entries
        }
        return {seeds: value for seeds, value in ends.items() if value is not None}

    def minus(
        self, other: "Setting", confidence: float = 0.95, measure: str = "test_accuracy"
    ) -> Interval | None:
        """Return the difference in a measure, paired by seed, with its CI.

        None if the two share fewer than 2 seeds, or a run of one diverged or collapsed.
        """
        ours, theirs = (each.by_seed(measure) for each in (self, other))
        shared = sorted(ours.keys() & theirs.keys())
        if len(shared) < 2 or not (self.learned and other.learned):
            return None
        return over_seeds({seeds: ours[seeds] - theirs[seeds] for seeds in shared}, confidence)

    def shown(self, axis: str) -> str:
        """Return its value on an axis, in short."""
        return shown(getattr(self.config, axis))

    def _ended(self, how: str) -> int:
        return sum(outcome(entry, self.num_classes) == how for entry in self.entries)


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

        Every run counts, those that diverged with the accuracy of chance level: a setting with one
        lucky run of six ranks where its six do. Those of which every run diverged come last.
        """
        found: dict[Config, list[Entry]] = {}
        for entry in self.entries:
            without = dataclasses.replace(entry.config, seed=0, order_seed=0)
            found.setdefault(without, []).append(entry)
        settings = [
            Setting(runs[0].config, runs, self.num_classes.get(runs[0].config.dataset, CLASSES))
            for runs in found.values()
        ]

        def score(setting: Setting) -> tuple[bool, float]:
            final = setting.final(self.measure)
            return not setting.runs, -final.mean if final else 1.0

        return sorted(settings, key=score)

    @cached_property
    def base(self) -> Setting | None:
        """The setting whose values on all axes are those of the preset, if there is one.

        What is usual for a network of the user's, a record does not tell.
        """
        own = {field.name for field in settings.of(self.preset.network)}
        if type(self.preset.network) not in OWN.values() and own & {*self.axes}:
            return None
        usual = [getattr(self.preset, axis) for axis in self.axes]
        same = (s for s in self.settings if [getattr(s.config, a) for a in self.axes] == usual)
        return next(same, None)

    def _repr_html_(self) -> str:
        """What a notebook displays: the ranked settings."""
        return table(self, form="html")


def _preset(name: str, entries: Sequence[Entry]) -> Config:
    """The preset's Config; of another network than LeNet what it says of the training."""
    network = entries[0].config.network if entries else LeNet()
    if type(network) in OWN.values():
        network = type(network)()  # of another, a record does not have the defaults
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
        row |= {"n": len(setting.entries)}
        row |= {"diverged": setting.diverged, "collapsed": setting.collapsed}
        for measure in MEASURES:
            numbers: dict[str, float] = {}
            if final := setting.final(measure):
                numbers["mean"] = final.mean
                if final.sd is not None:
                    numbers["sd"] = final.sd
                if final.interval is not None:
                    numbers |= {"low95": final.interval.low, "high95": final.interval.high}
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


def table(sweep: Sweep, language: str = "en", most: int = 20, form: str = "simple") -> str:
    """Return the ranked settings, at most so many: mean [95% CI]; `form` is one of tabulate's."""
    t = partial(translate, language)
    measures = [m for m in MEASURES if any(s.final(m) for s in sweep.settings)]
    rows = [
        [
            rank,
            *(t(terms.valued(setting.shown(axis))) for axis in sweep.axes),
            len(setting.entries),
            setting.collapsed or "",
            setting.diverged or "",
            *(setting.final(measure) or "-" for measure in measures),
        ]
        for rank, setting in enumerate(sweep.settings[:most], start=1)
    ]
    heads = ["", *map(t, map(terms.named, sweep.axes)), "n", t("at chance level"), t("diverged")]
    heads += [t(terms.named(measure)) for measure in measures]
    more = len(sweep.settings) - most
    text = str(tabulate(rows, heads, tablefmt=form, disable_numparse=True))
    return text + (t("\n… {n} more", n=more) if more > 0 else "")
