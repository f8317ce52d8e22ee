"""Write the numbers and pictures of the docs from records of real runs and the published ones.

python scripts/readme.py book DIR            collect a sweep over seeds in book.json
python scripts/readme.py precision DIR DIR   collect two, of two precisions, in precision.json
python scripts/readme.py compare DIR         collect the registered comparison and its predictions
python scripts/readme.py neighbours          compare test with training images (a minute)
python scripts/readme.py                     write the pages and pictures from results/
python scripts/readme.py --check             fail if that would change a page
"""

import functools
import io
import itertools
import json
import re
import statistics
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import dependencies
import numpy as np
import scipy
from tabulate import tabulate

from benchmarks import sections
from benchmarks import table as table_of_bench
from experiments import cli
from experiments.cli import completion
from experiments.commands import purpose
from experiments.within import running_statistics
from lenet import config as config_module
from lenet import data, files, records
from lenet.analysis import (
    comparison,
    comparison_findings,
    design,
    ensemble,
    neighbours,
    published,
    stats,
    tuning,
)
from lenet.analysis.bootstrap import bca
from lenet.analysis.stats import MARGIN
from lenet.analysis.terms import POOLINGS
from lenet.engine import chance
from lenet.engine.rows import Row
from lenet.figures import comparison as comparison_plots
from lenet.figures import doubted, run
from lenet.language import (
    LANGUAGES,
    Message,
    listed,
    mark,
    message,
    sentences,
    translate,
    translation,
)
from lenet.records import ledger

ROOT = Path(__file__).parent.parent
BOOK = ROOT / "results" / "book.json"
COMPARE = ROOT / "lenet" / "analysis" / comparison.RECORD
PREDICTIONS = ROOT / "results" / "compare_predictions.npz"
VOTES = ROOT / "results" / "compare_votes.json"
DOUBTED, SHOWN = 0.95, 32
"""The share of runs from which a label counts as contradicted, and how many images are shown."""
NEIGHBOURS = ROOT / "results" / "neighbours.json"
NEAR = (0.02, 0.04, 0.06, 0.08)
"""Differences, as a share of 255, below which a training image counts as near."""
FAULTS = ROOT / "results" / "faults.json"
REPORT, REPORT_BEFORE = ROOT / "results" / "report.json", ROOT / "results" / "report_before.json"
REPORTS = {"run": mark("a run"), "sweep": mark("a sweep"), "comparison": mark("a comparison")}
BENCH_NETWORKS = ROOT / "results" / "bench_networks.json"
NORMALISED = ROOT / "results" / "within" / "running_statistics.json"
BEST_OF = (1, 2, 4, 8, 16)
KINDS = {"scratch": mark("from scratch"), "concise": mark("the framework's layer")}
"""How the published runs normalise."""
MEASURES = {"train_loss": mark("training loss"), "train_accuracy": mark("training accuracy")}
TESTED = (mark("their own batch"), mark("running means"))
"""Test images, by whether it is by running statistics."""
README = {"en": ROOT / "README.md", "zh": ROOT / "README.zh-CN.md"}
COMMANDS = """\
.venv/bin/python -m experiments.sweep --seed=0:32 --run_dir=runs/book
.venv/bin/python scripts/readme.py book runs/book
.venv/bin/python scripts/readme.py"""


def keep(path: Path, record: dict[str, Any]) -> None:
    """Write a record, on one line."""
    files.write(path, (json.dumps(record, separators=(",", ":")) + "\n").encode())


def keep_arrays(path: Path, **arrays: Any) -> None:
    """Write arrays by name, compressed."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    files.write(path, buffer.getvalue())


def anywhere(described: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what a record says of its data, without where they lay on one machine.

    >>> anywhere([{"source": "/home/ada/.cache/lenet/mnist (verified)"}])
    [{'source': 'mnist (verified)'}]
    """
    return [each | {"source": re.sub(r"^.*/", "", each["source"])} for each in described]


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
        "source": anywhere(asked["data"])[0]["source"],
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
    keep(BOOK, record)


