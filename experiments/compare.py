"""Compare sigmoid with ReLU and average with max pooling: the full 2×2 design, over seeds.

    python -m experiments.compare --seeds=16                 the chapter's question
    python -m experiments.compare --seeds=4 --epochs=3       a quick look
    python -m experiments.compare --run_dir=DIR --resume     continue after an interruption

Each cell first tunes its learning rate on held-out images, over one grid and with seeds of its own.
Fresh seeds, paired across the cells, then train on all examples at the best learning rate, beside
the book's own network at 0.9. Prints each cell, the main effects and the interaction with 95% CIs;
saves report.html, report.md, compare.json, compare.png and the records of all runs.
"""

import dataclasses
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from experiments import cli
from experiments.cli import axes, language, many, reports
from experiments.cli.language import t
from lenet import config as config_module
from lenet import files, records
from lenet.config import Config
from lenet.errors import RecordError, UsageError
from lenet.language import listed, message

if TYPE_CHECKING:
    from lenet.runs import DataSets

flags.DEFINE_integer("seeds", 16, "seeds for the final runs of each cell")
flags.DEFINE_integer("tuning_seeds", 2, "seeds per learning rate in tuning (disjoint from --seeds)")
axes.define_one("lr", "0.01..3:log9", "learning rates to tune each cell over")
flags.DEFINE_integer("valid", 10_000, "training examples held out while tuning")
flags.DEFINE_integer("epochs", 10, "epochs of every run")
flags.DEFINE_integer("batch_size", 256, "examples per minibatch")
flags.DEFINE_string(
    "dataset", "fashion_mnist", "fashion_mnist, mnist, kmnist, synthetic or your own"
)
flags.DEFINE_string("data_dir", None, "dataset directory, as for experiments.train")
flags.DEFINE_string("run_dir", None, "output directory (default: a new one in runs/)")
flags.DEFINE_boolean("yes", False, "train more than 10,000 runs")
flags.DEFINE_boolean("resume", False, "continue the comparison in --run_dir; keep finished runs")
reports.define()
language.define()
FLAGS = flags.FLAGS

MOST = 1_000_000
"""Maximum number of seeds. Tuning seeds start here, so that no final run repeats one."""


def main() -> None:
    """Check everything, claim the directory, tune, train, report."""
    run_dir = many.named_directory("compare")
    if FLAGS.resume:
        many.recall(run_dir, "compare")
    rates = _rates()
    from lenet import runs, train
    from lenet.analysis.comparison import CELLS
    from lenet.engine import lanes

    many.check_cost(
        len(CELLS) * len(rates) * FLAGS.tuning_seeds + (len(CELLS) + 1) * FLAGS.seeds,
        FLAGS.epochs,
    )
    base = config_module.check(
        Config(epochs=FLAGS.epochs, batch_size=FLAGS.batch_size, dataset=FLAGS.dataset)
    )
    tuning = [
        config_module.replace(base, activation=a, pool=p, lr=lr, seed=seed, valid=FLAGS.valid)
        for a, p in CELLS
        for lr in rates
        for seed in range(MOST, MOST + FLAGS.tuning_seeds)
    ]
    if not FLAGS.resume:
        records.check_free(run_dir)
    data = runs.load([tuning[0], base], FLAGS.data_dir)
    for config in (tuning[0], base):
        loaded = data[config.dataset, config.valid]
        lanes.choose(train.check(config, loaded), config, loaded, 1)
    with many.directory(run_dir, resume=FLAGS.resume):
        _compare(base, tuning, rates, data, run_dir)
    reports.at_the_end(run_dir)


def _rates() -> list[float]:
    """Check the flags that say how much to train; return the grid of learning rates."""
    for name, least in (("seeds", 2), ("tuning_seeds", 1), ("valid", 1)):
        value: Any = FLAGS[name].value
        if value < least:
            raise UsageError(f"--{name}={value}: must be at least {least}")
        if value > MOST:
            raise UsageError(f"--{name}={value}: must be at most {MOST:,}")
    return [config_module.check(Config(lr=rate)).lr for rate in axes.parse("lr", FLAGS.lr).values]


