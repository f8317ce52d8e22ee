"""Write the README's numbers and picture from records of real runs.

python scripts/readme.py runs/book/*         collect runs of one configuration in book.json
python scripts/readme.py precision DIR...    collect runs of two precisions in precision.json
python scripts/readme.py                     write the pages and docs/book.png from results/
python scripts/readme.py --check             fail if that would change a page
"""

import json
import statistics
import sys
from pathlib import Path

from scipy import stats
from tabulate import tabulate

from benchmarks import forms
from benchmarks import table as bench
from lenet import plots, published, records

ROOT = Path(__file__).parent.parent
BOOK = ROOT / "results" / "book.json"
BENCH = ROOT / "results" / "bench.json"
FORMS = ROOT / "results" / "forms.json"
PRECISION = ROOT / "results" / "precision.json"
BENCH_GPU = ROOT / "results" / "bench_gpu.json"
COMMANDS = """\
for seed in $(seq 0 31); do scripts/train --preset=book --seed=$seed --run_dir=runs/book/$seed; done
.venv/bin/python scripts/readme.py runs/book/*
.venv/bin/python scripts/readme.py"""
COMMANDS_PRECISION = """\
for seed in $(seq 0 15); do
  scripts/train --preset=book --seed=$seed --run_dir=runs/book/$seed
  scripts/train --preset=book --seed=$seed --run_dir=runs/bfloat16/$seed --precision=bfloat16
done
.venv/bin/python scripts/readme.py precision runs/book/* runs/bfloat16/*"""
# Published means and standard deviations, with the rounding of their source.
PUBLISHED = (
    ("PyTorch", 199, (0.4690, 0.0104), (0.8238, 0.0050), (0.8036, 0.0154)),
    ("TensorFlow", 52, (0.4696, 0.0089), (0.8233, 0.0045), (0.8167, 0.0106)),
    ("MXNet", 89, (0.4719, 0.0021), (0.8224, 0.0012), (0.8114, 0.0238)),
)
LANGUAGES = {"README.md": "en", "README.zh-CN.md": "zh"}
HEADS = {
    "README.md": (
        "who",
        "n",
        "train loss",
        "train accuracy",
        "test accuracy",
        "off 0.10 by epoch 2",
    ),
    "README.zh-CN.md": ("来源", "n", "训练损失", "训练精度", "测试精度", "到第 2 轮为止离开 0.10"),
}


def collect(run_dirs: list[Path]) -> None:
    """Keep what the tables and the picture need of finished runs of one configuration."""
    runs = []
    for run_dir in sorted(run_dirs, key=lambda path: (len(path.name), path.name)):
        config = records.read_json(run_dir / "config.json")
        rows = records.read_rows(run_dir / "metrics.jsonl")
        result = records.read_json(run_dir / "result.json")
        runs.append({"config": config["config"], "source": config["data"]["source"], "rows": rows})
        runs[-1]["environment"] = result["environment"]
    alike = {json.dumps(run["config"] | {"seed": 0}, sort_keys=True) for run in runs}
    if len(alike) != 1 or len({run["config"]["seed"] for run in runs}) != len(runs):
        sys.exit("error: these runs differ in more than their seeds, or share one")
    kept = ("epoch", "train_loss", "train_accuracy", "test_accuracy", "count", "seconds")
    record = {
        "command": COMMANDS.splitlines()[0],
        "config": runs[0]["config"],
        "environment": runs[0]["environment"],
        "first_run": runs[0]["rows"],
        "runs": [
            {
                "seed": run["config"]["seed"],
                "rows": [{key: row[key] for key in kept} for row in run["rows"]],
            }
            for run in runs
        ],
    }
    records.write(BOOK, (json.dumps(record, separators=(",", ":")) + "\n").encode())


def collect_precisions(run_dirs: list[Path]) -> None:
    """Keep the last rows of runs that differ in precision and seed alone."""
    runs: dict[str, dict[int, dict]] = {"float32": {}, "bfloat16": {}}
    rest = set()
    for run_dir in run_dirs:
        config = records.read_json(run_dir / "config.json")["config"]
        result = records.read_json(run_dir / "result.json")
        rest.add(json.dumps(config | {"seed": 0, "precision": ""}, sort_keys=True))
        kept = ("train_loss", "train_accuracy", "test_accuracy")
        row = {"seed": config["seed"]} | {key: result[key] for key in kept}
        runs[config["precision"]][config["seed"]] = row
    if len(rest) != 1 or runs["float32"].keys() != runs["bfloat16"].keys():
        sys.exit("error: these runs differ in more than precision, or not in their seeds alike")
    record = {
        "command": COMMANDS_PRECISION,
        "environment": result["environment"],
        "runs": {name: [found[seed] for seed in sorted(found)] for name, found in runs.items()},
    }
    records.write_json(PRECISION, record)


def spread(values: list[float], digits: int) -> str:
    """Mean ± standard deviation, and the range."""
    mean, sd = statistics.fmean(values), statistics.stdev(values)
    low, high = min(values), max(values)
    return f"{mean:.{digits}f} ± {sd:.{digits}f} [{low:.3f}, {high:.3f}]"


def table(head: tuple[str, ...], book: dict) -> str:
    """The published distributions and ours."""
    last = [run["rows"][-1] for run in book["runs"]]
    off = sum(run["rows"][1]["test_accuracy"] > 0.15 for run in book["runs"])
    ours = (
        "**lenet (JAX)**",
        len(last),
        *(
            spread([row[key] for row in last], 4)
            for key in ("train_loss", "train_accuracy", "test_accuracy")
        ),
        f"{off} / {len(last)}",
    )
    left, runs = published.LEFT_PLATEAU_BY_EPOCH_2
    others = [
        (
            name,
            n,
            *(f"{mean:.4f} ± {sd:.4f}" for mean, sd in columns),
            f"{left} / {runs}" if name == "PyTorch" else "",
        )
        for name, n, *columns in PUBLISHED
    ]
    return tabulate([ours, *others], headers=head, tablefmt="github", disable_numparse=True)