def collect_comparison(run_dir: Path) -> None:
    """Keep a finished comparison, and its predictions, if it is the registered one."""
    record = records.read_json(run_dir / "compare.json")
    design.check(record)
    planned, entries = design.registered(), ledger.read(run_dir / "runs.jsonl")
    stage, _ = design.missing(design.stages(planned, entries, 10), entries)
    if stage not in ("", "neighbours"):
        sys.exit(f"error: {run_dir}: the comparison is not finished (stage {stage})")
    kept = ("design", "registered", "data", "sessions", "environment")
    keep(
        COMPARE,
        {"command": "python -m experiments.compare --run_dir=DIR"}
        | {key: record[key] for key in kept}
        | {"data": anywhere(record["data"])}
        | {"comparison": comparison.of(entries, planned, 10)},
    )
    predicted = records.predictions(run_dir)
    # Runs last: neighbours in the file agree, and it compresses ten times as well.
    classes = np.stack([predicted[run] for run in sorted(predicted)], axis=-1)
    keep_arrays(PREDICTIONS, runs=np.array(sorted(predicted)), classes=classes)
    keep(VOTES, votes(records.read_json(COMPARE)["comparison"]["runs"], predicted))


def votes(runs: list[tuning.Run], predicted: Mapping[int, np.ndarray]) -> dict[str, Any]:
    """Return what the final runs of each network say together, and which labels all contradict."""
    labels = data.load("fashion_mnist").test.labels
    final = [number for number, run in enumerate(runs) if run["stage"] == "final"]
    found = []
    for which in tuning.CELLS:
        own = [number for number in final if tuning.cell(runs[number]) == which]
        alone = statistics.median(runs[number]["test_accuracy"][-1] for number in own)
        said = ensemble.vote(np.stack([predicted[n] for n in own], -1), labels, 10)
        found.append({"cell": which, "runs": len(own), "median": alone, **said._asdict()})
    together = np.stack([predicted[number] for number in final], -1)
    doubted = ensemble.doubted(together, labels, 10, DOUBTED)
    return {"networks": found, "runs": len(final), "doubted": [each._asdict() for each in doubted]}


def comparison_section(language: str) -> str:
    """The 2x2 comparison, its picture, findings and tables."""
    if not COMPARE.exists():
        return translate(
            language,
            "The experiment is registered in `{path}`, and not finished: no conclusion yet.",
            path=COMPARE.with_name(design.REGISTRATION).relative_to(ROOT).as_posix(),
        )
    record = records.read_json(COMPARE)
    runs, found = record["comparison"], analysed()
    data, epochs = runs["design"]["dataset"], runs["design"]["epochs"]
    t = partial(translate, language)
    alt = t(
        "Validation accuracy against the learning rate, test accuracy of the four networks, and "
        "test accuracy by epoch"
    )
    machines = listed(
        dict.fromkeys(
            translate(language, table_of_bench.machine(each["environment"]))
            for each in record["sessions"]
        ),
        "; ",
    )
    note = sentences(
        language,
        [
            comparison_findings.caption(epochs),
            comparison_findings.registered(record),
            message("{machines}.", machines=machines),
        ],
    )
    said = [t(each) for each in comparison_findings.findings(found, runs, data)]
    table, *others = comparison_findings.tables(found, epochs, language)
    command = record["command"].replace("python ", ".venv/bin/python ", 1)
    code = (
        f"```bash\n{command}\n.venv/bin/python scripts/readme.py compare DIR\n"
        ".venv/bin/python scripts/readme.py\n```"
    )
    picture = f"![{alt}](results/compare.png)"
    return "\n\n".join([picture, *said, table, note, *others, code])


def collect_neighbours() -> None:
    """Keep how near the test images are to training images, and how accurate runs are on those."""
    found = data.load("fashion_mnist")
    distance, index = neighbours.nearest(found.train.images, found.test.images)
    runs, kept = records.read_json(COMPARE)["comparison"]["runs"], np.load(PREDICTIONS)
    best = [
        i
        for i, number in enumerate(kept["runs"])
        if runs[number]["stage"] == "final" and tuning.cell(runs[number]) == tuning.CELLS[-1]
    ]
    right = (kept["classes"][:, best] == found.test.labels[:, None]).mean(1)
    alike = found.train.labels[index] == found.test.labels
    rows = []
    for limit in (*NEAR, 1.0):
        near = distance < limit
        row: dict[str, Any] = {"limit": limit, "images": int(near.sum())}
        row["alike"] = float(alike[near].mean())
        if limit < 1:
            # Some classes are easier and have nearer images: each is compared with its own.
            of_class = [right[~near & (found.test.labels == k)].mean() for k in range(10)]
            beyond = right[near] - np.array(of_class)[found.test.labels[near]]
            row |= {"accuracy": _mean(right[near]), "beyond": _mean(beyond)}
        else:
            row |= {"accuracy": [float(right.mean())]}
        rows.append(row)
    keep(NEIGHBOURS, {"data": found.fingerprint, "runs": len(best), "rows": rows})


