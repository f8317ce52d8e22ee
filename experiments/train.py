"""Train LeNet on Fashion-MNIST, as the chapter does, from one command.

    python -m experiments.train                       the chapter's: lr 0.9, batch 256, 10 epochs
    python -m experiments.train --lr=0.5 --seed=1     another learning rate, another seed
    python -m experiments.train --preset=modern       ReLU and max-pooling
    python -m experiments.train --preset=book-en      the English edition's lr 0.1, batch 128
    python -m experiments.train --dataset=kmnist --data_dir=DIR
    python -m experiments.train --run_dir=DIR --resume    go on after an interruption

Prints the chapter's two lines at the end, and where the chapter's own run lies among the published;
leaves a run directory: report.html (open it in a browser), config.json, metrics.jsonl (a row an
epoch), statistics.jsonl, result.json, curves.png and checkpoints. Interrupted by Ctrl-C, SIGTERM or
worse, it goes on where the last checkpoint was, to the same bits.
"""

import dataclasses
import os
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from experiments import cli
from experiments.cli import reports
from lenet import config as config_module
from lenet import files, stopping
from lenet.config import PRESETS, Config
from lenet.errors import DivergedError, RecordError, UsageError
from lenet.model import network
from lenet.records import trackers

if TYPE_CHECKING:
    from lenet.data import Data
    from lenet.engine.sgd import Params
    from lenet.records.checkpoint import Checkpoint
    from lenet.train import Start

cli.define_config()
flags.DEFINE_string(
    "data_dir",
    None,
    "directory with the four IDX files, or one of tensorflow-datasets; without it the data set is "
    "looked for on this machine and then fetched",
)
flags.DEFINE_string(
    "run_dir", None, "directory for what the run leaves; without it a new one below runs/"
)
flags.DEFINE_boolean("resume", False, "go on with the run in --run_dir, from its last checkpoint")
flags.DEFINE_integer(
    "checkpoint_every", 1, "epochs from one checkpoint to the next; the last three are kept"
)
flags.DEFINE_enum(
    "tracker",
    None,
    list(trackers.TRACKERS),
    "tell a tracker of each epoch as it ends; its package has to be installed",
)
reports.define()
FLAGS = flags.FLAGS

Row = dict[str, Any]


def main() -> None:
    """Check, load, train; write as it goes."""
    if FLAGS.checkpoint_every < 1:
        raise UsageError(f"--checkpoint_every={FLAGS.checkpoint_every}: must be at least 1")
    trackers.check(FLAGS.tracker)
    if FLAGS.run_dir == "":
        raise UsageError("--run_dir=: name a directory, or leave the flag out")
    if FLAGS.resume:
        if not FLAGS.run_dir:
            raise UsageError("--resume: name the directory with --run_dir")
        _resume(Path(os.path.expanduser(FLAGS.run_dir)))
        return
    config = cli.config()
    run_dir = Path(os.path.expanduser(FLAGS.run_dir or _fresh_name(config.seed)))
    # Only now, for it takes a second and the flags may be wrong.
    from lenet import data, records, train

    records.check_free(run_dir)
    loaded = data.load(config.dataset, data_dir=FLAGS.data_dir, valid=config.valid)
    train.check(config, loaded)  # before there is a directory
    with records.claim(run_dir), stopping.patience():
        _train(config, loaded, run_dir, None, resumed=False)
    reports.at_the_end(run_dir, loaded)


def _resume(run_dir: Path) -> None:
    """Go on with a run, or say that it is finished."""
    from lenet import data, records, train
    from lenet.records import checkpoint

    if not records.exists(run_dir, "config.json"):
        raise RecordError(f"--run_dir={run_dir}: holds no run to resume; leave out --resume")
    with records.reclaim(run_dir), stopping.patience():
        config, fingerprint, data_dir = _recorded(run_dir)
        if records.exists(run_dir, "result.json"):
            _conclude(records.read_json(run_dir / "result.json"), run_dir)
            if not records.exists(run_dir, reports.NAME):  # it was stopped while it wrote that
                reports.at_the_end(run_dir)
            return
        behind = checkpoint.newest(run_dir, set_aside=True)
        if behind is not None:
            _check_same("the checkpoint", config_module.to_dict(behind.config), config, run_dir)
        loaded = data.load(config.dataset, data_dir=FLAGS.data_dir or data_dir, valid=config.valid)
        train.check(config, loaded)
        if loaded.fingerprint != fingerprint:
            raise RecordError(f"--run_dir={run_dir}: has learned from other data: {loaded.source}")
        if behind is not None:
            _check_goes_on(behind, config, loaded, run_dir)
        _train(config, loaded, run_dir, behind, resumed=True)
    reports.at_the_end(run_dir, loaded)


