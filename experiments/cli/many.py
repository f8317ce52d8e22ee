"""What sweep and compare share: directory, cluster, the flags they resume with, training."""

import contextlib
import functools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from experiments import cli
from experiments.cli import code, language, networks
from lenet import records, stopping
from lenet.config import Config
from lenet.engine import cores
from lenet.errors import LenetError, RecordError, UsageError
from lenet.records.directory import DESCRIPTIONS
from lenet.settings import is_code

if TYPE_CHECKING:
    from distributed import Client, Security

    from lenet.analysis.following import Command
    from lenet.records.ledger import Entry
    from lenet.runs import DataSets

FLAGS = flags.FLAGS

MANY = 10_000
SPEED = 40_000  # examples/s, for a cost before anything is measured
CLUSTER = ("cluster", "certificates", "patience")


def define_cluster() -> None:
    """Define the flags that say where runs train."""
    doc = "where runs train: address or file of a Dask scheduler, or local: a process a core"
    flags.DEFINE_string("cluster", None, f"{doc} (default: local where it pays)")
    flags.DEFINE_string("certificates", None, "directory of the cluster's key (default: private)")
    doc = "seconds to wait for a scheduler, and for a worker while there is none"
    flags.DEFINE_integer("patience", 300, doc, lower_bound=1)


def cluster() -> "Callable[[], contextlib.AbstractContextManager[Client]] | None":
    """Return what connects to the --cluster, or None to train where it pays.

    Raises:
      UsageError: if it is unsafe or cannot be reached.
    """
    if FLAGS.cluster is None:
        return None
    from lenet import cluster

    if FLAGS.cluster == "local":
        return functools.partial(cluster.local, cores.numbers())
    return functools.partial(cluster.connect, *scheduler(), FLAGS.patience)


def scheduler() -> "tuple[str, Security | None]":
    """Return the address that --cluster names, and how to talk to it.

    Raises:
      UsageError: if it is none, or unsafe.
    """
    from lenet import cluster

    address = cluster.address_in(FLAGS.cluster, FLAGS.patience)
    return address, cluster.security(address, certificates())


def certificates() -> Path:
    """Return the directory of the cluster's key."""
    from lenet import cluster

    return Path(FLAGS.certificates or cluster.directory()).expanduser()


def named_directory(what: str) -> Path:
    """Return the directory that --run_dir names, or a new one for a "sweep" or "compare".

    Raises:
      UsageError: if it names none, or none to resume, or the --cluster cannot be reached.
    """
    connect = cluster()
    if connect and FLAGS.cluster != "local":
        with connect():
            pass
    if FLAGS.resume and not FLAGS.run_dir:
        raise UsageError("--resume: name the directory with --run_dir")
    return Path(FLAGS.run_dir or records.fresh(what)).expanduser()


def check_cost(count: int, epochs: float) -> None:
    """Raise a UsageError with the estimated time for more than MANY runs without --yes."""
    if count <= MANY or FLAGS.yes or FLAGS.resume:
        return
    hours = count * epochs * 60_000 / SPEED / 3600
    raise UsageError(
        f"{count:,} runs would take about {hours:,.0f} hours at {SPEED:,} examples/s. Reduce the "
        "values or seeds, or add --yes to run them all."
    )


def alike(before: dict[str, Any], asked: dict[str, Any], keys: Iterable[str]) -> bool:
    """Return whether two records describe the same work on the same data, wherever stored."""

    def data(record: dict[str, Any]) -> list[tuple[Any, Any]]:
        return [(each.get("name"), each.get("sha256")) for each in record.get("data") or [{}]]

    return data(before) == data(asked) and all(before.get(key) == asked[key] for key in keys)


def another(what: str, run_dir: Path, before: dict[str, Any], asked: dict[str, Any]) -> RecordError:
    """Return the error that a directory contains another sweep or search than is asked for."""
    own, given = before.get("flags") or {}, asked["flags"]
    differ = [
        f"--{name}={given.get(name, 'its default')}, not {own.get(name, 'its default')}"
        for name in sorted({*own, *given})
        if own.get(name) != given.get(name)
    ]
    return RecordError(
        f"run_dir={run_dir}: contains another {what} ({'; '.join(differ) or 'of other data'}). "
        "Give its flags or none, or choose another directory"
    )


def flags_given() -> dict[str, Any]:
    """Return the flags that were given, for `recall`."""
    here = {"run_dir", "resume", "yes", "lang", "live", "report", *CLUSTER}
    found = {f.name: f.value for f in cli.own_flags() if f.present and f.name not in here}
    if found.get("data_dir"):  # from wherever it is resumed
        found["data_dir"] = os.path.abspath(os.path.expanduser(str(found["data_dir"])))
    return found


