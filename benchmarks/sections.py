"""What the docs say of speed and precision, from the records in results/."""

import functools
import statistics
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tabulate import tabulate

from benchmarks import (
    answer,
    by_cores,
    forms,
    on_gpu,
    overhead,
    peak,
    race,
    recording,
    scaling,
    start,
)
from benchmarks import table as bench
from lenet import config as config_module
from lenet import files, records
from lenet.analysis import stats, terms
from lenet.language import listed, mark, translate, translation
from lenet.records import ledger

RESULTS = Path(__file__).parent.parent / "results"
BENCH, BENCH_GPU = RESULTS / "bench.json", RESULTS / "bench_gpu.json"
GPU = RESULTS / "gpu.json"
OVERHEAD, RACE = RESULTS / "overhead.json", RESULTS / "race.json"
ANSWERS = RESULTS / "answers"
ANSWER = ANSWERS / "2026-11-28-716d6bc50e5e.json"
"""The record that the README quotes; the leaderboard has all."""
START = RESULTS / "start.json"
RECORDING, NATIVE = RESULTS / "recording.json", RESULTS / "bench_avx512.json"
PEAK = RESULTS / "peak.json"
SCALING, FORMS, PRECISION = (
    RESULTS / "scaling.json",
    RESULTS / "forms.json",
    RESULTS / "precision.json",
)
COMMANDS_PRECISION = """\
.venv/bin/python -m experiments.sweep --seed=0:32 --run_dir=runs/book
.venv/bin/python -m experiments.sweep --seed=0:16 --precision=bfloat16 --run_dir=runs/bfloat16
.venv/bin/python scripts/readme.py precision runs/book runs/bfloat16"""


@functools.cache
def ratios(piece: str = "epoch") -> list[float]:
    """Return ours over the fastest PyTorch in every record of fresh processes, by network."""
    return [
        value.mean
        for record in _measured()
        for value in bench.over_the_fastest(record, piece).values()
    ]


def processors() -> list[str]:
    """Return the processors of the records that `ratios` counts."""
    return list(dict.fromkeys(record["environment"]["processor"] for record in _measured()))


@functools.cache
def _measured() -> list[dict[str, Any]]:
    paths = sorted(set(RESULTS.glob("bench*.json")) - {BENCH_GPU})
    return [record for record in map(records.read_json, paths) if bench.in_blocks(record)]


def speed(language: str) -> str:
    """Return the tables of the CPU and of the GPU, each with the command that gave them."""
    parts = [bench.section(records.read_json(BENCH), language)]
    for path in sorted(set(RESULTS.glob("bench_*.json")) - {BENCH_GPU}):
        parts.append(bench.elsewhere(records.read_json(path), f"results/{path.name}", language))
    if BENCH_GPU.exists():
        parts.append(bench.section(records.read_json(BENCH_GPU), language))
    else:
        parts.append(translate(language, bench.NO_GPU))
    return "\n\n".join(parts)


def _with_command(record: dict[str, Any], *parts: str) -> str:
    return "\n\n".join([*parts, f"```bash\n{record['command']}\n```"])


def overhead_of_cluster(language: str) -> str:
    """Return what a cluster adds to a run, with the command that measured it."""
    record = records.read_json(OVERHEAD)
    added = overhead.added(record)
    said = translate(
        language,
        "A run that takes {alone:.0f} ms without a cluster takes {cost:.1f} ms more with one "
        "({low:.1f} to {high:.1f} in {n} rounds): {runs:,} runs of {examples:,} examples by "
        "{cores} workers, beside as many by {cores} processes without a cluster. Sending the run, "
        "its rows and its predictions, and keeping them in order, is part of it. {machine}.",
        alone=1000 * overhead.alone(record),
        cost=1000 * statistics.median(added),
        low=1000 * min(added),
        high=1000 * max(added),
        n=len(record["with"]),
        runs=record["runs"],
        examples=record["examples"],
        cores=record["cores"],
        machine=bench.machine(record["environment"]),
    )
    return _with_command(record, said)


