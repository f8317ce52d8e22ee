"""Run the experiments within runs, and write their sections of docs/LANGUAGE/ from the records.

python scripts/within.py run NAME...   run experiments: minutes each on a GPU
python scripts/within.py               write pages and pictures from results/within/
python scripts/within.py --check       fail if that would change a page

NAME is ladder, last_step, one_bit, one_draw, running_statistics, sharpness or shifts. NAME:DATASET,
such as ladder:mnist, runs it on other data and keeps its record; the pages do not show it.
"""

import json
import sys
import time
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
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
from lenet.figures.vega import described, png
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


PAGES = {"ladder": "networks", "one_draw": "traced", "running_statistics": "traced"}
"""Where an experiment stands, if not in the page "within"."""


def run(asked: str) -> None:
    """Run an experiment as it is designed, and keep its record.

    What a design has for each of several `networks` is kept as it is measured: run again, an
    experiment that was interrupted goes on with the next one.
    """
    name, other, dataset = asked.partition(":")
    experiment = EXPERIMENTS[name]
    design = experiment.Design()
    loaded, environment = data.load(dataset or "fashion_mnist"), records.environment()
    kept = f"{name}_{dataset}" if other else name
    networks = getattr(design, "networks", ())
    parts = [design._replace(networks=(each,)) for each in networks] or [design]
    paths = [RECORDS / f"{kept}.{number}.json" for number in range(1, len(parts) + 1)]
    RECORDS.mkdir(exist_ok=True)
    whole: dict[str, Any] = {"command": f"python scripts/within.py run {asked}"}
    whole |= {"design": design._asdict(), "seconds": 0.0, "environment": environment}
    for part, path in zip(parts, paths, strict=True):
        about = {"design": json.loads(json.dumps(part._asdict())), "environment": environment}
        found = records.read_json(path) if path.exists() else {}
        if {key: found.get(key) for key in about} != about:
            begin = time.monotonic()
            found = about | experiment.measure(loaded, part)
            found["seconds"] = round(time.monotonic() - begin, 1)
            readme.keep(path, found)
        runs = [*whole.get("runs", []), *found.get("runs", [])]
        whole = found | whole | {"seconds": round(whole["seconds"] + found["seconds"], 1)}
        whole |= {"runs": runs} if runs else {}
        print(f"{path.stem}: {found['seconds']:,.0f} s", flush=True)
    readme.keep(RECORDS / f"{kept}.json", whole)
    for path in paths:
        path.unlink()


def section(name: str, language: str) -> str:
    """Return what an experiment found: sentences, picture, table, and how it was run."""
    record, t = records.read_json(RECORDS / f"{name}.json"), partial(translate, language)
    experiment = EXPERIMENTS[name]
    heads, rows = experiment.table(record)
    cells = [[t(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    shown = tabulate(cells, [*map(t, heads)], tablefmt="github", disable_numparse=True)
    pictures = []
    if hasattr(experiment, "charts"):
        seen = described(experiment.charts(record), language)
        pictures.append(f"![{seen}](results/within_{name}.png)")
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
            jax.config.update("jax_num_cpu_devices", cores.cores())  # it is imported already
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