def _mean(values: np.ndarray) -> list[float]:
    """The mean over images with its 95% CI (BCa)."""
    (found,) = bca(values[None], lambda y: y[0].mean(-1))
    return [found.mean, found.low, found.high]


def neighbours_section(language: str) -> str:
    """How near the test images are to training images."""
    record, t = records.read_json(NEIGHBOURS), partial(translate, language)
    heads = [
        t("difference below"),
        t("test images"),
        t("label of the nearest is the same"),
        t("accuracy on these [95% CI]"),
        t("minus that of the other images of their classes [95% CI]"),
    ]
    rows = [
        [
            f"{each['limit']:.0%}" if each["limit"] < 1 else t("all"),
            f"{each['images']:,}",
            f"{each['alike']:.1%}",
            stats.Interval(*each["accuracy"]).shown(".3f")
            if "beyond" in each
            else f"{each['accuracy'][0]:.3f}",
            f"{stats.Interval(*each['beyond'])}" if "beyond" in each else "",
        ]
        for each in record["rows"]
    ]
    note = t(
        "Accuracy: mean of {n} runs, ReLU with max pooling, of the comparison; intervals: BCa over "
        "the images of the row, rough for so few as 6 or 18; the means of classes are taken as "
        "known.",
        n=record["runs"],
    )
    return f"{tabulate(rows, heads, tablefmt='github', disable_numparse=True)}\n\n{note}"


def votes_section(language: str) -> str:
    """What the final runs of the comparison say together, and the images that they doubt."""
    record, t = records.read_json(VOTES), partial(translate, language)
    heads = [
        t("network"),
        "n",
        t("median accuracy of a run"),
        t("accuracy of their vote"),
        t("two runs agree"),
    ]
    rows = [
        [
            t(comparison_findings.named(tuple(each["cell"]))),
            str(each["runs"]),
            f"{each['median']:.4f}",
            f"{each['accuracy']:.4f}",
            f"{each['agreement']:.1%}",
        ]
        for each in record["networks"]
    ]
    table = tabulate(rows, heads, tablefmt="github", disable_numparse=True)
    said = t(
        "At least {least:.0%} of the {runs} runs, of all four networks, give {count} of the 10,000 "
        "test images one and the same class that is not their label. These are the {shown} most "
        "contradicted, label above, what the runs say below. Some labels look wrong; other images "
        "do resemble another class.",
        least=DOUBTED,
        runs=record["runs"],
        count=len(record["doubted"]),
        shown=SHOWN,
    )
    alt = t("Test images whose labels nearly all runs contradict")
    return "\n\n".join([table, said, f"![{alt}](results/doubted.png)"])


@functools.cache
def analysed() -> comparison.Analysis:
    """The analysis of the comparison, which takes some seconds."""
    return comparison.analyse(records.read_json(COMPARE)["comparison"])


def last(book: dict, key: str) -> list[float]:
    """What our runs ended with."""
    return [run["rows"][-1][key] for run in book["runs"]]


def table(language: str, book: dict) -> str:
    """The published distributions and ours."""
    t = translation(language)
    heads = (
        t("source"),
        "n",
        t("training loss"),
        t("training accuracy"),
        t("test accuracy"),
        t("left 0.10 by epoch 2"),
    )
    second = [run["rows"][1]["test_accuracy"] for run in book["runs"]]  # five fields are kept
    off = sum(not chance.at_level(accuracy, 10) for accuracy in second)
    ours = (
        f"**{t(run.OURS)}**",
        len(book["runs"]),
        *(
            f"{sections.spread(values)}, {min(values):.3f} … {max(values):.3f}"
            for values in (last(book, key) for key in published.COLUMNS)
        ),
        f"{off} / {len(book['runs'])}",
    )
    left, runs = published.LEFT_PLATEAU_BY_EPOCH_2
    others = [
        (
            t(name),
            published.band(framework).runs,
            *(
                sections.spread(getattr(published.runs(framework), column))
                for column in published.COLUMNS.values()
            ),
            f"{left} / {runs}" if framework == "pytorch" else "",
        )
        for framework, name in published.NAMES.items()
    ]
    return tabulate([ours, *others], headers=heads, tablefmt="github", disable_numparse=True)


