"""Measure this project beside PyTorch and plain Flax: the same data, batch and network, in one run.

    scripts/bench                          all contenders, both networks, ten blocks
    scripts/bench --only=lenet,torch_eager --networks=book
    scripts/bench --networks=book-bn,small batch normalisation; a small network of a user's
    scripts/bench --scaling                how our time grows with batch, epochs and width
    scripts/bench --forms                  a convolutional layer in each of its forms
    scripts/bench --peak                   the share of a core's peak that a convolution reaches
    scripts/bench --cores                  one run, a sweep and PyTorch on 1, 2, 4, ... cores
    scripts/bench --overhead               what a cluster adds to each of 1,000 short runs
    scripts/bench --recording              what the records of a run cost
    scripts/bench --start                  how long after the command a run trains
    scripts/bench --race --repeats=3       our search and Optuna with PyTorch, to an accuracy
    scripts/bench --answer --repeats=20    one setting to three accuracies, ours and PyTorch
    scripts/bench --gpu                    one run and sweeps on a GPU, PyTorch beside them, and
                                           which bits are equal there

In each block every contender is measured once, in random order and in a fresh process. On a GPU,
contenders are those of a GPU. Leaves a record in results/, of which scripts/readme.py makes the
tables of the docs. Let nothing else run meanwhile.
"""

import contextlib
import datetime
import importlib.util
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from absl import flags
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from experiments import cli
from lenet import config as config_module
from lenet import files
from lenet.errors import UsageError
from lenet.language import LANGUAGES, mark

ROOT = Path(__file__).parent.parent
RECORDS = {"cpu": "bench.json", "gpu": "bench_gpu.json"}

flags.DEFINE_integer("repeats", 10, "blocks, in each of which every contender is measured once")
flags.DEFINE_list("only", None, "contenders to measure; all of this machine's by default")
flags.DEFINE_list("networks", ["book", "modern"], "networks: book, modern, book-bn, small")
flags.DEFINE_integer("examples", None, "training examples of an epoch; all by default")
flags.DEFINE_boolean("ten", True, "train for ten epochs from the start of each process")
flags.DEFINE_boolean("scaling", False, "measure how our time grows instead, and draw it")
flags.DEFINE_boolean("forms", False, "measure the forms of a convolutional layer instead")
flags.DEFINE_boolean("peak", False, "measure what share of a core's peak they reach instead")
flags.DEFINE_boolean("cores", False, "measure on 1, 2, 4, ... cores of this machine instead")
flags.DEFINE_boolean("overhead", False, "measure what a cluster adds to each of many short runs")
flags.DEFINE_boolean("recording", False, "measure what the records of a run cost instead")
flags.DEFINE_boolean("start", False, "measure how long after the command a run trains instead")
flags.DEFINE_boolean("race", False, "measure searches until they reach an accuracy instead")
flags.DEFINE_boolean("answer", False, "measure runs until they reach accuracies instead")
flags.DEFINE_boolean("gpu", False, "measure runs and sweeps on a GPU instead")
flags.DEFINE_float("load", 0.5, "load average above which it refuses to measure")
flags.DEFINE_string("dataset", "fashion_mnist", "what to train on")
flags.DEFINE_string(
    "record",
    None,
    "file to write; results/bench.json, bench_gpu.json, scaling.json or forms.json by default",
)
FLAGS = flags.FLAGS


def main() -> None:
    """Check what is asked, measure, write."""
    # Contenders first: what is wrong with a flag is said before anything starts.
    from benchmarks import answer as of_answer
    from benchmarks import networks
    from benchmarks.contenders import BY_NAME, NETWORKS
    from benchmarks.race import SEARCHES

    for name in ("repeats", "examples"):
        number = FLAGS[name].value
        if number is not None and number < 1:
            raise UsageError(f"--{name}={number}: must be at least 1")
    contenders = SEARCHES if FLAGS.race else of_answer.CONTENDERS if FLAGS.answer else BY_NAME
    for name, known in (("only", contenders), ("networks", NETWORKS)):
        for value in FLAGS[name].value or ():
            if value not in known:
                raise UsageError(f"--{name}={value}: must be among {', '.join(known)}")
    batch = max(networks.config(name).batch_size for name in FLAGS.networks)
    if FLAGS.examples is not None and FLAGS.examples < batch:
        raise UsageError(f"--examples={FLAGS.examples}: must be at least {batch}, a batch")
    if FLAGS.scaling:
        scaling()
    elif FLAGS.forms:
        forms()
    elif FLAGS.peak:
        peak()
    elif FLAGS.cores:
        by_cores()
    elif FLAGS.overhead:
        overhead()
    elif FLAGS.recording:
        recording()
    elif FLAGS.start:
        start()
    elif FLAGS.race:
        race()
    elif FLAGS.answer:
        answer()
    elif FLAGS.gpu:
        gpu()
    else:
        compare()


