"""Train many runs with progress; each goes to the ledger once it is finished."""

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from experiments.cli import processes
from lenet import config as config_module
from lenet import records, stopping
from lenet.config import Config
from lenet.engine import workers
from lenet.errors import DivergedError, RecordError, UsageError

if TYPE_CHECKING:
    from lenet.data import Data
    from lenet.engine.rows import Row
    from lenet.records.ledger import Entry

FLAGS = flags.FLAGS

LEDGER = "runs.jsonl"
MANY = 10_000
SPEED = 40_000  # examples/s, for a cost before anything is measured

DataSets = dict[tuple[str, int], "Data"]
"""By Config's dataset and valid."""


def named_directory(what: str) -> Path:
    """Return the directory that --run_dir names for a "sweep" or the like; without it a new one.

    Raises:
      UsageError: if it names none, or none to resume.
    """
    if FLAGS.run_dir == "" or (FLAGS.resume and not FLAGS.run_dir):
        raise UsageError(
            "--resume: name the directory with --run_dir"
            if FLAGS.resume
            else "--run_dir=: name a directory"
        )
    fresh = f"runs/{time.strftime('%Y%m%d-%H%M%S')}-{what}-{os.getpid()}"
    return Path(os.path.expanduser(FLAGS.run_dir or fresh))


def check_cost(count: int, epochs: float, *, remedy: str) -> None:
    """Raise a UsageError that says what it costs, if these are very many runs without --yes."""
    if count <= MANY or FLAGS.yes or FLAGS.resume:
        return
    hours = count * epochs * 60_000 / SPEED / 3600
    raise UsageError(
        f"{count:,} runs: about {hours:,.0f} hours at {SPEED:,} examples/s and 60,000 examples an "
        f"epoch; {remedy}"
    )


def alike(before: dict[str, Any], asked: dict[str, Any], keys: Iterable[str]) -> bool:
    """Whether two records ask for the same of the same data, wherever that was found."""

    def data(record: dict[str, Any]) -> list[dict[str, Any]]:
        return [each | {"source": None} for each in record.get("data") or [{}]]

    return data(before) == data(asked) and all(before.get(key) == asked[key] for key in keys)


def flags_given() -> dict[str, Any]:
    """Return the flags of ours that were given, as `recall` takes them up again."""
    here = {"run_dir", "resume", "yes", *processes.FLAG_NAMES}
    ours = (
        flag
        for module, defined in FLAGS.flags_by_module_dict().items()
        if not module.startswith("absl")
        for flag in defined
    )
    found = {f.name: f.value for f in ours if f.present and f.name not in here}
    if found.get("data_dir"):  # from wherever it is resumed
        found["data_dir"] = os.path.abspath(os.path.expanduser(str(found["data_dir"])))
    return found


def recall(run_dir: Path, what: str) -> None:
    """Take up the flags of the "sweep" or the like that is resumed, but for those given anew.

    Raises:
      RecordError: if there is none to resume.
    """
    path = run_dir / f"{what}.json"
    if not records.exists(run_dir, path.name):
        raise RecordError(
            f"--run_dir={run_dir}: holds nothing that experiments.{what} could resume; "
            "leave out --resume"
        )
    before = records.read_json(path).get("flags")
    take_up(before if isinstance(before, dict) else {})


def take_up(values: Mapping[str, Any]) -> None:
    """Set the flags of these names that were not given, as if they had been."""
    for name, value in values.items():
        if name in FLAGS and not FLAGS[name].present:
            FLAGS[name].value, FLAGS[name].present = value, 1


@contextlib.contextmanager
def directory(run_dir: Path, *, resume: bool) -> Iterator[None]:
    """Hold the directory of many runs, new or to go on with, until the block ends.

    Raises:
      UsageError, InUseError: as `records.claim` and `records.reclaim`.
    """
    with records.reclaim(run_dir) if resume else records.claim(run_dir), stopping.patience():
        try:
            yield
        except stopping.Stopped:
            print(f"finished runs are in {run_dir}: --run_dir={run_dir} --resume goes on")
            raise


def load(configs: list[Config], data_dir: str | None) -> DataSets:
    """Return the data sets that the runs need, each loaded once."""
    # Only now, for it takes a second and the flags may be wrong.
    from lenet import data

    wanted = dict.fromkeys((config.dataset, config.valid) for config in configs)
    whole = {
        name: data.load(name, data_dir=data_dir) for name in dict.fromkeys(n for n, _ in wanted)
    }
    return {(name, valid): data.hold_out(whole[name], valid) for name, valid in wanted}


def train(todo: dict[int, Config], data: DataSets, path: Path) -> None:
    """Train the runs, data set by data set.

    Args:
      todo: the runs by the number that the ledger knows them by.
      data: from `load`.
      path: of the ledger.
    """
    from experiments.cli import progress
    from lenet.engine import selfcheck
    from lenet.records import ledger

    selfcheck.check()
    with progress.tally(len(todo), sum(config.epochs for config in todo.values())) as tally:
        for key, loaded in data.items():
            runs = {run: c for run, c in todo.items() if (c.dataset, c.valid) == key}
            order = list(runs.items())
            rows: list[list[Row]] = [[] for _ in order]
            for found in _epochs(list(runs.values()), loaded):
                finished = [
                    entry
                    for place, row in found.items()
                    if (entry := _entry(*order[place], rows[place], row))
                ]
                if finished:
                    ledger.append(path, finished)
                for entry in finished:
                    if entry["diverged"]:
                        tally.say(f"run {entry['run']} {entry['diverged']}")
                skipped = sum(entry["config"]["epochs"] - len(entry["rows"]) for entry in finished)
                trained = [row for row in found.values() if not isinstance(row, Exception)]
                tally.advance(trained, len(finished), skipped)
                stopping.stop_if_asked()


def _epochs(configs: list[Config], data: "Data") -> "Iterator[dict[int, Row | DivergedError]]":
    """Train runs; yield rows by run as epochs end, of one run or of those that train together."""
    from lenet import train as training
    from lenet.engine import sweep

    cores = workers.cores_for(configs, data)
    if not cores:
        for epoch in training.sweep(configs, data):
            yield epoch.rows
        return
    by_program = [run for group in sweep.groups(configs) for run in group]
    with workers.Workers(cores, data) as started:
        for place, row in started.fit(
            [(training.check(configs[run], data), configs[run]) for run in by_program]
        ):
            yield {by_program[place]: row}


def _entry(
    run: int, config: Config, rows: "list[Row]", row: "Row | DivergedError"
) -> "Entry | None":
    """Take note of an epoch; return the run's line of the ledger if that was its last."""
    diverged = str(row) if isinstance(row, DivergedError) else None
    if not isinstance(row, DivergedError):
        rows.append(row)
    if not diverged and len(rows) < config.epochs:
        return None
    return {
        "run": run,
        "config": config_module.to_dict(config),
        "rows": [dataclasses.asdict(row) for row in rows],
        "diverged": diverged,
    }
