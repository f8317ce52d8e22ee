"""Proposals by Optuna, each a function of the trials before it.

Optuna's study is built anew from the trials for each proposal. So a search that is resumed proposes
what it would have proposed, and a setting that was paused and then promoted is seen as it is now,
which a study that lives could not take back. (CMA-ES keeps its state in the trials of a process;
resumed, it begins anew.)
"""

import functools
import importlib.util
import warnings
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lenet.errors import UsageError
from lenet.search.ledger import Trial
from lenet.search.space import Axis, Range, Space, key

if TYPE_CHECKING:
    import optuna

NEEDS = {"tpe": "", "random": "", "sobol": "", "cmaes": "cmaes", "gp": "torch"}
"""The package that each sampler needs besides Optuna."""
SAMPLERS = tuple(NEEDS)
TRIES = 10
"""Proposals of a sampler that repeat a setting before one is drawn at random."""

Values = Mapping[int, float]
"""By epoch, at rungs: the accuracy of a trial."""


def check(sampler: str) -> None:
    """Raise a UsageError that says what to install unless a sampler can be used."""
    for package in filter(None, ("optuna", NEEDS[sampler])):
        if not _installed(package):
            what = "'lenet[search]'" if package == "optuna" else package
            raise UsageError(
                f"sampler={sampler}: package '{package}' is not installed: pip install {what}"
            )


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


@functools.cache
def library() -> ModuleType:
    """Return Optuna, which prints nothing of its own."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    return optuna


def propose(
    space: Space,
    sampler: str,
    seed: int,
    trials: Sequence[Trial],
    values: Sequence[Values],
    done: Sequence[bool],
    attributes: dict[int, dict[str, Any]],
) -> Trial:
    """Return the next trial, whose setting none of the others has.

    Args:
      space: with more settings than there are trials.
      sampler: one of SAMPLERS.
      seed: of the search.
      trials: proposed so far.
      values: of each of them; none yet if it has not reached a rung.
      done: whether each has reached the last rung.
      attributes: that CMA-ES keeps of each; those of the new trial are added.
    """
    taken = {key(trial.setting) for trial in trials}
    number = len(trials)
    for attempt in range(1000 * TRIES):
        name = sampler if attempt < TRIES else "random"
        chosen = _sampler(name, (seed * 1_000_003 + number) * 10_007 + attempt, seed, number)
        study = _study(space, chosen, trials, values, done, attributes, sampler == "tpe")
        with warnings.catch_warnings():  # of experimental parts
            warnings.simplefilter("ignore")
            asked = study.ask({name: _distribution(axis) for name, axis in space.items()})
        setting = {name: _value(axis, asked.params[name]) for name, axis in space.items()}
        if key(setting) not in taken:
            attributes[number] = dict(study.trials[number].system_attrs)
            return Trial(number, setting)
    raise AssertionError("a space that has more settings has none that is new")


def _sampler(name: str, seed: int, of_search: int, number: int) -> "optuna.samplers.BaseSampler":
    samplers, seed = library().samplers, seed % 2**32
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name == "random":
            return samplers.RandomSampler(seed=seed)
        if name == "tpe":
            return samplers.TPESampler(seed=seed)
        if name == "cmaes":
            return samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
        if name == "gp":
            return samplers.GPSampler(seed=seed, deterministic_objective=False)

        class Sobol(samplers.QMCSampler):  # type: ignore[name-defined]
            """The sequence at the place of the trial, wherever the study of this process is."""

            def _find_sample_id(self, *_: Any) -> int:
                return number

        # The sequence is the same for all trials; what is tried again comes from elsewhere.
        return Sobol(seed=of_search, scramble=True, warn_independent_sampling=False)


def _study(
    space: Space,
    sampler: "optuna.samplers.BaseSampler | None",
    trials: Sequence[Trial],
    values: Sequence[Values],
    done: Sequence[bool],
    attributes: Mapping[int, Mapping[str, Any]],
    paused: bool,
) -> "optuna.Study":
    """Return a study in memory; with `paused`, trials that were stopped are pruned ones in it.

    TPE ranks pruned trials by how far they got; the others know none, or leave them out.
    """
    optuna = library()
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for trial, seen, complete in zip(trials, values, done, strict=True):
        study.add_trial(frozen(space, trial, seen, complete or not paused, attributes))
    return study


def frozen(
    space: Space,
    trial: Trial,
    values: Values,
    complete: bool,
    attributes: Mapping[int, Mapping[str, Any]] = {},
    *,
    paused: bool = True,
) -> "optuna.trial.FrozenTrial":
    """Return a trial as Optuna has it: running, pruned where it is paused, or complete."""
    optuna = library()
    state = optuna.trial.TrialState.RUNNING
    if values and complete:
        state = optuna.trial.TrialState.COMPLETE
    elif values and paused:
        state = optuna.trial.TrialState.PRUNED
    return optuna.create_trial(
        state=state,
        params={name: _told(axis, trial.setting[name]) for name, axis in space.items()},
        distributions={name: _distribution(axis) for name, axis in space.items()},
        value=values[max(values)] if state == optuna.trial.TrialState.COMPLETE else None,
        intermediate_values=dict(values),
        system_attrs=dict(attributes.get(trial.number, {})),
    )


def importances(
    space: Space, trials: Sequence[Trial], values: Sequence[Values]
) -> dict[str, float]:
    """Return how much each axis matters for being among the best settings, of 1 in all.

    By PED-ANOVA, over the accuracy of each trial at the last rung that it reached. Nothing where
    there are too few trials, or no difference between them.
    """
    reached = [(trial, seen) for trial, seen in zip(trials, values, strict=True) if seen]
    if (
        not _installed("optuna")
        or len(reached) < 10
        or len({seen[max(seen)] for _, seen in reached}) < 2
    ):
        return {}
    some, seen = zip(*reached, strict=True)
    study = _study(space, None, some, seen, [True] * len(some), {}, True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dict(library().importance.get_param_importances(study))


def _distribution(axis: Axis) -> "optuna.distributions.BaseDistribution":
    kinds = library().distributions
    if not isinstance(axis, Range):
        return kinds.CategoricalDistribution([_told(axis, value) for value in axis])
    kind = kinds.IntDistribution if axis.whole else kinds.FloatDistribution
    return kind(axis.low, axis.high, log=axis.log)


def _told(axis: Axis, value: Any) -> Any:
    """Return a value as Optuna takes it: sizes, which are tuples, or lists as in JSON, as text."""
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else value


def _value(axis: Axis, found: Any) -> Any:
    if isinstance(axis, Range):
        return axis.number(found)
    return next(value for value in axis if _told(axis, value) == found)
