"""Training progress: one line per epoch, plus a progress bar on a terminal."""

import datetime
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
)

from lenet.analysis.published import LEFT_PLATEAU_BY_EPOCH_2, NAMES, equality
from lenet.engine import chance
from lenet.engine.rows import Row


def line(row: Row, epochs: int) -> str:
    """Return the line of an epoch: number, loss, accuracies and speed."""
    width = len(str(epochs))
    speed = f"{row.examples_per_second:,.0f} examples/s"
    return f"epoch {row.epoch:{width}}/{epochs}  {summary(row.to_dict())}, {speed}"


def summary(row: Mapping[str, Any]) -> str:
    """Return the loss and accuracies of a row of metrics.jsonl, as the book prints them."""
    held_out = row["valid_accuracy"]
    valid = "" if held_out is None else f"valid acc {held_out:.3f}, "
    return (
        f"loss {row['train_loss']:.3f}, train acc {row['train_accuracy']:.3f}, "
        f"{valid}test acc {row['test_accuracy']:.3f}"
    )


def plateau(row: Row, num_classes: int, published: bool) -> str | None:
    """Return a line that says whether a loss at chance level is normal; None if the network learns.

    The best loss of a network that ignores its input is log K, 2.303 for ten classes. Networks with
    sigmoids start at this plateau.

    Args:
      row: of the epoch.
      num_classes: K.
      published: whether the run repeats the published experiment.
    """
    if not chance.on_plateau(row.train_loss, row.test_accuracy, num_classes):
        return None
    guess = chance.loss(num_classes)
    left, runs = LEFT_PLATEAU_BY_EPOCH_2
    where = f"loss is still near ln({num_classes}) = {guess:.3f}, the loss of random guessing."
    if not published:
        return f"{where} Common in the first epochs with sigmoid; otherwise change --lr or --init."
    if row.epoch < 2:
        return (
            f"{where} Normal this early: {left} of {runs} published runs left this plateau by "
            "epoch 2."
        )
    return (
        f"{where} Unusual after epoch 2 ({left} of {runs} published runs had left it). "
        "Let it run, or try another --seed."
    )


def place(place: dict[str, Any]) -> str:
    """Return a line with the percentiles of a run, as `lenet.analysis.published.place` has them."""
    accuracy, loss = (round(place["percentile"][key]) for key in ("test_accuracy", "train_loss"))
    return (
        f"compared with {place['runs']} published {NAMES[place['framework']]} runs: "
        f"test accuracy at percentile {accuracy} (higher is better), "
        f"training loss at percentile {loss} (lower is better)"
    )


def places(placed: Sequence[dict[str, Any]]) -> str:
    """Return lines with the percentiles of runs, and tests of equality with the published ones.

    Args:
      placed: rows as `published.placed` returns them, at least one.
    """
    count, others = len(placed), placed[0]["others"]
    lines = [f"{count} runs repeat the published experiment; compared with {others} PyTorch runs:"]
    for key, name in (("test_accuracy", "test accuracy"), ("train_loss", "training loss")):
        at = sorted(row[f"{key}_percentile"] for row in placed)
        low, middle, high = (round(x) for x in (at[0], statistics.median(at), at[-1]))
        line = f"  {name} at percentiles {low} to {high}, median {middle}"
        values = [row[key] for row in placed]
        if len(set(values)) > 1:
            found = equality({key: values})[key]
            line += (
                f"; Kolmogorov-Smirnov D = {found.ks.statistic:.3f} (p = {found.ks.p:.2g}), "
                f"Welch t = {found.welch.statistic:.2f} (p = {found.welch.p:.2g})"
            )
        lines.append(line)
    return "\n".join(lines)


@contextmanager
def bar(epochs: int) -> Iterator["Bar"]:
    """Show lines, and below them a progress bar over epochs if stdout is a terminal."""
    console = Console(file=sys.stdout, highlight=False)
    columns = (
        SpinnerColumn("line"),
        BarColumn(bar_width=10),
        MofNCompleteColumn(),
        TextColumn("{task.fields[text]}"),
    )
    if not console.is_terminal:
        yield Bar(None, TaskID(0))
        return
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bar(progress, progress.add_task("", total=epochs, text="epochs, first in progress"))


class Bar:
    """A progress bar over epochs; without a terminal, only its lines are printed."""

    def __init__(self, progress: Progress | None, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        if self._progress is None:
            print(text, flush=True)
        else:
            self._progress.console.print(text, markup=False, soft_wrap=True)

    def advance(self, row: Row, epochs: int) -> None:
        """Advance the bar by one epoch."""
        if self._progress is not None:
            # Based on the last epoch, because the first may include compilation.
            left = datetime.timedelta(seconds=round((epochs - row.epoch) * row.seconds))
            text = (
                f"loss {row.train_loss:.3f} test acc {row.test_accuracy:.3f} "
                f"{row.examples_per_second:,.0f} examples/s {left} left"
            )
            self._progress.update(self._task, advance=1, text=text)


@contextmanager
def tally(runs: int, epochs: int) -> Iterator["Tally"]:
    """Show the progress of a sweep on one line of a terminal, otherwise a line per finished group.

    Args:
      runs: number of runs to train.
      epochs: of all runs together.
    """
    console = Console(file=sys.stdout, highlight=False)
    columns = (SpinnerColumn("line"), BarColumn(bar_width=10), TextColumn("{task.fields[text]}"))
    if not console.is_terminal:
        yield Tally(runs, epochs, Bar(None, TaskID(0)), None)
        return
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=epochs, text=f"0/{runs} runs, compiling")
        yield Tally(
            runs,
            epochs,
            Bar(progress, task),
            lambda done, text: progress.update(task, completed=done, text=text),
        )


class Tally:
    """Progress of a sweep."""

    def __init__(
        self, runs: int, epochs: int, bar: Bar, show: Callable[[int, str], None] | None
    ) -> None:
        self._runs, self._epochs, self._bar, self._show = runs, epochs, bar, show
        self._finished, self._trained, self._examples = 0, 0, 0
        self._begin = time.monotonic()
        self._first: float | None = None  # when the first epoch began, once all was compiled

    def say(self, text: str) -> None:
        """Print a line above the progress."""
        self._bar.say(text)

    def advance(self, rows: Sequence[Row], finished: int, skipped: int) -> None:
        """Count one epoch of a run, or of a group of runs that train together.

        Args:
          rows: one per run.
          finished: number of runs that this epoch finished, diverged ones included.
          skipped: number of epochs that diverged runs will not train.
        """
        self._finished += finished
        self._trained += len(rows) + skipped
        self._examples += sum(row.count for row in rows)
        now = time.monotonic()
        if self._first is None:
            self._first = now - max((row.seconds for row in rows), default=0.0)
        if self._show is None and not finished:
            return
        speed = self._examples / max(now - self._first, 1e-9)
        spent = now - self._begin
        left = round(spent / self._trained * (self._epochs - self._trained))
        text = (
            f"{self._finished}/{self._runs} runs, {speed:,.0f} examples/s, "
            f"{datetime.timedelta(seconds=left)} left"
        )
        if self._show is None:
            self.say(text)
        else:
            self._show(self._trained, text)
