"""What a search found, how sure that is, and what stopping settings early saved."""

import dataclasses
import math
import statistics
from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple

from tabulate import tabulate

from lenet.analysis import stats, terms
from lenet.analysis.summary import Setting, rows_csv
from lenet.analysis.terms import shown
from lenet.language import Listed, Message, listed, mark, message, translate
from lenet.records.ledger import Entry
from lenet.search import Plan, Range, Run, Trial, importances, winner

EDGE = 0.02
"""A value within this share of the end of its range is at its edge."""

NOTHING = mark("No setting learned: every run diverged, or ended at chance level.")
UNFINISHED = mark(
    "Best so far: {setting} (trial {trial}). Its runs with fresh seeds are not finished."
)
BEST = mark(
    "Best of {trials} settings: {setting} (trial {trial}). Its test accuracy is {test} (mean [95% "
    "CI] over {seeds} fresh seeds)."
)
BEST_MEAN = mark(
    "Best of {trials} settings: {setting} (trial {trial}). Its test accuracy is {test} (mean over "
    "{seeds} fresh seeds)."
)
COLLAPSED = mark(
    "{k} of {n} runs with fresh seeds ended at chance level, and count in these means: how often "
    "it collapses is part of what was found."
)
OPTIMISM = mark(
    "In the search its validation accuracy was {selected:.4f}; with fresh seeds it is {fresh}. "
    "Being selected made it look {difference:.4f} better."
)
HONEST = mark(
    "In the search its validation accuracy was {selected:.4f}; with fresh seeds it is {fresh}. "
    "These seeds do not show that being selected made it look better."
)
ONE_SEED = mark(
    "Each setting had one seed, so the order of the best settings is not known. --seeds=3 "
    "compares means."
)
ALONE = mark(
    "It alone was trained to the end: with the other settings it was compared after at most "
    "{epochs} epochs."
)
SURE = mark(
    "In {share:.0%} of bootstrap samples of the seeds it is again the best of the {count} settings "
    "that were trained to the end."
)
CLOSE = mark("Not clearly worse (95% CI, paired by seed): {settings}.")
AT_EDGE = mark(
    "{setting} is at the edge of its range: better settings may lie beyond. Search a wider range."
)
SAVED = mark(
    "Early stopping trained {epochs:,} of {all:,} epochs ({share:.0%}): {stopped} of {trials} "
    "settings were stopped before epoch {most}. A stopped setting might have won later."
)
EXTRA = mark("More seeds of close settings took {epochs:,} further epochs.")
MATTERS = mark("What mattered most for being among the best settings: {settings} (PED-ANOVA).")
HEADS = (mark("validation accuracy"), mark("validation accuracy [95% CI]"))
"""Of one seed for each setting, and of several."""
FAILED = mark("{n} of {all} runs diverged or could not be trained; they count at chance level.")


class Place(NamedTuple):
    """A setting among the others."""

    trial: Trial
    epochs: int  # that all its seeds have; of one that diverged, until then
    values: list[float]  # validation accuracy there, by seed

    @property
    def mean(self) -> float:
        """The mean over its seeds."""
        return math.fsum(self.values) / len(self.values)

    @property
    def interval(self) -> stats.Interval | None:
        """The mean with its 95% CI; None of a single seed, and of a setting that diverged."""
        if len(self.values) < 2 or self.trial.diverged:
            return None
        return stats.interval(self.values).within(0, 1)

    @property
    def shown(self) -> str:
        """The mean, with its interval if there is one."""
        return self.interval.shown(".4f") if self.interval else f"{self.mean:.4f}"


