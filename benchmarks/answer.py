"""Seconds from the command to a validation accuracy, of one setting: our command and PyTorch.

A run is a process with a seed of its own. It starts, loads the data, compiles or finds what another
one has compiled, and trains; after each epoch it writes its accuracy on held-out images. A target
is reached at the first epoch whose accuracy is not below it. Ours meanwhile writes all that a run
leaves, but the report; PyTorch writes its accuracies. In a block every contender trains once from
the same seed, in random order, after one run of each that fills its cache.
"""

import contextlib
import importlib.metadata
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats
from tabulate import tabulate

from benchmarks.contenders import BY_NAME
from benchmarks.rounds import Tell, blocks
from benchmarks.table import titled
from lenet.engine import cores
from lenet.language import translate
from lenet.records import directory

TARGETS = (0.85, 0.88, 0.90)
EPOCHS = 20
"""Epochs after which a run that has not reached every target ends."""
HELD_OUT = 10_000
FIRST_SEED = 7_700_000
SETTING: dict[str, Any] = {
    "activation": "relu",
    "pool": "max",
    "lr": 0.0084,
    "momentum": 0.95,
    "batch_size": 64,
}
"""The best of this search, its learning rate to two digits:

lenet search --preset=modern --lr=0.005..0.2:log --batch_size=32,64,128 --momentum=0.8,0.9,0.95
    --epochs=6 --trials=27 --halving=2 --final_seeds=4
"""
CONTENDERS = ("lenet", "torch_eager", "torch_last", "torch_compile", "torch_compile_last")
_EVERY = 0.01  # seconds between two looks


def measure(
    names: Sequence[str],
    repeats: int,
    dataset: str,
    tell: Tell,
    keep: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Return for each run when it reached each target; `keep` is given what is known so far.

    Returns:
      `runs`: name, seed, and seconds by target, None where it did not get there.
    """
    setting = SETTING | {"parts": cores.parts()}
    about: dict[str, Any] = {"targets": TARGETS, "epochs": EPOCHS, "setting": setting}
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        about["torch"] = importlib.metadata.version("torch")
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as caches:
        for name in names:
            tell(f"{name}: filling its cache")
            _one(name, FIRST_SEED, dataset, Path(caches), (0.0,))
        for n, block in enumerate(blocks(repeats, names), start=1):
            for name in block:
                tell(f"{n} of {repeats}: {name}")
                seconds = _one(name, FIRST_SEED + n, dataset, Path(caches), TARGETS)
                runs.append({"name": name, "seed": FIRST_SEED + n, "seconds": seconds})
                keep(about | {"runs": runs})
    return about | {"runs": runs}


def _one(
    name: str, seed: int, dataset: str, caches: Path, targets: Sequence[float]
) -> list[float | None]:
    """Train once; return the seconds from the start of the process to each target."""
    env = {
        **os.environ,
        "JAX_COMPILATION_CACHE_DIR": str(caches / "programs"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
        "TORCHINDUCTOR_CACHE_DIR": str(caches / "inductor"),
    }
    reached: list[float | None] = [None] * len(targets)
    with tempfile.TemporaryDirectory() as place, (Path(place) / "log").open("wb") as log:
        run_dir = Path(place) / "run"
        command = _command(name, seed, dataset, run_dir)
        began = time.monotonic()
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
        try:
            while None in reached:
                ended = process.poll() is not None
                best = max(_accuracies(run_dir / directory.METRICS), default=-math.inf)
                for i, target in enumerate(targets):
                    if reached[i] is None and best >= target:
                        reached[i] = round(time.monotonic() - began, 2)
                if ended:
                    break
                time.sleep(_EVERY)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.returncode not in (0, -signal.SIGKILL):
            raise RuntimeError((Path(place) / "log").read_text()[-2000:])
    return reached


def _command(name: str, seed: int, dataset: str, run_dir: Path) -> list[str]:
    setting = SETTING | {"parts": cores.parts()}
    setting |= {"dataset": dataset, "valid": HELD_OUT, "epochs": EPOCHS, "seed": seed}
    if name == "lenet":
        given = [f"--{flag}={value}" for flag, value in (setting | {"run_dir": run_dir}).items()]
        return [sys.executable, "-m", "experiments.train", *given, "--noreport"]
    asked = json.dumps({"setting": setting, "options": BY_NAME[name].options})
    return [sys.executable, "-m", "benchmarks.torch_run", str(run_dir), asked]


def _accuracies(path: Path) -> list[float]:
    """Return the validation accuracy of each epoch that is written to the end."""
    if not path.exists():
        return []
    return [json.loads(line)["valid_accuracy"] for line in path.read_bytes().split(b"\n")[:-1]]


def seconds(record: dict[str, Any], name: str) -> np.ndarray:
    """Return the seconds of each run to each target, [runs, targets]; ∞ where it was missed."""
    own = [run["seconds"] for run in record["runs"] if run["name"] == name]
    return np.array([[math.inf if s is None else s for s in run] for run in own])


def median(values: np.ndarray) -> tuple[float, float, float]:
    """Return the median and its 95% interval from order statistics; ∞ counts as late.

    >>> median(np.arange(1.0, 22.0))
    (11.0, 6.0, 16.0)
    """
    low, high = scipy.stats.quantile_test(values, p=0.5).confidence_interval()
    return float(np.median(values)), float(low), float(high)


def table(record: dict[str, Any], language: str = "en") -> str:
    """Return a row for each contender: median seconds to each target, and how many missed it."""
    t, rows = partial(translate, language), []
    for name in CONTENDERS:
        found = seconds(record, name)
        if not len(found):
            continue
        cells = []
        for column in found.T:
            shown = "{:.1f} [{:.1f}, {:.1f}]".format(*median(column)).replace("inf", "∞")
            late = int(np.isinf(column).sum())
            cells.append(t("{shown}; missed by {late}", shown=shown, late=late) if late else shown)
        rows.append([translate(language, titled(BY_NAME[name].title)), *cells, str(len(found))])
    heads = [t("seconds to"), *(f"{target:.2f}" for target in record["targets"]), "n"]
    return tabulate(rows, heads, tablefmt="github", disable_numparse=True)
