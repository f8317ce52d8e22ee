"""Anything at any time, to one run directory: processes that train, people, and the disk.

Two processes train in a directory that is killed, stopped, moved, copied, damaged, linked and
reported meanwhile, in any order that hypothesis thinks of. Each process lies between two epochs
while the others act, as one that was stopped does, and is asked to continue later.
"""

import ctypes
import os
import shutil
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import jax
import pytest
from harness import bits
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from lenet import files, records, runs
from lenet.config import Config
from lenet.data import synthetic
from lenet.errors import LenetError, RecordError
from lenet.records import checkpoint
from lenet.report import of_directory, page

EPOCHS = 4
DEADLINE = 120  # seconds: whatever takes longer hangs
WHO = st.integers(0, 1)


def config(number: int) -> Config:
    """Settings of a run, with a seed by which runs are told apart."""
    sizes = {"channels": (1, 2), "hidden": (4,), "batch_size": 50}
    return Config(dataset="synthetic", seed=number, epochs=EPOCHS, **sizes)


def serve(pipe: Connection, library: Path, programs: str) -> None:
    """Do what comes through a pipe, one thing after the other; answer what came of it."""
    jax.config.update("jax_compilation_cache_dir", programs)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    calls = ctypes.c_int.in_dll(ctypes.CDLL(str(library)), "calls")
    few, rows = synthetic.make(100, 20), (row for row in ())
    while True:
        what, run_dir, number, how = pipe.recv()
        stop = {"DISK_ROOT": str(run_dir), "DISK_AT": str(number), "DISK_HOW": how} if how else {}
        calls.value = 0
        os.environ |= stop
        try:
            if what == "leave":
                rows.close()
            elif what == "begin":
                rows = runs.begin(run_dir, config(number % 2), few).epochs()
            elif what == "resume":
                rows = runs.resume(run_dir, few).epochs()
            elif what == "next":
                next(rows, None)
            elif what == "report":
                content = page.render(of_directory.report(run_dir, few))
                files.write(run_dir / "report.html", content)
            pipe.send("done")
        except LenetError as error:
            pipe.send(f"refused: {error}")
        except Exception:
            pipe.send(f"crashed: {traceback.format_exc()}")
        finally:
            for name in stop:
                del os.environ[name]


