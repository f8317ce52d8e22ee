"""The report of a run directory, whatever it holds: a run, a sweep, a comparison or a search."""

import logging
from pathlib import Path
from typing import Any

from lenet import config as config_module
from lenet import data as datasets
from lenet import records, search
from lenet.analysis import searched, summary
from lenet.config import PRESETS, LeNet
from lenet.data import Data
from lenet.errors import DataError, RecordError
from lenet.records import directory, ledger
from lenet.report import of_comparison, of_run, of_search, of_sweep
from lenet.report.page import Report
from lenet.search import plan

log = logging.getLogger("lenet")


def report(
    run_dir: Path,
    data: Data | None = None,
    data_dir: str | None = None,
    network: Any = None,
    *,
    brief: bool = False,
) -> Report:
    """Return the report of a run, a sweep, a comparison or a search.

    Args:
      run_dir: the directory.
      data: of a run; by default they are loaded.
      data_dir: where they are loaded from, if elsewhere than when the run began.
      network: of a run, if it is another one than LeNet.
      brief: of a run, as `of_run.report`.

    Raises:
      RecordError: if there is none of them, or a damaged one.
    """
    if records.exists(run_dir, "config.json"):
        return _of_run(run_dir, data, data_dir, network, brief)
    if records.exists(run_dir, "sweep.json"):
        return _of_sweep(run_dir)
    if records.exists(run_dir, "compare.json"):
        return _of_comparison(run_dir)
    if records.exists(run_dir, "search.json"):
        return _of_search(run_dir)
    raise RecordError(f"{run_dir}: contains no run, sweep, comparison or search")


def _of_run(
    run_dir: Path, data: Data | None, data_dir: str | None, network: Any, brief: bool
) -> Report:
    found = records.restore(run_dir, network)
    epoch = found.checkpoint.epoch
    why = ""
    if data is None:
        data, why = _data(found, data_dir)
    # A network that came from elsewhere has none.
    rows = records.epochs(run_dir, epoch) if records.exists(run_dir, directory.METRICS) else []
    run = of_run.Run(
        run_dir.resolve().name,
        found.checkpoint.config,
        rows,
        [row for row in records.statistics(run_dir) if row["epoch"] <= epoch],
        found.about,
        found.checkpoint.environment,
        found.model,
        found.params,
        found.image_shape,
        found.class_names,
    )
    return of_run.report(run, data, why, brief=brief)


def _data(found: records.Trained, data_dir: str | None) -> tuple[Data | None, str]:
    """Return the data that a run was trained on, or why they cannot be had."""
    config, where = found.checkpoint.config, data_dir or found.about.get("data_dir")
    try:
        loaded = datasets.load(config.dataset, data_dir=where, valid=config.valid)
    except DataError as error:
        log.warning("report without the dataset: %s", error)
        return None, str(error)
    if loaded.fingerprint != found.checkpoint.data:
        why = f"{loaded.source}: not the data that this network was trained on"
        log.warning("report without the dataset: %s", why)
        return None, why
    return loaded, ""


def _of_sweep(run_dir: Path) -> Report:
    path = run_dir / "sweep.json"
    asked = _record(path, command=str, axes=dict, preset=str, runs=int, flags=dict)
    entries = ledger.read(run_dir / directory.LEDGER)
    network = entries[0].config.network if entries else LeNet()
    names = {field.name for field in config_module.fields(network=network)}
    axes = asked["axes"]
    if not axes.keys() <= names or not all(isinstance(values, list) for values in axes.values()):
        raise RecordError(f"{path}: axes: not the axes of a sweep")
    if asked["preset"] not in PRESETS:
        raise RecordError(f"{path}: preset {asked['preset']!a}: unknown")
    if all(entry.diverged for entry in entries):
        raise RecordError(f"{run_dir}: no run of the sweep has finished without diverging")
    try:
        sweep = summary.Sweep.of_record(entries, asked)
    except (KeyError, TypeError):
        raise RecordError(f"{path}: data: does not name datasets with their classes") from None
    return of_sweep.report(run_dir.resolve().name, sweep, asked)


def _of_comparison(run_dir: Path) -> Report:
    path = run_dir / "compare.json"
    asked = _record(path, command=str, design=dict, sessions=list)
    if "comparison" not in asked:
        raise RecordError(
            f"{run_dir}: the comparison is not finished. To continue: "
            f"python -m experiments.compare --run_dir={run_dir} --resume"
        )
    try:
        return of_comparison.report(run_dir.resolve().name, asked)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise RecordError(f"{path}: not the record of a comparison: {error!r}") from None


def _of_search(run_dir: Path) -> Report:
    path = run_dir / "search.json"
    asked = _record(path, command=str, plan=dict, data=list, flags=dict)
    try:
        planned = plan.from_dict(asked["plan"])
        (classes,) = summary.classes(asked["data"]).values()
    except (ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{path}: not the record of a search: {error}") from None
    trials = search.read(run_dir / search.LEDGER)
    if not any(planned.values(trial) for trial in trials):
        raise RecordError(f"{run_dir}: no setting of the search has been trained yet")
    entries = ledger.read(run_dir / directory.LEDGER)
    found = searched.Searched(planned, trials, entries, classes)
    return of_search.report(run_dir.resolve().name, found, asked)


def _record(path: Path, **kinds: type) -> dict[str, Any]:
    """Read a record; raise a RecordError unless it has what is named, of these types."""
    found = records.read_json(path)
    for name, kind in ({"environment": dict} | kinds).items():
        if not isinstance(found.get(name), kind):
            raise RecordError(f"{path}: {name}: missing, or not a {kind.__name__}")
    return found
