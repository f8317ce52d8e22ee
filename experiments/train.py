"""Train LeNet on Fashion-MNIST, as the chapter does, from one command.

    python -m experiments.train                       the chapter's: lr 0.9, batch 256, 10 epochs
    python -m experiments.train --lr=0.5 --seed=1     another learning rate, another seed
    python -m experiments.train --preset=modern       ReLU and max-pooling
    python -m experiments.train --preset=book-en      the English edition's lr 0.1, batch 128
    python -m experiments.train --dataset=kmnist --data_dir=DIR

Prints the chapter's two lines at the end, and where the chapter's own run lies among the published;
leaves a run directory: config.json, metrics.jsonl (a row an epoch), result.json, curves.png and the
parameters.
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
from lenet.config import Config
from lenet.errors import UsageError

if TYPE_CHECKING:
    from lenet.data import Data

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
FLAGS = flags.FLAGS


def main() -> None:
    """Check, load, train; write as it goes."""
    config = cli.config()
    if FLAGS.run_dir == "":
        raise UsageError("--run_dir=: name a directory, or leave the flag out")
    run_dir = Path(FLAGS.run_dir or _fresh_name(config.seed)).expanduser()
    # Only now, for it takes a second and the flags may be wrong.
    from lenet import data, records, sgd

    records.check_free(run_dir)
    loaded = data.load(config.dataset, data_dir=FLAGS.data_dir, valid=config.valid)
    sgd.check(config, loaded)  # before there is a directory
    with records.claim(run_dir):
        _train(config, loaded, run_dir)


def _train(config: Config, data: "Data", run_dir: Path) -> None:
    from experiments import progress
    from lenet import checkpoint, layers, plots, published, records, sgd, train

    print(layers.table(layers.layers(sgd.check(config, data), data.image_shape)), end="\n\n")
    print("compiling ...", flush=True)
    run = train.start(config, data)
    command = shlex.join(["python", "-m", "experiments.train", *sys.argv[1:]])
    records.write_json(run_dir / "config.json", records.describe(config, data, command))
    environment = records.environment()
    compiling = run.program.seconds_to_compile
    print(f"training on {environment['device']} (compiled in {compiling:.1f} s)")

    synthetic = config.dataset == "synthetic"
    compares = published.comparable(config)
    rows: list[dict[str, Any]] = []
    with progress.bar(config.epochs) as bar:
        for row, state in train.fit(run):
            rows.append(dataclasses.asdict(row) | ({"synthetic": True} if synthetic else {}))
            records.write_rows(run_dir / "metrics.jsonl", rows)
            picture = plots.curves(
                rows,
                epochs=config.epochs,
                title=_title(config),
                band=published.band() if compares else None,
            )
            records.write(run_dir / "curves.png", picture)
            if row.epoch == config.epochs:
                checkpoint.save(run_dir / "checkpoints" / f"{row.epoch:05d}.npz", state.params)
            cli.stop_if_asked()
            bar.advance(row, config.epochs)
            bar.say(progress.line(row, config.epochs))
            if note := progress.plateau(row, data.num_classes, compares):
                bar.say(f"  {note}")

    spent = sum(row["seconds"] for row in rows)
    place = published.place(config, rows[-1])
    extra = {
        "dataset": config.dataset,
        "synthetic": synthetic,
        "seconds_to_compile": compiling,
        "seconds_to_train": spent,
        "environment": environment,
        "published": place,
    }
    records.write_json(run_dir / "result.json", rows[-1] | extra)
    print(progress.summary(row) + (" (synthetic data)" if synthetic else ""))
    print(f"{sum(r['count'] for r in rows) / spent:.1f} examples/sec on {environment['device']}")
    if place:
        print(progress.place(place))
    print(f"left in {run_dir}: curves.png, metrics.jsonl, result.json, config.json, checkpoints/")


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
