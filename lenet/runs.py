"""Train runs into directories: begin one, resume one, or train many into a ledger.

    run = begin("runs/mine", Config(lr=0.5), data.load("fashion_mnist"))
    for row in run.epochs():
        print(row.test_accuracy)
    run = resume("runs/mine")     # the bits of a run that was never interrupted

A run is what its directory holds: each epoch is on the disk before its row is yielded, and
`epochs` continues from the newest checkpoint. Progress, trackers and figures consume the rows.
"""

import contextlib
import dataclasses
import functools
import logging
import os
import weakref
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from lenet import config as config_module
from lenet import data as datasets
from lenet import files, records, stopping, train
from lenet.analysis import published
from lenet.config import Config
from lenet.data import Data, Split
from lenet.engine import cores, selfcheck, sgd, workers
from lenet.engine.rows import Row
from lenet.engine.sgd import Params, State
from lenet.engine.stacking import groups
from lenet.errors import DivergedError, RecordError, UsageError
from lenet.inspect import diagnostics
from lenet.model import LeNet, network
from lenet.records import checkpoint, directory, ledger
from lenet.records.checkpoint import Checkpoint
from lenet.records.ledger import Entry

log = logging.getLogger("lenet")

DataSets = dict[tuple[str, int], Data]
"""Datasets by Config's dataset and valid."""