def recall(run_dir: Path, what: str) -> None:
    """Set the flags of the "sweep", "compare" or "search" to resume, except those given anew.

    Raises:
      RecordError: if there is none to resume.
    """
    path = run_dir / f"{what}.json"
    records.check_begun(run_dir, path.name)
    record = records.read_json(path)
    before = record.get("flags")
    before = before if isinstance(before, dict) else {}
    begun = re.search(r"--?cluster[= ](?!local)\S+", str(record.get("command")))
    if begun and FLAGS.cluster is None:
        note = language.t(
            "note: it began with {flag}; without that flag it continues on this machine",
            flag=begun[0],
        )
        print(note)
    name = before.get(networks.NAME) or networks.of_preset(str(before.get("preset")))
    if name and networks.name() is None:
        raise UsageError(
            f"run_dir={run_dir}: trains the network {name}. Give --{networks.NAME}={name} again: a "
            "record names no code to import"
        )
    if is_code(before.get("optimizer")) and not FLAGS["optimizer"].present:
        raise UsageError(
            f"run_dir={run_dir}: trains with an optimizer of its own. Give "
            f"--optimizer={before['optimizer']} again: a record names no code to import"
        )
    take_up(before)
    if "parts" in FLAGS and not FLAGS["parts"].present:  # of the machine where it began
        FLAGS["parts"].value = record.get("parts", Config.parts)


def take_up(values: Mapping[str, Any]) -> None:
    """Set flags by name, except those that were given."""
    for name, value in values.items():
        if name in FLAGS and not FLAGS[name].present:
            FLAGS[name].value, FLAGS[name].present = value, 1


@contextlib.contextmanager
def directory(run_dir: Path, *, resume: bool) -> Iterator[None]:
    """Hold the directory of many runs, new or resumed, until the block ends.

    Raises:
      UsageError, InUseError: as `records.claim` and `records.reclaim`.
    """
    with records.reclaim(run_dir) if resume else records.claim(run_dir), stopping.patience():
        print(language.t("saving to {directory}", directory=run_dir), flush=True)
        try:
            yield
        except (stopping.Stopped, LenetError) as error:
            begun = any(records.exists(run_dir, each) for each in DESCRIPTIONS)
            if isinstance(error, RecordError) or not begun:  # nothing to continue with
                raise
            flags = code.to_resume(run_dir, *CLUSTER)
            print(language.t("stopped; finished runs are saved. To continue: {flags}", flags=flags))
            raise


def train(
    configs: Sequence[Config],
    data: "DataSets",
    path: Path,
    changed: Callable[[], None] = lambda: None,
) -> "list[Entry]":
    """Train the runs that the ledger at `path` lacks, with progress; return all of them.

    `changed` is called whenever the ledger has more.

    Raises:
      RecordError: if the ledger has other runs.
    """
    from lenet import runs
    from lenet.records import ledger

    done = {entry.run for entry in runs.finished(path, configs)}
    if done or FLAGS.resume:
        resuming(len(done), len(configs), path)
    todo = {run: config for run, config in enumerate(configs) if run not in done}
    share(todo, data, path, changed, finished=len(done))
    return ledger.read(path)


def resumed(
    path: Path, record: Mapping[str, Any], finished: int, environment: dict[str, Any]
) -> None:
    """Write the record of a sweep or search that continues after so many finished runs.

    Where its environment is another one now, the record gets a note, and a line says so.
    """
    before = records.read_json(path)
    noted = records.resumed(dict(record), finished, environment)
    changes = records.changes(noted)
    if changes and noted["resumed"] != before.get("resumed"):
        print(
            language.t(
                "warning: the environment has changed ({changed}); results may differ slightly "
                "from an uninterrupted run",
                changed=changes[-1][1],
            )
        )
    if noted != before:
        records.write_json(path, noted)


def resuming(done: int, count: int, path: Path) -> None:
    """Print how many runs were found finished."""
    said = language.t(
        "Resuming: {done} of {runs} runs already finished ({path})",
        done=done,
        runs=count,
        path=path,
    )
    print(said)


def print_commands(commands: "Iterable[Command]") -> None:
    """Print what follows a sweep or a search."""
    for each in commands:
        print(language.t(each.why), f"    {each.line}", sep="\n")


def data_dir() -> str | None:
    """Return --data_dir, whatever the working directory of a worker is."""
    return FLAGS.data_dir and os.path.abspath(os.path.expanduser(FLAGS.data_dir))


def share(
    todo: Mapping[int, Config],
    data: "DataSets",
    path: Path,
    changed: Callable[[], None] = lambda: None,
    finished: int = 0,
) -> None:
    """Train runs, with progress; each goes to the ledger when it ends, and `changed` is called.

    `finished` runs beside them are counted as done.
    """
    from experiments.cli import progress
    from lenet import runs

    if not todo:
        return
    connect, patience = cluster(), FLAGS.patience
    runs_in_all, epochs = finished + len(todo), sum(config.epochs for config in todo.values())
    with progress.Tally(runs_in_all, epochs, finished) as tally:
        for news in runs.many(
            todo, data, path, data_dir=data_dir(), connect=connect, patience=patience
        ):
            for entry in news.ended:
                if entry.diverged:
                    tally.say(language.t("run {run}: {why}", run=entry.run, why=entry.diverged))
            tally.advance(news)
            if news.ended:
                changed()
