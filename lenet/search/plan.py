"""What a search is to do, and what follows from its trials so far."""

import dataclasses
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from lenet import config as config_module
from lenet.config import Config
from lenet.errors import UsageError
from lenet.search import proposals, rules, space
from lenet.search.ledger import Run, Trial
from lenet.search.rules import Rule
from lenet.search.space import Space

MORE = 4
"""Settings that are close get at most so many times the seeds of the others."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A search: which settings, how many, how far each, and how they are compared."""

    base: Config  # what does not vary; its seed is the first
    space: Space
    trials: int
    seeds: int  # runs of a trial, with this seed and the following ones
    rule: Rule
    sampler: str
    sampler_seed: int
    chance: float  # accuracy at chance level, of a run that diverged
    code: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Optimizers that settings name as MODULE:NAME; a record holds the names alone."""

    def config(self, setting: Mapping[str, Any], seed: int) -> Config:
        """Return the settings of a run of a trial, by the number of its seed."""
        made = dict(setting)
        if "optimizer" in made:
            made["optimizer"] = self.code.get(made["optimizer"], made["optimizer"])
        return config_module.replace(self.base, **made, seed=self.base.seed + seed)

    def values(self, trial: Trial) -> dict[int, float]:
        """Return the accuracy of a trial at each rung that all its first seeds have reached."""
        found = {rung: trial.value(rung, self.seeds, self.chance) for rung in self.rule.rungs}
        return {rung: value for rung, value in found.items() if value is not None}

    def propose(self, trials: Sequence[Trial], attributes: dict[int, dict[str, Any]]) -> Trial:
        """Return the next trial; see `proposals.propose`."""
        values = [self.values(trial) for trial in trials]
        done = [self.rule.most in seen for seen in values]
        settings = self.space, self.sampler, self.sampler_seed
        return proposals.propose(*settings, trials, values, done, attributes)

    def targets(self, trials: Sequence[Trial], begun: Mapping[int, int]) -> dict[int, int]:
        """Return the epoch to which trials are to be trained; `begun` as in `rules.targets`."""
        values = {trial.number: self.values(trial) for trial in trials}
        # Behind all others, also those at chance level: nothing is left to train of it.
        values |= {t.number: dict.fromkeys(values[t.number], -1.0) for t in trials if t.diverged}
        return rules.targets(self.rule, [*rules.cohorts(self.rule, self.trials)], values, begun)

    def more_seeds(self, trials: Sequence[Trial]) -> dict[int, int]:
        """Return how many seeds each trial is to get by now, of those that get more than `seeds`.

        Once all others are done, the settings that could be the best get as many seeds again, and
        again, until one is clearly the best or they have MORE times `seeds`.
        """
        ends = {trial.number: self.ends(trial) for trial in trials}
        close = [number for number, found in ends.items() if found]
        count = self.seeds
        while count > 1 and len(close) > 1:
            close = rules.contenders({number: ends[number][:count] for number in close})
            more = min(2 * count, MORE * self.seeds)
            if len(close) < 2 or more == count:
                break
            if any(len(ends[number]) < more for number in close):
                return dict.fromkeys(close, more)
            count = more
        return {}

    def epochs(self, trials: Sequence[Trial]) -> int:
        """Return how many epochs the search trains, at most; more seeds as far as they are known.

        Which settings get more is known once all settings are decided.
        """
        more = self.more_seeds(trials) if self.decided(trials) else {}
        wanted = [max(len(trial.runs), more.get(trial.number, 0)) for trial in trials]
        extra = sum(max(seeds - self.seeds, 0) for seeds in wanted)
        return rules.epochs(self.rule, self.trials) * self.seeds + self.rule.most * extra

    def decided(self, trials: Sequence[Trial]) -> bool:
        """Return whether the first seeds of all trials are trained as far as they are to be."""
        if len(trials) < self.trials:
            return False
        return all(
            trained(trials[number].runs.get(seed, Run()), until)
            for number, until in self.targets(trials, begun(trials)).items()
            for seed in range(self.seeds)
        )

    def ends(self, trial: Trial) -> list[float]:
        """Return the accuracies of a trial at the last rung by seed; none if one has not ended.

        None either of a trial of which every run diverged.
        """
        if trial.diverged:
            return []
        every = (trial.accuracy(n, self.rule.most, self.chance) for n in itertools.count())
        found = list(itertools.takewhile(lambda accuracy: accuracy is not None, every))
        return [x for x in found if x is not None] if len(found) >= self.seeds else []


def to_dict(plan: Plan) -> dict[str, Any]:
    """Return a plan as plain values for JSON."""
    values = {field.name: getattr(plan, field.name) for field in dataclasses.fields(plan)}
    del values["code"]
    values["base"] = config_module.to_dict(plan.base)
    values |= {"space": space.to_dict(plan.space), "rule": plan.rule._asdict()}
    return dict(json.loads(json.dumps(values)))  # as it is read back: lists for tuples


def from_dict(values: Any) -> Plan:
    """Return the plan that `to_dict` wrote, read back from JSON.

    Raises:
      ValueError: if it is none.
    """
    try:
        rule = rules.check(Rule(**values["rule"]))
        base = config_module.from_dict(values["base"])
        searched = space.from_dict(values["space"])
        plan = Plan(**{**values, "base": base, "space": searched, "rule": rule})
    except (TypeError, KeyError, UsageError) as error:
        raise ValueError(f"not the plan of a search: {error}") from None
    if not all(type(n) is int and n > 0 for n in (plan.trials, plan.seeds)):
        raise ValueError("not the plan of a search: trials and seeds are whole numbers")
    return plan


def winner(plan: Plan, trials: Sequence[Trial]) -> Trial | None:
    """Return the trial with the best mean at the last rung, of those with most seeds.

    None if none got there without diverging.
    """
    ends = {trial.number: plan.ends(trial) for trial in trials}
    most = max(map(len, ends.values()), default=0)
    among = {number: found for number, found in ends.items() if found and len(found) == most}
    if not among:
        return None
    return trials[min(among, key=lambda number: (-math.fsum(among[number]), number))]


def begun(trials: Sequence[Trial]) -> dict[int, int]:
    """Return the epoch that the furthest run of each trial has reached."""
    return {
        trial.number: max((len(run.marks) for run in trial.runs.values()), default=0)
        for trial in trials
    }


def trained(run: Run, until: int) -> bool:
    """Return whether nothing is left to train of a run up to an epoch."""
    return run.diverged is not None or len(run.marks) >= until
