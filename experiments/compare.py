"""Compare sigmoid with ReLU and average with max pooling: the registered 2×2 experiment.

    python -m experiments.compare --run_dir=DIR              the chapter's question: hours
    python -m experiments.compare --run_dir=DIR --resume     continue, also on another machine
    python -m experiments.compare --quick                    a small one: minutes

Each network tunes its learning rate in two stages on held-out images, and a rule that was written
down beforehand chooses. Fresh seeds, the same for all networks, then train on all examples, beside
the book's network at 0.9. The design was registered before its first run; a comparison with other
flags is not the registered one, and says so.

Saves a line for each finished run (runs.jsonl), its predictions (predictions.jsonl), compare.json,
and at the end report.html, report.md and compare.png.
"""

import dataclasses
import datetime
import shlex
import subprocess
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
from lenet.language import listed, mark, message
from lenet.records import directory

if TYPE_CHECKING:
    from lenet.analysis.design import Design
    from lenet.records.ledger import Entry
    from lenet.runs import DataSets

SEEDS = {
    "seeds": "final",
    "tuning_seeds": "tuning",
    "refining_seeds": "refining",
    "book_seeds": "book",
    "bridge_seeds": "bridge",
    "neighbour_seeds": "neighbours",
}
"""The flags for the number of seeds per setting, and their stages."""
SMALLEST = {"final": 2, "tuning": 1, "book": 2}
MOST = 1_000_000

flags.DEFINE_integer("seeds", None, "seeds for the final runs of each network (64 registered)")
flags.DEFINE_integer("tuning_seeds", None, "seeds per learning rate of the grid (4 registered)")
flags.DEFINE_integer("refining_seeds", None, "seeds per learning rate near the best (8 registered)")
flags.DEFINE_integer("book_seeds", None, "seeds for the book's network at 0.9 (32 registered)")
flags.DEFINE_integer("bridge_seeds", None, "seeds for batches of 256 (16 registered)")
flags.DEFINE_integer("neighbour_seeds", None, "seeds for neighbouring rates (8 registered)")
axes.define_one("lr", "", "grid of learning rates (default: one for each activation)")
flags.DEFINE_integer("valid", None, "training examples held out while tuning (10,000 registered)")
flags.DEFINE_integer("epochs", None, "epochs of every run (10 registered)")
flags.DEFINE_integer("batch_size", None, "examples per minibatch (250 registered)")
flags.DEFINE_string(
    "dataset", "fashion_mnist", "fashion_mnist, mnist, kmnist, synthetic or your own"
)
flags.DEFINE_string("data_dir", None, "dataset directory, as for experiments.train")
flags.DEFINE_string("run_dir", None, "output directory (default: a new one in runs/)")
flags.DEFINE_boolean("quick", False, "a small comparison: 3 learning rates, 4 seeds, 5 epochs")
flags.DEFINE_boolean("yes", False, "train more than 10,000 runs")
flags.DEFINE_boolean("resume", False, "continue the comparison in --run_dir; keep finished runs")
many.define_cluster()
reports.define()
language.define()
FLAGS = flags.FLAGS

QUICK = {
    "seeds": 4,
    "tuning_seeds": 2,
    "refining_seeds": 0,
    "bridge_seeds": 0,
    "neighbour_seeds": 0,
    "lr": "0.1,0.3,0.9",
    "epochs": 5,
}

NAMES = {
    "tuning": mark("tuning"),
    "refining": mark("tuning near the best learning rates"),
    "final": mark("final runs"),
    "book": mark("the book's network"),
    "bridge": mark("batches of 256"),
    "neighbours": mark("neighbouring learning rates"),
}


