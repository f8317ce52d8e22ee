"""Read the training losses within epochs from the pictures of published notebooks.

git clone https://github.com/d2l-ai/d2l-en-colab
git clone https://github.com/d2l-ai/d2l-pytorch-colab
python scripts/published_points.py d2l-en-colab d2l-pytorch-colab

Writes lenet/analysis/published_points.json.
"""

import csv
import json
import subprocess
import sys
from pathlib import Path

from lenet import files
from lenet.analysis import published_points

ROOT = Path(__file__).parent.parent
RUNS = ROOT / "lenet" / "analysis" / "published_runs.csv"
REPOSITORIES = ("d2l-ai/d2l-en-colab", "d2l-ai/d2l-pytorch-colab")
NOTEBOOK = "chapter_convolutional-neural-networks/lenet.ipynb"
FIRST = 2
"""Epochs of which the points are kept."""


def read(clone: str, run: dict[str, str]) -> tuple[str, str, list[float], list[float]]:
    """Return framework, commit, epochs and losses of the notebook of a run."""
    commit = run["commit"]
    show = ["git", "-C", clone, "show", f"{commit}:{NOTEBOOK}"]
    cells = json.loads(subprocess.run(show, check=True, stdout=subprocess.PIPE).stdout)["cells"]
    outputs = [output.get("data", {}) for cell in cells for output in cell.get("outputs", ())]
    pictures = ["".join(data["image/svg+xml"]) for data in outputs if "image/svg+xml" in data]
    x, y = published_points.of_picture(pictures[-1])
    kept = [i for i, epoch in enumerate(x) if epoch < FIRST + 0.01]
    return run["framework"], commit, [round(x[i], 4) for i in kept], [round(y[i], 5) for i in kept]


def main(arguments: list[str]) -> None:
    """Read each run of the two repositories that the published runs name."""
    if len(arguments) != len(REPOSITORIES) or arguments[0].startswith("-"):
        sys.exit(__doc__)
    clones = dict(zip(REPOSITORIES, arguments, strict=True))
    with RUNS.open(encoding="utf-8", newline="") as lines:
        runs = [run for run in csv.DictReader(lines) if run["repo"] in clones]
    found = [read(clones[run["repo"]], run) for run in runs]
    record = {"repositories": REPOSITORIES, "notebook": NOTEBOOK, "curves": found}
    path = ROOT / "lenet" / "analysis" / published_points.RECORD
    files.write(path, (json.dumps(record, separators=(",", ":")) + "\n").encode())
    print(f"{len(found)} curves saved to {path}")


if __name__ == "__main__":
    main(sys.argv[1:])
