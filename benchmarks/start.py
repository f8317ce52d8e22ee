"""Seconds from the command to training: with an empty cache of programs, and with a filled one.

Each run is a process that trains for one epoch, in a cache directory of its own that one run before
has filled. From there a run's programs are removed for a cold start, and then left for a warm one.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.rounds import Tell
from lenet.records import directory

KINDS = ("cold", "warm")
POINTS = ("training", "row")
"""When a run says that it trains now, and when the row of its first epoch is on the disk."""
_EVERY = 0.005  # seconds between two looks


def measure(repeats: int, dataset: str, tell: Tell) -> dict[str, Any]:
    """Return the seconds to POINTS of cold and warm starts, and those that `--help` takes."""
    found: dict[str, Any] = {kind: {point: [] for point in POINTS} for kind in KINDS}
    found["help"] = []
    with tempfile.TemporaryDirectory() as place:
        cache = Path(place)
        _one(cache, dataset)
        for number in range(1, repeats + 1):
            for kind in KINDS:
                tell(f"{number} of {repeats}: {kind}")
                if kind == "cold":
                    shutil.rmtree(cache / "lenet" / "programs")
                for point, seconds in zip(POINTS, _one(cache, dataset), strict=True):
                    found[kind][point].append(seconds)
            begin = time.monotonic()
            subprocess.run([*_COMMAND, "--help"], check=True, stdout=subprocess.DEVNULL)
            found["help"].append(round(time.monotonic() - begin, 3))
    return found


_COMMAND = [sys.executable, "-u", "-P", "-m", "experiments.train"]


def _one(cache: Path, dataset: str) -> tuple[float, float]:
    """Train for an epoch; return the seconds to each of POINTS."""
    env = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    env |= {"XDG_CACHE_HOME": str(cache)}
    with tempfile.TemporaryDirectory() as place:
        run_dir = Path(place) / "run"
        rows = run_dir / directory.METRICS
        flags = (f"--dataset={dataset}", f"--run_dir={run_dir}", "--epochs=1")
        command = [*_COMMAND, *flags, "--noreport", "--lang=en"]
        begin = time.monotonic()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
            assert process.stdout is not None
            next(line for line in process.stdout if line.startswith("training on"))
            training = time.monotonic() - begin
            while process.poll() is None and not (rows.exists() and rows.read_bytes()):
                time.sleep(_EVERY)
            row = time.monotonic() - begin
            process.stdout.read()
        if process.returncode:
            raise RuntimeError(f"training ended with status {process.returncode}")
    return round(training, 3), round(row, 3)


def median(record: dict[str, Any], kind: str, point: str) -> float:
    """Return the median seconds of a kind of start to a point."""
    return statistics.median(record[kind][point])
