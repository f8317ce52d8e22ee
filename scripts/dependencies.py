"""Measure what each package that the project installs brings, in bytes and in seconds.

python scripts/dependencies.py run    measure this environment; save to results/dependencies.json

Counted are the packages that a plain installation has, without extras. Seconds are those of a
process that imports a package, less those of one that imports nothing: the median of three, with
the files in memory.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tabulate import tabulate

from benchmarks.table import machine
from lenet import files, records
from lenet.language import translate, translation

RECORD = Path(__file__).parent.parent / "results" / "dependencies.json"
SHOWN = 12
"""Packages of the table, the largest; the rest is summed."""
REPEATS = 3


def needed(name: str) -> Iterator[str]:
    """Yield the names of the packages that one requires here, without extras."""
    for line in metadata.requires(name) or ():
        wanted = Requirement(line)
        if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
            yield canonicalize_name(wanted.name)


def closure(root: str) -> dict[str, list[str]]:
    """Return all packages that `root` brings, each with the direct requirements that bring it."""
    direct = sorted(needed(root))
    found: dict[str, list[str]] = {}
    for first in direct:
        todo, seen = [first], set()
        while todo:
            name = todo.pop()
            if name in seen:
                continue
            seen.add(name)
            todo += needed(name)
        for name in seen:
            found.setdefault(name, []).append(first)
    return found


def size(name: str) -> int:
    """Return the bytes of the files of a package, compiled Python included."""
    paths = (Path(str(file.locate())) for file in metadata.files(name) or ())
    return sum(path.stat().st_size for path in paths if path.exists())


def seconds(module: str) -> float:
    """Return how long a process takes that imports a module: the median of REPEATS."""
    taken = []
    for _ in range(1 + REPEATS):  # the first reads the files
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken[1:])


def measure() -> dict[str, Any]:
    """Return the packages, the largest first."""
    modules: dict[str, str] = {}
    for module, owners in metadata.packages_distributions().items():
        for owner in owners:
            if not module.startswith("_"):
                modules.setdefault(canonicalize_name(owner), module)
    direct, nothing = set(needed("lenet")), seconds("sys")
    rows: list[dict[str, Any]] = []
    for name, brought in closure("lenet").items():
        own = {"name": name, "version": metadata.version(name), "bytes": size(name)}
        timed = seconds(modules[name]) - nothing if name in direct and name in modules else None
        rows.append(own | {"by": brought, "seconds": timed and round(timed, 3)})
    rows.sort(key=lambda row: -row["bytes"])
    return {
        "command": "python scripts/dependencies.py run",
        "packages": rows,
        "environment": records.environment(),
    }


def table(record: dict[str, Any], language: str) -> str:
    """Return the section of a page: the largest packages, and what brings them."""
    t, packages = translation(language), record["packages"]
    rows = [
        [
            row["name"],
            f"{row['bytes'] / 1e6:,.0f}",
            "" if row["seconds"] is None else f"{row['seconds']:.2f}",
            ", ".join("lenet" if each == row["name"] else each for each in row["by"]),
        ]
        for row in packages[:SHOWN]
    ]
    others = packages[SHOWN:]
    rest = sum(row["bytes"] for row in others) / 1e6
    rows.append([translate(language, "{n} others", n=len(others)), f"{rest:,.0f}", "", ""])
    heads = [t("package"), "MB", t("seconds to import"), t("comes with")]
    made = tabulate(rows, heads, tablefmt="github", disable_numparse=True)
    note = translate(
        language,
        "{n} packages, {megabytes:,.0f} MB, without extras. Seconds: a process that imports the "
        "package, less one that imports nothing; the median of three. {machine}.",
        n=len(packages),
        megabytes=sum(row["bytes"] for row in packages) / 1e6,
        machine=machine(record["environment"]),
    )
    return f"{made}\n\n{note}\n\n```bash\n.venv/bin/{record['command']}\n```"


if __name__ == "__main__":
    if sys.argv[1:] != ["run"]:
        sys.exit(__doc__)
    files.write_json(RECORD, measure())
    print(table(records.read_json(RECORD), "en"), f"saved to {RECORD}", sep="\n")
