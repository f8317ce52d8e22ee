"""A command is stopped at each call by which it changes its directory, in each way it can be.

`disk.c`, built here, numbers those calls: a process that is killed before or after one, or that
meets a full or a failing disk there, is followed by --resume or the same command, and leaves what
a process that nothing stopped leaves.
"""

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import reorder
from harness import lines, outcome, unfinish
from warm import Worker

from lenet.records import checkpoint

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("cc"), reason="wants Linux and a C compiler"
)

ERRORS = {
    "ENOSPC": "",  # of every call
    "EIO": "",
    "EINTR": "open write fsync truncate",  # which a signal can interrupt
    "short": "write",
}
SMALL = ("--channels=1,2", "--hidden=4", "--batch_size=100", "--preset=modern", "--epochs=2")
SHORT = ("--seeds=2", "--tuning_seeds=1", "--refining_seeds=1", "--bridge_seeds=0")
SHORT += ("--neighbour_seeds=0", "--lr=0.1", "--valid=100", "--epochs=1", "--batch_size=100")
SEARCH = (*SMALL, "--lr=0.01..0.1:log", "--valid=100", "--trials=2", "--sampler=random")
SEARCH += ("--halving=2", "--rule=halving", "--final_seeds=1")
DATABASE = r".* (/run)?/study\.db"  # of a search, which is written and never read


class Work(NamedTuple):
    """A command that changes a directory."""

    flags: tuple[str, ...]
    begun: str  # the file with which there is something to resume
    result: Callable[[Path], object]  # what it leaves, but for times
    slow: str = "(?!)"  # calls that are only frozen, and the first of each kind on a full disk
    unread: str = "(?!)"  # of these, the ones of a file that nothing reads
    before: Callable[[Path, Path], None] = lambda whole, place: None  # copies a run


def ledgers(run_dir: Path) -> list[list[str]]:
    """The runs of a sweep, what they predict, and the trials of a search, but for the times."""
    return [ledger(run_dir, path.name) for path in sorted(run_dir.glob("*.jsonl"))]


def ledger(run_dir: Path, name: str) -> list[str]:
    entries = [json.loads(line) for line in lines(run_dir, name)]
    for entry in entries:
        del entry["seal"]
        for row in entry.get("rows", entry.get("marks", ())):  # predictions have none
            row["seconds"] = row["examples_per_second"] = 0
    return sorted(json.dumps(entry) for entry in entries)


def comparison(run_dir: Path) -> object:
    """Everything that a comparison says, but for the times."""
    return (
        ledgers(run_dir),
        (run_dir / "report.md").read_text(),
        (run_dir / "compare.png").read_bytes(),
    )


def page(run_dir: Path) -> object:
    """The page of a run, and the run."""
    return (run_dir / "report.html").read_bytes(), outcome(run_dir)


def to_report(whole: Path, place: Path) -> None:
    """Copy a finished run."""
    shutil.copytree(whole, place)


def to_resume(whole: Path, place: Path) -> None:
    """Copy a run that is damaged in two places and not finished."""
    newest = checkpoint.last(unfinish(whole, place))
    newest.write_bytes(newest.read_bytes()[:-1])
    with open(place / "metrics.jsonl", "ab") as file:
        file.write(b'{"epoch": 7, "tr')


WORK = {
    "train": Work(SMALL, "config.json", outcome),
    "sweep": Work((*SMALL, "--seed=0:3"), "sweep.json", ledgers),
    "search": Work(SEARCH, "search.json", ledgers, slow=DATABASE, unread=DATABASE),
    "compare": Work(SHORT, "compare.json", comparison, slow=""),
    "resume": Work((), "config.json", outcome, before=to_resume),
    "report": Work((), "", page, before=to_report),
}


class Bench:
    """Runs a command on the tiny data in directories of its own."""

    def __init__(self, name: str, worker: Worker, tiny: Path, whole: Path, tmp_path: Path) -> None:
        self.name, self.work, self.worker, self.whole = name, WORK[name], worker, whole
        self.flags = ("--noreport", "--dataset=tiny", f"--data_dir={tiny}", *self.work.flags)
        self.place = tmp_path / "run"  # of the same name each time, for a page names it

    def prepare(self) -> None:
        """Remove what is there, and put there what the command begins with."""
        shutil.rmtree(self.place, ignore_errors=True)
        self.work.before(self.whole, self.place)

    def run(self, **env: str):
        """Run the command to its end, whatever that is, with what is there to resume."""
        if self.name == "report":
            return self.worker.run("report", str(self.place), env=env)
        resume = ["--resume"] if (self.place / self.work.begun).exists() else []
        flags = (*self.flags, *resume, f"--run_dir={self.place}")
        return self.worker.run("train" if self.name == "resume" else self.name, *flags, env=env)

    def watched(self, what: str, root: Path) -> str:
        """Return what is logged below a directory of a command that nothing stops."""
        log = self.place.with_suffix(".log")
        log.unlink(missing_ok=True)
        self.prepare()
        done = self.run(DISK_ROOT=str(root), **{what: str(log)})
        assert done.returncode == 0, done.stderr
        return log.read_text()

    def points(self) -> list[str]:
        """The calls of a command: "write /metrics.jsonl", ..."""
        lines = self.watched("DISK_LOG", self.place).splitlines()
        return [line.split(" ", 1)[1] for line in lines]

    def faults(self, calls: list[str]) -> list[tuple[int, str]]:
        """Every call, by number, with each way to stop it: two kills and an error, in turn."""
        kinds = [re.sub("[0-9a-f]{16,}", "", call) for call in calls]
        first = {kind: at for at, kind in reversed([*enumerate(kinds, start=1)])}.values()
        found = []
        for at, call in enumerate(calls, start=1):
            errors = [how for how, of in ERRORS.items() if not of or call.split()[0] in of.split()]
            # A frozen disk has what a kill before the call leaves, and one after the call before.
            frozen = ["frozen"] * (not self.follows_alike(calls, at)) + ["ENOSPC"] * (at in first)
            ways = ("before", "after", errors[at % len(errors)])
            found += [(at, how) for how in (frozen if re.match(self.work.slow, call) else ways)]
        return found

    def follows_alike(self, calls: list[str], at: int) -> bool:
        """Whether a call and the one before it are both of a file that nothing reads.

        Then the disk has the same before both, as far as anything depends on it.
        """
        return at > 1 and all(re.match(self.work.unread, call) for call in calls[at - 2 : at])