_iterated: "weakref.WeakValueDictionary[Path, Generator[Row, None, None]]" = (
    weakref.WeakValueDictionary()
)


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """A run and its directory; from `begin` or `resume`."""

    directory: Path
    config: Config
    data: Data | None  # None: the run is finished
    checkpoint_every: int = 1  # epochs

    @functools.cached_property
    def program(self) -> train.Start:
        """The compiled training program, with the data on the devices."""
        assert self.data is not None
        selfcheck.check()
        log.info("compiling ...")
        return train.start(self.config, self.data)

    @functools.cached_property
    def environment(self) -> dict[str, Any]:
        """What the bits depend on besides config and data: versions and hardware."""
        return records.environment()

    def epochs(self) -> Iterator[Row]:
        """Train to the end; yield the row of each epoch once the disk has it.

        Continues after the newest checkpoint; yields nothing if the run is finished. A loop that
        is left or interrupted can be started again: so can the cell of a notebook.

        Raises:
          DivergedError: as `train.fit`.
          InUseError: if another process writes the directory.
          DiskError: if the disk does not take the records; checkpoints that are there stay.
          RecordError: if the records are damaged, or of another run.
          stopping.Stopped: if a signal asked for a stop; the epoch before it is saved.
        """
        _leave(self.directory)
        rows = _iterated[self.directory.resolve()] = self._epochs()
        return rows

    def _epochs(self) -> Generator[Row, None, None]:
        if self.data is None:
            return
        with records.reclaim(self.directory), stopping.patience():
            if records.exists(self.directory, directory.RESULT):
                return
            before = self._newest()
            rows = self._keep(before)
            fit = train.fit(self.program, before and (before.epoch, before.state))
            try:
                for row, state in fit:
                    self._append(row, state.params)
                    rows.append(row)
                    stop = stopping.asked_to_stop() and row.epoch < self.config.epochs
                    due = row.epoch % self.checkpoint_every == 0 or row.epoch == self.config.epochs
                    if due or stop:
                        self._save(row.epoch, state)
                    try:
                        yield row
                    except GeneratorExit:
                        if not (due or stop):
                            self._save(row.epoch, state)
                        raise
                    if stop:
                        stopping.stop_if_asked()
            except DivergedError as error:
                last = checkpoint.last(self.directory)
                kept = f" The last good checkpoint is {last}." if last else ""
                raise DivergedError(f"{error}{kept}") from None
            self._conclude(rows)

    def rows(self) -> list[Row]:
        """Return the rows of the epochs that are saved, the ones `epochs` does not yield again."""
        if records.exists(self.directory, directory.RESULT):
            return records.epochs(self.directory)
        newest = checkpoint.newest(self.directory)
        return records.epochs(self.directory, newest.epoch) if newest else []

    def discard(self) -> None:
        """Remove the directory of a run that has not trained an epoch."""
        if not records.exists(self.directory, directory.METRICS):
            (self.directory / directory.CONFIG).unlink()
            directory.remove_if_empty(self.directory)

    def _newest(self) -> Checkpoint | None:
        """Return the newest undamaged checkpoint, if it is this run's."""
        assert self.data is not None
        found = checkpoint.newest(self.directory, set_aside=True)
        if found is None:
            return None
        check_same(
            "the checkpoint", config_module.to_dict(found.config), self.config, self.directory
        )
        steps = found.epoch * sgd.steps_per_epoch(self.config, len(self.data.train.labels))
        pairs = {
            "data": (found.data, self.data.fingerprint),
            "image_shape": (found.image_shape, self.data.image_shape),
            "num_classes": (found.num_classes, self.data.num_classes),
            "steps taken": (int(found.state.step), steps),
        }
        differ = [f"{name} {a}, expected {b}" for name, (a, b) in pairs.items() if a != b]
        if differ or found.epoch > self.config.epochs:
            raise RecordError(
                f"run_dir={self.directory}: the checkpoint of epoch {found.epoch} belongs to "
                f"another run: {'; '.join(differ) or f'this run has {self.config.epochs} epochs'}"
            )
        log.info("resuming after epoch %s of %s", found.epoch, self.config.epochs)
        if changed := records.differences(found.environment, self.environment):
            log.warning(
                "warning: the environment has changed (%s); results may differ slightly from an "
                "uninterrupted run",
                changed,
            )
        return found

    def _keep(self, before: Checkpoint | None) -> list[Row]:
        """Return the rows up to a checkpoint; cut off the rest, which is trained again."""
        done = before.epoch if before else 0
        rows = records.epochs(self.directory, done) if done else []
        seen = [row for row in records.statistics(self.directory) if row["epoch"] <= done]
        files.truncate(self.directory / directory.METRICS, lines=done)
        files.truncate(self.directory / directory.STATISTICS, lines=len(seen) if done else 0)
        return rows

    def _append(self, row: Row, params: Params) -> None:
        assert self.data is not None
        seen = _statistics(self.config, self.data, row.epoch, params)
        synthetic = {"synthetic": True} if self.config.dataset == "synthetic" else {}
        files.append(self.directory / directory.METRICS, [row.to_dict() | synthetic])
        files.append(self.directory / directory.STATISTICS, seen)

    def _save(self, epoch: int, state: State) -> None:
        assert self.data is not None
        checkpoint.save(
            self.directory, _checkpoint(self.config, self.data, epoch, state, self.environment)
        )

    def _conclude(self, rows: Sequence[Row]) -> None:
        """Write result.json."""
        result = rows[-1].to_dict() | {
            "dataset": self.config.dataset,
            "synthetic": self.config.dataset == "synthetic",
            "seconds_to_compile": self.program.program.seconds_to_compile,
            "seconds_to_train": sum(row.seconds for row in rows),
            "examples": sum(row.count for row in rows),
            "environment": self.environment,
            "published": published.place(self.config, rows[-1]),
        }
        files.write_json(self.directory / directory.RESULT, result)


def begin(
    run_dir: str | Path,
    config: Config,
    data: Data,
    *,
    command: str | None = None,
    data_dir: str | Path | None = None,
    checkpoint_every: int = 1,
) -> Run:
    """Compile a new run and make its directory; `epochs` of what it returns trains.

    Args:
      run_dir: a directory that is empty or does not exist.
      config: settings of the run.
      data: what it learns from; config's dataset and valid have to be those of the data.
      command: that repeats the run, for config.json; by default this call.
      data_dir: where `resume` looks for the data; by default where `data.load` does.
      checkpoint_every: epochs from one checkpoint to the next; the last three are kept.

    Raises:
      UsageError: for settings that cannot be, or a directory that is not empty or writable.
      InUseError: if another process writes the directory.

    >>> import tempfile
    >>> from lenet.data import synthetic
    >>> few = synthetic.make(100, 20)
    >>> small = Config(dataset="synthetic", channels=(2, 3), hidden=(8,), batch_size=50, epochs=2)
    >>> with tempfile.TemporaryDirectory() as place:
    ...     run = begin(place, small, few)
    ...     first = [row.epoch for row in run.epochs()]
    ...     first, [row.epoch for row in resume(place).epochs()]
    ([1, 2], [])
    """
    run_dir = _path(run_dir)
    check_every(checkpoint_every)
    train.check(config, data)
    run = Run(run_dir, config, data, checkpoint_every)
    with records.claim(run_dir), stopping.patience():
        run.program  # noqa: B018  compile before there is anything to resume
        stopping.stop_if_asked()
        _describe(run, data, command or f"lenet.runs.begin({str(run_dir)!r}, {config})", data_dir)
    return run


