"""Training progress: one line per epoch, plus a progress bar on a terminal."""

import datetime
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
)

from experiments.cli import command
from experiments.cli.language import t
from lenet.analysis.published import (
    EQUIVALENT,
    EXPERIMENTS,
    LEFT_PLATEAU_BY_EPOCH_2,
    NAMES,
    equality,
)
from lenet.analysis.stats import MARGIN
from lenet.engine import chance
from lenet.engine.rows import Row
from lenet.language import Message, listed, mark, message

if TYPE_CHECKING:
    from lenet.runs import News


SILENCE = 30
"""Seconds without a line, where there is no terminal, after which progress is printed."""


def line(row: Row, epochs: int) -> str:
    """Return the line of an epoch: number, loss, accuracies and speed."""
    return t(
        "epoch {epoch}/{epochs}  {summary}, {speed:,.0f} examples/s",
        epoch=f"{row.epoch:{len(str(epochs))}}",
        epochs=epochs,
        summary=summary(row),
        speed=row.examples_per_second,
    )


def summary(row: Row) -> str:
    """Return the loss and accuracies of an epoch, as the book prints them."""
    said = [
        message("loss {loss:.3f}", loss=row.train_loss),
        message("train acc {accuracy:.3f}", accuracy=row.train_accuracy),
        message("test acc {accuracy:.3f}", accuracy=row.test_accuracy),
    ]
    if row.valid_accuracy is not None:
        said.insert(2, message("valid acc {accuracy:.3f}", accuracy=row.valid_accuracy))
    if row.averaged_accuracy is not None:
        said.append(message("averaged weights {accuracy:.3f}", accuracy=row.averaged_accuracy))
    return t(listed(said))


def plateau(row: Row, num_classes: int, published: bool) -> str | None:
    """Return a line that says whether a loss at chance level is normal; None if the network learns.

    The best loss of a network that ignores its input is log K, 2.303 for ten classes. Networks with
    sigmoids start at this plateau. `published`: whether the run repeats the published experiment.
    """
    if not chance.on_plateau(row.train_loss, row.test_accuracy, num_classes):
        return None
    left, runs = LEFT_PLATEAU_BY_EPOCH_2
    if not published:
        advice = mark(
            "Common in the first epochs with sigmoid; otherwise change --lr or the initial weights."
        )
    elif row.epoch < 2:
        advice = mark(
            "Normal this early: {left} of {runs} published runs left this plateau by epoch 2."
        )
    else:
        advice = mark(
            "Unusual after epoch 2 ({left} of {runs} published runs had left it). Let it run, or "
            "try another --seed."
        )
    return t(
        "loss is still near ln({num_classes}) = {guess:.3f}, the loss of random guessing. {advice}",
        num_classes=num_classes,
        guess=chance.loss(num_classes),
        advice=message(advice, left=left, runs=runs),
    )


def majority(described: Mapping[str, Any]) -> str | None:
    """Return a line on a dataset in which one class is so frequent that guessing it pays.

    None for a balanced one, and for the record of an earlier version, which does not say.
    """
    share, classes = described.get("majority", 0), len(described["class_names"])
    if chance.at_level(share, classes):
        return None
    return t(
        "in {dataset} the most frequent class has {share:.1%} of the test images: always "
        "answering it gives an accuracy of {share:.3f}",
        dataset=described["name"],
        share=share,
    )


def place(place: dict[str, Any]) -> str:
    """Return a line with the percentiles of a run, as `lenet.analysis.published.place` has them."""
    return t(
        "compared with {runs} published {framework} runs: test accuracy at percentile "
        "{accuracy:.0f} (higher is better), training loss at percentile {loss:.0f} (lower is "
        "better)",
        runs=place["runs"],
        framework=NAMES[place["framework"]],
        accuracy=place["percentile"]["test_accuracy"],
        loss=place["percentile"]["train_loss"],
    )


def places(placed: Sequence[dict[str, Any]]) -> str:
    """Return the percentiles of runs from `published.placed`, and tests of equality, as lines."""
    experiments = dict.fromkeys(row["experiment"] for row in placed)
    return "\n".join(
        _places([row for row in placed if row["experiment"] == each], each) for each in experiments
    )


