"""Write the pages of the studies in docs/LANGUAGE/, and their pictures, from recorded sweeps.

python scripts/studies.py collect NAME DIR
                                    keep the sweep --study=NAME that DIR holds
python scripts/studies.py           write the pages and pictures from results/studies/
python scripts/studies.py --check   fail if that would change a page
"""

import math
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import readme
from tabulate import tabulate

from benchmarks import table as table_of_bench
from experiments.cli.studies import STUDIES
from lenet import data, records
from lenet.analysis import (
    book_search,
    findings,
    frameworks,
    last_batch,
    luck,
    prediction,
    terms,
)
from lenet.analysis.summary import Sweep
from lenet.config import from_dict, to_dict
from lenet.engine import chance
from lenet.engine.rows import Row
from lenet.figures.sweep import charts
from lenet.figures.vega import png
from lenet.language import LANGUAGES, NAMES, Message, mark, translate, translation
from lenet.records import ledger
from lenet.records.ledger import Entry

ROOT = Path(__file__).parent.parent
RECORDS = ROOT / "results" / "studies"
DOCS = ROOT / "docs"
CORRECT = RECORDS / "longer_correct.npz"
"""Whether each run of the study `longer` was right on each test image, by its number of epochs:
bits [runs, images / 8]."""
CURVES = ("book_search",)
"""Studies of which test accuracy and training loss are kept by epoch."""
KEPT = ("epoch", "train_loss", "train_accuracy", "valid_accuracy", "test_accuracy", "test_loss")
NOT_KEPT: dict[str, Any] = {
    "valid_loss": None,
    "count": 0,
    "seconds": math.nan,
    "examples_per_second": math.nan,
    "running": [],
}
"""The rest of Row, of which the pages say nothing."""


class Page(NamedTuple):
    """Studies that answer one question."""

    title: str
    lead: str
    studies: tuple[str, ...]


PAGES = {
    "studies": Page(
        mark("What changes accuracy"),
        mark(
            "The exercises of the book's LeNet section ask for other windows, channels, layers, "
            "learning rates, initial weights and numbers of epochs. Each is a named sweep; apart "
            "from what varies, the network is the book's (sigmoid, average pooling). 10,000 "
            "training images are held out: settings are ranked on them, and the test images are "
            "used for reporting only. `--preset=modern` repeats a study with ReLU and max pooling. "
            "The setting with the book's values is the same runs in all of these studies but "
            "`layers`, which has 3×3 windows: one sample of seeds, counted once."
        ),
        ("window", "channels", "layers", "rate", "initialisation", "epochs"),
    ),
    "frameworks": Page(
        mark("Why published runs differ"),
        mark(
            "The book's code in PyTorch, MXNet and TensorFlow differs in its initial biases and in "
            "its order of examples, and its next edition drops the short minibatch. The first runs "
            "of `frameworks` are also the 32 of [Does it match the book?](agreement.md)."
        ),
        ("frameworks", "short_batch", "next_edition"),
    ),
    "seeds": Page(
        mark("Why seeds differ"),
        mark(
            "Runs that differ in their seed alone do not end with the same accuracy. Is it the "
            "initial weights, the order of the examples, the last step, or luck of the test "
            "images? In short: most of the variance comes from the order, and much of that from "
            "which images come last; luck of the test images makes a few hundredths. The sections "
            "have the intervals; [Within a run](within.md) looks at the last step from inside. The "
            "diagonal of `variance` is also the first runs of [`frameworks`](frameworks.md)."
        ),
        ("variance", "variance_dropped", "last_step", "last_size", "longer"),
    ),
    "book_search": Page(
        mark("The settings of the book's search, with more seeds"),
        mark(
            "The book's chapter on hyperparameter optimisation searches learning rate and batch "
            "size of this LeNet, with one run of each setting. Here each has eight seeds."
        ),
        ("book_search",),
    ),
}
"""The pages by name, which together hold every study."""
HOW_TO_READ = mark(
    "Intervals are 95% CIs over seeds; differences are paired by seed and relative to the row "
    "without one. [Methods](methods.md) says what is shared, how runs that collapse are counted, "
    "and what was corrected. `scripts/studies.py` writes each section from the sweep recorded in "
    "`results/studies/`."
)


