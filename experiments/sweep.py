"""Train a sweep: every combination of the values given to the flags of experiments.train.

    python -m experiments.sweep --lr=0.1,0.3,0.9 --seed=0:8      3 × 8 = 24 runs, seeds 0 to 7
    python -m experiments.sweep --lr=0.01..1:log9 --valid=10000  nine rates, ranked on validation
    python -m experiments.sweep --activation=sigmoid,relu --pool=avg,max --seed=0:4
    python -m experiments.sweep --channels=6,16/12,32            sizes: a slash between alternatives
    python -m experiments.sweep --lr=0.9,0.1 --batch_size=256,128 --zip    pairs: two settings
    python -m experiments.sweep --lr=0.01..1:log9 --momentum=0,0.5,0.9 --random=20 --seed=0:4
                                                                 20 draws, each with four seeds
    python -m experiments.sweep --study=window                   a named study
    python -m experiments.sweep --run_dir=DIR --resume           continue after an interruption
    python -m experiments.sweep --run_dir=DIR --resume --seed=0:16    add seeds to a sweep
    python -m experiments.sweep --study=rate --cluster=tls://HOST:8786
                                                      on many machines: docs/en/cluster.md

Runs that differ in numbers alone (lr, seed, momentum, weight_decay, warmup, clip, average) share
one compiled program; clip or average of 0 is another. Prints a table ranked by validation accuracy
and saves to a directory: report.html, sweep.json, runs.jsonl (a line for each finished run),
summary.csv and figures.
"""

import dataclasses
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from experiments import cli
from experiments.cli import axes, code, language, many, reports
from experiments.cli.axes import Axis
from experiments.cli.studies import STUDIES
from lenet import config as config_module
from lenet import files, records
from lenet.config import Config
from lenet.errors import RecordError, UsageError
from lenet.language import listed, message, wrapped
from lenet.records import directory

if TYPE_CHECKING:
    from lenet.analysis.summary import Sweep
    from lenet.runs import DataSets

axes.define()
flags.DEFINE_boolean(
    "zip",
    False,
    "pair lists of equal length instead of combining them, each pair with every --seed; one value "
    "goes with all",
)
flags.DEFINE_integer("random", None, "number of combinations to draw, each with every --seed")
flags.DEFINE_integer("random_seed", 0, "seed for the draws")
flags.DEFINE_string("data_dir", None, "dataset directory, as for experiments.train")
flags.DEFINE_string("run_dir", None, "output directory (default: a new one in runs/)")
flags.DEFINE_boolean("resume", False, "continue the sweep in --run_dir; finished runs are kept")
flags.DEFINE_boolean("yes", False, "train more than 10,000 runs")
reports.define(live=True)
language.define()
many.define_cluster()


def _few(values: str) -> str:
    """Return a list of values as it is, or its ends if it is long."""
    each = values.split(",")
    return values if len(each) <= 10 else f"{each[0]},{each[1]},...,{each[-1]}"


flags.DEFINE_enum(
    "study",
    None,
    list(STUDIES),
    "named sweep; other flags override it. "
    + "; ".join(
        f"{name}: {' '.join(f'--{k}={_few(v)}' for k, v in study.flags.items())}"
        for name, study in STUDIES.items()
    ),
)
FLAGS = flags.FLAGS

PROGRAMS = 8
"""Lines about programs, at most."""


