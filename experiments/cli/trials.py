"""The progress of a search: a line of a terminal, otherwise a line whenever a setting ends."""

import datetime
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from experiments.cli.language import t
from experiments.cli.progress import Lines
from lenet.analysis import terms
from lenet.language import listed, mark
from lenet.search import Plan, Trial

if TYPE_CHECKING:
    from lenet.runs.searches import News

STEPS = 20
"""Lines of progress where there is no terminal, about."""
HERE = mark(
    "{proposed}/{trials} settings, {ended} to the end; best {best}; {speed:,.0f} examples/s, "
    "{left} left"
)
WITH_WORKERS = mark(
    "{proposed}/{trials} settings, {ended} to the end; best {best}; runs under way: {under_way}, "
    "workers: {workers}; {speed:,.0f} examples/s, {left} left"
)


class Progress(Lines):
    """How far a search is: settings, epochs, the best accuracy so far."""

    def __init__(self, plan: Plan, trials: Sequence[Trial]) -> None:
        """Begin with the trials that the ledger has."""
        self._plan = plan
        super().__init__(
            total=plan.epochs(trials), text=t("0/{trials} settings, compiling", trials=plan.trials)
        )
        self._begin, self._examples = time.monotonic(), 0
        self._before = self._shown = sum(trial.epochs for trial in trials)
        self._more: dict[int, int] = {}
        self._best = max((self._value(trial) for trial in trials), default=-1.0)
        if trials:
            said = t(
                "Resuming: {trials} settings proposed, {epochs} epochs trained",
                trials=len(trials),
                epochs=self._before,
            )
            print(said)
        self._look(trials)

    def advance(self, news: "News") -> None:
        """Count what came; print each setting that is the best so far."""
        self._examples += news.examples
        for number in dict.fromkeys(news.changed):
            trial = news.trials[number]
            if (value := self._value(trial)) > self._best:
                self._best = value
                self.say(self._line(trial, value))
        if news.changed:
            self._look(news.trials)
        spent = time.monotonic() - self._begin
        left = spent / max(news.epochs - self._before, 1) * max(self._epochs - news.epochs, 0)
        text = WITH_WORKERS if news.workers else HERE
        text = t(
            text,
            under_way=news.under_way,
            workers=news.workers,
            proposed=len(news.trials),
            trials=self._plan.trials,
            ended=self._ended,
            best=f"{self._best:.4f}" if self._best >= 0 else "–",
            speed=self._examples / max(spent, 1e-9),
            left=datetime.timedelta(seconds=round(left)),
        )
        # Where lines stay, one for each twentieth of the epochs.
        new = news.epochs * STEPS // self._epochs > self._shown * STEPS // self._epochs
        self.show(min(news.epochs, self._epochs), text, say=new, total=self._epochs)
        self._shown = news.epochs

    def _look(self, trials: Sequence[Trial]) -> None:
        """Take in what the ledger has more: it takes long to look through many settings."""
        plan = self._plan
        self._epochs = plan.epochs(trials)
        self._ended = sum(plan.rule.most in plan.values(trial) for trial in trials)
        more = plan.more_seeds(trials) if plan.decided(trials) else {}
        if more and more != self._more:
            self._more = more
            said = t(
                "settings that are close are trained with {seeds} seeds each: trials {trials}",
                seeds=max(more.values()),
                trials=listed(map(str, more)),
            )
            self.say(said)

    def _value(self, trial: Trial) -> float:
        """Return the accuracy of a trial at the last rung that it reached; −1 before the first."""
        values = self._plan.values(trial)
        return values[max(values)] if values else -1.0

    def _line(self, trial: Trial, value: float) -> str:
        setting = listed(
            terms.setting(name, terms.shown(value)) for name, value in trial.setting.items()
        )
        return t(
            "best so far: validation accuracy {value:.4f} after epoch {epochs}, trial {trial}: "
            "{setting}",
            value=value,
            epochs=max(self._plan.values(trial)),
            trial=trial.number,
            setting=setting,
        )