def compare() -> None:
    """Measure the contenders of this machine and print their tables."""
    from benchmarks import rounds, table
    from benchmarks.contenders import BY_NAME, CONTENDERS

    record = started() | {"networks": {}}
    device = "gpu" if record["environment"]["backend"] == "gpu" else "cpu"
    here = [contender for contender in CONTENDERS if contender.device == device]
    chosen = [BY_NAME[name] for name in FLAGS.only] if FLAGS.only else here
    if elsewhere := [contender.name for contender in chosen if contender not in here]:
        raise UsageError(f"--only={elsewhere[0]}: not on this machine, which has a {device} only")
    left_out = []
    if importlib.util.find_spec("torch") is None and any(c.torch for c in chosen):
        left_out.append(
            mark("PyTorch is not installed (scripts/setup torch): its rows are left out.")
        )
        chosen = [contender for contender in chosen if not contender.torch]
    if not chosen:
        raise UsageError(f"nothing to measure: {left_out[0]}")
    path = Path(FLAGS.record or ROOT / "results" / RECORDS[device])
    able = {n: [each for each in chosen if n in each.networks] for n in FLAGS.networks}
    total = sum(rounds.count(each, FLAGS.repeats) for each in able.values())
    with progress(total) as tell:
        for network in FLAGS.networks:
            rows, without, environment = rounds.network(
                network,
                able[network],
                repeats=FLAGS.repeats,
                examples=FLAGS.examples,
                dataset=FLAGS.dataset,
                ten=FLAGS.ten,
                tell=tell,
            )
            if not rows:
                raise UsageError(f"nothing could be measured: {'; '.join(without)}")
            left_out += without
            record["environment"] |= environment
            record["networks"][network] = rows
            most = max(row["counts"]["epoch"] for row in rows)
            record |= {"left_out": left_out, "examples": max(most, record.get("examples", 0))}
            files.write_json(path, record)
    for network, rows in record["networks"].items():
        print(f"{network}\n{table.table(rows)}\n")
    print(*left_out, table.facts(record), f"saved to {path}", sep="\n")


def scaling() -> None:
    """Measure how our time grows and draw it."""
    from benchmarks import scaling

    record = started()
    backend = record["environment"]["backend"]
    with progress(scaling.count(FLAGS.repeats, backend)) as tell:
        record |= scaling.measure(
            FLAGS.networks[0],
            backend=backend,
            repeats=FLAGS.repeats,
            examples=FLAGS.examples,
            dataset=FLAGS.dataset,
            tell=tell,
        )
    path = Path(FLAGS.record or ROOT / "results" / "scaling.json")
    files.write_json(path, record)
    for language in LANGUAGES:
        picture = ROOT / "docs" / language / "results" / "scaling.png"
        if FLAGS.record:
            picture = path.with_suffix(f".{language}.png")
        picture.parent.mkdir(parents=True, exist_ok=True)
        files.write(picture, scaling.figure(record, language))
        print(f"saved to {picture}")
    print(f"saved to {path}")


def forms() -> None:
    """Measure the forms of a convolutional layer and print the table."""
    from benchmarks import forms

    record = started()
    with progress(forms.count(FLAGS.repeats)) as tell:
        record |= forms.measure(FLAGS.repeats, tell)
    path = Path(FLAGS.record or ROOT / "results" / "forms.json")
    files.write_json(path, record)
    print(forms.table(record, ("form", "multiply-adds")), f"saved to {path}", sep="\n")