def equality(language: str, book: dict) -> str:
    """The picture of the distributions and the test against PyTorch's."""
    found = published.equality({key: last(book, key) for key in run.ENDS})
    t = partial(translate, language)
    alt = t(
        "The share of runs at or below each test accuracy and training loss, for ours and the "
        "three published frameworks"
    )
    compared = [
        message(
            "{measure}: means differ by {difference} (95% CI), the distributions by at most "
            "{d:.3f} (permutation test, p = {ks:.2g})",
            measure=Message(name),
            difference=equal.difference,
            d=equal.distance,
            ks=equal.p,
        )
        for name, equal in (
            ("test accuracy", found["test_accuracy"]),
            ("training loss", found["train_loss"]),
        )
    ]
    said = t(
        "Our {ours} runs against the {theirs} published PyTorch runs: {compared}. A large p of "
        "the permutation test does not show equality; two one-sided tests of the means can:",
        ours=len(book["runs"]),
        theirs=published.band("pytorch").runs,
        compared=listed(compared, "; "),
    )
    return f"![{alt}](results/published.png)\n\n{said}\n\n{sets(language)}".replace(" -", " −")


def sets(language: str) -> str:
    """How each set of our runs of the book differs in test accuracy from PyTorch's."""
    t = partial(translate, language)
    rows = []
    for name, values, where in accuracies():
        found = published.equality({"test_accuracy": values})["test_accuracy"]
        verdict = Message(published.EQUIVALENT[found.equivalent])
        shown = t("{p:.2g}: {verdict}", p=found.equivalence, verdict=verdict)
        ends = sections.spread(values)
        rows.append([t(name), len(values), where, ends, str(found.difference), shown])
    heads = [
        t("our runs"),
        "n",
        t("trained on"),
        t("test accuracy"),
        t("mean test accuracy minus PyTorch's [95% CI]"),
        t("within {margin}: p (two one-sided tests)", margin=MARGIN),
    ]
    return tabulate(rows, heads, tablefmt="github", disable_numparse=True)


@functools.cache
def accuracies() -> list[tuple[Message, list[float], str]]:
    """Return the sets of runs of the book that we trained: name, test accuracies, machine.

    The first two share the seeds 0 to 31, whose runs are equal to the digit.
    """
    book = records.read_json(BOOK)
    found = [(book["runs"][0]["seed"], last(book, "test_accuracy"), book["environment"])]
    for name in ("frameworks", "last_step"):
        study = records.read_json(ROOT / "results" / "studies" / f"{name}.json")
        # Those of the book's settings differ in nothing but the seed.
        own = [run for run in study["runs"] if run["config"].keys() <= {"seed"}]
        first = own[0]["config"].get("seed", study["config"]["seed"])
        ends = [run["last"]["test_accuracy"] for run in own]
        found.append((first, ends, study["environment"]))
    rows = [
        (
            message("seeds {first} to {last}", first=first, last=first + len(ends) - 1),
            ends,
            environment["device" if environment["backend"] != "cpu" else "processor"],
        )
        for first, ends, environment in found
    ]
    every = [*found[1][1], *found[2][1]]
    return [*rows, (message("all, each seed once"), every, "")]


def book_section(language: str) -> str:
    """The distributions of the book's runs and ours."""
    book = records.read_json(BOOK)
    facts = translate(
        language,
        "n runs; mean ± standard deviation, lowest … highest. MXNet: one draw of the initial "
        "weights. {machine}.",
        machine=table_of_bench.machine(book["environment"]),
    )
    code = f"```bash\n{COMMANDS}\n```"
    parts = (
        table(language, book),
        facts,
        equality(language, book),
        best_of_section(language),
        code,
    )
    return "\n\n".join(parts)


