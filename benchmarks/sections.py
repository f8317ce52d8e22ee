"""What the README and docs/speed.md say of speed and precision, from the records in results/."""

import dataclasses
import statistics
import sys
from pathlib import Path

from tabulate import tabulate

from benchmarks import forms, scaling
from benchmarks import table as bench
from lenet import files, records
from lenet.analysis import stats
from lenet.records import ledger

RESULTS = Path(__file__).parent.parent / "results"
BENCH, BENCH_GPU = RESULTS / "bench.json", RESULTS / "bench_gpu.json"
SCALING, FORMS, PRECISION = (
    RESULTS / "scaling.json",
    RESULTS / "forms.json",
    RESULTS / "precision.json",
)
COMMANDS_PRECISION = """\
.venv/bin/python -m experiments.sweep --seed=0:32 --run_dir=runs/book
.venv/bin/python -m experiments.sweep --seed=0:16 --precision=bfloat16 --run_dir=runs/bfloat16
.venv/bin/python scripts/readme.py precision runs/book runs/bfloat16"""


def speed(language: str) -> str:
    """Return the tables of the CPU and of the GPU, each with the command that gave them."""
    parts = [bench.section(records.read_json(BENCH), language)]
    for path in sorted(set(RESULTS.glob("bench_*.json")) - {BENCH_GPU}):
        parts.append(bench.elsewhere(records.read_json(path), f"results/{path.name}", language))
    if BENCH_GPU.exists():
        parts.append(bench.section(records.read_json(BENCH_GPU), language))
    else:
        parts.append(bench.TEXT[language]["no_gpu"])
    return "\n\n".join(parts)


def forms_table(language: str) -> str:
    """Return the forms of a convolutional layer, with the command that measured them."""
    record = records.read_json(FORMS)
    heads = {"en": ("form", "multiply-adds"), "zh": ("形式", "乘加")}[language]
    note = {
        "en": "Median [min, max] of {} rounds, every form once a round. {}.",
        "zh": "{} 次轮流测量的中位数 [最小值, 最大值]，每次各形式轮流一遍。{}。",
    }[language].format(record["repeats"], bench.machine(record["environment"]))
    return f"{forms.table(record, heads)}\n\n{note}\n\n    {record['command']}"


def runs_table(language: str) -> str:
    """Return how the time of an epoch grows with the runs of a sweep."""
    record = records.read_json(SCALING)
    heads = {
        "en": ("runs", "seconds an epoch", "examples/s of all", "times one run", "peak memory, MB"),
        "zh": ("运行数", "一轮的秒数", "合计每秒样本数", "相当于单次运行的倍数", "峰值内存，MB"),
    }[language]
    note = {
        "en": "Median [min, max] of {} epochs of {:,} examples, each row a process. {}.",
        "zh": "{} 轮（每轮 {:,} 个样本）的中位数 [最小值, 最大值]，每行一个进程。{}。",
    }[language].format(record["repeats"], record["examples"], bench.machine(record["environment"]))
    return f"{scaling.table(record, heads)}\n\n{note}"


def precision_table(language: str) -> str:
    """Return what a precision does to the book's run, paired by seed."""
    record = records.read_json(PRECISION)
    heads = {
        "en": ("precision", "n", "train loss", "train accuracy", "test accuracy"),
        "zh": ("精度", "n", "训练损失", "训练精度", "测试精度"),
    }[language]
    exact, rounded = record["runs"].values()
    rows = [
        (name, len(runs), *(_spread([run[key] for run in runs]) for key in KEPT))
        for name, runs in record["runs"].items()
    ]
    difference = stats.interval(
        [b["test_accuracy"] - a["test_accuracy"] for a, b in zip(exact, rounded, strict=True)]
    )
    note = {
        "en": "Seeds 0 to {}: mean ± standard deviation. bfloat16 minus float32, paired by seed, "
        "95 % interval of the difference in test accuracy: {:+.4f} to {:+.4f}. {}.",
        "zh": "种子 0 到 {}：平均值 ± 标准差。按种子配对，bfloat16 减 float32 的"
        "测试精度之差的 95% 置信区间：{:+.4f} 到 {:+.4f}。{}。",
    }[language]
    note = note.format(
        len(exact) - 1, difference.low, difference.high, bench.machine(record["environment"])
    )
    table = tabulate(rows, headers=heads, tablefmt="github", disable_numparse=True)
    return f"{table}\n\n{note}\n\n```bash\n{record['command']}\n```"


KEPT = ("train_loss", "train_accuracy", "test_accuracy")


def collect_precisions(*sweep_dirs: Path) -> None:
    """Keep the last rows of two sweeps that differ in precision, of the seeds that both have."""
    runs: dict[str, dict[int, dict]] = {"float32": {}, "bfloat16": {}}
    rest = set()
    for sweep_dir in sweep_dirs:
        for entry in ledger.read(sweep_dir / "runs.jsonl"):
            if entry.diverged:
                sys.exit(f"error: {sweep_dir}: run {entry.run} {entry.diverged}")
            config = entry.config
            rest.add(dataclasses.replace(config, seed=0, precision="float32"))
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


def _spread(values: list[float]) -> str:
    return f"{statistics.fmean(values):.4f} ± {statistics.stdev(values):.4f}"