def _compare(
    base: Config, tuning: list[Config], rates: list[float], data: "DataSets", run_dir: Path
) -> None:
    from lenet.analysis import comparison, comparison_findings
    from lenet.figures import comparison as comparison_plots

    record = _describe(rates, data)
    before: dict[str, Any] = {}
    path = run_dir / "compare.json"
    if FLAGS.resume:
        before = records.read_json(path)
        if not many.alike(before, record, ("settings",)):
            raise RecordError(
                f"run_dir={run_dir}: contains another comparison ({before.get('command')}). Give "
                "its flags or none, or choose another directory."
            )
        record |= {key: before[key] for key in record if key in before}
    else:
        records.write_json(path, record)

    begin = time.monotonic()
    tuned_over = {"rates": len(rates), "seeds": FLAGS.tuning_seeds}
    print(t("tuning: {rates} learning rates × {seeds} seeds for each of 4 networks", **tuned_over))
    tuned = [*map(comparison.kept, many.train(tuning, data, run_dir / "tuning.jsonl"))]
    chosen = {cell: comparison.best_rate(tuned, cell) for cell in comparison.CELLS}
    best = [
        message("{cell} {rate:g}", cell=comparison_findings.named(cell), rate=rate)
        for cell, rate in chosen.items()
    ]
    print(t("best learning rates: {rates}", rates=listed(best)))
    seeds = FLAGS.seeds
    print(t("final: {seeds} seeds for each network, and for the book's network", seeds=seeds))
    networks = [
        *(
            config_module.replace(base, activation=a, pool=p, lr=lr)
            for (a, p), lr in chosen.items()
        ),
        dataclasses.replace(base, lr=comparison.TEXTS_RATE),
    ]
    final = [dataclasses.replace(each, seed=seed) for each in networks for seed in range(seeds)]
    trained = [*map(comparison.kept, many.train(final, data, run_dir / "final.jsonl"))]
    found = comparison.Comparison(
        epochs=FLAGS.epochs,
        rates=rates,
        tuning=tuned,
        final=trained[:-seeds],
        texts=trained[-seeds:],
    )
    name = t("SYNTHETIC DATA") if FLAGS.dataset == "synthetic" else FLAGS.dataset
    if comparison.paired(found, "test_accuracy")[1].size < 2:
        paragraphs = [
            t("No comparison possible: fewer than two seeds finished in all four networks.")
        ]
    else:
        num_classes = data[FLAGS.dataset, 0].num_classes
        said = comparison_findings.findings(found, name, num_classes)
        paragraphs = [*map(t, said), comparison_findings.effects_table(found, language.asked())]
    report = "\n\n".join([comparison_findings.table(found, language.asked()), *paragraphs])
    # Unknown for an interrupted comparison: some of it was trained twice.
    seconds = before.get("seconds") if FLAGS.resume else time.monotonic() - begin
    records.write_json(path, record | {"seconds": seconds, "comparison": found})
    files.write(run_dir / "report.md", f"{report}\n".encode())
    picture = comparison_plots.picture(found, FLAGS.dataset, language.asked())
    files.write(run_dir / "compare.png", picture)
    print(f"\n{report}\n")
    written = ["report.md", "compare.png", "compare.json", "tuning.jsonl", "final.jsonl"]
    language.saved(run_dir, written)


def _describe(rates: list[float], data: "DataSets") -> dict[str, Any]:
    command = shlex.join(["python", "-m", "experiments.compare", *sys.argv[1:]])
    names = ("seeds", "tuning_seeds", "valid", "epochs", "batch_size", "dataset")
    return {
        "command": command,
        "flags": many.flags_given(),
        "settings": {name: FLAGS[name].value for name in names} | {"rates": rates},
        "data": [records.describe(Config(), loaded, command)["data"] for loaded in data.values()],
        "environment": records.environment(),
    }


if __name__ == "__main__":
    cli.run(main, __doc__ or "")