def _check_goes_on(behind: "Checkpoint", config: Config, data: "Data", run_dir: Path) -> None:
    """Raise a RecordError unless a checkpoint is of this very run."""
    from lenet.engine import sgd

    steps = behind.epoch * sgd.steps_per_epoch(config, len(data.train.labels))
    found = (behind.data, behind.image_shape, behind.num_classes, int(behind.state.step))
    expected = (data.fingerprint, data.image_shape, data.num_classes, steps)
    names = ("data", "image_shape", "num_classes", "steps taken")
    differ = [
        f"{name} {a}, expected {b}"
        for name, a, b in zip(names, found, expected, strict=True)
        if a != b
    ]
    if differ or behind.epoch > config.epochs:
        raise RecordError(
            f"--run_dir={run_dir}: the checkpoint of epoch {behind.epoch} is of another run: "
            f"{'; '.join(differ) or f'it has {config.epochs} epochs'}"
        )


def _recorded(run_dir: Path) -> tuple[Config, str, str | None]:
    """Return Config, fingerprint of the data and data_dir of the run to resume.

    Raises:
      RecordError: if config.json does not say, or flags that are given disagree with it.
    """
    from lenet import records

    described = records.read_json(run_dir / "config.json")
    try:
        config = config_module.from_dict(described["config"])
        fingerprint, data_dir = described["data"]["sha256"], described["data_dir"]
    except (UsageError, KeyError, TypeError) as error:
        raise RecordError(f"{run_dir / 'config.json'}: not that of a run: {error}") from None
    asked = {f.name: FLAGS[f.name].value for f in config_module.fields() if FLAGS[f.name].present}
    if FLAGS["preset"].present:
        touched = {name: getattr(Config(), name) for preset in PRESETS.values() for name in preset}
        asked = touched | PRESETS[FLAGS.preset] | asked
    plain = {name: list(x) if isinstance(x, tuple) else x for name, x in asked.items()}
    _check_same("the command line", plain, config, run_dir)
    return config, str(fingerprint), None if data_dir is None else str(data_dir)


def _check_same(what: str, asked: dict[str, Any], config: Config, run_dir: Path) -> None:
    """Raise a RecordError that names the fields in which a run is another than config.json's."""
    recorded = config_module.to_dict(config)
    differ = [
        f"{name}={asked[name]}, config.json says {recorded[name]}"
        for name in asked
        if asked[name] != recorded[name]
    ]
    if differ:
        raise RecordError(f"--run_dir={run_dir}: {what} is of another run: {'; '.join(differ)}")


def _train(
    config: Config, data: "Data", run_dir: Path, behind: "Checkpoint | None", *, resumed: bool
) -> None:
    from lenet import records, train
    from lenet.analysis import published
    from lenet.engine import selfcheck
    from lenet.inspect import layers
    from lenet.records import checkpoint

    selfcheck.check()
    print(layers.table(layers.layers(train.check(config, data), data.image_shape)), end="\n\n")
    print("compiling ...", flush=True)
    run = train.start(config, data)
    stopping.stop_if_asked()
    environment = records.environment()
    settings = config_module.to_dict(config)
    with trackers.tracking(FLAGS.tracker, run_dir, run_dir.resolve().name, settings) as tell:
        if not resumed:
            _describe(config, data, run_dir)
        rows, seen = _behind(behind, environment, run_dir)
        compiling = run.program.seconds_to_compile
        print(f"training on {environment['device']} (compiled in {compiling:.1f} s)")
        for epoch, numbers in trackers.epochs(rows, seen):
            tell(epoch, numbers)
        try:
            _fit(run, data, run_dir, behind, rows, seen, environment, tell)
        except DivergedError as error:
            last = checkpoint.last(run_dir)
            kept = f"; the last good checkpoint is {last}" if last else ""
            raise DivergedError(f"{error}{kept}") from None
    result = rows[-1] | {
        "dataset": config.dataset,
        "synthetic": config.dataset == "synthetic",
        "seconds_to_compile": compiling,
        "seconds_to_train": sum(row["seconds"] for row in rows),
        "examples": sum(row["count"] for row in rows),
        "environment": environment,
        "published": published.place(config, rows[-1]),
    }
    files.write(run_dir / "curves.png", _curves(config, rows))  # if it died before it drew them
    files.write_json(run_dir / "result.json", result)
    _conclude(result, run_dir)
    if FLAGS.tracker:
        print(f"told {FLAGS.tracker} of {len(rows)} epochs")


def _describe(config: Config, data: "Data", run_dir: Path) -> None:
    """Write config.json."""
    from lenet import records

    command = shlex.join(["python", "-m", "experiments.train", *sys.argv[1:]])
    where = os.path.abspath(os.path.expanduser(FLAGS.data_dir)) if FLAGS.data_dir else None
    about = records.describe(config, data, command) | {"data_dir": where}
    files.write_json(run_dir / "config.json", about)