def _places(placed: Sequence[dict[str, Any]], experiment: str) -> str:
    lines = [
        t(
            "{count} runs repeat {experiment}; compared with {others} published PyTorch runs:",
            experiment=Message(EXPERIMENTS[experiment]),
            count=len(placed),
            others=placed[0]["others"],
        )
    ]
    for key, name in (("test_accuracy", "test accuracy"), ("train_loss", "training loss")):
        at = sorted(row[f"{key}_percentile"] for row in placed)
        said = [
            message(
                "{measure} at percentiles {low:.0f} to {high:.0f}, median {median:.0f}",
                measure=Message(name),
                low=at[0],
                high=at[-1],
                median=statistics.median(at),
            )
        ]
        values = [row[key] for row in placed]
        if len(set(values)) > 1:
            found = equality({key: values}, experiment)[key]
            said.append(
                message(
                    "difference in means {difference} (95% CI), {equal} within {margin} (two "
                    "one-sided tests, p = {p:.2g})",
                    difference=found.difference,
                    equal=Message(EQUIVALENT[found.equivalent]),
                    margin=MARGIN,
                    p=found.equivalence,
                )
            )
        lines.append(f"  {t(listed(said, '; '))}")
    return "\n".join(lines)


class Lines:
    """Lines, and progress below them if stdout is a terminal."""

    def __init__(self, *columns: ProgressColumn, total: int, text: str) -> None:
        console = command.console()
        self._progress = Progress(
            SpinnerColumn("line"),
            BarColumn(bar_width=10),
            *columns,
            TextColumn("{task.fields[text]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=total, text=text)
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._progress.disable:  # rich 13 would print an empty line
            self._progress.stop()

    def show(self, completed: int, text: str, *, say: bool, total: int | None = None) -> None:
        """Show how far it is: below the lines of a terminal, otherwise as a line.

        The line is printed if `say`, and after half a minute without one. `total` replaces what the
        bar had for it.
        """
        self._progress.update(self._task, completed=completed, text=text, total=total)
        if self._progress.disable and (say or time.monotonic() - self._said > SILENCE):
            self.say(text)

    def say(self, text: str) -> None:
        """Print a line, above the progress if it is shown."""
        self._said = time.monotonic()
        if self._progress.disable:
            print(text, flush=True)
        else:
            self._progress.console.print(text, markup=False, soft_wrap=True)


class Bar(Lines):
    """Lines, and below them a progress bar over epochs if stdout is a terminal."""

    def __init__(self, epochs: int) -> None:
        text = t("epochs, first in progress")
        super().__init__(MofNCompleteColumn(), total=epochs, text=text)

    def advance(self, row: Row, epochs: int) -> None:
        """Advance the bar by one epoch."""
        # Based on the last epoch, because the first may include compilation.
        left = datetime.timedelta(seconds=round((epochs - row.epoch) * row.seconds))
        text = t(
            "loss {loss:.3f}, test acc {accuracy:.3f}, {speed:,.0f} examples/s, {left} left",
            loss=row.train_loss,
            accuracy=row.test_accuracy,
            speed=row.examples_per_second,
            left=left,
        )
        self._progress.update(self._task, advance=1, text=text)


class Tally(Lines):
    """The progress of a sweep on one line of a terminal, otherwise a line per finished group.

    `epochs` are those of all runs that are trained now; `finished` of the `runs` were before.
    """

    def __init__(self, runs: int, epochs: int, finished: int = 0) -> None:
        text = t("{finished}/{runs} runs, compiling", finished=finished, runs=runs)
        super().__init__(total=epochs, text=text)
        self._runs, self._epochs, self._finished = runs, epochs, finished
        self._trained, self._examples = 0, 0
        self._first: float | None = None  # when the first epoch began, once all was compiled

    def advance(self, news: "News") -> None:
        """Count what came: an epoch of a run, or of a group of runs that train together."""
        rows = [row for row in news.rows.values() if isinstance(row, Row)]
        self._finished += len(news.ended)
        skipped = sum(entry.config.epochs - len(entry.rows) for entry in news.ended)
        self._trained += len(rows) + skipped
        self._examples += sum(row.count for row in rows)
        now = time.monotonic()
        if self._first is None:
            self._first = now - max((row.seconds for row in rows), default=0.0)
        speed = self._examples / max(now - self._first, 1e-9)
        left = round((now - self._first) / self._trained * (self._epochs - self._trained))
        text = mark("{finished}/{runs} runs, {speed:,.0f} examples/s, {left} left")
        if news.workers:
            text = mark(
                "{finished}/{runs} runs, under way: {begun}, to come: {waiting}, workers: "
                "{workers}; {speed:,.0f} examples/s, {left} left"
            )
        text = t(
            text,
            finished=self._finished,
            runs=self._runs,
            begun=news.begun,
            waiting=self._runs - self._finished - news.begun,
            workers=news.workers,
            speed=speed,
            left=datetime.timedelta(seconds=left),
        )
        self.show(self._trained, text, say=bool(news.ended))
