"""Train many runs, and append each to a ledger when it ends."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lenet import config as config_module
from lenet import data as datasets
from lenet import stopping, train
from lenet.config import Config
from lenet.data import Data
from lenet.engine import cores, selfcheck, workers
from lenet.engine.rows import Row
from lenet.engine.stacking import groups
from lenet.errors import DivergedError, RecordError
from lenet.records import ledger
from lenet.records.ledger import Entry

DataSets = dict[tuple[str, int], Data]
"""Datasets by Config's dataset and valid."""


def many(
    todo: Mapping[int, Config], data: DataSets, path: Path
) -> Iterator[tuple[dict[int, Row | DivergedError], list[Entry]]]:
    """Train runs, dataset by dataset; append each to the ledger at `path` when it ends.

    Runs go by the number that the ledger knows them by. Yields the rows of an epoch, and the runs
    that ended with it.
    """
    selfcheck.check()
    for key, loaded in data.items():
        runs = {run: c for run, c in todo.items() if (c.dataset, c.valid) == key}
        rows: dict[int, list[Row]] = {run: [] for run in runs}
        for found in _epochs_of(runs, loaded):
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
            yield found, ended
            stopping.stop_if_asked()


def finished(path: Path, configs: Sequence[Config]) -> list[Entry]:
    """Return the runs that a ledger has, once they are known to be among `configs`.

    Raises:
      RecordError: if a line is damaged, or belongs to another run.
    """
    entries = ledger.gather(path)
    for entry in entries:
        if entry.run >= len(configs) or not config_module.same(entry.config, configs[entry.run]):
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