def best_of_section(language: str) -> str:
    """What choosing the best of several seeds buys, in the published runs and in ours."""
    t = partial(translate, language)
    *_, (_, ours, _) = accuracies()
    rows = [
        (t("PyTorch, published"), published.runs("pytorch").test_acc),
        (t(run.OURS), np.array(ours)),
    ]
    cells = []
    for name, values in rows:
        found = [bca(values, partial(_best, n))[0] for n in BEST_OF]
        shown = (f"{x.mean:.4f} [{x.low:.4f}, {x.high:.4f}]" for x in found)
        cells.append([name, str(len(values)), *shown])
    heads = [t("source"), "n", *(t("best of {n}", n=n) for n in BEST_OF)]
    said = t(
        "Choosing the best of several seeds by the test set raises what is reported, though no "
        "setting is better. Expected test accuracy of the best of so many runs (U-statistic; 95% "
        "CIs, BCa over runs):"
    )
    return f"{said}\n\n{tabulate(cells, heads, tablefmt='github', disable_numparse=True)}"


def normalised_section(language: str) -> str:
    """LeNet with batch normalisation: the distributions by pooling and statistics, ours first."""
    t = partial(translate, language)
    heads = [
        t("pooling"),
        t("source"),
        t("batch normalisation"),
        t("test images normalised by"),
        "n",
        t("training loss"),
        t("training accuracy"),
        t("test accuracy"),
    ]
    ours = records.read_json(NORMALISED)
    rows = [
        [t(cell) if isinstance(cell, str) else cell for cell in row] for row in _normalised(ours)
    ]
    shown = tabulate(rows, heads, tablefmt="github", disable_numparse=True)
    note = t("n runs; mean ± standard deviation.")
    said = t(
        "Whether the spread of PyTorch's runs with max pooling changed with the statistics "
        "(Levene's test, deviations from the median): of test accuracy p = {test_scratch} from "
        "scratch and p = {test_concise} with the framework's layer; of training accuracy p = "
        "{train_scratch} and p = {train_concise}.",
        **{
            f"{split}_{kind}": f"{_spread_changed(kind, f'{split}_acc'):.2g}"
            for split in ("test", "train")
            for kind in KINDS
        },
    )
    return f"{shown}\n\n{note}\n\n{t(_beside_pytorch(ours))}\n\n{said}".replace(" -", " −")


def _normalised(record: dict[str, Any]) -> list[list[Any]]:
    """The rows of the table: ours by both kinds of statistics, then the published runs."""
    rows: list[list[Any]] = []
    for group in running_statistics.BASE:
        name = POOLINGS[group.pool]
        tested = running_statistics.accuracies(record, group).T
        for statistic, by in (("batch", 0), ("running", 1)):
            test = tested[[*running_statistics.STATISTICS].index(statistic)]
            spreads = map(sections.spread, (*_ends(record, group).values(), test))
            rows.append([name, "lenet", KINDS["concise"], TESTED[by], len(test), *spreads])
        for framework in published.NAMES:
            runs = published.runs(framework, f"bn_{group.pool}")
            for kind, running in itertools.product(KINDS, (False, True)):
                chosen = (runs.kind == kind) & (published.by_running(runs) == running)
                if chosen.sum() > 2:
                    some = runs.where(chosen)
                    spreads = map(sections.spread, (some.loss, some.train_acc, some.test_acc))
                    about = [published.NAMES[framework], KINDS[kind], TESTED[running]]
                    rows.append([name, *about, len(some.loss), *spreads])
    return rows


def _beside_pytorch(record: dict[str, Any]) -> Message:
    """How our runs with batch normalisation differ from PyTorch's, and by pooling."""
    ends = {group.pool: _ends(record, group) for group in running_statistics.BASE}
    compared = [
        message(
            "{pool}: {measure} {difference}",
            pool=Message(POOLINGS[pool]),
            measure=Message(MEASURES[key]),
            difference=equal.difference,
        )
        for pool, values in ends.items()
        for key, equal in published.equality(values, f"bn_{pool}").items()
    ]
    gain = stats.equality(ends["max"]["train_accuracy"], ends["avg"]["train_accuracy"])
    return message(
        "Ours minus PyTorch's by running means (95% CIs, Welch): {compared}. Ours, max minus "
        "average pooling: training accuracy {gain}.",
        compared=listed(compared, "; "),
        gain=gain.difference,
    )


def _ends(record: dict[str, Any], group: running_statistics.Group) -> dict[str, list[float]]:
    """What our runs of a group ended training with, by the keys of MEASURES."""
    runs = running_statistics.of_group(record, group)
    return {key: [run[key][-1] for run in runs] for key in MEASURES}


