"""Train many runs, and append each to a ledger when it ends."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lenet import config as config_module
from lenet import data as datasets
from lenet import records, stopping, train
from lenet.config import Config
from lenet.data import Data
from lenet.engine import cores, selfcheck
from lenet.engine.rows import Row
from lenet.errors import DivergedError, RecordError
from lenet.records import ledger
from lenet.records.ledger import Entry

if TYPE_CHECKING:
    from distributed import Client

DataSets = dict[tuple[str, int], Data]
"""Datasets by Config's dataset and valid."""


class News(NamedTuple):
    """An epoch of a run, or of runs that train together."""

    rows: dict[int, Row | DivergedError]  # by run
    ended: list[Entry]  # in the ledger by now
    begun: int  # runs under way
    workers: int  # of the cluster; 0: this process trains


def many(
    todo: Mapping[int, Config],
    data: DataSets,
    path: Path,
    *,
    data_dir: str | Path | None = None,
    connect: "Callable[[], AbstractContextManager[Client]] | None" = None,
    patience: float = 300,
) -> Iterator[News]:
    """Train runs, dataset by dataset; append each to the ledger at `path` when it ends.

    Args:
      todo: the runs, by the number that the ledger knows them by.
      data, data_dir: from `load`; workers load the same for themselves.
      path: of the ledger.
      connect: to a cluster. By default, the cores of this machine are one where that pays.
      patience: seconds to wait for a cluster that has no worker.

    Raises:
      LenetError: as `cluster.fit`.
    """
    selfcheck.check()
    for (name, valid), loaded in data.items():
        runs = {run: c for run, c in todo.items() if (c.dataset, c.valid) == (name, valid)}
        again = functools.partial(datasets.load, name, data_dir=data_dir, valid=valid)
        rows: dict[int, list[Row]] = {run: [] for run in runs}
        for found, begun, workers in _epochs_of(runs, loaded, again, connect, patience):
            ended = []
            for run, row in found.items():
                if isinstance(row, DivergedError):
                    ended.append(Entry(run, runs[run], rows[run], str(row)))
                    continue
                rows[run].append(row)
                if row.epoch == runs[run].epochs:
                    ended.append(Entry(run, runs[run], rows[run], None))
            if ended:
                ledger.append(path, ended)
            yield News(found, ended, begun, workers)
            stopping.stop_if_asked()


def environment(configs: Sequence[Config], data: DataSets) -> dict[str, Any]:
    """Return what the bits of runs depend on besides their configs and data."""
    kernel: dict[str, str] = {}
    for (name, valid), loaded in data.items():
        own = [config for config in configs if (config.dataset, config.valid) == (name, valid)]
        kernel |= train.kernel(own, loaded)
    return records.environment() | kernel


def finished(path: Path, configs: Sequence[Config]) -> list[Entry]:
    """Return the runs that a ledger has, once they are known to be among `configs`.

    Raises:
      RecordError: if a line is damaged, or belongs to another run.
    """
    entries = ledger.repair(path)
    for entry in entries:
        if entry.run >= len(configs):
            raise RecordError(
                f"{path}: has more runs than the {len(configs)} that are asked for. Give the flags "
                "of the command that began it, or choose another directory"
            )
        if found := config_module.different(entry.config, configs[entry.run]):
            raise RecordError(
                f"{path}: run {entry.run} has {found}. Give the flags of the command that began "
                "it, or choose another directory"
            )
    return entries


def repeats(entry: Entry, data: Data) -> bool:
    """Train a finished run again; return whether its rows have the same bits, times aside."""
    found = [epoch.rows[0] for epoch in train.sweep([entry.config], data)]
    diverged = [str(row) for row in found if isinstance(row, DivergedError)]
    rows = [row for row in found if isinstance(row, Row)]
    return (_timeless(rows), diverged) == (
        _timeless(entry.rows),
        [entry.diverged] if entry.diverged else [],
    )


def _timeless(rows: Sequence[Row]) -> list[Row]:
    return [dataclasses.replace(row, seconds=0.0, examples_per_second=0.0) for row in rows]


def load(configs: Sequence[Config], data_dir: str | Path | None = None) -> DataSets:
    """Return the datasets that runs need, each loaded once."""
    wanted = dict.fromkeys((config.dataset, config.valid) for config in configs)
    names = dict.fromkeys(name for name, _ in wanted)
    whole = {name: datasets.load(name, data_dir=data_dir) for name in names}
    return {(name, valid): datasets.hold_out(whole[name], valid) for name, valid in wanted}


def _epochs_of(
    runs: Mapping[int, Config],
    data: Data,
    load: Callable[[], Data],
    connect: "Callable[[], AbstractContextManager[Client]] | None",
    patience: float,
) -> Iterator[tuple[dict[int, Row | DivergedError], int, int]]:
    """Train runs on one dataset; yield rows by run, how many are under way, and the workers."""
    numbers, configs = list(runs), list(runs.values())
    places = cores.for_workers(configs, data)
    if not configs or not (connect or places):
        for epoch in train.sweep(configs, data):
            yield {numbers[i]: row for i, row in epoch.rows.items()}, len(epoch.rows), 0
        return
    from lenet import cluster  # distributed takes a second to import

    for config in configs:
        train.check(config, data)
    with connect() if connect else cluster.local(places) as client:
        for found, begun, workers in cluster.fit(client, configs, data, load, patience):
            yield {numbers[i]: row for i, row in found.items()}, begun, workers
