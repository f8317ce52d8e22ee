"""Train LeNet on Fashion-MNIST, as the chapter does, from one command.

    python -m experiments.train                       the chapter's: lr 0.9, batch 256, 10 epochs
    python -m experiments.train --lr=0.5 --seed=1     another learning rate, another seed
    python -m experiments.train --preset=modern       ReLU and max pooling
    python -m experiments.train --preset=book-en      the English edition's lr 0.1, batch 128
    python -m experiments.train --dataset=kmnist --data_dir=DIR
    python -m experiments.train --live                watch the curves and the layers in a browser
    python -m experiments.train --run_dir=DIR --resume    continue after an interruption
    python -m experiments.train --run_dir=DIR --resume --epochs=20    train it for longer

Prints the chapter's two lines at the end, and compares the chapter's own run with the published
ones. Saves to a run directory: report.html (open it in a browser), config.json, metrics.jsonl (a
row per epoch), statistics.jsonl, result.json, curves.png and checkpoints. After Ctrl-C, SIGTERM or
worse, --resume continues from the last checkpoint, bitwise identical.
"""

import contextlib
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from experiments import cli
from experiments.cli import code, language, networks, reports
from lenet import config as config_module
from lenet import stopping
from lenet.config import PRESETS, Config
from lenet.engine.rows import Row
from lenet.errors import InUseError, RecordError, UsageError
from lenet.records import trackers

if TYPE_CHECKING:
    from lenet.runs import Run

cli.define_config()
flags.DEFINE_string(
    "data_dir",
    None,
    "directory with the four IDX files, or a tensorflow-datasets directory; by default the dataset "
    "is searched for on this machine, then downloaded",
)
flags.DEFINE_string("run_dir", None, "output directory (default: a new one in runs/)")
flags.DEFINE_boolean("resume", False, "continue the run in --run_dir from its last checkpoint")
flags.DEFINE_integer("checkpoint_every", 1, "epochs between checkpoints; the last three are kept")
flags.DEFINE_enum(
    "tracker",
    None,
    list(trackers.TRACKERS),
    "log each epoch to this tracker (install its package first)",
)
reports.define(live=True)
language.define()
FLAGS = flags.FLAGS


def main() -> None:
    """Check, load, train; print and draw as it goes."""
    trackers.check(FLAGS.tracker)
    reports.check()
    run = _resume() if FLAGS.resume else _begin()
    if run.data is None:
        _conclude(run)
        if not (run.directory / reports.NAME).exists():
            reports.at_the_end(run.directory, None, run.config.network)
        return
    with reports.live(run.directory, run.data, run.config.network) as changed:
        _train(run, changed)
        _conclude(run)
        reports.at_the_end(run.directory, run.data, run.config.network)


def _begin() -> "Run":
    config = cli.config()
    # Only now, for it takes a second and the flags may be wrong.
    from lenet import data, records, runs, train

    given = type(config.network) is not type(cli.preset().network)
    kind = type(config.network).__name__.lower() if given else FLAGS.preset
    run_dir = Path(FLAGS.run_dir or records.fresh(f"{kind}-seed{config.seed}"))
    runs.check_every(FLAGS.checkpoint_every)
    records.check_free(run_dir.expanduser())
    (config,) = train.settled([config])
    loaded = data.load(config.dataset, data_dir=FLAGS.data_dir, valid=config.valid)
    _show(config, loaded)
    return runs.begin(
        run_dir,
        config,
        loaded,
        command=shlex.join(["python", "-m", "experiments.train", *sys.argv[1:]]),
        data_dir=FLAGS.data_dir,
        checkpoint_every=FLAGS.checkpoint_every,
    )


def _resume() -> "Run":
    """Return the run to continue; flags that are given have to agree with it."""
    from lenet import runs

    if not FLAGS.run_dir:
        raise UsageError("--resume: name the directory with --run_dir")
    run_dir = Path(FLAGS.run_dir).expanduser()
    asked = _asked()
    epochs = asked.pop("epochs", None)
    code = networks.again(), asked.get("optimizer")
    runs.check_same("the command line", asked, runs.recorded(run_dir, *code)[0], run_dir)
    run = runs.resume(
        run_dir,
        network=code[0],
        optimizer=code[1],
        data_dir=FLAGS.data_dir,
        checkpoint_every=FLAGS.checkpoint_every,
        epochs=epochs,
    )
    if run.data is not None:
        _show(run.config, run.data)
    return run