def _spread_changed(kind: str, column: str) -> float:
    """The p of a change of spread between PyTorch's runs by the two kinds of statistics."""
    runs = published.runs("pytorch", "bn_max")
    values, running = getattr(runs, column), published.by_running(runs)
    both = (values[(runs.kind == kind) & (running == each)] for each in (False, True))
    return float(scipy.stats.levene(*both, center="median").pvalue)


def _best(n: int, values: np.ndarray) -> np.ndarray:
    return stats.best_of(values, n)


def report_section(language: str) -> str:
    """Pictures of reports, their sizes and times."""
    record = records.read_json(REPORT)
    t = partial(translate, language)
    alts = {
        "run": t(
            "The report of a run: numbers, learning curves over the band of the published runs, "
            "comparison with the book, training diagnostics"
        ),
        "layers": t(
            "Two images inside the trained network; a unit's input window and receptive field are "
            "framed"
        ),
        "sweep": t(
            "The report of a sweep: the best setting, accuracy by learning rate, settings with "
            "their intervals, findings"
        ),
        "comparison": t("The report of a comparison: four networks, and each effect on one scale"),
    }

    def seconds(values: list[float]) -> str:
        return f"{statistics.median(values):.1f} [{min(values):.1f}, {max(values):.1f}]"

    def row(name: str, of: dict[str, Any]) -> list[str]:
        opened = of.get("opening", {})
        longest = [1000 * each for each in opened.get("longest_task", [])]
        return [
            name,
            f"{of['bytes'] / 1e6:.1f}",
            seconds(of["seconds"]),
            seconds(opened["first_chart"]) if opened else "",
            seconds(opened["open"]) if opened else "",
            f"{max(50, *longest):.0f}" if opened else "",  # of shorter ones a browser tells nothing
            ", ".join(map(str, of.get("stops", []))),
            "{:.0f}, {:.0f}".format(*of["hover"].values()) if "hover" in of else "",
        ]

    heads = [
        t("page"),
        "MB",
        t("written, s"),
        t("first chart, s"),
        t("all of it, s"),
        t("longest task, ms"),
        t("Tab stops"),
        t("move of the pointer, ms"),
    ]
    before = records.read_json(REPORT_BEFORE)
    rows = [row(t(title), record[name]) for name, title in REPORTS.items() if name in record]
    earlier = {t(title): before[name] for name, title in REPORTS.items() if name in before}
    rows += [row(t("{page}, before", page=title), of) for title, of in earlier.items()]
    made = tabulate(rows, heads, tablefmt="github", disable_numparse=True)
    said = t(
        "Median [min, max] of {n}: from the start of the command to the file, and in the browser "
        "from the address to the first chart and to all of it; the longest of all tasks; Tab stops "
        "in windows of 1,280 and 390 pixels; what the page computes and draws when the pointer "
        "moves over the network, here and on a CPU four times slower. Before: at commit {commit}, "
        "as far as measured. The logits of 30 test images differ from JAX by at most {most:.1e}. "
        "{machine}; {browser}.",
        n=len(record["run"]["seconds"]),
        commit=before["commit"],
        most=record["largest_difference_of_logits"],
        machine=table_of_bench.machine(record["environment"]),
        browser=record["browser"],
    )
    shown = [f"![{alt}](report/{name}.png)" for name, alt in alts.items()]
    commands = [record["run"]["command"], record["sweep"]["command"], record["command"]]
    code = "\n".join(f".venv/bin/{command}" for command in [*commands, "python scripts/readme.py"])
    return "\n\n".join([*shown, made, said, f"```bash\n{code}\n```"])


def networks_section(language: str) -> str:
    """Other networks than LeNet beside PyTorch."""
    return table_of_bench.section(records.read_json(BENCH_NETWORKS), language)


