"""A run: begin one, or resume one, and iterate over its epochs.

A run is what its directory holds: each epoch is on the disk before its row is yielded, and
`epochs` continues from the newest checkpoint. Progress, trackers and figures consume the rows.
"""

import base64
import contextlib
import dataclasses
import functools
import logging
import os
import weakref
from collections.abc import Generator, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

import jax
from flax import linen as nn
from tabulate import tabulate

from lenet import data as datasets
from lenet import files, records, stopping, train
from lenet.analysis import published
from lenet.config import Config
from lenet.data import Data, Split
from lenet.engine import convolutions, forward, selfcheck
from lenet.engine.forward import Params
from lenet.engine.rows import Row
from lenet.engine.sgd import State
from lenet.engine.sweep import Program
from lenet.errors import (
    DivergedError,
    InUseError,
    LenetError,
    RecordError,
    UsageError,
    reason,
)
from lenet.inspect import diagnostics, snapshot
from lenet.model import LeNet
from lenet.records import checkpoint, directory, predicted, reading
from lenet.records.checkpoint import Checkpoint
from lenet.runs import resuming

log = logging.getLogger("lenet")

_iterated: "weakref.WeakValueDictionary[Path, Generator[Row, None, bool]]" = (
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
    def model(self) -> nn.Module:
        """The network; a class of the user's may build another one at each call."""
        assert self.data is not None
        return train.check(self.config, self.data)

    @functools.cached_property
    def program(self) -> Program:
        """The compiled training program, with the data on the devices."""
        assert self.data is not None
        selfcheck.check()
        model = self.model
        if train.slow(model, self.data):
            log.warning(convolutions.REMEDY)
        log.info("compiling ...")
        return train.start(self.config, self.data)

    @functools.cached_property
    def environment(self) -> dict[str, Any]:
        """What the bits depend on besides config and data: versions and hardware."""
        kernel = {} if self.data is None else train.kernel([self.config], self.data)
        return records.environment() | kernel

    def epochs(self) -> Iterator[Row]:
        """Train to the end; yield the row of each epoch once the disk has it.

        Continues after the newest checkpoint; yields nothing if the run is finished. A loop that
        is left or interrupted can be started again: so can the cell of a notebook.

        Raises:
          DivergedError: as `train.fit`.
          InUseError: if another process writes the directory, or another loop in this one.
          DiskError: if the disk does not take the records; checkpoints that are there stay.
          RecordError: if the records are damaged, or of another run.
          stopping.Stopped: if a signal asked for a stop; the epoch before it is saved.
        """
        _leave(self.directory)
        rows = _iterated[self.directory.resolve()] = self._epochs()
        return self._loop(rows)

    def _loop(self, rows: Generator[Row, None, bool]) -> Iterator[Row]:
        """Yield the rows; raise if what began later has ended them."""
        if not (yield from rows):
            raise InUseError(
                f"run_dir={self.directory}: a run or a loop over one that began later in this "
                "process has the directory. Go on there."
            )

    def _epochs(self) -> Generator[Row, None, bool]:
        """Yield the row of each epoch; return True at the end, which closing does not reach."""
        if self.data is None:
            return True
        with records.reclaim(self.directory), stopping.patience():
            if resuming.finished(self.directory, self.config):
                return True
            before = resuming.newest(self.directory, self.config, self.data, self.environment)
            rows = resuming.cut_back(self.directory, before.epoch if before else 0)
            fit = train.fit(self.program, before and (before.epoch, before.state))
            try:
                for row, state in fit:
                    _append(self, self.data, row, state)
                    rows.append(row)
                    stop = stopping.asked_to_stop() and row.epoch < self.config.epochs
                    due = row.epoch % self.checkpoint_every == 0 or row.epoch == self.config.epochs
                    if due or stop:
                        _save(self, self.data, row.epoch, state)
                    try:
                        yield row
                    except GeneratorExit:
                        if not (due or stop):
                            _save(self, self.data, row.epoch, state)
                        raise
                    if stop:
                        stopping.stop_if_asked()
            except DivergedError as error:
                last = checkpoint.last(self.directory)
                kept = f" The last good checkpoint is {last}." if last else ""
                raise DivergedError(f"{error}{kept}") from None
            self._conclude(rows)
            return True

    def rows(self) -> list[Row]:
        """Return the rows of the epochs that are saved, the ones `epochs` does not yield again."""
        if resuming.finished(self.directory, self.config):
            return records.epochs(self.directory)
        newest = checkpoint.newest(self.directory, self.config.network, self.config.optimizer)
        return records.epochs(self.directory, newest.epoch) if newest else []

    def _repr_html_(self) -> str:
        """What a notebook displays: a row for each saved epoch, and the curves."""
        from lenet.figures import run as figures  # which training does not wait for

        rows = self.rows()
        if not rows:
            return f"{escape(str(self.directory))}: no epoch yet"
        kept = (
            "epoch",
            *(f"{s}_{m}" for s in ("train", "valid", "test") for m in ("loss", "accuracy")),
        )
        columns = [name for name in kept if getattr(rows[0], name) is not None]
        cells = [[getattr(row, name) for name in columns] for row in rows]
        made = tabulate(cells, [name.replace("_", " ") for name in columns], "html", ".4f")
        picture = base64.b64encode(figures.curves(rows, self.config)).decode()
        alt = "Loss and accuracy by epoch"
        return f'{made}<img src="data:image/png;base64,{picture}" alt="{alt}" width="800">'

    def discard(self) -> None:
        """Remove the directory of a run that has not trained an epoch."""
        with records.reclaim(self.directory):
            if not records.exists(self.directory, directory.METRICS):
                files.remove(self.directory / directory.CONFIG)
                directory.remove_if_empty(self.directory)

    def _conclude(self, rows: Sequence[Row]) -> None:
        """Write result.json."""
        result = rows[-1].to_dict() | {
            "dataset": self.config.dataset,
            "synthetic": self.config.dataset == "synthetic",
            "seconds_to_compile": self.program.seconds_to_compile,
            "seconds_to_train": sum(row.seconds for row in rows),
            "examples": sum(row.count for row in rows),
            "environment": self.environment,
            "published": published.place(self.config, rows[-1]),
        }
        records.write_json(self.directory / directory.RESULT, result)


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
    (config,) = train.settled([config])
    train.check(config, data)
    run = Run(run_dir, config, data, checkpoint_every)
    _leave(run_dir)  # a loop over a run that has been moved away from here
    with records.claim(run_dir), stopping.patience():
        run.program  # noqa: B018  compile before there is anything to resume
        stopping.stop_if_asked()
        command = command or f"lenet.runs.begin({str(run_dir)!r}, {config})"
        _describe(run, data, command, data_dir)
    return run


def resume(
    run_dir: str | Path,
    data: Data | None = None,
    *,
    network: Any = None,
    optimizer: Any = None,
    data_dir: str | Path | None = None,
    checkpoint_every: int = 1,
    epochs: int | None = None,
) -> Run:
    """Return the run of a directory, for `epochs` to continue where its last checkpoint is.

    Unless the run is finished or `data` are given, they are loaded: from `data_dir`, or from where
    they were when the run began. With `epochs` the run gets more of them, also if it was finished.
    A run of another network than LeNet needs the `network`, and a run with a function as its
    optimizer the `optimizer`: a record names no code to import.

    Raises:
      RecordError: if the directory contains no run, or one on other data.
      InUseError: if another process writes the directory.
      DataError: if the data cannot be loaded.
    """
    run_dir = _path(run_dir)
    check_every(checkpoint_every)
    config, fingerprint, where = resuming.recorded(run_dir, network, optimizer)
    _leave(run_dir)
    more = epochs is not None and epochs != config.epochs
    if not more and resuming.finished(run_dir, config):
        # What a process left unfinished that died after the end is removed, where that can be.
        with contextlib.suppress(LenetError), records.reclaim(run_dir):
            pass
        return Run(run_dir, config, None, checkpoint_every)
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
    if epochs is not None and more:
        config = resuming.extend(run_dir, config, epochs)
    return Run(run_dir, config, data, checkpoint_every)


def adopt(
    run_dir: Path,
    config: Config,
    data: Data,
    params: Params,
    *,
    command: str,
    data_dir: str | Path | None = None,
) -> None:
    """Make a run directory of parameters that were trained elsewhere.

    `data_dir` is recorded as `begin` does.

    Raises:
      UsageError, InUseError: as `begin`.
    """
    model = train.check(config, data)
    state = jax.device_get(train.init(model, config, data.image_shape)._replace(params=params))
    run = Run(run_dir, config, data)
    with records.claim(run_dir):
        _describe(run, data, command, data_dir)
        _save(run, data, config.epochs, state)


def _describe(run: Run, data: Data, command: str, data_dir: str | Path | None) -> None:
    """Write config.json."""
    where = os.path.abspath(os.path.expanduser(data_dir)) if data_dir else None
    about = records.describe(run.config, data, command) | {"data_dir": where}
    records.write_json(run.directory / directory.CONFIG, about)


def _save(run: Run, data: Data, epoch: int, state: State) -> None:
    about = data.image_shape, data.num_classes, data.fingerprint, run.environment
    checkpoint.save(run.directory, Checkpoint(epoch, run.config, *about, state))


def _append(run: Run, data: Data, row: Row, state: State) -> None:
    """Append an epoch to the records, with the statistics of the layers after it."""
    synthetic = {"synthetic": True} if run.config.dataset == "synthetic" else {}
    seen = _statistics(run, data, row, state)
    if row.epoch == run.config.epochs:  # before the last checkpoint: it is made once
        predictions = predicted.lines([(0, row)])
        reading.write_rows(run.directory / directory.PREDICTIONS, predictions)
    records.append(run.directory / directory.METRICS, [row.to_dict() | synthetic])
    records.append(run.directory / directory.STATISTICS, seen)


def _statistics(run: Run, data: Data, row: Row, state: State) -> list[dict[str, Any]]:
    """Return what layers and kernels do after an epoch."""
    model = run.model
    sample = Split(*(x[: diagnostics.SAMPLE] for x in data.train))
    states = [(row.epoch, state, row.classes)]
    if row.epoch == 1:  # also before any step, but only now: the first step does not wait for it
        states.insert(0, (0, train.init(model, run.config, data.image_shape), None))
    found = []
    for epoch, at, classes in states:
        variables = forward.variables(at.params, at.collections)
        try:
            seen = diagnostics.diagnose(model, variables, sample)
        except Exception as error:
            if isinstance(model, LeNet):
                raise
            # Whatever a network does that trains, training goes on.
            if epoch == row.epoch == 1:
                log.warning("no statistics of the layers: %s", reason(error))
            seen = {}
        layers = diagnostics.to_dict(epoch, seen)
        taken = snapshot.take(model, variables, data.test, data.num_classes, classes)
        found.append(layers | {"snapshot": snapshot.to_dict(taken)})
    return found


def _leave(run_dir: Path) -> None:
    """End an unfinished loop over `epochs` in this process: its cell is run again."""
    if rows := _iterated.get(run_dir.resolve()):
        # Another thread may be in it, or its directory have gone.
        with contextlib.suppress(ValueError, InUseError):
            rows.close()


def _path(run_dir: str | Path) -> Path:
    if not str(run_dir):
        raise UsageError("run_dir=: name a directory")
    return Path(run_dir).expanduser()


def check_every(checkpoint_every: int) -> None:
    """Raise a UsageError unless checkpoints can be so many epochs apart."""
    if checkpoint_every < 1:
        raise UsageError(f"checkpoint_every={checkpoint_every}: must be at least 1")