def _asked() -> dict[str, Any]:
    """Return the settings that the command line names."""
    if not FLAGS["preset"].present:
        return cli.given()
    preset, names = cli.preset(), {field.name for field in networks.fields()}
    touched = {name for values in PRESETS.values() for name in values} & names
    return {name: getattr(preset, name) for name in touched} | cli.given()


def _show(config: Config, data: Any) -> None:
    """Print the layers of the network."""
    from lenet import train
    from lenet.inspect import layers

    rows = layers.layers(train.check(config, data), data.image_shape)
    print(layers.table(rows, language.t), end="\n\n")


def _train(run: "Run", changed: Callable[[], None]) -> None:
    """Train to the end; print each epoch, log it to the tracker, and tell that it is there."""
    from experiments.cli import progress
    from lenet.analysis import published

    settings, name = config_module.to_dict(run.config), run.directory.resolve().name
    seconds = run.program.seconds_to_compile
    with contextlib.ExitStack() as stack:
        try:
            tracker = trackers.tracking(FLAGS.tracker, run.directory, name, settings)
            log = stack.enter_context(tracker)
        except UsageError:
            if not FLAGS.resume:
                run.discard()
            raise
        said = language.t(
            "training on {device} (compiled in {seconds:.1f} s)",
            device=run.environment["device"],
            seconds=seconds,
        )
        print(said)
        _log(run, log, run.rows())
        bar = stack.enter_context(progress.Bar(run.config.epochs))
        compares = published.experiment(run.config) == published.BOOK
        classes = run.program.data.num_classes
        try:
            for row in run.epochs():
                _log(run, log, [row])
                changed()
                bar.advance(row, run.config.epochs)
                bar.say(progress.line(row, run.config.epochs))
                if note := progress.plateau(row, classes, compares):
                    bar.say(f"  {note}")
        except stopping.Stopped:
            said = language.t(
                "stopped; {n} epochs are saved. To continue: {flags}",
                n=len(run.rows()),
                flags=code.to_resume(run.directory),
            )
            bar.say(said)
            raise
    if FLAGS.tracker:
        epochs, to = run.config.epochs, FLAGS.tracker
        print(language.t("logged {epochs} epochs to {tracker}", epochs=epochs, tracker=to))


def _log(run: "Run", log: "trackers.Log", rows: "list[Row]") -> None:
    """Log epochs to the tracker, with the statistics of their layers."""
    from lenet import records

    if FLAGS.tracker and rows:
        first = rows[0].epoch
        seen = [
            each
            for each in records.statistics(run.directory)
            if first <= max(each["epoch"], 1) <= rows[-1].epoch
        ]
        for epoch, numbers in trackers.epochs(rows, seen):
            log(epoch, numbers)


def _conclude(run: "Run") -> None:
    """Draw the curves; print the chapter's two lines and the comparison with published runs."""
    from experiments.cli import progress
    from lenet import files, records
    from lenet.figures import run as figures
    from lenet.records import directory

    curves, path = run.directory / "curves.png", run.directory / directory.RESULT
    if run.data is not None or not curves.exists():  # if it was stopped before it drew them
        # Whoever holds the directory by now draws them.
        with contextlib.suppress(InUseError), records.reclaim(run.directory):
            files.write(curves, figures.curves(run.rows(), run.config, language.asked()))
    result = records.read_json(path)
    try:
        speed = result["examples"] / result["seconds_to_train"]
        said = progress.summary(Row.from_dict(result))
        print(
            language.t("{summary} (synthetic data)", summary=said) if result["synthetic"] else said
        )
        described = records.read_json(run.directory / directory.CONFIG)["data"]
        if frequent := progress.majority(described):
            print(frequent)
        device = result["environment"]["device"]
        print(language.t("{speed:.1f} examples/sec on {device}", speed=speed, device=device))
        if result["published"]:
            print(progress.place(result["published"]))
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise RecordError(f"{path}: not the result of a run: {error!r}") from None
    language.saved(run.directory)


if __name__ == "__main__":
    cli.run(main, __doc__ or "")