def resume(
    run_dir: str | Path,
    data: Data | None = None,
    *,
    data_dir: str | Path | None = None,
    checkpoint_every: int = 1,
) -> Run:
    """Return the run of a directory, for `epochs` to continue where its last checkpoint is.

    Args:
      run_dir: of the run.
      data: what it learns from; by default they are loaded, unless the run is finished.
      data_dir: where they are loaded from, if elsewhere than when the run began.
      checkpoint_every: as `begin`.

    Raises:
      RecordError: if the directory contains no run, or one on other data.
      InUseError: if another process writes the directory.
      DataError: if the data cannot be loaded.
    """
    run_dir = _path(run_dir)
    check_every(checkpoint_every)
    config, fingerprint, where = recorded(run_dir)
    if records.exists(run_dir, directory.RESULT):
        return Run(run_dir, config, None, checkpoint_every)
    _leave(run_dir)
    with records.reclaim(run_dir):  # in use is found before the data are loaded
        pass
    if data is None:
        data = datasets.load(config.dataset, data_dir=data_dir or where, valid=config.valid)
    train.check(config, data)
    if data.fingerprint != fingerprint:
        raise RecordError(
            f"run_dir={run_dir}: this run was trained on different data than {data.source}. "
            "Point data_dir at the original data."
        )
    return Run(run_dir, config, data, checkpoint_every)


def recorded(run_dir: Path) -> tuple[Config, str, str | None]:
    """Return the Config, the data's fingerprint and the data_dir that config.json records.

    Raises:
      RecordError: if the directory contains no run, or its config.json is damaged.
    """
    if not records.exists(run_dir, directory.CONFIG):
        raise RecordError(
            f"run_dir={run_dir}: contains no run to resume. To start a new run here, remove resume."
        )
    path = run_dir / directory.CONFIG
    described = records.read_json(path)
    try:
        config = config_module.from_dict(described["config"])
        fingerprint, data_dir = described["data"]["sha256"], described.get("data_dir")
    except (UsageError, KeyError, TypeError) as error:
        raise RecordError(f"{path}: not the record of a run: {error}") from None
    return config, str(fingerprint), None if data_dir is None else str(data_dir)


def check_same(what: str, asked: Mapping[str, Any], config: Config, run_dir: Path) -> None:
    """Raise a RecordError that names the settings in which `asked` differs from a run's."""
    own = config_module.to_dict(config)
    differ = [
        f"{name}={value}, but config.json has {own[name]}"
        for name, value in asked.items()
        if value != own[name]
    ]
    if differ:
        raise RecordError(
            f"run_dir={run_dir}: {what} does not match this run: {'; '.join(differ)}. "
            "Remove the setting to resume, or start a new run_dir."
        )


def adopt(run_dir: Path, config: Config, data: Data, params: Params, *, command: str) -> None:
    """Make a run directory of parameters that were trained elsewhere.

    Raises:
      UsageError, InUseError: as `begin`.
    """
    model = network(config, data.num_classes)
    state = jax.device_get(train.init(model, config, data.image_shape)._replace(params=params))
    with records.claim(run_dir):
        _describe(Run(run_dir, config, data), data, command, None)
        checkpoint.save(
            run_dir, _checkpoint(config, data, config.epochs, state, records.environment())
        )


class Progress(NamedTuple):
    """An epoch of a run of many, or of runs that train together."""

    rows: dict[int, Row | DivergedError]  # by run
    finished: list[Entry]  # the runs that ended with it, now in the ledger


def many(todo: Mapping[int, Config], data: DataSets, path: Path) -> Iterator[Progress]:
    """Train runs, dataset by dataset; append each to a ledger when it ends.

    Args:
      todo: the runs by the number that the ledger knows them by.
      data: from `load`.
      path: of the ledger.
    """
    selfcheck.check()
    for key, loaded in data.items():
        runs = {run: c for run, c in todo.items() if (c.dataset, c.valid) == key}
        rows: dict[int, list[Row]] = {run: [] for run in runs}
        for found in _epochs_of(runs, loaded):
            finished = [
                entry
                for run, row in found.items()
                if (entry := _entry(run, runs[run], rows[run], row))
            ]
            if finished:
                ledger.append(path, finished)
            yield Progress(found, finished)
            stopping.stop_if_asked()


