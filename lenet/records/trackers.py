"""Log runs to TensorBoard, Weights & Biases, SwanLab or Trackio (optional packages).

A tracker failure never stops training: the first exception is logged as a warning, and logging to
that tracker ends. The run's own records are complete either way.
"""

import contextlib
import functools
import importlib.util
import logging
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from lenet.engine.rows import Row
from lenet.errors import UsageError

log = logging.getLogger("lenet")

PROJECT = "lenet"

Scalars = dict[str, float]
Log = Callable[[int, Scalars], None]
"""Logs an epoch, from 0, and its numbers by name."""


def epochs(
    rows: Iterable[Row], statistics: Iterable[Mapping[str, Any]]
) -> list[tuple[int, Scalars]]:
    """Return the epochs of the records, in order, with their numbers: loss/train, across/conv1, ...

    `statistics` are the rows of statistics.jsonl; the first may be epoch 0.

    >>> epochs([], [{"epoch": 0, "layers": {"conv1": {"across": 0.5}}}])
    [(0, {'across/conv1': 0.5})]
    """
    found: dict[int, dict[str, float | None]] = {}
    for row in rows:
        found[row.epoch] = {
            f"{measure}/{split}": getattr(row, f"{split}_{measure}")
            for measure in ("loss", "accuracy")
            for split in ("train", "valid", "test")
        } | {"examples_per_second": row.examples_per_second}
    for seen in statistics:
        for layer, numbers in seen["layers"].items():
            named = {f"{measure}/{layer}": value for measure, value in numbers.items()}
            found.setdefault(seen["epoch"], {}).update(named)
    return [
        (epoch, {name: float(x) for name, x in numbers.items() if x is not None})
        for epoch, numbers in sorted(found.items())
    ]


def check(name: str | None) -> None:
    """Raise a UsageError if the package of a tracker, a key of TRACKERS, is not installed."""
    found = importlib.util.find_spec(name) if name else None
    if name and (found is None or found.origin is None):  # without an origin, a mere folder
        raise UsageError(f"tracker={name}: package {name!r} is not installed: pip install {name}")


@contextlib.contextmanager
def tracking(
    name: str | None,
    directory: Path,
    title: str,
    config: Mapping[str, Any],
    *,
    patient: bool = True,
) -> Iterator[Log]:
    """Start a tracker; yield a function that logs an epoch, and close the tracker at the end.

    Args:
      name: a key of TRACKERS, or None for a function that does nothing.
      directory: of the run, where a tracker that supports it keeps its local files.
      title, config: of the run, the latter as config.to_dict.
      patient: log failures after the start as warnings; False raises them.

    Raises:
      UsageError: if the package is not installed, the tracker could not start, or, unless
        `patient`, logging failed.
    """
    if name is None:
        yield lambda epoch, numbers: None
        return
    check(name)
    if (directory / name).is_symlink():
        raise UsageError(f"{directory / name}: is a link; trackers do not write through links")
    new = not (directory / name).exists()
    with contextlib.ExitStack() as stack:
        try:
            logged = stack.enter_context(TRACKERS[name](directory, title, config))
        except Exception as error:  # such as a missing login
            if new:
                shutil.rmtree(directory / name, ignore_errors=True)
            raise UsageError(f"tracker={name}: could not start: {error}") from None
        failed: list[Exception] = []

        def patiently(act: Callable[..., None], *arguments: Any) -> None:
            try:
                if not failed:
                    act(*arguments)
            except Exception as error:  # of a service, so of any kind
                failed.append(error)
                if not patient:
                    raise UsageError(f"tracker={name}: logging failed: {error!r}") from None
                log.warning(
                    "logging to %s failed and is now off (%r); training continues", name, error
                )

        try:
            yield functools.partial(patiently, logged)
        finally:
            patiently(stack.pop_all().close)


@contextlib.contextmanager
def _tensorboard(directory: Path, title: str, config: Mapping[str, Any]) -> Iterator[Log]:
    """Event files in DIRECTORY/tensorboard; `tensorboard --logdir=runs` shows all runs there."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import summary_v2
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    folder = directory / "tensorboard"
    for old in folder.glob("events.out.tfevents.*"):  # a resume logs all epochs again
        old.unlink()
    writer = EventFileWriter(str(folder))

    def add(epoch: int, summary: Any) -> None:
        writer.add_event(Event(wall_time=time.time(), step=epoch, summary=summary))
        writer.flush()

    def log_epoch(epoch: int, numbers: Scalars) -> None:
        add(
            epoch, Summary(value=[Summary.Value(tag=k, simple_value=v) for k, v in numbers.items()])
        )

    plain = {
        key: value if isinstance(value, bool | int | float | str) else ",".join(map(str, value))
        for key, value in config.items()
    }
    add(0, summary_v2.hparams_pb(plain, trial_id=title))
    try:
        yield log_epoch
    finally:
        writer.close()


@contextlib.contextmanager
def _runs(
    module: str, folder: str | None, directory: Path, title: str, config: Mapping[str, Any]
) -> Iterator[Log]:
    """Weights & Biases, or another module with its init, log and finish.

    `folder` is the argument of init that says where it keeps what it has on this machine.
    """
    tracker = importlib.import_module(module)
    place = {folder: str(directory.resolve())} if folder else {}
    directory.mkdir(parents=True, exist_ok=True)
    tracker.init(project=PROJECT, name=title, config=dict(config), **place)
    try:
        yield lambda epoch, numbers: tracker.log(numbers, step=epoch)
    finally:
        tracker.finish()


TRACKERS: dict[str, Callable[[Path, str, Mapping[str, Any]], AbstractContextManager[Log]]] = {
    "tensorboard": _tensorboard,
    "wandb": functools.partial(_runs, "wandb", "dir"),
    "swanlab": functools.partial(_runs, "swanlab", "logdir"),
    "trackio": functools.partial(_runs, "trackio", None),
}
"""TensorBoard, without TensorFlow; Weights & Biases, and open ones with the same calls."""