@pytest.fixture
def bench(request, worker, tiny, whole, tmp_path) -> Bench:
    """Of the command that the test is of."""
    return Bench(request.param, worker, tiny, whole, tmp_path)


STATUS = {"before": (-9,), "after": (-9,), "frozen": (0, 7), "EINTR": (0,), "short": (0,)}
"""What a process may end with that is stopped so; otherwise it is done, or has lost its disk."""


def check(bench: Bench, calls: list[str], at: int, how: str, expected: object) -> int:
    """Stop a command at a call, and let it go on; return the status with which it stopped."""
    where = f"{bench.name}, {how} call {at} of {len(calls)}: {calls[at - 1]}"
    bench.prepare()
    done = bench.run(DISK_ROOT=str(bench.place), DISK_AT=str(at), DISK_HOW=how)
    assert done.returncode in STATUS.get(how, (0, 7)), (where, done.stderr)
    assert done.stderr.count("\n") == (done.returncode == 7), (where, done.stderr)
    again = bench.run()
    assert again.returncode == 0, (where, again.stderr)
    # Before the description is there, no name is: a new run beside it is told apart from it.
    left = [x for x in bench.place.rglob("*.part") if f".{bench.work.begun}." not in x.name]
    assert not left, where
    assert bench.work.result(bench.place) == expected, where
    return done.returncode


SLOW = [
    pytest.param(name, marks=pytest.mark.slow)
    for name in ("train", "sweep", "search", "compare", "resume", "report")
]
PARTS = 4
"""Of the calls, for as many processes."""
SHARES = [0, *(pytest.param(part, marks=pytest.mark.slow) for part in range(1, PARTS))]


@pytest.mark.fault("stopped at a call that changes the disk")
@pytest.mark.parametrize("part", SHARES)
@pytest.mark.parametrize(
    "bench",
    SLOW,
    indirect=True,
)
def test_whatever_stops_it_wherever_it_goes_on_to_the_same_bits(fault, bench, part):
    calls = bench.points()
    expected = bench.work.result(bench.place)
    every = [(at, how) for at, how in bench.faults(calls) if at % PARTS == part]
    some = 2 if fault.injections is None else len(every)
    chosen = fault.random.sample(every, min(some, len(every)))
    for at, how in chosen:
        status = check(bench, calls, at, how, expected)
        fault.count("detected" if status == 7 else "recovered", "bit-equal")
    there = {at for at in range(1, len(calls) + 1) if at % PARTS == part}
    covered = {at for at, _ in chosen}
    if len(chosen) == len(every):
        covered |= {at for at in there if bench.follows_alike(calls, at)}
    fault.cover(len(covered), len(there))


@pytest.mark.slow
@pytest.mark.fault("writes that nobody waited for, lost or out of order")
@pytest.mark.parametrize("part", SHARES)
@pytest.mark.parametrize("bench", ["train", *SLOW[1:]], indirect=True)
def test_whatever_a_file_system_loses_at_a_crash_is_made_good_or_said(fault, bench, part):
    traced = bench.watched("DISK_TRACE", bench.place.parent).splitlines(keepends=True)
    trace = "".join(line for line in traced if not re.match(DATABASE, line))
    expected, after = bench.work.result(bench.place), reorder.read(bench.place)
    after.pop("/run/study.db", None)
    bench.prepare()
    before = reorder.read(bench.place)
    done = [x for x in reorder.steps(before, trace) if isinstance(x, reorder.Step)]
    assert reorder.tree(done) == after  # the model knows what the disk knows
    every = [x for at, x in enumerate(reorder.states(before, trace)) if at % PARTS == part]
    some = 2 if fault.injections is None else len(every)
    chosen = fault.random.sample(every, min(some, len(every)))
    for state in chosen:
        reorder.build(state, bench.place)
        again = bench.run()
        assert again.returncode == 0, (again.stderr, sorted(state))
        assert bench.work.result(bench.place) == expected, sorted(state)
        fault.count("recovered", "bit-equal")
    fault.cover(len(chosen), len(every))