def facts(name: str, book: dict) -> str:
    """Hardware and versions, in the language of the README `name`."""
    env = book["environment"]
    versions = ", ".join(f"{name} {v}" for name, v in env["versions"].items() if name != "lenet")
    spread = {
        "README.md": "n seeds; mean ± standard deviation [range]",
        "README.zh-CN.md": "n 为种子数；平均值 ± 标准差 [范围]",
    }[name]
    machine = f"{env['processor']}, {env['cores']} cores; Python {env['python']}"
    return f"{spread}; {machine}, {versions}."


def rendered() -> dict[Path, bytes]:
    """Every generated file with its content."""
    book = json.loads(BOOK.read_text(encoding="utf-8"))
    files: dict[Path, bytes] = {}
    for name, head in HEADS.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        code = f"```bash\n{COMMANDS}\n```"
        text = between(text, "book", f"{table(head, book)}\n\n{facts(name, book)}\n\n{code}")
        if BENCH.exists():
            text = between(text, "bench", speed(LANGUAGES[name]))
        files[ROOT / name] = text.encode()
    for name, language in (("speed.md", "en"), ("speed.zh-CN.md", "zh")):
        path = ROOT / "docs" / name
        text = between(path.read_text(encoding="utf-8"), "forms", forms_table(language))
        if PRECISION.exists():
            text = between(text, "precision", precision_table(language))
        files[path] = text.encode()
    return files


def forms_table(language: str) -> str:
    """The forms of a convolutional layer, with the command that measured them."""
    record = records.read_json(FORMS)
    heads = {"en": ("form", "multiply-adds"), "zh": ("形式", "乘加")}[language]
    note = {
        "en": "Median [min, max] of {} rounds, every form once a round. {}.",
        "zh": "{} 次轮流测量的中位数 [最小值, 最大值]，每次各形式轮流一遍。{}。",
    }[language].format(record["repeats"], bench.machine(record["environment"]))
    return f"{forms.table(record, heads)}\n\n{note}\n\n    {record['command']}"


def precision_table(language: str) -> str:
    """What a precision does to the book's run, seed by seed."""
    record = records.read_json(PRECISION)
    heads = {
        "en": ("precision", "n", "train loss", "train accuracy", "test accuracy"),
        "zh": ("精度", "n", "训练损失", "训练精度", "测试精度"),
    }[language]
    keys = ("train_loss", "train_accuracy", "test_accuracy")
    rows = [
        (name, len(runs), *(spread([run[key] for run in runs], 4) for key in keys))
        for name, runs in record["runs"].items()
    ]
    pairs = list(zip(*record["runs"].values(), strict=True))
    difference = [second["test_accuracy"] - first["test_accuracy"] for first, second in pairs]
    low, high = interval(difference)
    note = {
        "en": "Seeds 0 to {}: mean ± standard deviation [range]. bfloat16 minus float32, paired by "
        "seed, 95 % interval of the difference in test accuracy: {:+.4f} to {:+.4f}. {}.",
        "zh": "种子 0 到 {}：平均值 ± 标准差 [范围]。按种子配对，bfloat16 减 float32 的"
        "测试精度之差的 95% 置信区间：{:+.4f} 到 {:+.4f}。{}。",
    }[language].format(len(pairs) - 1, low, high, bench.machine(record["environment"]))
    table = tabulate(rows, headers=heads, tablefmt="github", disable_numparse=True)
    return f"{table}\n\n{note}\n\n```bash\n{record['command']}\n```"


def interval(values: list[float]) -> tuple[float, float]:
    """Student's 95 % interval of a mean."""
    mean, error = statistics.fmean(values), stats.sem(values)
    low, high = stats.t.interval(0.95, len(values) - 1, mean, error)
    return float(low), float(high)


def between(text: str, name: str, body: str) -> str:
    """Put `body` between the two comments that `name` names."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    if begin not in text or end not in text:
        sys.exit(f"error: a README has no {begin} ... {end}")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{body}\n{end}{after}"


def speed(language: str) -> str:
    """The tables of the CPU and of the GPU, each with the command that gave them."""
    parts = [bench.section(records.read_json(BENCH), language)]
    if BENCH_GPU.exists():
        parts.append(bench.section(records.read_json(BENCH_GPU), language))
    else:
        parts.append(bench.TEXT[language]["no_gpu"])
    return "\n\n".join(parts)


def main(arguments: list[str]) -> None:
    """Collect, write or check."""
    if arguments[:1] == ["precision"]:
        collect_precisions([Path(argument) for argument in arguments[1:]])
        return
    if arguments and arguments != ["--check"]:
        collect([Path(argument) for argument in arguments])
        return
    stale = [path for path, content in rendered().items() if path.read_bytes() != content]
    if arguments:
        sys.exit(
            f"error: run scripts/readme.py: {', '.join(p.name for p in stale)}" if stale else 0
        )
    for path, content in rendered().items():
        records.write(path, content)
    book = json.loads(BOOK.read_text(encoding="utf-8"))
    config = book["config"]
    title = (
        f"LeNet, {config['activation']} + {config['pool']}-pooling, on {config['dataset']}\n"
        f"lr {config['lr']:g}, batch {config['batch_size']}, seed {config['seed']}"
    )
    picture = plots.curves(book["first_run"], epochs=10, title=title, band=published.band())
    records.write(ROOT / "docs" / "book.png", picture)


if __name__ == "__main__":
    main(sys.argv[1:])