def finished(name: str, sweep_dir: Path) -> tuple[dict[str, Any], list[Entry]]:
    """Return record and runs of a finished sweep --study=NAME; exit if it is none."""
    asked = records.read_json(sweep_dir / "sweep.json")
    entries = ledger.read(sweep_dir / "runs.jsonl")
    wanted = STUDIES[name].flags
    beside = {"study", "data_dir", "report"}
    given = {key: str(value) for key, value in asked["flags"].items() if key not in beside}
    if given != wanted or len(entries) != asked["runs"]:
        sys.exit(f"error: {sweep_dir}: no finished sweep --study={name}")
    return asked, entries


def collect(name: str, sweep_dir: Path) -> None:
    """Keep what the page needs of a finished sweep."""
    asked, entries = finished(name, sweep_dir)
    configs = [to_dict(entry.config) for entry in entries]
    common = configs[0]
    record = {
        "command": f"python -m experiments.sweep --study={name}",
        "preset": asked["preset"],
        "axes": asked["axes"],
        "data": readme.anywhere(asked["data"]),
        "environment": asked["environment"],
        **({"resumed": asked["resumed"]} if "resumed" in asked else {}),
        "config": common,
        **({"minutes": round(asked["seconds"] / 60, 1)} if "seconds" in asked else {}),
        "runs": [
            {
                "config": {k: v for k, v in config.items() if v != common[k]},
                "last": {k: getattr(entry.rows[-1], k) for k in KEPT} if entry.rows else None,
                **(_curves(entry.rows) if name in CURVES else {}),
                "diverged": entry.diverged,
                "stuck": sum(chance.at_level(row.test_accuracy, 10) for row in entry.rows),
            }
            for config, entry in zip(configs, entries, strict=True)
        ],
    }
    readme.keep(RECORDS / f"{name}.json", record)
    if name == "longer":
        _keep_correct(entries, records.predictions(sweep_dir))


def _curves(rows: Sequence[Row]) -> dict[str, list[float]]:
    """What is kept of a run by epoch."""
    return {
        "tested": [row.test_accuracy for row in rows],
        "losses": [round(row.train_loss, 6) for row in rows],
    }


def _keep_correct(entries: Sequence[Entry], predicted: Mapping[int, Any]) -> None:
    """Keep which test images each run had right, by its number of epochs."""
    labels = data.load(entries[0].config.dataset).test.labels
    correct: dict[str, Any] = {}
    for entry in entries:
        right = np.packbits(predicted[entry.run] == labels)
        correct.setdefault(str(entry.config.epochs), []).append(right)
    readme.keep_arrays(CORRECT, **correct)


def sweep_of(name: str, record: dict[str, Any]) -> Sweep:
    """Return a recorded study: of each run the last epoch alone, nan where it was not kept."""
    entries = [
        Entry(
            run=number,
            config=from_dict(record["config"] | run["config"]),
            rows=[Row(**NOT_KEPT, **run["last"])] if run["last"] else [],
            diverged=run["diverged"],
        )
        for number, run in enumerate(record["runs"])
    ]
    return Sweep.of_record(entries, record | {"flags": {"study": name}})


def section(name: str, sweep: Sweep, record: dict[str, Any], language: str) -> str:
    """One study: its question, command, picture, table and what it says."""
    study, t = STUDIES[name], partial(translate, language)
    alt = t("{what} of each setting", what=terms.named(sweep.measure))
    parts = [
        f"## `{name}`",
        t(study.question),
        f"    {record['command']}",
        f"![{alt}](studies/{name}.png)",
        *_table(name, sweep, record, language),
        *map(t, findings.findings(sweep)),
        *map(t, _beyond(name, sweep, record)),
        t(
            mark("{runs} runs in {minutes:.0f} minutes. {machine}.")
            if "minutes" in record
            else mark("{runs} runs. {machine}."),
            runs=len(sweep.entries),
            minutes=record.get("minutes"),
            machine=table_of_bench.machine(record["environment"]),
        ),
        *(
            t(
                "The runs after the first {n}: {machine}.",
                n=each["finished_before"],
                machine=table_of_bench.machine(each["environment"]),
            )
            for each in record.get("resumed", [])
        ),
    ]
    return "\n\n".join(parts)