def faults_section(language: str) -> str:
    """The table of the faults that were injected, with its command and duration."""
    record = records.read_json(FAULTS)
    t = partial(translate, language)
    heads = [t("fault"), t("injected"), t("detected"), t("recovered"), t("bitwise identical")]
    heads.append(t("points covered"))
    counts, points = record["faults"], record.get("points", {})
    sums = [sum(column) for column in zip(*counts.values(), strict=True)]
    rows = [
        [t(name), *(f"{n:,}" if n else "" for n in row), "/".join(map(str, points.get(name, ())))]
        for name, row in counts.items()
    ]
    rows.append([t("total"), *(f"{n:,}" for n in sums), ""])
    table = tabulate(rows, heads, tablefmt="github", disable_numparse=True)
    said = t(
        "{seconds} s. Some faults leave nothing to recover, some nothing to detect. {machine}.",
        seconds=record["seconds"],
        machine=table_of_bench.machine(record["environment"]),
    )
    return f"    {record['command']}\n\n{table}\n\n{said}"


def numbers_section(language: str) -> str:
    """Four numbers, each with the page that says how it was measured."""
    t = partial(translate, language)
    (*_, (_, book, _)), faults = accuracies(), records.read_json(FAULTS)
    answer = sections.time_to_answer()
    theirs = getattr(published.runs("pytorch"), published.COLUMNS["test_accuracy"])
    rows = [
        (
            sections.spread(book),
            t(
                "test accuracy of the book's run (n = {n}); PyTorch's published runs: {theirs} "
                "(n = {others})",
                n=len(book),
                theirs=sections.spread(theirs),
                others=len(theirs),
            ),
            "agreement",
        ),
        (
            t(
                "{least:.1f} to {most:.1f}",
                least=min(sections.ratios()),
                most=max(sections.ratios()),
            ),
            t(
                "times the examples per second of the fastest PyTorch mode in training, two cores "
                "of a CPU ({processors}), by network and machine; of inference {least:.1f} to "
                "{most:.1f} times",
                processors=listed(sections.processors()),
                least=min(sections.ratios("inference")),
                most=max(sections.ratios("inference")),
            ),
            "benchmarks",
        ),
        (
            t("{seconds:.1f} s", seconds=answer["ours"]),
            t(
                "from the command to a validation accuracy of {target:.2f}, with programs that "
                "were compiled before (median, n = {n}); the fastest PyTorch mode: {theirs:.1f} s",
                **answer,
            ),
            "leaderboard",
        ),
        (
            f"{sum(row[0] for row in faults['faults'].values()):,}",
            t(
                "faults injected, {damaged:,} of them damaged files or texts; each ended as "
                "promised",
                damaged=faults["faults"]["a damaged file or text, of every reader"][0],
            ),
            "faults",
        ),
    ]
    linked = [
        (*row, f"[{title(language, page)}](docs/{language}/{page}.md)") for *row, page in rows
    ]
    return tabulate(linked, ["", "", t("measured in")], tablefmt="github", disable_numparse=True)


def title(language: str, page: str) -> str:
    """The heading of a page."""
    text = (ROOT / "docs" / language / f"{page}.md").read_text(encoding="utf-8")
    return text.partition("\n")[0].removeprefix("# ")


def commands_section(language: str) -> str:
    """Every command with its flags, their defaults and help, which is in English.

    A flag that `train` has too, with the same default and meaning, is only named.
    """
    t = partial(translate, language)
    heads = [t("flag"), t("default"), t("meaning")]
    said: list[str] = []
    of_train: list[list[str]] = []
    for name, defined in completion.entry_points():
        rows = []
        for flag in defined:
            default = str(flag.default).lower() if flag.boolean else ""
            if not flag.boolean and flag.serializer is not None and flag.default is not None:
                default = flag.serializer.serialize(flag.default)
            choices = getattr(flag.parser, "enum_values", ())
            meaning = cli.doc(flag) + (f" ({', '.join(choices)})" if choices else "")
            shown = f"`{default.removesuffix('.0')}`" if default else ""
            values = [f"`--{flag.name}`", shown, meaning]
            rows.append([value.replace("|", "\\|") for value in values])
        usage = f"python -m experiments.{name}"
        own = [row for row in rows if row not in of_train]
        parts = [f"## lenet {name}", f"{purpose(name)} (`{usage}`)"]
        if own:
            parts.append(tabulate(own, heads, tablefmt="github", disable_numparse=True))
        if shared := ", ".join(row[0] for row in rows if row in of_train):
            parts.append(t("As for [lenet train](#lenet-train): {flags}.", flags=shared))
        if name == "train":
            of_train = rows
        said.append("\n\n".join(parts))
    return "\n\n".join(said)


def dependencies_section(language: str) -> str:
    """What the installation consists of."""
    return dependencies.table(records.read_json(dependencies.RECORD), language)


