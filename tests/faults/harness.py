"""Runs in processes of their own, to be killed, and what is counted of it."""

import hashlib
import json
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import numpy as np
from commands import start

from lenet.records import checkpoint

ROOT = Path(__file__).parent.parent.parent

FULL = 2000
"""Injections of `scripts/test --faults`, about; each test has its share."""


class Fault:
    """What a test injects, and what comes of it."""

    def __init__(self, name: str, rng: random.Random, injections: int | None) -> None:
        self.name, self.random, self.injections = name, rng, injections
        self.counts: Counter = Counter()
        self.others: dict[str, Fault] = {}

    def other(self, name: str) -> "Fault":
        """Return another fault that the same test injects."""
        return self.others.setdefault(name, Fault(name, self.random, self.injections))

    def times(self, quick: int, full: int) -> range:
        """How often to inject: `quick` times in a run of all tests, about `full` of FULL."""
        if self.injections is None:
            return range(quick)
        return range(max(quick, round(full * self.injections / FULL)))

    def count(self, *kinds: str) -> None:
        """Count one injection, and what of KINDS came of it."""
        self.counts.update(("injected", *kinds))

    def cover(self, points: int, of: int) -> None:
        """Count at how many of the points where a fault can happen it was injected."""
        self.counts.update({"points": points, "of": of})


class Runner:
    """Runs of one small configuration, in processes of their own."""

    def __init__(self, data_dir: Path, *flags: str, module: str = "experiments.train") -> None:
        self.module = module
        self.flags = ["--dataset=tiny", f"--data_dir={data_dir}", *flags]

    def start(
        self,
        run_dir: Path | str,
        *flags: str,
        env: dict[str, str] | None = None,
        before: tuple[str, ...] = (),
        cwd: Path | None = None,
    ) -> subprocess.Popen:
        """Start it, behind the command `before`; `--resume` alone needs no other flags."""
        given = ["--noreport", *([] if "--resume" in flags else self.flags), *flags]
        python = ("-P", "-m", self.module, *given, f"--run_dir={run_dir}")
        return start(*python, cwd=cwd or Path.cwd(), env=env, before=before)

    def run(self, run_dir: Path | str, *flags: str, **options) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        with self.start(run_dir, *flags, **options) as process:
            out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def interrupt(
        self,
        run_dir: Path,
        number: int,
        *flags: str,
        after_epoch: int | None = None,
        delay=0.0,
        **options,
    ) -> subprocess.CompletedProcess[str]:
        """Start it, and send a signal some time after an epoch's row is there, or the start."""
        with self.start(run_dir, *flags, **options) as process:
            if after_epoch is not None:
                wait_for_epoch(process, run_dir, after_epoch)
            time.sleep(delay)
            process.send_signal(number)
            out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def kill(self, run_dir: Path, *flags: str, **when) -> None:
        """Kill it, as nothing can refuse."""
        self.interrupt(run_dir, signal.SIGKILL, *flags, **when)


def wait_for_epoch(process: subprocess.Popen, run_dir: Path, epoch: int) -> None:
    """Wait until a run has the row of an epoch, or is over."""
    while process.poll() is None:
        if len(lines(run_dir)) >= epoch:
            return
        time.sleep(0.005)


def lines(run_dir: Path, name: str = "metrics.jsonl") -> list[str]:
    """The rows that are there."""
    try:
        return (run_dir / name).read_text().splitlines()
    except FileNotFoundError:
        return []


def bits(path: Path, network=None) -> str:
    """The sha256 of what a checkpoint has; of another network than the project's, `network`."""
    digest = hashlib.sha256()
    for array in checkpoint._named(checkpoint.load(path, network).state).values():
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def outcome(run_dir: Path, network=None) -> tuple[str, list[dict]]:
    """The sha256 of the final parameters, and the rows of both tables but for their times."""
    rows = [json.loads(line) for line in lines(run_dir)]
    for row in rows:
        row["seconds"] = row["examples_per_second"] = 0
    rows += [json.loads(line) for line in lines(run_dir, "statistics.jsonl")]
    for row in rows:  # of this directory, and of the times
        row.pop("seal", None)
    return bits(checkpoint.last(run_dir), network), rows


def unfinish(whole: Path, run_dir: Path) -> Path:
    """Copy a run with all its checkpoints to `run_dir`, but for its result."""
    shutil.copytree(whole, run_dir)
    (run_dir / "result.json").unlink()
    return run_dir


def check_recovers(runner: Runner, run_dir: Path, whole: Path) -> subprocess.CompletedProcess[str]:
    """Resume a run, which has to end as one that nothing interrupted; return what it said."""
    done = runner.run(run_dir, "--resume")
    assert done.returncode == 0, done.stderr
    assert outcome(run_dir) == outcome(whole)
    return done