def finished(path: Path, configs: Sequence[Config]) -> list[Entry]:
    """Return the runs that a ledger has, once they are known to be among `configs`.

    Raises:
      RecordError: if a line is damaged, or belongs to another run.
    """
    entries = ledger.gather(path)
    for entry in entries:
        if entry.run >= len(configs) or entry.config != configs[entry.run]:
            raise RecordError(
                f"{path}: run {entry.run} does not belong here; the file was written by a "
                "different command"
            )
    return entries


def load(configs: Sequence[Config], data_dir: str | Path | None = None) -> DataSets:
    """Return the datasets that runs need, each loaded once."""
    wanted = dict.fromkeys((config.dataset, config.valid) for config in configs)
    names = dict.fromkeys(name for name, _ in wanted)
    whole = {name: datasets.load(name, data_dir=data_dir) for name in names}
    return {(name, valid): datasets.hold_out(whole[name], valid) for name, valid in wanted}


def _epochs_of(runs: Mapping[int, Config], data: Data) -> Iterator[dict[int, Row | DivergedError]]:
    """Train runs on one dataset; yield rows by run, of one or of those that train together."""
    numbers, configs = list(runs), list(runs.values())
    places = cores.for_workers(configs, data)
    if not places:
        for epoch in train.sweep(configs, data):
            yield {numbers[place]: row for place, row in epoch.rows.items()}
        return
    by_program = [place for group in groups(configs) for place in group]
    with workers.Workers(places, data) as started:
        todo = [(train.check(configs[place], data), configs[place]) for place in by_program]
        for place, row in started.fit(todo):
            yield {numbers[by_program[place]]: row}


def _entry(run: int, config: Config, rows: list[Row], row: Row | DivergedError) -> Entry | None:
    """Take note of an epoch; return the run's line of the ledger if that was its last."""
    diverged = str(row) if isinstance(row, DivergedError) else None
    if not isinstance(row, DivergedError):
        rows.append(row)
    if not diverged and len(rows) < config.epochs:
        return None
    return Entry(run, config, rows, diverged)


def _describe(run: Run, data: Data, command: str, data_dir: str | Path | None) -> None:
    """Write config.json."""
    where = os.path.abspath(os.path.expanduser(data_dir)) if data_dir else None
    about = records.describe(run.config, data, command) | {"data_dir": where}
    files.write_json(run.directory / directory.CONFIG, about)


def _checkpoint(
    config: Config, data: Data, epoch: int, state: State, environment: dict[str, Any]
) -> Checkpoint:
    shape, classes = data.image_shape, data.num_classes
    return Checkpoint(epoch, config, shape, classes, data.fingerprint, environment, state)


def _statistics(config: Config, data: Data, epoch: int, params: Params) -> list[dict[str, Any]]:
    """Return the diagnostics after an epoch; with the first epoch, also before any step.

    Only then: the first step does not wait for it.
    """
    model: LeNet = network(config, data.num_classes)
    sample = Split(*(x[: diagnostics.SAMPLE] for x in data.train))
    states = {epoch: params}
    if epoch == 1:
        states = {0: train.init(model, config, data.image_shape).params, 1: params}
    return [
        diagnostics.to_dict(at, diagnostics.diagnose(model, each, sample))
        for at, each in states.items()
    ]


def _leave(run_dir: Path) -> None:
    """End an unfinished loop over `epochs` in this process: its cell is run again."""
    if rows := _iterated.get(run_dir.resolve()):
        with contextlib.suppress(ValueError):  # another thread is in it
            rows.close()


def _path(run_dir: str | Path) -> Path:
    if not str(run_dir):
        raise UsageError("run_dir=: name a directory")
    return Path(run_dir).expanduser()


def check_every(checkpoint_every: int) -> None:
    """Raise a UsageError unless checkpoints can be so many epochs apart."""
    if checkpoint_every < 1:
        raise UsageError(f"checkpoint_every={checkpoint_every}: must be at least 1")