def main() -> None:
    """Check everything, claim the directory, train what is missing, sum up."""
    reports.check()
    run_dir = many.named_directory("sweep")
    if FLAGS.resume:
        many.recall(run_dir, "sweep")
    if FLAGS.study:
        study = STUDIES[FLAGS.study]
        many.take_up(study.flags)
        print(language.t(study.question))
    varied = axes.given(zipped=FLAGS.zip)
    count = axes.count(varied, zipped=FLAGS.zip, draws=FLAGS.random)
    if FLAGS.zip and FLAGS.random is not None:
        raise UsageError("--zip and --random exclude each other: remove one")
    base = cli.preset()
    passes = next((axis.values for axis in varied if axis.name == "epochs"), (base.epochs,))
    many.check_cost(count, sum(passes) / len(passes))
    seeds = _seeds(run_dir, varied)
    configs = _configs(base, varied, seeds)
    if not FLAGS.resume:
        records.check_free(run_dir)
    from lenet import runs, train

    configs = train.settled(configs)
    data = runs.load(configs, FLAGS.data_dir)
    record = _describe(configs, base.parts, varied, seeds, data)
    if FLAGS.resume:
        _check_same(run_dir, record)
    _check(configs, varied, data)
    with many.directory(run_dir, resume=FLAGS.resume), reports.live(run_dir) as changed:
        if _sweep(configs, record, data, run_dir, changed):
            reports.at_the_end(run_dir)


def _seeds(run_dir: Path, varied: list[Axis]) -> list[list[int]]:
    """Return the seeds of a sweep; before them those it had before, each time it got more."""
    own = next((list(axis.values) for axis in varied if axis.name == "seed"), [Config.seed])
    if not FLAGS.resume:
        return [own]
    before = records.read_json(run_dir / "sweep.json")
    seeds = before.get("seeds") or [before.get("axes", {}).get("seed", [Config.seed])]
    return seeds if seeds[-1] == own else [*seeds, own]


def _configs(base: Config, varied: list[Axis], seeds: list[list[int]]) -> list[Config]:
    """Return the settings of the runs by number: runs with further seeds come after the others."""
    found: dict[Config, None] = {}
    for values in seeds:
        then = [
            dataclasses.replace(axis, values=tuple(values)) if axis.name == "seed" else axis
            for axis in varied
        ]
        for setting in axes.settings(
            then, zipped=FLAGS.zip, draws=FLAGS.random, seed=FLAGS.random_seed
        ):
            found[config_module.check(config_module.replace(base, **code.loaded(setting)))] = None
    return list(found)


def _check(configs: list[Config], varied: list[Axis], data: "DataSets") -> None:
    """Check every run before there is a directory; print which runs train together."""
    from lenet import train
    from lenet.engine import convolutions, lanes
    from lenet.engine.stacking import groups

    models = [train.check(config, data[config.dataset, config.valid]) for config in configs]
    numbers = config_module.fields("number")
    same = {field.name for field in numbers if not field.metadata["switch"]} - {"epochs"}
    names = [axis.name for axis in varied if len(axis.values) > 1 and axis.name not in same]
    slow, lines = False, []
    for group in groups(configs):
        first = configs[group[0]]
        over = lanes.choose(models[group[0]], first, data[first.dataset, first.valid], len(group))
        parts: list[Any] = [message("one program for {runs} runs", runs=len(group))]
        for name in names:  # of a switch, such as --clip, a program has all values that are not 0
            values = list(
                dict.fromkeys(config_module.written(getattr(configs[i], name)) for i in group)
            )
            parts.append(f"--{name}={','.join(values[:3] + ['…'] * (len(values) > 3))}")
        said = language.t(
            "{parts}: {size} at a time, about {megabytes:,.0f} MB each",
            parts=listed(parts),
            size=over.size,
            megabytes=over.bytes_per_run / 1e6,
        )
        lines.append(said)
        if train.slow(models[group[0]], data[first.dataset, first.valid]):
            slow = True
    if len(lines) > PROGRAMS:
        more = language.t("… {n} more programs", n=len(lines) - PROGRAMS + 1)
        lines = [*lines[: PROGRAMS - 1], more]
    print(*lines, sep="\n", flush=True)
    if slow:
        print(language.t(convolutions.REMEDY), flush=True)


