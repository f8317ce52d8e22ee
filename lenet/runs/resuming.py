"""Where a run resumes: its record, its newest checkpoint, and the rows up to it."""

import dataclasses
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lenet import config as config_module
from lenet import records
from lenet.config import Config
from lenet.data import Data
from lenet.engine import sgd
from lenet.engine.rows import Row
from lenet.errors import RecordError, UsageError
from lenet.records import checkpoint, directory, reading
from lenet.records.checkpoint import Checkpoint

log = logging.getLogger("lenet")


def recorded(
    run_dir: Path, network: Any = None, optimizer: Any = None
) -> tuple[Config, str, str | None]:
    """Return the Config, the data's fingerprint and the data_dir that config.json records.

    Raises:
      RecordError: if the directory contains no run, or its config.json is damaged.
    """
    directory.check_begun(run_dir, directory.CONFIG)
    path = run_dir / directory.CONFIG
    described = records.read_json(path)
    try:
        config = config_module.from_dict(described["config"], network, optimizer)
        fingerprint, data_dir = described["data"]["sha256"], described.get("data_dir")
    except (UsageError, KeyError, TypeError) as error:
        raise RecordError(f"{path}: not the record of a run: {error}") from None
    return config, str(fingerprint), None if data_dir is None else str(data_dir)


def check_same(what: str, asked: Mapping[str, Any], config: Config, run_dir: Path) -> None:
    """Raise a RecordError that names the settings in which `asked` differs from a run's."""
    own = config_module.to_dict(config)
    differ = [
        f"{name}={config_module.word(value)}, but config.json has {own[name]}"
        for name, value in asked.items()
        if value != getattr(config, name)
    ]
    if differ:
        raise RecordError(
            f"run_dir={run_dir}: {what} does not match this run: {'; '.join(differ)}. "
            "Remove the setting to resume, or start a new run_dir."
        )


def finished(run_dir: Path, config: Config) -> bool:
    """Whether a run has its result, after as many epochs as it is to have by now."""
    if not records.exists(run_dir, directory.RESULT):
        return False
    return records.read_json(run_dir / directory.RESULT).get("epoch") == config.epochs


def extend(run_dir: Path, config: Config, epochs: int) -> Config:
    """Record that a run is to have more epochs, which are trained as if that had been asked first.

    Raises:
      RecordError: where earlier epochs depend on their number, or there are to be fewer.
    """
    if epochs < config.epochs:
        raise RecordError(
            f"run_dir={run_dir}: epochs={epochs}, but config.json has {config.epochs}; a run can "
            "get more epochs, not fewer"
        )
    if config.schedule != "constant":
        raise RecordError(
            f"run_dir={run_dir}: epochs={epochs}: with schedule={config.schedule} the learning "
            f"rate of the first {config.epochs} epochs depends on their number. Start a new run."
        )
    longer = config_module.check(dataclasses.replace(config, epochs=epochs))
    with records.reclaim(run_dir):
        about = records.read_json(run_dir / directory.CONFIG)
        settings = config_module.to_dict(longer)
        records.write_json(run_dir / directory.CONFIG, about | {"config": settings})
    return longer


def newest(
    run_dir: Path, config: Config, data: Data, environment: dict[str, Any]
) -> Checkpoint | None:
    """Return the newest undamaged checkpoint of a run; damaged ones are set aside.

    Raises:
      RecordError: if it is of other settings or other data.
    """
    found = checkpoint.newest(run_dir, config.network, config.optimizer, set_aside=True)
    if found is None:
        return None
    settings = config_module.fields(network=config.network)
    own = {field.name: getattr(found.config, field.name) for field in settings}
    own["epochs"] = config.epochs  # it may have got more since
    check_same("the checkpoint", own, config, run_dir)
    steps = found.epoch * sgd.steps_per_epoch(config, len(data.train.labels))
    pairs = {
        "data": (found.data, data.fingerprint),
        "image_shape": (found.image_shape, data.image_shape),
        "num_classes": (found.num_classes, data.num_classes),
        "steps taken": (int(found.state.step), steps),
    }
    differ = [f"{name} {a}, expected {b}" for name, (a, b) in pairs.items() if a != b]
    if differ or found.epoch > config.epochs:
        raise RecordError(
            f"run_dir={run_dir}: the checkpoint of epoch {found.epoch} belongs to another run: "
            f"{'; '.join(differ) or f'this run has {config.epochs} epochs'}"
        )
    log.info("resuming after epoch %s of %s", found.epoch, config.epochs)
    if changed := records.differences(found.environment, environment):
        log.warning(
            "warning: the environment has changed (%s); results may differ slightly from an "
            "uninterrupted run",
            changed,
        )
    return found


def cut_back(run_dir: Path, done: int) -> list[Row]:
    """Return the rows of the first epochs; cut off the others, which are trained again."""
    rows = records.epochs(run_dir, done) if done else []
    for path in (run_dir / directory.METRICS, run_dir / directory.STATISTICS):
        if path.exists():
            reading.repair(path, _up_to(done, path))
    return rows


def _up_to(done: int, path: Path) -> Iterator[bytes]:
    """Yield the lines of the first epochs; later ones may be damaged."""
    for line, row in reading.read_lines(path) if done else ():
        epoch = row.get("epoch")
        if type(epoch) is not int:
            raise RecordError(f"{path}: a row without its epoch: {ascii(row)[:60]}")
        if epoch <= done:
            yield line
        if epoch >= done:
            return