def main() -> None:
    """Check everything, claim the directory, train stage by stage, report."""
    run_dir = many.named_directory("compare")
    if FLAGS.resume:
        many.recall(run_dir, "compare")
    if FLAGS.quick:
        many.take_up(QUICK)
    planned = _design()
    from lenet import runs, train
    from lenet.analysis.tuning import CELLS
    from lenet.engine import lanes

    final = Config(epochs=planned.epochs, batch_size=planned.batch_size, dataset=planned.dataset)
    tuning = dataclasses.replace(final, valid=planned.valid)
    for config in (tuning, final):
        config_module.check(config)
    grids = [len(planned.rates[activation]) for activation, _ in CELLS]
    seeds = planned.seeds
    runs_planned = sum(grids) * seeds["tuning"] + seeds["book"]
    runs_planned += len(grids) * (3 * seeds["refining"] + seeds["final"] + seeds["bridge"])
    many.check_cost(runs_planned + 2 * len(grids) * seeds["neighbours"], planned.epochs)
    if not FLAGS.resume:
        records.check_free(run_dir)
    data = runs.load([tuning, final], FLAGS.data_dir)
    for config in (tuning, final):
        loaded = data[config.dataset, config.valid]
        lanes.choose(train.check(config, loaded), config, loaded, 1)
    with many.directory(run_dir, resume=FLAGS.resume):
        _compare(planned, data, run_dir)
    reports.at_the_end(run_dir)


def _design() -> "Design":
    """Return the registered design, changed by the flags that were given."""
    from lenet.analysis import design

    planned = design.registered()
    seeds = dict(planned.seeds)
    for flag, stage in SEEDS.items():
        value = FLAGS[flag].value
        if value is None:
            if stage in ("book", "bridge", "neighbours"):  # these repeat seeds of the final runs
                seeds[stage] = min(seeds[stage], seeds["final"])
            continue
        most = min(MOST, seeds["final"]) if stage in ("book", "bridge", "neighbours") else MOST
        _check(flag, value, SMALLEST.get(stage, 0), most)
        seeds[stage] = value
    rates = planned.rates
    if FLAGS.lr:
        grid = sorted(
            config_module.check(Config(lr=rate)).lr for rate in axes.parse("lr", FLAGS.lr).values
        )
        rates = dict.fromkeys(rates, grid)
    given: dict[str, Any] = {
        name: FLAGS[name].value
        for name in ("valid", "epochs", "batch_size", "dataset")
        if FLAGS[name].value is not None
    }
    if "valid" in given:
        _check("valid", given["valid"], 1, MOST)
    return dataclasses.replace(planned, seeds=seeds, rates=rates, **given)


def _check(flag: str, value: int, least: int, most: int) -> None:
    if value < least:
        raise UsageError(f"--{flag}={value}: must be at least {least}")
    if value > most:
        raise UsageError(f"--{flag}={value}: must be at most {most:,}")


def _compare(planned: "Design", data: "DataSets", run_dir: Path) -> None:
    from lenet.analysis import comparison, comparison_findings
    from lenet.figures import comparison as comparison_plots

    record = _begin(planned, data, run_dir)
    entries = _train(planned, data, run_dir, record)
    found = comparison.of(entries, planned, data[planned.dataset, 0].num_classes)
    records.write_json(run_dir / "compare.json", record | {"comparison": found})
    analysis, epochs, spoken = comparison.analyse(found), planned.epochs, language.asked()
    name = t("SYNTHETIC DATA") if planned.dataset == "synthetic" else planned.dataset
    tables = comparison_findings.tables(analysis, epochs, spoken)
    said = [
        *comparison_findings.findings(analysis, found, name),
        comparison_findings.registered(record),
    ]
    table, *others = tables
    report = "\n\n".join([*map(t, said), table, t(comparison_findings.caption(epochs)), *others])
    files.write(run_dir / "report.md", f"{report}\n".encode())
    picture = comparison_plots.picture(found, planned.dataset, spoken)
    files.write(run_dir / "compare.png", picture)
    print(f"\n{report}\n")
    language.saved(run_dir)


def _begin(planned: "Design", data: "DataSets", run_dir: Path) -> dict[str, Any]:
    """Write compare.json, or check that it describes the same comparison; return it.

    Raises:
      RecordError: if the directory contains another comparison.
    """
    from lenet.analysis import design

    path = run_dir / "compare.json"
    command = shlex.join(["python", "-m", "experiments.compare", *sys.argv[1:]])
    record: dict[str, Any] = {
        "command": command,
        "flags": many.flags_given(),
        "design": planned.to_dict(),
        "registered": _registered() if planned == design.registered() else None,
        "data": [records.describe(Config(), loaded, command)["data"] for loaded in data.values()],
        "sessions": [],
    }
    if FLAGS.resume:
        before = records.read_json(path)
        if not many.alike(before, record, ("design",)):
            raise RecordError(
                f"run_dir={run_dir}: contains another comparison ({before.get('command')}). Give "
                "its flags or none, or choose another directory."
            )
        found = before["registered"] or design.earlier(record["registered"], before["sessions"])
        return before | {"registered": found}
    if planned == design.registered():
        print(t("registered design ({about})", about=_said(record["registered"])))
    else:
        print(t("not the registered design: other flags, or data"))
    records.write_json(path, record | {"environment": records.environment()})
    return records.read_json(path)


