"""Run the experiments within runs, and write docs/LANGUAGE/within.md from their records.

The ladder of networks stands in docs/LANGUAGE/networks.md.

python scripts/within.py run NAME...   run experiments: minutes each on a GPU
python scripts/within.py               write pages and pictures from results/within/
python scripts/within.py --check       fail if that would change a page

NAME is ladder, last_step, one_bit, one_draw, running_statistics, sharpness or shifts. NAME:DATASET,
such as ladder:mnist, runs it on other data and keeps its record; the pages do not show it.
"""

import sys
import time
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import readme
from tabulate import tabulate

from benchmarks import table as table_of_bench
from experiments.within import (
    ladder,
    last_step,
    one_bit,
    one_draw,
    running_statistics,
    sharpness,
    shifts,
)
from lenet import data, records
from lenet.engine import cores, programs
from lenet.errors import LenetError
from lenet.figures.vega import png
from lenet.language import LANGUAGES, translate

ROOT = Path(__file__).parent.parent
RECORDS = ROOT / "results" / "within"
EXPERIMENTS: dict[str, ModuleType] = {
    "ladder": ladder,
    "last_step": last_step,
    "one_bit": one_bit,
    "one_draw": one_draw,
    "running_statistics": running_statistics,
    "sharpness": sharpness,
    "shifts": shifts,
}


PAGES = {"ladder": "networks"}
"""Where an experiment stands, if not in the page "within"."""


def run(asked: str) -> None:
    """Run an experiment as it is designed, and keep its record."""
    name, other, dataset = asked.partition(":")
    experiment = EXPERIMENTS[name]
    design = experiment.Design()
    begin = time.monotonic()
    found = experiment.measure(data.load(dataset or "fashion_mnist"), design)
    record = {
        "command": f"python scripts/within.py run {asked}",
        "design": design._asdict(),
        "seconds": round(time.monotonic() - begin, 1),
        "environment": records.environment(),
    }
    RECORDS.mkdir(exist_ok=True)
    kept = f"{name}_{dataset}" if other else name
    readme.keep(RECORDS / f"{kept}.json", record | found)


def section(name: str, language: str) -> str:
    """Return what an experiment found: sentences, picture, table, and how it was run."""
    record, t = records.read_json(RECORDS / f"{name}.json"), partial(translate, language)
    experiment = EXPERIMENTS[name]
    heads, rows = experiment.table(record)
    cells = [[t(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    shown = tabulate(cells, [*map(t, heads)], tablefmt="github", disable_numparse=True)
    pictures = [f"![{name}](results/within_{name}.png)"] if hasattr(experiment, "charts") else []
    note = t(
        "{seconds:,.0f} s. {machine}.",
        seconds=record["seconds"],
        machine=table_of_bench.machine(record["environment"]),
    )
    command = f"```bash\n{record['command'].replace('python', '.venv/bin/python', 1)}\n```"
    return "\n\n".join([*map(t, experiment.said(record)), *pictures, shown, note, command])


def known() -> list[str]:
    """Return the experiments that have a record."""
    return [name for name in EXPERIMENTS if (RECORDS / f"{name}.json").exists()]


def rendered() -> dict[Path, bytes]:
    """Return the pages."""
    pages: dict[Path, str] = {}
    for language in LANGUAGES:
        for name in known():
            path = ROOT / "docs" / language / f"{PAGES.get(name, 'within')}.md"
            text = pages.get(path) or path.read_text(encoding="utf-8")
            pages[path] = readme.between(text, name, section(name, language))
    return {path: text.encode() for path, text in pages.items()}


def pictures() -> dict[Path, bytes]:
    """Return the figures in both languages."""
    drawn = {}
    for name in known():
        if hasattr(EXPERIMENTS[name], "charts"):
            record: dict[str, Any] = records.read_json(RECORDS / f"{name}.json")
            for language in LANGUAGES:
                path = ROOT / "docs" / language / "results" / f"within_{name}.png"
                drawn[path] = png(EXPERIMENTS[name].charts(record), language)
    return drawn


def main(arguments: list[str]) -> None:
    """Run, write or check."""
    match arguments:
        case ["run", *names] if names and all(n.partition(":")[0] in EXPERIMENTS for n in names):
            cores.as_devices()
            programs.keep()
            try:
                for name in names:
                    run(name)
            except LenetError as error:
                sys.exit(f"error: {error}")
        case [] | ["--check"]:
            readme.refresh(arguments, rendered(), pictures)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
