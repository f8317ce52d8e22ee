"""Train LeNet on Fashion-MNIST, as the chapter does, from one command.

    python -m experiments.train                       the chapter's run: lr 0.9, batch 256, 10 epochs
    python -m experiments.train --lr=0.5 --seed=1     another learning rate, another seed
    python -m experiments.train --preset=modern       ReLU and max-pooling
    python -m experiments.train --preset=book-en      the English edition's lr 0.1, batch 128
    python -m experiments.train --dataset=kmnist --data_dir=DIR

Prints the chapter's two lines at the end and leaves a run directory: config.json, metrics.jsonl (a
row an epoch), result.json, curves.png and the parameters.
"""

import shlex
import sys
import time
from pathlib import Path

from absl import flags

from experiments import cli

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
    run_dir = Path(FLAGS.run_dir or _fresh_name(config.seed))
    # After the flags were checked: these take a second.
    from experiments import progress
    from lenet import checkpoint, data, layers, plots, published, records, train

    records.check_free(run_dir)
    loaded = data.load(config.dataset, data_dir=FLAGS.data_dir, valid=config.valid)
    synthetic = config.dataset == "synthetic"
    compares = published.comparable(config) and loaded.name == "fashion_mnist"
    command = shlex.join(["python", "-m", "experiments.train", *sys.argv[1:]])
    title = _title(config, synthetic)
    with records.claim(run_dir):
        run = train.start(config, loaded)
        records.write_json(run_dir / "config.json", records.describe(config, loaded, command))
        print(layers.table(layers.layers(run.model, loaded.image_shape)), end="\n\n")
        environment = records.environment()
        print(f"training on {environment['device']} (compiled in {run.seconds_to_compile:.1f} s)")
        rows: list[train.Row] = []
        with progress.bar(config.epochs) as bar:
            for row, state in train.fit(run):
                rows.append(row)
                records.write_rows(run_dir / "metrics.jsonl", [r._asdict() for r in rows])
                band = published.band() if compares else None
                picture = plots.curves(rows, epochs=config.epochs, title=title, band=band)
                records.write(run_dir / "curves.png", picture)
                bar.advance(row)
                bar.say(progress.line(row, config.epochs))
                if note := progress.plateau(row, loaded.num_classes, compares):
                    bar.say(f"  {note}")
            checkpoint.save(run_dir / "checkpoints" / f"{row.epoch:05d}.npz", state.params)
        result = {
            **row._asdict(),
            "seconds_to_compile": run.seconds_to_compile,
            "seconds_to_train": sum(r.seconds for r in rows),
            "environment": environment,
        }
        records.write_json(run_dir / "result.json", result)
    speed = sum(r.count for r in rows) / sum(r.seconds for r in rows)
    made = " (synthetic data)" if synthetic else ""
    print(
        f"loss {row.train_loss:.3f}, train acc {row.train_accuracy:.3f}, "
        f"test acc {row.test_accuracy:.3f}{made}"
    )
    print(f"{speed:.1f} examples/sec on {environment['device']}")
    print(f"left in {run_dir}: curves.png, metrics.jsonl, result.json, checkpoints/")


def _fresh_name(seed: int) -> Path:
    """A directory that is not there: runs/DATE-TIME-PRESET-seedN."""
    stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{FLAGS.preset}-seed{seed}"
    names = (Path("runs") / (stem + (f"-{i}" if i else "")) for i in range(1000))
    return next(name for name in names if not name.exists())


def _title(config, synthetic: bool) -> str:
    made = "synthetic data, " if synthetic else f"{config.dataset}, "
    return (
        f"LeNet, {config.activation} + {config.pool}-pooling: {made}"
        f"lr {config.lr:g}, batch {config.batch_size}, seed {config.seed}"
    )


if __name__ == "__main__":
    cli.run(main, __doc__ or "")