def _table(name: str, sweep: Sweep, record: dict[str, Any], language: str) -> list[str]:
    """The table of a study: by setting, unless it has one of its own."""
    if name == "book_search":
        heads, rows = book_search.table(_found(sweep, record))
        t = translation(language)
        cells = [[t(cell) for cell in row] for row in rows]
        return [tabulate(cells, [*map(t, heads)], tablefmt="github", disable_numparse=True)]
    return [findings.table(sweep, language)] if sweep.axes else []


def _found(sweep: Sweep, record: dict[str, Any]) -> book_search.Found:
    """Errors and losses by learning rate and batch size; those of a diverged run are of chance."""
    found: dict[tuple[float, int], list[Any]] = {}
    for entry, run in zip(sweep.entries, record["runs"], strict=True):
        lost = entry.config.epochs - len(run["tested"])
        errors = [1 - accuracy for accuracy in run["tested"]] + [0.9] * lost
        losses = run["losses"] + [chance.loss(10)] * lost
        found.setdefault((entry.config.lr, entry.config.batch_size), []).append((errors, losses))
    return {
        setting: book_search.Curves(*np.array(runs).swapaxes(0, 1))
        for setting, runs in found.items()
    }


def _beyond(name: str, sweep: Sweep, record: dict[str, Any]) -> list[Message]:
    """What a study says beside the means of its settings."""
    match name:
        case "book_search":
            return book_search.said(_found(sweep, record))
        case "short_batch":
            return frameworks.of_short_batch(sweep_of("frameworks", known()["frameworks"]), sweep)
        case "last_step":
            return last_batch.place(sweep)
        case "last_size":
            return last_batch.size(sweep, record["data"][0]["train"])
        case "longer":
            right = {n: np.unpackbits(bits, -1) for n, bits in np.load(CORRECT).items()}
            return [luck.said(int(n), correct.astype(bool)) for n, correct in right.items()]
        case "next_edition":
            pairs = zip(sweep.entries, record["runs"], strict=True)
            runs = [(e.config.short_batch, e.rows[-1].test_accuracy, r["stuck"]) for e, r in pairs]
            dropped, kept = (
                prediction.Runs(
                    [y for w, y, _ in runs if w == which], [n for w, _, n in runs if w == which]
                )
                for which in ("drop", "last")
            )
            return prediction.said(dropped, kept)
    return []


def known() -> dict[str, dict[str, Any]]:
    """Return the records by name, in the order of the studies."""
    paths = {name: RECORDS / f"{name}.json" for name in STUDIES}
    return {name: records.read_json(path) for name, path in paths.items() if path.exists()}


def rendered() -> dict[Path, bytes]:
    """Return the pages."""
    pages = {}
    studies = {name: (sweep_of(name, record), record) for name, record in known().items()}
    for language in LANGUAGES:
        t = translation(language)
        for slug, page in PAGES.items():
            others = [
                f"[{NAMES[each]}](../{each}/{slug}.md)" for each in LANGUAGES if each != language
            ]
            parts = [
                f"# {t(page.title)}",
                *others,
                t(page.lead),
                t(HOW_TO_READ),
                *(section(name, *studies[name], language) for name in page.studies),
            ]
            pages[DOCS / language / f"{slug}.md"] = ("\n\n".join(parts) + "\n").encode()
    return pages


def pictures() -> dict[Path, bytes]:
    """Return the figures: by learning rate, by pair of seeds, or by setting."""
    drawn = {}
    for name, record in known().items():
        sweep = sweep_of(name, record)
        which = "rates" if sweep.axes == ["lr"] else "settings" if sweep.axes else "seeds"
        for language in LANGUAGES:
            path = DOCS / language / "studies" / f"{name}.png"
            drawn[path] = png([charts(sweep)[which]], language)
    return drawn


def main(arguments: list[str]) -> None:
    """Collect, write or check."""
    match arguments:
        case ["collect", name, sweep_dir] if name in STUDIES:
            collect(name, Path(sweep_dir))
        case [] | ["--check"]:
            readme.refresh(arguments, rendered(), pictures)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
