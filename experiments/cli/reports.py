"""The report of whatever a directory holds; `experiments.report` asks for it, and what trains."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from lenet import config as config_module
from lenet import files, language, records
from lenet.config import PRESETS, Config
from lenet.errors import DataError, RecordError
from lenet.records import directory

if TYPE_CHECKING:
    from lenet.data import Data
    from lenet.report.page import Report

NAME = "report.html"
FLAGS = flags.FLAGS


def define() -> None:
    """Define --report, for what trains."""
    flags.DEFINE_boolean("report", True, f"write {NAME} at the end (experiments.report)")


def at_the_end(run_dir: Path, data: "Data | None" = None) -> None:
    """Write the report of what has just been trained, unless --noreport says not to."""
    if FLAGS.report:
        write(of(run_dir, data), run_dir / NAME, language.default())


def write(report: "Report", to: Path, language: str) -> None:
    """Write a report, and say where.

    Args:
      report: from `of`.
      to: the file.
      language: what it shows first.
    """
    from lenet.report import page

    content = page.render(report, language)
    files.write(to, content)
    print(f"report: {to} ({len(content) / 1e6:.1f} MB)")


def of(run_dir: Path, data: "Data | None" = None, data_dir: str | None = None) -> "Report":
    """Return the report of a run, a sweep or a comparison.

    Args:
      run_dir: of one of them.
      data: of a run, if they are at hand; else they are loaded.
      data_dir: where from, if elsewhere than in the training.

    Raises:
      RecordError: if it holds none of them, or a damaged one.
    """
    kinds: dict[str, Callable[[], Report]] = {
        "config.json": functools.partial(_of_run, run_dir, data, data_dir),
        "sweep.json": functools.partial(_of_sweep, run_dir),
        "compare.json": functools.partial(_of_comparison, run_dir),
    }
    for name, made in kinds.items():
        if records.exists(run_dir, name):
            return made()
    raise RecordError(f"{run_dir}: holds no run, sweep or comparison")


def _of_run(run_dir: Path, data: "Data | None", data_dir: str | None) -> "Report":
    from lenet.report import of_run

    found = records.restore(run_dir)
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
    return of_run.report(run, data, why)


def _data(found: records.Trained, data_dir: str | None) -> "tuple[Data | None, str]":
    """What a run was trained on; or why that is not to be had."""
    from lenet import data

    config, where = found.checkpoint.config, data_dir or found.about.get("data_dir")
    try:
        loaded = data.load(config.dataset, data_dir=where, valid=config.valid)
    except DataError as error:
        print(f"without the data set: {error}")
        return None, str(error)
    if loaded.fingerprint != found.checkpoint.data:
        why = f"{loaded.source}: not what this network has learned from"
        print(f"without the data set: {why}")
        return None, why
    return loaded, ""


def _of_sweep(run_dir: Path) -> "Report":
    from lenet.analysis import summary
    from lenet.records import ledger
    from lenet.report import of_sweep

    path = run_dir / "sweep.json"
    asked = _record(path, command=str, axes=dict, preset=str, runs=int, flags=dict)
    names = {field.name for field in config_module.fields()}
    axes = asked["axes"]
    if not axes.keys() <= names or not all(isinstance(values, list) for values in axes.values()):
        raise RecordError(f"{path}: axes: not those of a sweep")
    if asked["preset"] not in PRESETS:
        raise RecordError(f"{path}: preset {asked['preset']!a}: there is none of that name")
    entries = ledger.read(run_dir / directory.LEDGER)
    if all(entry.diverged for entry in entries):
        raise RecordError(f"{run_dir}: no run of the sweep has finished without diverging")
    preset = Config(**PRESETS[asked["preset"]])
    try:
        num_classes = summary.classes(asked.get("data", []))
    except (KeyError, TypeError):
        raise RecordError(f"{path}: data: names no datasets with their classes") from None
    name, varied = run_dir.resolve().name, summary.varied(axes)
    return of_sweep.report(of_sweep.Sweep(name, entries, varied, preset, num_classes, asked))


def _of_comparison(run_dir: Path) -> "Report":
    from lenet.report import of_comparison

    path = run_dir / "compare.json"
    asked = _record(path, command=str, settings=dict)
    if "comparison" not in asked:
        raise RecordError(
            f"{run_dir}: the comparison is not finished. To continue: "
            f"python -m experiments.compare --run_dir={run_dir} --resume"
        )
    found = of_comparison.Compared(run_dir.resolve().name, asked["comparison"], asked)
    try:
        return of_comparison.report(found)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise RecordError(f"{path}: not that of a comparison: {error!r}") from None


def _record(path: Path, **kinds: type) -> dict[str, Any]:
    """Read a record; raise a RecordError unless it has what is named, of these types."""
    found = records.read_json(path)
    for name, kind in ({"environment": dict} | kinds).items():
        if not isinstance(found.get(name), kind):
            raise RecordError(f"{path}: {name}: missing, or no {kind.__name__}")
    return found