def native(language: str) -> str:
    """Return how LeNet trains with the direct kernel, with the command that measured it."""
    record = records.read_json(NATIVE)
    said = translate(
        language,
        "Examples per second of the direct kernel ÷ the matrix products, over whole epochs: "
        "{products}. ÷ the fastest PyTorch mode: {torch}. Geometric means over {n} blocks with 95% "
        "CIs.",
        products=listed(_native_over("ours")),
        torch=listed(_native_over("torch")),
        n=record["repeats"],
    )
    return f"{said}\n\n{bench.section(record, language)}"


@functools.cache
def _native_over(others: str) -> list[str]:
    """The direct kernel over the fastest row that has a true `others`, by network."""
    found = []
    for network, rows in records.read_json(NATIVE)["networks"].items():
        direct = next(row for row in rows if row["name"] == "lenet_native")
        ratio, _ = bench.lead(direct, [row for row in rows if row[others]])
        found.append(f"{network} {bench.shown(ratio)}")
    return found


def cost_of_records(language: str) -> str:
    """Return what the records of a run cost, with the command that measured it."""
    record = records.read_json(RECORDING)
    shares = recording.share(record)
    said = translate(
        language,
        "An epoch of {examples:,} examples trains in {train:.0f} ms and is evaluated in "
        "{evaluate:.0f} ms. Its records take {kept:.1f} ms: {share:.1%} of that ({low:.1%} to "
        "{high:.1%} in {n} pairs of runs). At the end of a run, curves.png takes {curves:.1f} s "
        "and report.html {page:.1f} s. {machine}.",
        examples=record["examples"],
        **{key: 1000 * statistics.median(record[key]) for key in ("train", "evaluate")},
        kept=1000 * statistics.median(record["record"]),
        share=statistics.median(shares),
        low=min(shares),
        high=max(shares),
        n=record["repeats"],
        **{key: statistics.median(record[key]) for key in ("curves", "page")},
        machine=bench.machine(record["environment"]),
    )
    return _with_command(record, said)


def time_to_start(language: str) -> str:
    """Return how long after the command a run trains, with the command that measured it."""
    record = records.read_json(START)
    of = {
        f"{kind}_{point}": start.median(record, kind, point)
        for kind in start.KINDS
        for point in start.POINTS
    }
    said = translate(
        language,
        "With no program in the cache a run trains {cold_training:.1f} s after the command, and "
        "the row of its first epoch is on the disk after {cold_row:.1f} s; with its programs "
        "there, after {warm_training:.1f} s and {warm_row:.1f} s. `--help` takes {help:.2f} s. "
        "Medians of {n} processes; an epoch of {dataset}. {machine}.",
        **of,
        help=statistics.median(record["help"]),
        n=record["repeats"],
        dataset=terms.valued(record["dataset"]),
        machine=bench.machine(record["environment"]),
    )
    return _with_command(record, said)


def race_table(language: str) -> str:
    """Return how long searches take to an accuracy, with the command that measured it."""
    record = records.read_json(RACE)
    said = translate(
        language,
        "Seconds from the command until a setting has a validation accuracy of {target:.2f} on "
        "{dataset}: {rounds} rounds on {cores} cores. Settings are compared after {least} epochs, "
        "after twice as many, and so on to {most}. {machine}; torch {torch}, optuna {optuna}.",
        target=record["target"],
        dataset=terms.valued(record["dataset"]),
        rounds=record["repeats"],
        cores=record["cores"],
        least=record["min_epochs"],
        most=record["epochs"],
        machine=bench.machine(record["environment"]),
        torch=record["torch"],
        optuna=record["optuna"],
    )
    return _with_command(record, said, race.table(record, language))