@dataclasses.dataclass(frozen=True)
class Searched:
    """A search: what it was to do, its trials, and the final runs of the best setting."""

    plan: Plan
    trials: Sequence[Trial]
    entries: Sequence[Entry]  # with fresh seeds; none if no setting learned
    num_classes: int

    @cached_property
    def winner(self) -> Trial | None:
        """The best setting."""
        return winner(self.plan, self.trials)

    @cached_property
    def final(self) -> Setting | None:
        """The runs of the best setting with fresh seeds."""
        runs = list(self.entries)
        return Setting(runs[0].config, runs, self.num_classes) if runs else None

    @cached_property
    def ranked(self) -> list[Place]:
        """Trials that reached a rung: the furthest, of those with most seeds, then the best.

        The winner is first, trials of which every run diverged are last.
        """
        found = [self._place(trial) for trial in self.trials if self.plan.values(trial)]

        def order(each: Place) -> tuple[Any, ...]:
            far = (-each.epochs, -len(each.values), -each.mean)
            return (each.trial.diverged, *far, each.trial.number)

        return sorted(found, key=order)

    def _place(self, trial: Trial) -> Place:
        plan = self.plan
        if trial.diverged:
            epochs = max(len(run.marks) for run in trial.runs.values())
            return Place(trial, epochs, [plan.chance] * len(trial.runs))
        if ends := plan.ends(trial):
            return Place(trial, plan.rule.most, ends)
        rung = max(plan.values(trial))
        values = (trial.accuracy(seed, rung, plan.chance) for seed in range(plan.seeds))
        return Place(trial, rung, [value for value in values if value is not None])

    @cached_property
    def importances(self) -> dict[str, float]:
        """How much each axis matters, of 1 in all; nothing if that cannot be said."""
        values = [self.plan.values(trial) for trial in self.trials]
        return importances(self.plan.space, self.trials, values)

    @property
    def epochs(self) -> int:
        """Epochs trained in the search."""
        return sum(trial.epochs for trial in self.trials)


def setting_of(trial: Trial) -> Listed:
    """Return a setting in words."""
    return listed(terms.setting(name, shown(value)) for name, value in trial.setting.items())


def findings(found: Searched) -> list[Message]:
    """Return what was found and how sure it is, as sentences."""
    best, plan = found.winner, found.plan
    if best is None:
        return [message(NOTHING), *_saved(found)]
    if found.final is None:
        return [message(UNFINISHED, setting=setting_of(best), trial=best.number), *_saved(found)]
    said = [_best(found, best, found.final)]
    if k := found.final.collapsed:  # a mean of two kinds of outcomes says nothing of selection
        said.append(message(COLLAPSED, k=k, n=len(found.final.entries)))
    else:
        said += _optimism(found, best, found.final)
    said += _sure(found, best)
    said += [message(AT_EDGE, setting=terms.setting(*each)) for each in _at_edge(plan, best)]
    said += [*_saved(found), *_extra(found)]
    if found.importances:
        parts = [
            message("{name} {share:.0%}", name=terms.named(name), share=share)
            for name, share in found.importances.items()
        ]
        said.append(message(MATTERS, settings=listed(parts)))
    runs = [run for trial in found.trials for run in trial.runs.values()]
    if failed := sum(run.diverged is not None for run in runs):
        said.append(message(FAILED, n=failed, all=len(runs)))
    return said


def _best(found: Searched, best: Trial, final: Setting) -> Message:
    test = final.final("test_accuracy")
    return message(
        BEST_MEAN if test is None or test.interval is None else BEST,
        trials=len(found.trials),
        setting=setting_of(best),
        trial=best.number,
        test=terms.verbatim(str(test)),
        seeds=len(final.entries),
    )


def _optimism(found: Searched, best: Trial, final: Setting) -> list[Message]:
    fresh = final.final("valid_accuracy")
    if fresh is None:
        return []
    selected = statistics.fmean(found.plan.ends(best))
    difference = selected - fresh.mean
    clear = difference > 0 if fresh.interval is None else selected > fresh.interval.high
    text = OPTIMISM if clear else HONEST
    values = {"selected": selected, "fresh": terms.verbatim(str(fresh)), "difference": difference}
    return [message(text, **values)]


