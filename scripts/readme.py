"""Write the README's numbers and picture from records of real runs.

python scripts/readme.py runs/book/*    collect runs of one configuration into results/book.json
python scripts/readme.py                write both READMEs and docs/book.png from results/
python scripts/readme.py --check        fail if that would change the READMEs
"""

import json
import statistics
import sys
from pathlib import Path

from tabulate import tabulate

from lenet import plots, published, records

ROOT = Path(__file__).parent.parent
BOOK = ROOT / "results" / "book.json"
COMMANDS = """\
for seed in $(seq 0 31); do scripts/train --preset=book --seed=$seed --run_dir=runs/book/$seed; done
.venv/bin/python scripts/readme.py runs/book/*
.venv/bin/python scripts/readme.py"""
# Published means and standard deviations, with the rounding of their source.
PUBLISHED = (
    ("PyTorch", 199, (0.4690, 0.0104), (0.8238, 0.0050), (0.8036, 0.0154)),
    ("TensorFlow", 52, (0.4696, 0.0089), (0.8233, 0.0045), (0.8167, 0.0106)),
    ("MXNet", 89, (0.4719, 0.0021), (0.8224, 0.0012), (0.8114, 0.0238)),
)
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
        begin, end = "<!-- book: begin -->", "<!-- book: end -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        code = f"```bash\n{COMMANDS}\n```"
        body = f"{begin}\n{table(head, book)}\n\n{facts(name, book)}\n\n{code}\n{end}"
        files[ROOT / name] = f"{before}{body}{after}".encode()
    return files


def main(arguments: list[str]) -> None:
    """Collect, write or check."""
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
