"""Write the README's numbers and pictures from records of real runs and the published ones.

python scripts/readme.py book DIR            collect a sweep over seeds in book.json
python scripts/readme.py precision DIR DIR   collect two, of two precisions, in precision.json
python scripts/readme.py compare DIR         collect a comparison in compare.json
python scripts/readme.py                     write the pages and pictures from results/
python scripts/readme.py --check             fail if that would change a page
"""

import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

from tabulate import tabulate

from benchmarks import sections
from benchmarks import table as table_of_bench
from lenet import config as config_module
from lenet import files, records
from lenet.analysis import comparison_findings, published, summary
from lenet.engine import chance
from lenet.engine.rows import Row
from lenet.figures import comparison as comparison_plots
from lenet.figures import run
from lenet.language import translate
from lenet.records import ledger

ROOT = Path(__file__).parent.parent
BOOK, COMPARE = ROOT / "results" / "book.json", ROOT / "results" / "compare.json"
FAULTS = ROOT / "results" / "faults.json"
REPORT = ROOT / "results" / "report.json"
COMMANDS = """\
.venv/bin/python -m experiments.sweep --seed=0:32 --run_dir=runs/book
.venv/bin/python scripts/readme.py book runs/book
.venv/bin/python scripts/readme.py"""
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


def collect(sweep_dir: Path) -> None:
    """Keep what the tables and the picture need of a sweep over seeds."""
    asked = records.read_json(sweep_dir / "sweep.json")
    entries = ledger.read(sweep_dir / "runs.jsonl")
    if set(asked["axes"]) != {"seed"} or len(entries) != asked["runs"]:
        sys.exit(f"error: {sweep_dir}: no finished sweep over seeds alone")
    if any(entry.diverged for entry in entries):
        sys.exit(f"error: {sweep_dir}: a run diverged")
    kept = ("epoch", "train_loss", "train_accuracy", "test_accuracy", "count")
    record = {
        "command": asked["command"],
        "config": config_module.to_dict(entries[0].config),
        "source": asked["data"][0]["source"],
        "environment": asked["environment"],
        "first_run": [row.to_dict() for row in entries[0].rows],
        "runs": [
            {
                "seed": entry.config.seed,
                "rows": [{key: getattr(row, key) for key in kept} for row in entry.rows],
            }
            for entry in entries
        ],
    }
    files.write(BOOK, (json.dumps(record, separators=(",", ":")) + "\n").encode())


def collect_comparison(run_dir: Path) -> None:
    """Keep a finished comparison."""
    record = records.read_json(run_dir / "compare.json")
    if "comparison" not in record:
        sys.exit(f"error: {run_dir}: the comparison is not finished")
    if record["settings"]["dataset"] == "synthetic":
        sys.exit(f"error: {run_dir}: of synthetic data")
    record["run_dir"] = str(run_dir)
    files.write(COMPARE, (json.dumps(record, separators=(",", ":")) + "\n").encode())