def _sweep(
    configs: list[Config],
    record: dict[str, Any],
    data: "DataSets",
    run_dir: Path,
    changed: Callable[[], None],
) -> bool:
    """Begin the records, train what is missing, summarise.

    Returns whether any run finished without diverging.
    """
    from experiments.cli import progress
    from lenet import runs
    from lenet.analysis import summary
    from lenet.records import ledger

    began = time.monotonic()
    path, environment = run_dir / directory.LEDGER, runs.environment(configs, data)
    if FLAGS.resume:
        _check_same(run_dir, record)
        before = records.read_json(run_dir / "sweep.json")
        before.pop("seconds", None)  # of its runs before, and not of all
        grown = len(record["seeds"]) > len(before.get("seeds", [None]))
        now = before | record if grown else before
        if (finished := len(ledger.read(path))) < len(configs):
            many.resumed(run_dir / "sweep.json", now, finished, environment)
    else:
        records.write_json(run_dir / "sweep.json", record | {"environment": environment})
    entries = many.train(configs, data, path, changed)
    if not FLAGS.resume:  # what a kill interrupted has no time of its own
        seconds = round(time.monotonic() - began, 1)
        timed = record | {"environment": environment, "seconds": seconds}
        records.write_json(run_dir / "sweep.json", timed)
    for described in record["data"]:
        if said := progress.majority(described):
            print(said)
    _summarise(summary.Sweep.of_record(entries, record), record, path)
    return not all(entry.diverged for entry in entries)


def _check_same(run_dir: Path, record: dict[str, Any]) -> None:
    """Raise a RecordError unless the directory contains the sweep that the flags describe."""
    before = records.read_json(run_dir / "sweep.json")
    fewer = len(record["seeds"]) > 1 and set(record["seeds"][-2]) - set(record["seeds"][-1])
    if fewer:
        raise RecordError(
            f"run_dir={run_dir}: --seed: a sweep can get more seeds, not fewer; it has "
            f"{','.join(map(str, record['seeds'][-2]))}"
        )
    if not many.alike(_but_seeds(before), _but_seeds(record), ("preset", "axes", "pairing")):
        raise many.another("sweep", run_dir, before, record)


def _but_seeds(record: dict[str, Any]) -> dict[str, Any]:
    axes = record.get("axes") or {}
    return record | {"axes": {name: values for name, values in axes.items() if name != "seed"}}


def _describe(
    configs: list[Config], parts: int, varied: list[Axis], seeds: list[list[int]], data: "DataSets"
) -> dict[str, Any]:
    command = shlex.join(["python", "-m", "experiments.sweep", *sys.argv[1:]])
    draws = {"random": FLAGS.random, "random_seed": FLAGS.random_seed}
    return {
        "command": command,
        "flags": many.flags_given(),
        "preset": FLAGS.preset,
        "parts": parts,
        "axes": {
            axis.name: [list(x) if isinstance(x, tuple) else x for x in axis.values]
            for axis in varied
        },
        "seeds": seeds,
        "pairing": "zip" if FLAGS.zip else "product" if FLAGS.random is None else draws,
        "runs": len(configs),
        "data": [records.describe(configs[0], loaded, command)["data"] for loaded in data.values()],
    }


def _summarise(sweep: "Sweep", record: dict[str, Any], path: Path) -> None:
    from experiments.cli import progress
    from lenet.analysis import findings, following, published, summary
    from lenet.figures import sweep as sweep_plots

    files.write(path.with_name("summary.csv"), summary.to_csv(sweep).encode())
    if placed := published.placed(sweep.entries):
        files.write(path.with_name("published.csv"), summary.rows_csv(placed).encode())
    for name, picture in sweep_plots.pictures(sweep, language.asked()).items():
        files.write(path.with_name(name), picture)
    print(summary.table(sweep, language.asked()))
    if any(entry.config.dataset == "synthetic" for entry in sweep.entries):
        print(language.t("(synthetic data)"))
    for finding in findings.findings(sweep):
        print(*wrapped(language.t(finding), 100), sep="\n")
    if sweep.measure == "test_accuracy" and len(sweep.settings) > 1:
        note = language.t(
            "note: settings were ranked on the test set. Use --valid=10000 to rank them on "
            "held-out images."
        )
        print(note)
    if placed:
        print(progress.places(placed))
    many.print_commands(following.of_sweep(sweep, record["flags"]))
    language.saved(path.parent)


if __name__ == "__main__":
    cli.run(main, __doc__ or "")