def peak() -> None:
    """Measure what share of a core's peak the convolutions reach, and print the table."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    record = started()
    if hasattr(os, "sched_setaffinity"):  # before JAX makes its threads
        os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    from benchmarks import peak

    with progress(peak.count(FLAGS.repeats)) as tell:
        record |= peak.measure(FLAGS.repeats, tell)
    path = Path(FLAGS.record or ROOT / "results" / "peak.json")
    files.write_json(path, record)
    print(peak.table(record), f"saved to {path}", sep="\n")


def gpu() -> None:
    """Measure runs and sweeps on a GPU and print the table."""
    from benchmarks import bits, on_gpu

    record = started()
    if record["environment"]["backend"] != "gpu":
        raise UsageError("--gpu: JAX finds no GPU here")
    asked = on_gpu.points(torch=importlib.util.find_spec("torch") is not None)
    path = Path(FLAGS.record or ROOT / "results" / "gpu.json")

    def keep(found: dict[str, Any]) -> None:
        files.write_json(path, record | found)

    with progress(on_gpu.count(asked)) as tell:
        record |= on_gpu.measure(FLAGS.networks[0], asked, FLAGS.dataset, tell, keep)
    print(on_gpu.table(record), f"saved to {path}", sep="\n", flush=True)
    keep({"bits": bits.measure(FLAGS.dataset)})


def by_cores() -> None:
    """Measure on 1, 2, 4, ... cores of the CPU and print the table."""
    from benchmarks import by_cores
    from lenet.engine.cores import cores

    path = Path(FLAGS.record or ROOT / "results" / "cores.json")
    os.environ["JAX_PLATFORMS"] = "cpu"
    record = started()
    counts = by_cores.counts(cores())
    torch = importlib.util.find_spec("torch") is not None
    names = FLAGS.only or [n for n in by_cores.ROWS if torch or not n.startswith("torch")]
    if elsewhere := [name for name in names if name not in by_cores.ROWS]:
        raise UsageError(f"--only={elsewhere[0]}: must be among {', '.join(by_cores.ROWS)}")
    with progress(len(counts) * len(names) * (1 + FLAGS.repeats)) as tell:
        record |= by_cores.measure(
            FLAGS.networks[0],
            names,
            counts,
            repeats=FLAGS.repeats,
            examples=FLAGS.examples or by_cores.EXAMPLES,
            dataset=FLAGS.dataset,
            environment=record["environment"],
            tell=tell,
            keep=lambda found: files.write_json(path, record | found),
        )
    if not record["points"]:
        raise UsageError(f"nothing could be measured: {'; '.join(record['left_out'])}")
    files.write_json(path, record)
    print(by_cores.table(record, "cores"), *record["left_out"], f"saved to {path}", sep="\n")


def overhead() -> None:
    """Measure what a cluster adds to a run."""
    from benchmarks import overhead

    os.environ["JAX_PLATFORMS"] = "cpu"
    record = started()
    with progress(overhead.count(FLAGS.repeats)) as tell:
        record |= overhead.measure(
            FLAGS.networks[0],
            runs=overhead.RUNS,
            examples=FLAGS.examples or overhead.EXAMPLES,
            repeats=FLAGS.repeats,
            dataset=FLAGS.dataset,
            tell=tell,
        )
    path = Path(FLAGS.record or ROOT / "results" / "overhead.json")
    files.write_json(path, record)
    added = ", ".join(f"{1000 * seconds:.1f}" for seconds in overhead.added(record))
    print(f"a run: {1000 * overhead.alone(record):.0f} ms; a cluster adds {added} ms")
    print(f"saved to {path}")


def recording() -> None:
    """Measure what the records of a run cost."""
    from benchmarks import recording

    os.environ["JAX_PLATFORMS"] = "cpu"
    record = started()
    with progress(2 * FLAGS.repeats) as tell:
        record |= recording.measure(
            FLAGS.networks[0], repeats=FLAGS.repeats, dataset=FLAGS.dataset, tell=tell
        )
    path = Path(FLAGS.record or ROOT / "results" / "recording.json")
    files.write_json(path, record)
    shares = ", ".join(f"{share:.1%}" for share in recording.share(record))
    print(f"records take {shares} of an epoch", f"saved to {path}", sep="\n")


def start() -> None:
    """Measure how long after the command a run trains."""
    from benchmarks import start

    os.environ["JAX_PLATFORMS"] = "cpu"
    record = started()
    with progress(len(start.KINDS) * FLAGS.repeats) as tell:
        record |= start.measure(FLAGS.repeats, FLAGS.dataset, tell)
    path = Path(FLAGS.record or ROOT / "results" / "start.json")
    files.write_json(path, record)
    for kind in start.KINDS:
        shown = ", ".join(f"{start.median(record, kind, point):.2f}" for point in start.POINTS)
        print(f"{kind}: {shown} s to training, to the first row")
    print(f"saved to {path}")


def race() -> None:
    """Measure when searches reach a validation accuracy."""
    from benchmarks import race

    reach("race", race, race.SEARCHES, FLAGS.repeats, "race.json")


def answer() -> None:
    """Measure when runs of one setting reach validation accuracies."""
    from benchmarks import answer

    times = 1 + FLAGS.repeats  # the first fills a cache
    reach(
        "answer",
        answer,
        answer.CONTENDERS,
        times,
        f"answers/{datetime.date.today()}-{commit()}.json",
    )


def reach(flag: str, measured: Any, known: Sequence[str], times: int, to: str) -> None:
    """Have a module measure seconds to an accuracy, each contender so often; print its table."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    record = started()
    for of_a_network in ("batch_size", "settings"):
        del record[of_a_network]
    names = FLAGS.only or [*known]
    if importlib.util.find_spec("torch") is None and names != ["lenet"]:
        raise UsageError(
            f"--{flag}: PyTorch is not installed: scripts/setup torch, or --only=lenet"
        )
    path = Path(FLAGS.record or ROOT / "results" / to)
    path.parent.mkdir(parents=True, exist_ok=True)

    def keep(found: dict[str, Any]) -> None:
        files.write_json(path, record | found)

    with progress(len(names) * times) as tell:
        record |= measured.measure(names, FLAGS.repeats, FLAGS.dataset, tell, keep)
    print(measured.table(record), f"saved to {path}", sep="\n")


