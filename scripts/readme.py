"""Write the README's numbers and pictures from records of real runs and the published ones.

python scripts/readme.py runs/book/*         collect runs of one configuration in book.json
python scripts/readme.py precision DIR...    collect runs of two precisions in precision.json
python scripts/readme.py                     write the pages and pictures from results/
python scripts/readme.py --check             fail if that would change a page
"""

import json
import statistics
import sys
from pathlib import Path

from tabulate import tabulate

from benchmarks import sections
from lenet import plots, published, records, stats

ROOT = Path(__file__).parent.parent
BOOK = ROOT / "results" / "book.json"
COMMANDS = """\
for seed in $(seq 0 31); do scripts/train --preset=book --seed=$seed --run_dir=runs/book/$seed; done
.venv/bin/python scripts/readme.py runs/book/*
.venv/bin/python scripts/readme.py"""
OURS = "lenet (JAX)"
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
# In the sentence `accuracy` and `loss` are each a lenet.stats.Equality.
EQUALITY = {
    "README.md": (
        "![The share of runs at or below each test accuracy and training loss, for ours and the "
        "three published frameworks](docs/published.png)\n\n"
        "Our {ours} runs against PyTorch's {theirs}: in test accuracy, Kolmogorov-Smirnov "
        "D = {accuracy.ks.statistic:.3f} (p = {accuracy.ks.p:.2g}), and the mean differs by "
        "{accuracy.difference.mean:.4f} (95 % interval {accuracy.difference.low:.4f} to "
        "{accuracy.difference.high:.4f}; Welch's t = {accuracy.welch.statistic:.2f}, "
        "p = {accuracy.welch.p:.2g}); in training loss, D = {loss.ks.statistic:.3f} "
        "(p = {loss.ks.p:.2g}), and the mean differs by {loss.difference.mean:.4f} (95 % interval "
        "{loss.difference.low:.4f} to {loss.difference.high:.4f}; "
        "t = {loss.welch.statistic:.2f}, p = {loss.welch.p:.2g})."
    ),
    "README.zh-CN.md": (
        "![对每个测试精度和训练损失，不超过它的运行所占的比例：我们的运行和三个已发表的框架]"
        "(docs/published.png)\n\n"
        "我们的 {ours} 次运行与 PyTorch 的 {theirs} 次相比：测试精度，Kolmogorov-Smirnov "
        "D = {accuracy.ks.statistic:.3f}（p = {accuracy.ks.p:.2g}），平均值相差 "
        "{accuracy.difference.mean:.4f}（95 % 区间 {accuracy.difference.low:.4f} 到 "
        "{accuracy.difference.high:.4f}；Welch t = {accuracy.welch.statistic:.2f}，"
        "p = {accuracy.welch.p:.2g}）；训练损失，D = {loss.ks.statistic:.3f}"
        "（p = {loss.ks.p:.2g}），平均值相差 {loss.difference.mean:.4f}（95 % 区间 "
        "{loss.difference.low:.4f} 到 {loss.difference.high:.4f}；"
        "t = {loss.welch.statistic:.2f}，p = {loss.welch.p:.2g}）。"
    ),
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


def last(book: dict, key: str) -> list[float]:
    """What our runs ended with."""
    return [run["rows"][-1][key] for run in book["runs"]]


def theirs(framework: str, key: str) -> list[float]:
    """What the published runs of a framework ended with."""
    return getattr(published.runs(framework), published.COLUMNS[key]).tolist()


def spread(values: list[float]) -> str:
    """Mean ± standard deviation."""
    return f"{statistics.fmean(values):.4f} ± {statistics.stdev(values):.4f}"


def table(head: tuple[str, ...], book: dict) -> str:
    """The published distributions and ours."""
    off = sum(run["rows"][1]["test_accuracy"] > 0.15 for run in book["runs"])
    ours = (
        f"**{OURS}**",
        len(book["runs"]),
        *(
            f"{spread(values)} [{min(values):.3f}, {max(values):.3f}]"
            for values in (last(book, key) for key in published.COLUMNS)
        ),
        f"{off} / {len(book['runs'])}",
    )
    left, runs = published.LEFT_PLATEAU_BY_EPOCH_2
    others = [
        (
            name,
            published.band(framework).runs,
            *(spread(theirs(framework, key)) for key in published.COLUMNS),
            f"{left} / {runs}" if framework == "pytorch" else "",
        )
        for framework, name in published.NAMES.items()
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


def equality(name: str, book: dict) -> str:
    """The picture of the distributions and the test against PyTorch's, for the README `name`."""
    found = {
        quantity: stats.equal_distributions(
            published.as_printed(last(book, key)), theirs("pytorch", key)
        )
        for quantity, key in (("accuracy", "test_accuracy"), ("loss", "train_loss"))
    }
    counts = {"ours": len(book["runs"]), "theirs": published.band("pytorch").runs}
    return EQUALITY[name].format(**found, **counts).replace(" -", " −")


def rendered() -> dict[Path, bytes]:
    """Every generated file with its content."""
    book = json.loads(BOOK.read_text(encoding="utf-8"))
    files: dict[Path, bytes] = {}
    for name, head in HEADS.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        code = f"```bash\n{COMMANDS}\n```"
        parts = (table(head, book), facts(name, book), equality(name, book), code)
        text = between(text, "book", "\n\n".join(parts))
        if sections.BENCH.exists():
            text = between(text, "bench", sections.speed(LANGUAGES[name]))
        files[ROOT / name] = text.encode()
    for name, language in (("speed.md", "en"), ("speed.zh-CN.md", "zh")):
        path = ROOT / "docs" / name
        text = between(path.read_text(encoding="utf-8"), "forms", sections.forms_table(language))
        if sections.PRECISION.exists():
            text = between(text, "precision", sections.precision_table(language))
        files[path] = text.encode()
    return files


def between(text: str, name: str, body: str) -> str:
    """Put `body` between the two comments that `name` names."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    if begin not in text or end not in text:
        sys.exit(f"error: a page has no {begin} ... {end}")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{body}\n{end}{after}"


def pictures() -> dict[Path, bytes]:
    """The pictures: our first run in the published band, and all runs over one another."""
    book = json.loads(BOOK.read_text(encoding="utf-8"))
    config = book["config"]
    title = (
        f"LeNet, {config['activation']} + {config['pool']}-pooling, on {config['dataset']}\n"
        f"lr {config['lr']:g}, batch {config['batch_size']}, seed {config['seed']}"
    )
    labels = {
        "test_accuracy": "test accuracy after the last epoch",
        "train_loss": "training loss over the last epoch (nats)",
    }
    panels = {
        label: {OURS: last(book, key)}
        | {name: theirs(framework, key) for framework, name in published.NAMES.items()}
        for key, label in labels.items()
    }
    band = published.band()
    first = plots.curves(book["first_run"], epochs=published.EPOCHS, title=title, band=band)
    docs = ROOT / "docs"
    return {docs / "book.png": first, docs / "published.png": plots.distributions(panels)}


def main(arguments: list[str]) -> None:
    """Collect, write or check."""
    if arguments[:1] == ["precision"]:
        sections.collect_precisions([Path(argument) for argument in arguments[1:]])
        return
    if arguments and arguments != ["--check"]:
        collect([Path(argument) for argument in arguments])
        return
    stale = [path for path, content in rendered().items() if path.read_bytes() != content]
    if arguments:
        sys.exit(
            f"error: run scripts/readme.py: {', '.join(p.name for p in stale)}" if stale else 0
        )
    for path, content in (rendered() | pictures()).items():
        records.write(path, content)


if __name__ == "__main__":
    main(sys.argv[1:])