def _behind(
    behind: "Checkpoint | None", environment: dict[str, Any], run_dir: Path
) -> tuple[list[Row], list[Row]]:
    """Return the rows and the statistics up to a checkpoint; what came after is trained again."""
    from lenet import records

    if behind is None:
        return [], []
    print(f"going on after epoch {behind.epoch} of {behind.config.epochs}")
    if differ := records.differences(behind.environment, environment):
        print(f"not where it began: {differ}; the bits may be others than uninterrupted")
    seen = [row for row in records.statistics(run_dir) if row["epoch"] <= behind.epoch]
    return records.epochs(run_dir, behind.epoch), seen


def _fit(
    run: "Start",
    data: "Data",
    run_dir: Path,
    behind: "Checkpoint | None",
    rows: list[Row],
    seen: list[Row],
    environment: dict[str, Any],
    tell: "trackers.Tell",
) -> None:
    """Train to the end; keep each epoch as it ends, and add it to `rows` and `seen`."""
    from experiments.cli import progress
    from lenet import records, train
    from lenet.analysis import published
    from lenet.records import checkpoint

    config = run.config
    compares = published.comparable(config)
    with progress.bar(config.epochs) as bar:
        for row, state in train.fit(run, behind and (behind.epoch, behind.state)):
            synthetic = {"synthetic": True} if config.dataset == "synthetic" else {}
            rows.append(dataclasses.asdict(row) | synthetic)
            new = _statistics(config, data, row.epoch, state.params, first=not seen)
            seen += new
            files.write_rows(run_dir / records.METRICS, rows)
            files.write_rows(run_dir / records.STATISTICS, seen)
            stop = stopping.asked_to_stop() and row.epoch < config.epochs
            due = row.epoch % FLAGS.checkpoint_every == 0 or row.epoch == config.epochs
            if due or stop:
                saved = checkpoint.Checkpoint(
                    row.epoch,
                    config,
                    data.image_shape,
                    data.num_classes,
                    data.fingerprint,
                    environment,
                    state,
                )
                checkpoint.save(run_dir, saved)
            files.write(run_dir / "curves.png", _curves(config, rows))
            for epoch, numbers in trackers.epochs(rows[-1:], new):
                tell(epoch, numbers)
            bar.advance(row, config.epochs)
            bar.say(progress.line(row, config.epochs))
            if note := progress.plateau(row, data.num_classes, compares):
                bar.say(f"  {note}")
            if stop:
                bar.say(f"epoch {row.epoch} is kept: --run_dir={run_dir} --resume goes on")
                stopping.stop_if_asked()


def _statistics(
    config: Config, data: "Data", epoch: int, params: "Params", *, first: bool
) -> list[Row]:
    """Return what the layers do after an epoch; of the first, also before any step.

    Only then: the first step does not wait for it.
    """
    from lenet.data import Split
    from lenet.engine import sgd
    from lenet.inspect import diagnostics

    model = network(config, data.num_classes)
    sample = Split(*(x[: diagnostics.SAMPLE] for x in data.train))
    states = {epoch: params}
    if first and epoch == 1:
        states = {0: sgd.init(model, config, data.image_shape).params, 1: params}
    return [
        diagnostics.to_dict(at, diagnostics.diagnose(model, each, sample))
        for at, each in states.items()
    ]


def _conclude(result: dict[str, Any], run_dir: Path) -> None:
    """Print the chapter's two lines, and where the run lies among the published."""
    from experiments.cli import progress

    try:
        synthetic = " (synthetic data)" if result["synthetic"] else ""
        speed = result["examples"] / result["seconds_to_train"]
        print(progress.summary(result) + synthetic)
        print(f"{speed:.1f} examples/sec on {result['environment']['device']}")
        if result["published"]:
            print(progress.place(result["published"]))
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise RecordError(f"{run_dir / 'result.json'}: not that of a run: {error!r}") from None
    print(
        f"left in {run_dir}: curves.png, metrics.jsonl, statistics.jsonl, result.json, "
        "config.json, checkpoints/"
    )


def _curves(config: Config, rows: list[Row]) -> bytes:
    from lenet.analysis import published
    from lenet.figures import run as figure

    band = published.band() if published.comparable(config) else None
    return figure.curves(rows, epochs=config.epochs, title=_title(config), band=band)


def _fresh_name(seed: int) -> Path:
    """Return a directory that is not there yet: runs/DATE-TIME-PRESET-seedN-PROCESS."""
    stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{FLAGS.preset}-seed{seed}"
    # The process tells apart what starts in the same second.
    return Path("runs") / f"{stem}-{os.getpid()}"


def _title(config: Config) -> str:
    name = "SYNTHETIC DATA" if config.dataset == "synthetic" else config.dataset
    return (
        f"LeNet, {config.activation} + {config.pool}-pooling, on {name}\n"
        f"lr {config.lr:g}, batch {config.batch_size}, seed {config.seed}"
    )


if __name__ == "__main__":
    cli.run(main, __doc__ or "")