def leaderboard(language: str) -> str:
    """Return every measurement of the time to an answer, the newest first."""
    parts = []
    for path in sorted(ANSWERS.glob("*.json"), reverse=True):
        record = records.read_json(path)
        config = config_module.Config(**record["setting"])
        said = translate(
            language,
            "Date {date}, commit {commit}: `{flags}`, seeds {first} to {last}, on "
            "{held_out:,} held-out images of {dataset}. {machine}; torch {torch}.",
            date=record["date"],
            commit=record["commit"],
            flags=" ".join(config_module.flags(config)),
            first=min(run["seed"] for run in record["runs"]),
            last=max(run["seed"] for run in record["runs"]),
            held_out=answer.HELD_OUT,
            dataset=terms.valued(record["dataset"]),
            machine=bench.machine(record["environment"]),
            torch=record.get("torch", "–"),
        )
        parts.append(_with_command(record, answer.table(record, language), said))
    return "\n\n".join(parts)


def time_to_answer() -> dict[str, Any]:
    """Return the median seconds to the highest target in one record, and PyTorch's least.

    Returns:
      target, n (runs), ours and theirs (seconds).
    """
    record = records.read_json(ANSWER)
    names = {run["name"] for run in record["runs"]}
    to_last = {name: answer.seconds(record, name)[:, -1] for name in names}
    ours = to_last.pop("lenet")
    return {
        "target": record["targets"][-1],
        "n": len(ours),
        "ours": statistics.median(ours),
        "theirs": min(statistics.median(each) for each in to_last.values()),
    }


def gpu_table(language: str) -> str:
    """Return what runs and sweeps take on a GPU beside PyTorch, and what else was tried."""
    record = records.read_json(GPU)
    note = translate(
        language,
        "Median [min, max] of what was timed: two processes of one run, otherwise one, two or "
        "three times each; of 1,024 runs single epochs, times ten. Epochs have {examples:,} "
        "examples, shuffling and metrics included, evaluation apart; to compile: the training "
        "program. {machine}; driver {driver}.",
        examples=record["rows"][0]["examples"],
        machine=bench.machine(record["environment"] | {"torch": record["torch"]}),
        driver=record["driver"],
    )
    tables = f"{on_gpu.table(record, language)}\n\n{note}\n\n    {record['command']}"
    return f"{tables}\n\n{on_gpu.variants(record, language)}"


def cores_table(language: str) -> str:
    """Return what training gains from cores, network by network, with the commands."""
    parts = []
    for path in sorted(RESULTS.glob("cores*.json")):
        record = records.read_json(path)
        found = {point: statistics.median(own) for point, own in by_cores.speeds(record).items()}
        most = max(cores for _, cores in found)
        rival = max(speed for (name, n), speed in found.items() if "torch" in name and n == most)
        said = translate(
            language,
            "With {most} cores a run trains {gain:.1f} times the examples/s of one core, "
            "{products:.1f} times those of the fastest PyTorch mode in the table with as many; the "
            "direct kernel {direct:.1f} times. Median [min, max] of {repeats} epochs or more of "
            "{examples:,} examples; a cell is a process confined to so many cores, with as many "
            "threads. {machine}.",
            most=most,
            gain=found["lenet", most] / found["lenet", 1],
            products=found["lenet", most] / rival,
            direct=found["lenet_native", most] / rival,
            repeats=min(len(point["seconds"]) for point in record["points"]),
            examples=record["points"][0]["examples"],
            machine=bench.machine(record["environment"]),
        )
        table = by_cores.table(record, translate(language, "cores"), language)
        title = translate(language, bench.NETWORKS[record["network"]])
        parts.append(_with_command(record, title, table, said))
    return "\n\n".join(parts)


def forms_table(language: str) -> str:
    """Return the forms of a convolutional layer, with the command that measured them."""
    record = records.read_json(FORMS)
    t = translation(language)
    table = forms.table(record, (t("form"), t("multiply-adds")), t)
    note = translate(
        language,
        "Median [min, max] of {repeats} rounds, every form once a round. {machine}.",
        repeats=record["repeats"],
        machine=bench.machine(record["environment"]),
    )
    return f"{table}\n\n{note}\n\n    {record['command']}"