SECTIONS: dict[str, dict[str, Callable[[str], str]]] = {
    "README": {"numbers": numbers_section},
    "agreement": {"book": book_section, "normalised": normalised_section},
    "benchmarks": {"bench": sections.speed, "bench_networks": networks_section},
    "leaderboard": {"answers": sections.leaderboard},
    "comparison": {"compare": comparison_section, "votes": votes_section},
    "data": {"neighbours": neighbours_section},
    "report": {"report": report_section},
    "cli": {"commands": commands_section},
    "faq": {"dependencies": dependencies_section},
    "cluster": {"overhead": sections.overhead_of_cluster},
    "faults": {"faults": faults_section},
    "search": {"race": sections.race_table},
    "speed": {"forms": sections.forms_table, "precision": sections.precision_table},
    "native": {"native": sections.native, "peak": sections.peak_table},
    "hardware": {
        "start": sections.time_to_start,
        "recording": sections.cost_of_records,
        "runs": sections.runs_table,
        "gpu": sections.gpu_table,
        "cores": sections.cores_table,
    },
}
"""What is written into each page of docs/LANGUAGE, by the comments that it stands between."""


def rendered() -> dict[Path, bytes]:
    """Every generated file with its content."""
    pages = {}
    for page, parts in SECTIONS.items():
        for language in LANGUAGES:
            path = README[language] if page == "README" else ROOT / f"docs/{language}/{page}.md"
            text = path.read_text(encoding="utf-8")
            for name, section in parts.items():
                text = between(text, name, section(language))
            pages[path] = text.encode()
    return pages


def between(text: str, name: str, body: str) -> str:
    """Put `body` between the two comments that `name` names."""
    marks = rf"(<!-- {name}: begin -->\n).*?(\n<!-- {name}: end -->)"
    found = re.search(marks, text, re.DOTALL)
    if not found:
        sys.exit(f"error: a page has no <!-- {name}: begin --> ... <!-- {name}: end -->")
    return f"{text[: found.end(1)]}{body}{text[found.start(2) :]}"


def pictures() -> dict[Path, bytes]:
    """The figures in both languages: our first run, all runs over one another, the comparison."""
    book = records.read_json(BOOK)
    rows = [Row.from_dict(row) for row in book["first_run"]]
    config = config_module.from_dict(book["config"])
    ours = [{end: each["rows"][-1][end] for end in run.ENDS} for each in book["runs"]]
    drawn = {}
    for language in LANGUAGES:
        docs = ROOT / "docs" / language / "results"
        drawn[docs / "book.png"] = run.curves(rows, config, language)
        drawn[docs / "published.png"] = run.among_published(ours, language=language)
        if COMPARE.exists():
            runs = records.read_json(COMPARE)["comparison"]
            drawn[docs / "compare.png"] = comparison_plots.picture(
                runs, runs["design"]["dataset"], language
            )
            images = data.load("fashion_mnist")
            most = [ensemble.Doubt(**each) for each in records.read_json(VOTES)["doubted"][:SHOWN]]
            names = [translate(language, name) for name in images.class_names]
            drawn[docs / "doubted.png"] = doubted.picture(images.test.images, most, names)
    return drawn


def refresh(
    arguments: list[str], pages: dict[Path, bytes], pictures: Callable[[], dict[Path, bytes]]
) -> None:
    """Write pages and pictures; with --check, exit with an error if that would change a page."""
    if arguments == ["--check"]:
        old = {path: path.read_bytes() if path.exists() else None for path in pages}
        stale = [path.name for path, content in pages.items() if content != old[path]]
        sys.exit(f"error: run scripts/{Path(sys.argv[0]).name}: {', '.join(stale)}" if stale else 0)
    for path, content in (pages | pictures()).items():
        files.write(path, content)


def main(arguments: list[str]) -> None:
    """Collect, write or check."""
    match arguments:
        case ["book", sweep_dir]:
            collect(Path(sweep_dir))
        case ["precision", *sweep_dirs] if len(sweep_dirs) == 2:
            sections.collect_precisions(*map(Path, sweep_dirs))
        case ["compare", run_dir]:
            collect_comparison(Path(run_dir))
        case ["neighbours"]:
            collect_neighbours()
        case [] | ["--check"]:
            refresh(arguments, rendered(), pictures)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
