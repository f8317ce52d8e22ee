"""Search for good settings: ranges instead of values for the flags of experiments.train.

    python -m experiments.search --lr=0.01..1:log --batch_size=32..256 --trials=64 --halving=2
    python -m experiments.search --lr=0.01..1:log --optimizer=sgd,adam --trials=64 --seeds=3
    python -m experiments.search --network=my_net:Wide --width=16..256:log --trials=100
    python -m experiments.search ... --halving=3 --rule=hyperband --cluster=tls://HOST:8786
    python -m experiments.search --run_dir=DIR --resume          continue after an interruption

0.01..1            all numbers from 0.01 to 1, equally likely; whole ones for --batch_size
0.01..1:log        the same, their logarithms equally likely
sgd,adam           a list; any other flag with one value is the same for all settings

Each setting is trained on the training images without the held-out ones (--valid=10000), and
ranked on these. With --halving=ETA, settings are compared after --min_epochs, ETA times as many and
so on: one in ETA continues from where it was, the others are stopped. The best setting is then
trained again with seeds that the search did not use: only these runs see the test images.

Saves to a directory: report.html, trials.jsonl (a line for each setting and each part of its
training), trials.csv, study.db (for optuna-dashboard), runs.jsonl and summary.csv (the final runs)
and figures.
"""

import dataclasses
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from experiments import cli
from experiments.cli import axes, code, language, many, reports, spaces
from lenet import config as config_module
from lenet import files, records, search
from lenet.config import LeNet
from lenet.errors import UsageError
from lenet.language import mark, wrapped
from lenet.records import directory
from lenet.search import (
    RULES,
    SAMPLERS,
    Plan,
    Range,
    Rule,
    Trial,
    plan,
    proposals,
    rules,
    space,
    storage,
)
from lenet.settings import is_code

if TYPE_CHECKING:
    from lenet.analysis.searched import Searched
    from lenet.records.ledger import Entry
    from lenet.runs import DataSets

axes.define()
flags.DEFINE_integer("trials", 64, "number of settings to try")
flags.DEFINE_integer("seeds", 1, "runs of each setting, compared by their mean")
flags.DEFINE_integer("halving", None, "of so many settings one continues; default: none is stopped")
flags.DEFINE_enum("rule", None, RULES, "early stopping (default: asha with --halving, else none)")
flags.DEFINE_integer("min_epochs", 1, "epochs after which settings are first compared")
flags.DEFINE_enum("sampler", "tpe", SAMPLERS, "what proposes settings (Optuna's samplers)")
flags.DEFINE_integer("sampler_seed", 0, "seed for the proposals")
flags.DEFINE_integer("final_seeds", 8, "fresh seeds to train the best setting with")
flags.DEFINE_string("storage", None, "URL of a database for the study (default: DIR/study.db)")
flags.DEFINE_string("data_dir", None, "dataset directory, as for experiments.train")
flags.DEFINE_string("run_dir", None, "output directory (default: a new one in runs/)")
flags.DEFINE_boolean("resume", False, "continue the search in --run_dir")
flags.DEFINE_boolean("yes", False, "train more than 10,000 runs")
reports.define(live=True)
language.define()
many.define_cluster()
FLAGS = flags.FLAGS

HELD_OUT = 10_000
MOST = 1_000_000
"""Trials, or seeds of one, at most."""
LEFT = 3
"""Epochs after which halving hardly stops a winner among sigmoids (docs/en/early_stopping.md)."""
EARLY = mark(
    "note: settings are first compared after epoch {n}. With the sigmoid, the best one is often "
    "still at chance level then, and is stopped. --min_epochs={left} waits."
)