def peak_table(language: str) -> str:
    """Return the share of a core's peak that convolutions reach, with the command."""
    record = records.read_json(PEAK)
    note = translate(
        language,
        "GFLOP/s, median [min, max] of {repeats} rounds in one process, and the share of a core's "
        "peak, {peak:.0f} [{low:.0f}, {high:.0f}] GFLOP/s for square matrices of {side}; "
        "{examples} images a call. {machine}.",
        repeats=record["repeats"],
        peak=statistics.median(record["peak"]),
        low=min(record["peak"]),
        high=max(record["peak"]),
        side=peak.SIDE,
        examples=record["examples"],
        machine=bench.machine(record["environment"]),
    )
    table = peak.table(record, translation(language))
    return f"{table}\n\n{note}\n\n    {record['command']}"


def runs_table(language: str) -> str:
    """Return how the time of an epoch grows with the runs of a sweep."""
    record = records.read_json(SCALING)
    t = translation(language)
    heads = (
        t("runs"),
        t("seconds per epoch"),
        t("examples/s of all runs"),
        t("times one run"),
        t("peak memory, MB"),
    )
    note = translate(
        language,
        "Median [min, max] of {repeats} epochs of {examples:,} examples, each row a process. "
        "{machine}.",
        repeats=record["repeats"],
        examples=record["run_examples"],
        machine=bench.machine(record["environment"]),
    )
    return f"{scaling.table(record, heads)}\n\n{note}"


def precision_table(language: str) -> str:
    """Return what a precision does to the book's run, paired by seed."""
    record = records.read_json(PRECISION)
    heads = map(
        translation(language),
        (mark("numerical precision"), "n", "training loss", "training accuracy", "test accuracy"),
    )
    exact, rounded = record["runs"].values()
    rows = [
        (name, len(runs), *(spread([run[key] for run in runs]) for key in KEPT))
        for name, runs in record["runs"].items()
    ]
    difference = stats.interval(
        [b["test_accuracy"] - a["test_accuracy"] for a, b in zip(exact, rounded, strict=True)]
    )
    note = translate(
        language,
        "Seeds 0 to {last}: mean ± standard deviation. bfloat16 minus float32, paired by seed: 95% "
        "CI of the difference in test accuracy {low:+.4f} to {high:+.4f}. {machine}.",
        last=len(exact) - 1,
        low=difference.low,
        high=difference.high,
        machine=bench.machine(record["environment"]),
    )
    table = tabulate(rows, headers=list(heads), tablefmt="github", disable_numparse=True)
    return f"{table}\n\n{note}\n\n```bash\n{record['command']}\n```"


KEPT = ("train_loss", "train_accuracy", "test_accuracy")


def spread(values: Iterable[float]) -> str:
    """Return mean ± standard deviation."""
    some = list(values)
    return f"{statistics.fmean(some):.4f} ± {statistics.stdev(some):.4f}"


def collect_precisions(*sweep_dirs: Path) -> None:
    """Keep the last rows of two sweeps that differ in precision, of the seeds that both have."""
    runs: dict[str, dict[int, dict]] = {"float32": {}, "bfloat16": {}}
    rest = set()
    for sweep_dir in sweep_dirs:
        for entry in ledger.read(sweep_dir / "runs.jsonl"):
            if entry.diverged:
                sys.exit(f"error: {sweep_dir}: run {entry.run} {entry.diverged}")
            config = entry.config
            rest.add(config_module.replace(config, seed=0, precision="float32"))
            row = {"seed": config.seed} | {key: getattr(entry.rows[-1], key) for key in KEPT}
            runs[config.precision][config.seed] = row
    seeds = sorted(runs["float32"].keys() & runs["bfloat16"].keys())
    if len(rest) != 1 or len(seeds) < 2:
        sys.exit("error: these runs differ in more than precision, or share no seeds")
    record = {
        "command": COMMANDS_PRECISION,
        "environment": records.read_json(sweep_dirs[-1] / "sweep.json")["environment"],
        "runs": {name: [found[seed] for seed in seeds] for name, found in runs.items()},
    }
    files.write_json(PRECISION, record)