def started() -> dict[str, Any]:
    """Begin a record. Raises a UsageError if the machine is busy: that would be measured, too."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    if load is not None and load > FLAGS.load:
        raise UsageError(
            f"the machine is busy: its load is {load:.1f}, above --load={FLAGS.load:g}. Wait, or "
            "raise --load and measure other work with ours"
        )
    from benchmarks import networks

    asked = {name: networks.config(name) for name in FLAGS.networks}
    sizes = list(dict.fromkeys(config.batch_size for config in asked.values()))
    environment = surroundings()
    environment.pop("matmul_precision")  # a row has its own
    return {
        "command": shlex.join(["scripts/bench", *sys.argv[1:]]),
        "date": str(datetime.date.today()),
        "commit": commit(),
        "repeats": FLAGS.repeats,
        "unit": "process",
        "dataset": FLAGS.dataset,
        "batch_size": sizes[0] if len(sizes) == 1 else ", ".join(map(str, sizes)),
        "settings": {name: config_module.to_dict(each) for name, each in asked.items()},
        "load_before": load,
        "environment": environment,
    }


def commit() -> str | None:
    """Return the commit that is measured, with a + where files differ from it; None without git."""
    command = ["git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+"]
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.strip()
    return None


def surroundings() -> dict[str, Any]:
    """Return versions and hardware, asked in a process that ends: a GPU is not held from here."""
    code = "import json; from lenet import records; print(json.dumps(records.environment()))"
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    environment: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return environment


@contextmanager
def progress(total: int) -> Iterator[Any]:
    """Show what is measured and how much is left: a bar on a terminal, lines elsewhere."""
    console = Console(stderr=True, highlight=False)
    columns = (
        BarColumn(bar_width=10),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total, completed=-1)

        def tell(what: str) -> None:
            bar.update(task, advance=1, description=what)
            if not console.is_terminal:
                state = bar.tasks[0]
                left = (
                    "" if state.time_remaining is None else f", {state.time_remaining:.0f} s left"
                )
                print(f"{state.completed + 1:.0f}/{total}{left}  {what}", file=sys.stderr)

        yield tell


if __name__ == "__main__":
    cli.run(main, __doc__ or "")