class Trainer:
    """A process that trains; a new one takes the place of one that was killed."""

    def __init__(self, context: ForkServerContext, library: Path) -> None:
        self._context, self._library = context, library
        self._process = None

    def ask(self, what: str, run_dir: Path, number: int = 0, how: str = "") -> str:
        """Have it do something; return "done", "refused: ..." or "killed"."""
        if self._process is None:
            self._pipe, there = self._context.Pipe()
            about = (there, self._library, jax.config.jax_compilation_cache_dir)
            self._process = self._context.Process(target=serve, args=about, daemon=True)
            self._process.start()
            there.close()
        try:
            self._pipe.send((what, run_dir, number, how))
            assert self._pipe.poll(DEADLINE), f"{what} in {run_dir} hangs"
            answer = self._pipe.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            self._process.join()
            assert self._process.exitcode == -9, self._process.exitcode
            self._process, answer = None, "killed"
        assert not answer.startswith("crashed"), answer
        assert "\n" not in answer, answer
        return answer

    def kill(self) -> None:
        """Kill it, as nothing can refuse."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None


def rows(run_dir: Path) -> list[dict[str, Any]]:
    """Return the epochs of a run, but for the times."""
    times = {"seconds": 0.0, "examples_per_second": 0.0}
    path = run_dir / "metrics.jsonl"
    return [row.to_dict() | times for row in records.epochs(run_dir)] if path.exists() else []


@pytest.fixture(scope="session")
def trainers(forked, disk) -> Iterator[list[Trainer]]:
    """Two, for all examples: a process that was not killed is warm."""
    made = [Trainer(forked, disk) for _ in range(2)]
    yield made
    for trainer in made:
        trainer.kill()


@pytest.fixture(scope="session")
def expected(trainers, tmp_path_factory) -> dict[int, tuple[list[dict[str, Any]], dict[int, str]]]:
    """By seed, the rows and the bits of each epoch, of runs that nothing disturbs."""
    found, place = {}, tmp_path_factory.mktemp("whole")
    for number, trainer in enumerate(trainers):
        run_dir, digests = place / str(number), {}
        assert trainer.ask("begin", run_dir, number) == "done"
        for epoch in range(1, EPOCHS + 2):  # the last ends the run
            assert trainer.ask("next", run_dir) == "done"
            if epoch <= EPOCHS:
                digests[epoch] = bits(checkpoint.path_of(run_dir, epoch))
        found[number] = rows(run_dir), digests
    return found


class Machine(RuleBasedStateMachine):
    """One directory, and what may happen to it."""

    trainers: list[Trainer]
    expected: dict[int, tuple[list[dict[str, Any]], dict[int, str]]]
    root: Path
    counts: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        for trainer in self.trainers:  # of the example before, which may have failed
            trainer.ask("leave", self.root)
        shutil.rmtree(self.root, ignore_errors=True)
        self.run, self.spare = self.root / "run", self.root / "spare"
        self.foreign = self.root / "foreign"
        self.foreign.mkdir(parents=True)
        self.sentinel = b"of somebody else"
        (self.foreign / "file").write_bytes(self.sentinel)
        self.damaged = False

    def ask(self, who: int, what: str, number: int = 0, how: str = "") -> str:
        answer = self.trainers[who].ask(what, self.run, number, how)
        if how or answer != "done":
            kind = "detected" if answer.startswith("refused") else "recovered"
            self.counts.update(("injected", kind))
        return answer

    @rule(who=WHO, number=WHO)
    def begin(self, who, number):
        """Start a run; it is refused where there is one."""
        self.ask(who, "begin", number)

    @rule(who=WHO)
    def resume(self, who):
        """Resume what is there."""
        self.ask(who, "resume")

    @rule(who=WHO)
    def train(self, who):
        """Train an epoch, in whatever directory it was begun."""
        self.ask(who, "next")

    @rule(who=WHO)
    def leave(self, who):
        """Stop in an orderly way."""
        self.ask(who, "leave")

    @rule(who=WHO)
    def report(self, who):
        """Write the page."""
        self.ask(who, "report")

    @rule(who=WHO, at=st.integers(1, 14), what=st.sampled_from(("begin", "next", "report")))
    def kill_at_a_call(self, who, at, what):
        """Kill it while it writes."""
        self.ask(who, what, at, "before")

    @rule(who=WHO)
    def kill(self, who):
        """Kill it between two epochs."""
        self.trainers[who].kill()
        self.counts.update(("injected", "recovered"))

    @rule(who=WHO, at=st.integers(1, 14), how=st.sampled_from(("ENOSPC", "EIO", "EINTR", "short")))
    def lose_the_disk(self, who, at, how):
        """Fill it, or let it fail."""
        self.ask(who, "next", at, how)

    @rule()
    def move(self):
        """Exchange the directory with another, which may not be there."""
        aside = self.root / "aside"
        for source, target in ((self.run, aside), (self.spare, self.run), (aside, self.spare)):
            if source.exists():
                source.rename(target)
        self.counts.update(("injected",))

    @rule()
    def copy(self):
        """Copy the directory, as it is."""
        if self.run.exists():
            shutil.rmtree(self.spare, ignore_errors=True)
            shutil.copytree(self.run, self.spare, symlinks=True)
            self.counts.update(("injected",))

    @rule()
    def delete(self):
        """Remove the directory."""
        shutil.rmtree(self.run, ignore_errors=True)
        self.counts.update(("injected",))

    @rule()
    def leave_a_note(self):
        """Put files of somebody else beside those of the run."""
        for folder in (self.run, self.run / "checkpoints"):
            if folder.exists():
                for name in ("notes.txt", ".hidden-20251231", "runs-backup.jsonl"):
                    (folder / name).write_bytes(self.sentinel)

    @rule(at=st.integers(0, 1 << 30), pick=st.integers(0, 1 << 30))
    def damage(self, at, pick):
        """Flip a bit of what the run wrote."""
        own = [path for path in self.own() if path.stat().st_size]
        if own:
            path = own[pick % len(own)]
            content = bytearray(path.read_bytes())
            content[at % len(content)] ^= 1 << at % 8
            path.write_bytes(content)
            self.damaged = True
            self.counts.update(("injected",))

    @rule(pick=st.integers(0, 1 << 30))
    def link(self, pick):
        """Put a link to somebody else's file in the place of one of the run."""
        if own := self.own():
            path = own[pick % len(own)]
            path.unlink()
            path.symlink_to(self.foreign / "file")
            self.damaged = True
            self.counts.update(("injected",))

    def own(self) -> list[Path]:
        """The files of the run that hold something."""
        found = [*self.run.glob("*.json*"), *self.run.glob("checkpoints/*.npz")]
        return [x for x in sorted(found) if not x.is_symlink() and "backup" not in x.name]

    @invariant()
    def what_is_foreign_is_as_it_was(self):
        """Byte for byte."""
        assert {x.name: x.read_bytes() for x in self.foreign.iterdir()} == {"file": self.sentinel}
        for name in ("notes.txt", ".hidden-20251231", "runs-backup.jsonl"):
            for path in self.root.rglob(name):
                assert path.read_bytes() == self.sentinel

    @invariant()
    def every_file_is_of_one_run_and_no_number_is_another(self):
        """Or the record says so."""
        for run_dir in (self.run, self.spare):
            if not (run_dir / "config.json").exists():
                continue
            try:
                number = records.restore(run_dir).checkpoint.config.seed
            except RecordError:  # no epoch is saved, or the damage is said
                number = None
            try:
                found = runs.resuming.recorded(run_dir)[0].seed
                wanted, digests = self.expected[found]
                assert rows(run_dir) == wanted[: len(rows(run_dir))]
            except RecordError:
                assert self.damaged
                continue
            assert number in (None, found)
            for path in run_dir.glob("checkpoints/*.npz"):
                try:
                    assert bits(path) == digests[int(path.stem)]
                except RecordError:
                    assert self.damaged

    def teardown(self):
        """Whatever happened, what is there can be resumed to its end, or says why it cannot."""
        for trainer in self.trainers:
            trainer.ask("leave", self.run)
        for run_dir in (self.run, self.spare):
            if (run_dir / "config.json").exists():
                answer = self.trainers[0].ask("resume", run_dir)
                for _ in range(EPOCHS + 1):
                    answer = self.trainers[0].ask("next", run_dir) if answer == "done" else answer
                assert answer == "done" or self.damaged, answer
                if answer == "done":
                    wanted, digests = self.expected[runs.resuming.recorded(run_dir)[0].seed]
                    assert rows(run_dir) == wanted
                    assert bits(checkpoint.path_of(run_dir, EPOCHS)) == digests[EPOCHS]
                    self.counts.update(("bit-equal",))
        self.what_is_foreign_is_as_it_was()


@pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("cc"), reason="wants Linux and a C compiler"
)
@pytest.mark.fault("anything at any time, in one directory")
@pytest.mark.slow
@pytest.mark.parametrize("part", [0, 1])
def test_a_directory_stays_of_one_run_whatever_happens(fault, trainers, expected, tmp_path, part):
    examples = len(fault.times(2, 60))
    about = {"trainers": trainers, "expected": expected, "root": tmp_path / "root"}
    machine = type("Machine", (Machine,), about | {"counts": fault.counts})
    run_state_machine_as_test(
        seed(fault.random.randrange(1 << 32))(machine),
        settings=settings(
            max_examples=examples,
            stateful_step_count=20,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=[*HealthCheck],
        ),
    )