def main() -> None:
    """Check everything, claim the directory, search, train the best anew, sum up."""
    reports.check()
    proposals.check(FLAGS.sampler)
    run_dir = many.named_directory("search")
    if FLAGS.resume:
        many.recall(run_dir, "search")
    planned = _plan()
    if FLAGS.storage and "***" in FLAGS.storage:
        raise UsageError(f"--storage={FLAGS.storage}: give it again: a record holds no password")
    if not FLAGS.resume:
        records.check_free(run_dir)
    from lenet import runs, train
    from lenet.engine import convolutions

    planned = dataclasses.replace(planned, base=train.settled([planned.base])[0])
    data = runs.load([planned.base], FLAGS.data_dir)
    loaded = next(iter(data.values()))
    planned = dataclasses.replace(planned, chance=1 / loaded.num_classes)
    corners = spaces.corners(planned.base, planned.space)
    configs = [planned.config(setting, 0) for setting in corners]
    models = [train.check(config, loaded) for config in configs]
    if any(train.slow(model, loaded) for model in models):
        print(language.t(convolutions.REMEDY))
    record = _describe(planned, data)
    environment = runs.environment(configs, data)
    if FLAGS.resume:
        _check_same(run_dir, record)
    if FLAGS.storage:  # last, for it makes Optuna's tables
        storage.open_storage(FLAGS.storage)
    with many.directory(run_dir, resume=FLAGS.resume), reports.live(run_dir) as changed:
        if not FLAGS.resume:
            if _early(planned):
                said = language.t(EARLY, n=planned.rule.rungs[0], left=LEFT)
                print(*wrapped(said, 100), sep="\n")
            about = {"environment": environment}
            records.write_json(run_dir / "search.json", record | about)
        elif not records.exists(run_dir, "trials.csv"):  # it is not finished
            trials = search.read(run_dir / search.LEDGER)
            path = run_dir / "search.json"
            many.resumed(path, records.read_json(path), len(trials), environment)
        if _search(planned, data, record, run_dir, changed):
            reports.at_the_end(run_dir)


def _plan() -> Plan:
    """Return what the flags ask for, checked as far as it can be without the data."""
    fixed, searched = spaces.given()
    base = config_module.replace(cli.preset(), **({"valid": HELD_OUT} | code.loaded(fixed)))
    named = searched.get("optimizer", ())
    assert not isinstance(named, Range)
    made = {word: code.loaded({"optimizer": word})["optimizer"] for word in named if is_code(word)}
    for setting in spaces.corners(base, searched):
        config_module.check(config_module.replace(base, **setting))
    for name in ("trials", "seeds", "final_seeds"):
        if not 1 <= (value := getattr(FLAGS, name)) <= MOST:
            raise UsageError(f"--{name}={value}: must be from 1 to {MOST:,}")
    last = base.seed + FLAGS.seeds * plan.MORE + FLAGS.final_seeds - 1
    if last >= config_module.SEEDS:
        raise UsageError(
            f"--seed={base.seed}: the last seed, {last}, must be below {config_module.SEEDS}. Use "
            "a lower --seed, --seeds or --final_seeds"
        )
    many.check_cost(FLAGS.trials * FLAGS.seeds, base.epochs)
    if base.valid == 0:
        raise UsageError(f"--valid=0: a search selects on held-out images. Use --valid={HELD_OUT}")
    if (size := space.size(searched)) < FLAGS.trials:
        raise UsageError(
            f"--trials={FLAGS.trials}: there are only {size:g} settings. Lower it, or train all "
            "with experiments.sweep"
        )
    name = FLAGS.rule or ("none" if FLAGS.halving is None else "asha")
    if name == "none" and FLAGS.halving is not None:
        raise UsageError(f"--halving={FLAGS.halving}: --rule=none stops nothing: remove one")
    eta = 2 if FLAGS.halving is None else FLAGS.halving
    rule = rules.check(Rule(name, eta, FLAGS.min_epochs, base.epochs))
    sampled = FLAGS.sampler, FLAGS.sampler_seed
    return Plan(base, searched, FLAGS.trials, FLAGS.seeds, rule, *sampled, 0.0, made)


def _early(planned: Plan) -> bool:
    """Whether settings with sigmoids are compared while the best may be at chance level."""
    first, *later = planned.rule.rungs
    settings = spaces.corners(planned.base, planned.space)
    configs = [config_module.replace(planned.base, **setting) for setting in settings]
    sigmoid = any(isinstance(c.network, LeNet) and c.activation == "sigmoid" for c in configs)
    return bool(later) and first < LEFT and sigmoid