def _sure(found: Searched, best: Trial) -> list[Message]:
    """Return how sure it is that the best setting is the best of those trained to the end."""
    if found.plan.seeds < 2:
        return [message(ONE_SEED)]
    ends = {trial.number: found.plan.ends(trial) for trial in found.trials}
    ends = {number: values for number, values in ends.items() if values}
    if len(ends) < 2:
        others = (t for t in found.trials if t is not best and not t.diverged)
        reached = [rung for trial in others for rung in found.plan.values(trial)]
        return [message(ALONE, epochs=max(reached))] if reached else []
    order = sorted(ends, key=lambda number: number != best.number)
    sure = stats.selection([ends[number] for number in order])
    said = [message(SURE, share=sure.best, count=len(ends))]
    if close := [number for number in order[1:] if _close(ends[best.number], ends[number])]:
        few = [setting_of(found.trials[number]) for number in close[:3]]
        said.append(message(CLOSE, settings=listed(few, "; ")))
    return said


def _close(best: Sequence[float], other: Sequence[float]) -> bool:
    both = list(zip(best, other, strict=False))
    return len(both) > 1 and stats.interval([x - y for x, y in both]).low <= 0


def _at_edge(plan: Plan, best: Trial) -> list[tuple[str, str]]:
    """Return the settings of a trial that lie at the end of a range."""
    found = []
    for name, axis in plan.space.items():
        if isinstance(axis, Range):
            share = axis.share(best.setting[name])
            if min(share, 1 - share) < EDGE:
                found.append((name, shown(best.setting[name])))
    return found


def _saved(found: Searched) -> list[Message]:
    plan = found.plan
    if plan.rule.name == "none":
        return []
    spent = most = 0
    for trial in found.trials:
        for seed in range(plan.seeds):
            run = trial.runs.get(seed, Run())
            spent += len(run.marks)
            # What a run that diverged had left is not saved by stopping it early.
            most += len(run.marks) if run.diverged else plan.rule.most
    ended = sum(trial.diverged or plan.rule.most in plan.values(trial) for trial in found.trials)
    return [
        message(
            SAVED,
            epochs=spent,
            all=most,
            share=spent / most,
            stopped=len(found.trials) - ended,
            trials=len(found.trials),
            most=plan.rule.most,
        )
    ]


def _extra(found: Searched) -> list[Message]:
    extra = sum(
        len(run.marks)
        for trial in found.trials
        for seed, run in trial.runs.items()
        if seed >= found.plan.seeds
    )
    return [message(EXTRA, epochs=extra)] if extra else []


def to_csv(found: Searched) -> str:
    """Return trials.csv: a line for each trial that reached a rung, the best first."""
    rows: list[dict[str, Any]] = []
    for rank, place in enumerate(found.ranked, start=1):
        trial, between = place.trial, place.interval
        row: dict[str, Any] = {"rank": rank, "trial": trial.number}
        row |= {name: shown(trial.setting[name]) for name in found.plan.space}
        row |= {"seeds": len(place.values), "epochs": place.epochs}
        row |= {"valid_accuracy": f"{place.mean:.6g}"}
        row |= {"low": f"{between.low:.6g}" if between else ""}
        row |= {"high": f"{between.high:.6g}" if between else ""}
        row |= {"diverged": sum(run.diverged is not None for run in trial.runs.values())}
        rows.append(row)
    return rows_csv(rows)


def table(found: Searched, language: str = "en", most: int = 10) -> str:
    """Return the best trials for a terminal, at most so many."""
    t = partial(translate, language)
    heads = ["", t("trial"), *(t(terms.named(name)) for name in found.plan.space)]
    heads += [t("seeds"), t("epochs"), t(HEADS[found.plan.seeds > 1])]
    rows = [
        [
            rank,
            place.trial.number,
            *(t(terms.valued(shown(place.trial.setting[name]))) for name in found.plan.space),
            len(place.values),
            place.epochs,
            place.shown,
        ]
        for rank, place in enumerate(found.ranked[:most], start=1)
    ]
    more = len(found.ranked) - most
    text = tabulate(rows, heads, disable_numparse=True)
    return text + (t("\n… {n} more", n=more) if more > 0 else "")
