"""What sweep and compare share: their directory, the flags they resume with, training."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from experiments import cli
from experiments.cli import language, networks, processes
from lenet import records, stopping
from lenet.config import Config
from lenet.errors import RecordError, UsageError

if TYPE_CHECKING:
    from lenet.records.ledger import Entry
    from lenet.runs import DataSets

FLAGS = flags.FLAGS

MANY = 10_000
SPEED = 40_000  # examples/s, for a cost before anything is measured


def named_directory(what: str) -> Path:
    """Return the directory that --run_dir names, or a new one for a "sweep" or "compare".

    Raises:
      UsageError: if it names none, or none to resume.
    """
    if FLAGS.run_dir == "" or (FLAGS.resume and not FLAGS.run_dir):
        raise UsageError(
            "--resume: name the directory with --run_dir"
            if FLAGS.resume
            else "--run_dir=: name a directory, or leave the flag out"
        )
    return Path(FLAGS.run_dir or records.fresh(what)).expanduser()


def check_cost(count: int, epochs: float) -> None:
    """Raise a UsageError with the estimated time for more than MANY runs without --yes."""
    if count <= MANY or FLAGS.yes or FLAGS.resume:
        return
    hours = count * epochs * 60_000 / SPEED / 3600
    raise UsageError(
        f"{count:,} runs would take about {hours:,.0f} hours at {SPEED:,} examples/s. Reduce the "
        "values or seeds, or add --yes to run them all."
    )


def alike(before: dict[str, Any], asked: dict[str, Any], keys: Iterable[str]) -> bool:
    """Return whether two records describe the same work on the same data, wherever stored."""

    def data(record: dict[str, Any]) -> list[tuple[Any, Any]]:
        return [(each.get("name"), each.get("sha256")) for each in record.get("data") or [{}]]

    return data(before) == data(asked) and all(before.get(key) == asked[key] for key in keys)


def flags_given() -> dict[str, Any]:
    """Return the flags that were given, for `recall`."""
    here = {"run_dir", "resume", "yes", "lang", *processes.FLAG_NAMES}
    found = {f.name: f.value for f in cli.own_flags() if f.present and f.name not in here}
    if found.get("data_dir"):  # from wherever it is resumed
        found["data_dir"] = os.path.abspath(os.path.expanduser(str(found["data_dir"])))
    return found


def recall(run_dir: Path, what: str) -> None:
    """Set the flags of the "sweep" or "compare" to resume, except those given anew.

    Raises:
      RecordError: if there is none to resume.
    """
    path = run_dir / f"{what}.json"
    if not records.exists(run_dir, path.name):
        raise RecordError(
            f"run_dir={run_dir}: contains nothing that experiments.{what} could resume. "
            "To start here, remove --resume."
        )
    before = records.read_json(path).get("flags")
    before = before if isinstance(before, dict) else {}
    if (name := before.get(networks.NAME)) and networks.again() is None:
        raise UsageError(
            f"run_dir={run_dir}: trains another network. Give --{networks.NAME}={name} again: a "
            "record names no code to import"
        )
    take_up(before)


def take_up(values: Mapping[str, Any]) -> None:
    """Set flags by name, except those that were given."""
    for name, value in values.items():
        if name in FLAGS and not FLAGS[name].present:
            FLAGS[name].value, FLAGS[name].present = value, 1


@contextlib.contextmanager
def directory(run_dir: Path, *, resume: bool) -> Iterator[None]:
    """Hold the directory of many runs, new or resumed, until the block ends.

    Raises:
      UsageError, InUseError: as `records.claim` and `records.reclaim`.
    """
    with records.reclaim(run_dir) if resume else records.claim(run_dir), stopping.patience():
        try:
            yield
        except stopping.Stopped:
            flags = f"--run_dir={run_dir} --resume"
            print(language.t("stopped; finished runs are saved. To continue: {flags}", flags=flags))
            raise


def train(configs: Sequence[Config], data: "DataSets", path: Path) -> "list[Entry]":
    """Train the runs that the ledger at `path` lacks, with progress; return all of them.

    Raises:
      RecordError: if the ledger has other runs.
    """
    from lenet import runs
    from lenet.records import ledger

    done = {entry.run for entry in runs.finished(path, configs)}
    if done:
        resuming(len(done), len(configs), path)
    share({run: config for run, config in enumerate(configs) if run not in done}, data, path)
    return ledger.read(path)


def resuming(done: int, runs: int, path: Path) -> None:
    """Print how many runs were found finished."""
    said = language.t(
        "Resuming: {done} of {runs} runs already finished ({path})", done=done, runs=runs, path=path
    )
    print(said)


def share(todo: Mapping[int, Config], data: "DataSets", path: Path) -> None:
    """Train runs, with progress; each goes to the ledger when it ends."""
    from experiments.cli import progress
    from lenet import runs

    if not todo:
        return
    with progress.Tally(len(todo), sum(config.epochs for config in todo.values())) as tally:
        for rows, finished in runs.many(todo, data, path):
            for entry in finished:
                if entry.diverged:
                    tally.say(language.t("run {run}: {why}", run=entry.run, why=entry.diverged))
            skipped = sum(entry.config.epochs - len(entry.rows) for entry in finished)
            trained = [row for row in rows.values() if not isinstance(row, Exception)]
            tally.advance(trained, len(finished), skipped)