def _train(
    planned: "Design", data: "DataSets", run_dir: Path, record: dict[str, Any]
) -> "list[Entry]":
    """Train what is missing, stage by stage; return all finished runs."""
    from lenet.analysis import comparison_findings, design
    from lenet.records import ledger

    path, num_classes = run_dir / directory.LEDGER, data[planned.dataset, 0].num_classes
    before = entries = ledger.repair(path)
    began = 0.0
    while True:
        known = design.stages(planned, entries, num_classes)
        stage, todo = design.missing(known, entries)
        if not todo:
            return entries
        count = sum(map(len, known.values()))
        if not began:
            if FLAGS.resume:
                many.resuming(len(entries), count, path)
            _begin_session(entries, data, run_dir, record)
            began = time.monotonic()
        if stage == "final":
            rates = {(config.activation, config.pool): config.lr for config in known[stage]}
            chosen = (
                message("{cell} {rate:g}", cell=comparison_findings.named(cell), rate=rate)
                for cell, rate in rates.items()
            )
            print(t("chosen learning rates: {rates}", rates=listed(chosen)))
        said = t(
            "{stage} (stage {number} of {stages}): {runs} runs",
            stage=message(NAMES[stage]),
            number=design.STAGES.index(stage) + 1,
            stages=len(design.STAGES),
            runs=len(todo),
        )
        if len(entries) > len(before):
            per_run = (time.monotonic() - began) / (len(entries) - len(before))
            left = datetime.timedelta(seconds=round(per_run * (count - len(entries))))
            said += t("; about {left} for the {runs} runs known", left=left, runs=count)
        print(said, flush=True)
        many.share(todo, data, path)
        entries = ledger.read(path)


def _begin_session(
    entries: "list[Entry]", data: "DataSets", run_dir: Path, record: dict[str, Any]
) -> None:
    """Note where and when runs are trained from here on.

    Raises:
      RecordError: if this machine does not repeat the first run bit by bit.
    """
    from lenet import runs

    here, sessions = records.environment(), record["sessions"]
    if entries and (changed := records.differences(sessions[-1]["environment"], here)):
        first = entries[0]
        print(
            t(
                "environment changed ({changed}): repeating run {run}",
                changed=changed,
                run=first.run,
            )
        )
        if not runs.repeats(first, data[first.config.dataset, first.config.valid]):
            raise RecordError(
                f"run_dir={run_dir}: this environment does not repeat run {first.run} bit by bit "
                f"({changed}). Continue in the first environment, or start a new comparison."
            )
        print(t("run {run} was repeated bit by bit", run=first.run))
    began = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    sessions.append({"began": began, "finished_before": len(entries), "environment": here})
    records.write_json(run_dir / "compare.json", record)


def _registered() -> dict[str, str] | None:
    """Return commit and date of the registration; None outside a clone, or if it was edited."""
    from lenet.analysis import design

    path = Path(design.__file__).with_name(design.REGISTRATION)
    try:
        git = ["git", "-C", str(path.parent)]
        subprocess.run([*git, "diff", "--quiet", "HEAD", "--", path.name], check=True)
        log = [*git, "log", "-n1", "--format=%H %cI", "--", path.name]
        commit, date = subprocess.check_output(log, text=True).split()
    except (OSError, subprocess.CalledProcessError, ValueError):
        return None
    return {"commit": commit, "date": date}


def _said(registered: dict[str, str] | None) -> str:
    return f"{registered['commit'][:12]}, {registered['date']}" if registered else t("no commit")


if __name__ == "__main__":
    cli.run(main, __doc__ or "")
