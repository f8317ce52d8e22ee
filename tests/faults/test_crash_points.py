"""A command is stopped at each call by which it changes its directory, in each way it can be.

`disk.c`, built here, numbers those calls: a process that is killed before or after one, or that
meets a full or a failing disk there, is followed by --resume or the same command, and leaves what
a process that nothing stopped leaves.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from commands import start
from harness import lines, outcome

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("cc"), reason="wants Linux and a C compiler"
)

HOW = {
    "before": "",  # at every call
    "after": "",
    "ENOSPC": "",
    "EIO": "",
    "EINTR": "open write fsync truncate",  # which a signal can interrupt
    "short": "write",
}
SMALL = ("--channels=1,2", "--hidden=4", "--batch_size=100", "--preset=modern", "--epochs=2")


class Work(NamedTuple):
    """A command that changes a directory."""

    module: str
    flags: tuple[str, ...]
    begun: str  # the file with which there is something to resume
    result: Callable[[Path], object]  # what it leaves, but for times


def ledger(run_dir: Path) -> list[str]:
    """The runs of a sweep, but for the times."""
    entries = [json.loads(line) for line in lines(run_dir, "runs.jsonl")]
    for entry in entries:
        del entry["seal"]
        for row in entry["rows"]:
            row["seconds"] = row["examples_per_second"] = 0
    return sorted(json.dumps(entry) for entry in entries)


WORK = {
    "train": Work("experiments.train", SMALL, "config.json", outcome),
    "sweep": Work("experiments.sweep", (*SMALL, "--seed=0:3"), "sweep.json", ledger),
}


@pytest.fixture(scope="session")
def disk(tmp_path_factory) -> Path:
    """The library that stops calls."""
    library = tmp_path_factory.mktemp("disk") / "disk.so"
    source = Path(__file__).with_name("disk.c")
    build = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, source, "-ldl"]
    subprocess.run(build, check=True)
    return library


def run(work: Work, run_dir: Path, tiny: Path, *flags: str, **env: str):
    """Run a command in a directory of its own to its end, whatever that is."""
    given = ("--noreport", "--dataset=tiny", f"--data_dir={tiny}", *work.flags, *flags)
    with start("-m", work.module, *given, f"--run_dir={run_dir}", env=env) as process:
        out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def points(disk: Path, work: Work, run_dir: Path, tiny: Path) -> list[str]:
    """The calls of a run that nothing stops: "write /metrics.jsonl", ..."""
    log = run_dir.with_suffix(".log")
    env = {"LD_PRELOAD": str(disk), "DISK_ROOT": str(run_dir), "DISK_LOG": str(log)}
    done = run(work, run_dir, tiny, **env)
    assert done.returncode == 0, done.stderr
    return [line.split(" ", 1)[1] for line in log.read_text().splitlines()]


@pytest.mark.fault("stopped at a call that changes the disk")
@pytest.mark.parametrize("name", ["train", pytest.param("sweep", marks=pytest.mark.slow)])
def test_whatever_stops_it_wherever_it_goes_on_to_the_same_bits(fault, disk, tiny, tmp_path, name):
    work = WORK[name]
    calls = points(disk, work, tmp_path / "whole", tiny)
    expected = work.result(tmp_path / "whole")
    every = [
        (at, how)
        for at, call in enumerate(calls, start=1)
        for how, where in HOW.items()
        if not where or call.split()[0] in where.split()
    ]
    few = fault.random.sample(every, 1)
    for at, how in few if fault.injections is None else every:
        where = f"{how} call {at} of {len(calls)}: {calls[at - 1]}"
        run_dir = tmp_path / f"{at}-{how}"
        env = {"LD_PRELOAD": str(disk), "DISK_ROOT": str(run_dir)}
        done = run(work, run_dir, tiny, DISK_AT=str(at), DISK_HOW=how, **env)
        expected_status = {"before": (-9,), "after": (-9,), "EINTR": (0,), "short": (0,)}
        assert done.returncode in expected_status.get(how, (0, 7)), (where, done.stderr)
        assert done.stderr.count("\n") == (done.returncode == 7), (where, done.stderr)
        resume = ["--resume"] if (run_dir / work.begun).exists() else []
        again = run(work, run_dir, tiny, *resume)
        assert again.returncode == 0, (where, again.stderr)
        left = [
            path for path in run_dir.rglob("*.part") if not path.name.startswith(".config.json")
        ]
        assert not left, where
        assert work.result(run_dir) == expected, where
        shutil.rmtree(run_dir)
        fault.count("detected" if done.returncode == 7 else "recovered", "bit-equal")