def comparison_section(name: str) -> str:
    """The 2x2 comparison, its picture and findings, for the README `name`."""
    record, language = records.read_json(COMPARE), LANGUAGES[name]
    runs, data = record["comparison"], record["settings"]["dataset"]
    alt, note, lasted = {
        "en": (
            "Validation accuracy against the learning rate, test accuracy of the four cells, and "
            "test accuracy by epoch",
            "The first row is the texts' own network. Mean ± 95 % interval over n seeds; nearly as "
            "good: the learning rates whose validation accuracy is at most 0.02 below the best, "
            "{tuning_seeds} seeds each; epochs: of the median seed, until test accuracy is there. "
            "{time}{machine}.",
            "{:.0f} minutes in all on ",
        ),
        "zh": (
            "验证精度随学习率的变化，四格的测试精度，以及测试精度随轮数的变化",
            "第一行是教材自己的网络。n 个种子的平均值 ± 95% 置信区间；"
            "几乎同样好的：验证精度比最好的至多低 0.02 的学习率，"
            "每个 {tuning_seeds} 个种子；轮数：居中的种子达到该测试精度所用的轮数。"
            "{time}{machine}。",
            "总共 {:.0f} 分钟，",
        ),
    }[language]
    note = note.format(
        **record["settings"],
        time=lasted.format(record["seconds"] / 60) if record["seconds"] else "",
        machine=table_of_bench.machine(record["environment"]),
    )
    command = record["command"].replace("python ", ".venv/bin/python ", 1)
    code = (
        f"```bash\n{command}\n.venv/bin/python scripts/readme.py compare {record['run_dir']}\n"
        ".venv/bin/python scripts/readme.py\n```"
    )
    num_classes = summary.classes(record["data"])[data]
    said = [
        translate(language, each) for each in comparison_findings.findings(runs, data, num_classes)
    ]
    effects = comparison_findings.effects_table(comparison_findings.effects(runs), language)
    table = comparison_findings.table(runs, language)
    return "\n\n".join([f"![{alt}](docs/compare.png)", table, note, *said, effects, code])


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
    second = [
        run["rows"][1]["test_accuracy"] for run in book["runs"]
    ]  # five fields of Row are kept
    off = sum(not chance.at_level(accuracy, 10) for accuracy in second)
    ours = (
        f"**{run.OURS}**",
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
    found = published.equality({key: last(book, key) for key in run.ENDS})
    named = {"accuracy": found["test_accuracy"], "loss": found["train_loss"]}
    counts = {"ours": len(book["runs"]), "theirs": published.band("pytorch").runs}
    return EQUALITY[name].format(**named, **counts).replace(" -", " −")


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
        if COMPARE.exists():
            text = between(text, "compare", comparison_section(name))
        if REPORT.exists():
            text = between(text, "report", report_section(LANGUAGES[name]))
        files[ROOT / name] = text.encode()
    for name, language in (("faults.md", "en"), ("faults.zh-CN.md", "zh")):
        path = ROOT / "docs" / name
        text = path.read_text(encoding="utf-8")
        if FAULTS.exists():
            text = between(text, "faults", faults_section(language))
        files[path] = text.encode()
    for name, language in (("speed.md", "en"), ("speed.zh-CN.md", "zh")):
        path = ROOT / "docs" / name
        text = between(path.read_text(encoding="utf-8"), "forms", sections.forms_table(language))
        text = between(text, "runs", sections.runs_table(language))
        if sections.PRECISION.exists():
            text = between(text, "precision", sections.precision_table(language))
        files[path] = text.encode()
    return files


def report_section(language: str) -> str:
    """Pictures of reports, their sizes and times."""
    record = records.read_json(REPORT)
    alts, note = {
        "en": (
            {
                "run": "The report of a run: numbers, curves over the published band, its place "
                "among the published runs, and why it learned",
                "layers": "Two images layer by layer in the trained network; a unit's window and "
                "receptive field are framed",
                "sweep": "The charts of a sweep: learning-rate curves, bands by epoch, settings "
                "with their intervals, parallel coordinates",
            },
            "The report of the chapter's run has {run_size:.1f} MB and is made in {run}, from the "
            "start of the command, that of the sweep {sweep_size:.1f} MB in {sweep}; the first "
            "opens in {opened}. In the browser the logits of 30 test images differ from JAX's by "
            "at most {most:.1e}. "
            "Median [min, max] of {n}; {machine}; {browser}.",
        ),
        "zh": (
            {
                "run": "一次运行的报告：数值、叠在已发表色带上的曲线、在已发表运行中的位置，"
                "以及它为什么学会了",
                "layers": "两张图像在训练好的网络中逐层查看；框出一个单元的窗口和感受野",
                "sweep": "批量试验的图表：学习率曲线、各轮的色带、各设置及其区间、平行坐标",
            },
            "本章那次运行的报告有 {run_size:.1f} MB，从命令开始算用 {run} 生成；批量试验的报告 "
            "{sweep_size:.1f} MB，用 {sweep}；前者用 {opened} 打开。"
            "浏览器中 30 张测试图像的 logits 与 JAX 的相差至多 {most:.1e}。"
            "{n} 次的中位数 [最小，最大]；{machine}；{browser}。",
        ),
    }[language]

    def seconds(values: list[float]) -> str:
        return f"{statistics.median(values):.1f} s [{min(values):.1f}, {max(values):.1f}]"

    said = note.format(
        run_size=record["run"]["bytes"] / 1e6,
        run=seconds(record["run"]["seconds"]),
        sweep_size=record["sweep"]["bytes"] / 1e6,
        sweep=seconds(record["sweep"]["seconds"]),
        opened=seconds(record["seconds_to_open"]),
        most=record["largest_difference_of_logits"],
        n=len(record["run"]["seconds"]),
        machine=table_of_bench.machine(record["environment"]),
        browser=record["browser"],
    )
    shown = [f"![{alt}](docs/report/{language}/{name}.png)" for name, alt in alts.items()]
    commands = [record["run"]["command"], record["sweep"]["command"], record["command"]]
    code = "\n".join(f".venv/bin/{command}" for command in [*commands, "python scripts/readme.py"])
    return "\n\n".join([*shown, said, f"```bash\n{code}\n```"])


def faults_section(language: str) -> str:
    """The table of the faults that were injected, with its command and duration."""
    record = records.read_json(FAULTS)
    heads, total, note = {
        "en": (
            ("fault", "injected", "detected", "recovered", "bit-equal"),
            "all",
            "{seconds} s. Some faults have nothing to recover, some nothing to detect. {machine}.",
        ),
        "zh": (
            ("故障", "注入", "发现", "恢复", "逐位相同"),
            "合计",
            "{seconds} 秒。有的故障无可恢复，有的无须发现。{machine}。",
        ),
    }[language]
    counts = record["faults"]
    sums = [sum(column) for column in zip(*counts.values(), strict=True)]
    rows = [[name, *(n or "" for n in row)] for name, row in (*counts.items(), (total, sums))]
    table = tabulate(rows, heads, tablefmt="github", disable_numparse=True)
    machine = table_of_bench.machine(record["environment"])
    said = note.format(seconds=record["seconds"], machine=machine)
    return f"    {record['command']}\n\n{table}\n\n{said}"


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
    ours = {key: last(book, key) for key in run.ENDS}
    band = published.band()
    rows = [Row.from_dict(row) for row in book["first_run"]]
    first = run.curves(rows, epochs=published.EPOCHS, title=title, band=band)
    docs = ROOT / "docs"
    drawn = {docs / "book.png": first, docs / "published.png": run.among_published(ours)}
    if COMPARE.exists():
        compared = records.read_json(COMPARE)
        drawn[docs / "compare.png"] = comparison_plots.picture(
            compared["comparison"], compared["settings"]["dataset"]
        )
    return drawn


def main(arguments: list[str]) -> None:
    """Collect, write or check."""
    collectors: dict[str, Callable[..., None]] = {
        "book": collect,
        "precision": sections.collect_precisions,
        "compare": collect_comparison,
    }
    directories = {"book": 1, "precision": 2, "compare": 1}
    if arguments and directories.get(arguments[0]) == len(arguments) - 1:
        collectors[arguments[0]](*map(Path, arguments[1:]))
        return
    if arguments not in ([], ["--check"]):
        sys.exit(__doc__)
    stale = [path for path, content in rendered().items() if path.read_bytes() != content]
    if arguments:
        sys.exit(
            f"error: run scripts/readme.py: {', '.join(p.name for p in stale)}" if stale else 0
        )
    for path, content in (rendered() | pictures()).items():
        files.write(path, content)


if __name__ == "__main__":
    main(sys.argv[1:])