def _describe(planned: Plan, data: "DataSets") -> dict[str, Any]:
    command = shlex.join(["python", "-m", "experiments.search", *sys.argv[1:]])
    command = storage.hidden(command)
    given = many.flags_given()
    if given.get("storage"):
        given["storage"] = storage.hidden(given["storage"])
    (loaded,) = data.values()
    return {
        "command": command,
        "flags": given,
        "parts": planned.base.parts,
        "plan": plan.to_dict(planned),
        "final_seeds": FLAGS.final_seeds,
        "data": [records.describe(planned.base, loaded, command)["data"]],
    }


def _check_same(run_dir: Path, record: dict[str, Any]) -> None:
    """Raise a RecordError unless the directory contains the search that the flags describe."""
    before = records.read_json(run_dir / "search.json")
    if isinstance(base := before.get("plan", {}).get("base"), dict):
        base.setdefault("parts", config_module.Config.parts)  # of a record without
    if not many.alike(before, record, ("plan", "final_seeds")):
        raise many.another("search", run_dir, before, record)


def _search(
    planned: Plan,
    data: "DataSets",
    record: dict[str, Any],
    run_dir: Path,
    changed: Callable[[], None],
) -> bool:
    """Train what is missing of a search, then its best setting anew, and sum up.

    Returns whether any setting finished without diverging.
    """
    from experiments.cli.trials import Progress
    from lenet import runs

    name = f"{run_dir.resolve().name}-{(records.identity(run_dir) or '')[:8]}"
    database = storage.of_run(FLAGS.storage, run_dir)
    (loaded,) = data.values()
    connect, patience = many.cluster(), FLAGS.patience
    where = many.data_dir()
    found: list[Trial] = search.read(run_dir / search.LEDGER)
    shown = storage.Shown(database, name, planned, found)
    try:
        with Progress(planned, found) as progress:
            for news in runs.search(
                planned, loaded, run_dir, data_dir=where, connect=connect, patience=patience
            ):
                found = news.trials
                shown.update(found, news.changed)
                progress.advance(news)
                if news.changed:
                    changed()
    except BaseException:
        shown.end(finished=False)
        raise
    shown.end(finished=True)
    return _conclude(planned, found, data, record, run_dir)


def _conclude(
    planned: Plan, found: list[Trial], data: "DataSets", record: dict[str, Any], run_dir: Path
) -> bool:
    """Train the best setting with fresh seeds, and sum up; return whether there is one."""
    from lenet.analysis.searched import Searched

    best = search.winner(planned, found)
    entries: list[Entry] = []
    if best is not None:
        first = planned.seeds * plan.MORE
        configs = [planned.config(best.setting, first + n) for n in range(FLAGS.final_seeds)]
        said = language.t(
            "final runs of the best setting, trial {trial}, with {seeds} fresh seeds:",
            trial=best.number,
            seeds=len(configs),
        )
        print(said)
        entries = many.train(configs, data, run_dir / directory.LEDGER)
    (loaded,) = data.values()
    _summarise(Searched(planned, found, entries, loaded.num_classes), record, run_dir)
    return best is not None


def _summarise(found: "Searched", record: dict[str, Any], run_dir: Path) -> None:
    from lenet.analysis import following, searched, summary
    from lenet.figures import searched as figures

    tables = {}
    if found.ranked:
        tables["trials.csv"] = searched.to_csv(found)
        print(searched.table(found, language.asked()))
    if final := found.final:
        axes, classes = list(found.plan.space), {final.config.dataset: found.num_classes}
        sweep = summary.Sweep(found.entries, axes, found.plan.base, classes)
        tables["summary.csv"] = summary.to_csv(sweep)
    for name, text in tables.items():
        files.write(run_dir / name, text.encode())
    for name, picture in figures.pictures(found, language.asked()).items():
        files.write(run_dir / name, picture)
    if found.plan.base.dataset == "synthetic":
        print(language.t("(synthetic data)"))
    for finding in searched.findings(found):
        print(*wrapped(language.t(finding), 100), sep="\n")
    many.print_commands(following.of_search(found, record["flags"]))
    language.saved(run_dir)


if __name__ == "__main__":
    cli.run(main, __doc__ or "")
