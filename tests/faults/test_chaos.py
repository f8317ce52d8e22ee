"""A sweep on a cluster whose workers are killed, stopped and cut off ends as one undisturbed."""

import contextlib
import json
import shutil
import socket
import threading
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
from commands import command, end, start
from harness import lines

from lenet import search
from lenet.language import mark

SIZES = ("--channels=2,3", "--hidden=8", "--batch_size=64", "--preset=modern", "--epochs=4")
HALVED = ("--halving=2", "--rule=halving", "--sampler=random")
ENV = {  # what is stopped is noticed within seconds
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "5s",
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "5",  # of the test, not of the runs
}


def table(run_dir: Path) -> list[dict]:
    """The ledger, but for its times."""
    entries = [json.loads(line) for line in lines(run_dir, "runs.jsonl")]
    for entry in entries:
        entry.pop("seal", None)
        for row in entry["rows"]:
            row["seconds"] = row["examples_per_second"] = 0
    return sorted(entries, key=lambda entry: entry["run"])


def sweep(tiny, *flags: str) -> tuple[str, ...]:
    given = (*SIZES, "--dataset=tiny", f"--data_dir={tiny}", "--noreport", "--run_dir=run")
    return "-m", "experiments.sweep", *given, *flags


def undisturbed(tiny, path: Path, *flags: str) -> list[dict]:
    done = command("sweep", *sweep(tiny, *flags)[2:], cwd=path)
    assert done.returncode == 0, done.stderr
    found = table(path / "run")
    shutil.rmtree(path / "run")
    return found


def workers_of(process) -> list[psutil.Process]:
    """The processes that train."""
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
        return [
            child for child in family if child.is_running() and "spawn_main" in str(child.cmdline())
        ]
    return []


@pytest.mark.slow
@pytest.mark.fault("a worker that is killed")
def test_a_sweep_outlives_a_worker_and_leaves_none_behind(fault, tiny, tmp_path):
    flags = ("--lr=0.02,0.01", "--seed=0:4")
    expected = undisturbed(tiny, tmp_path, *flags)
    with start(*sweep(tiny, *flags, "--cluster=local"), cwd=tmp_path) as process:
        while process.poll() is None and not lines(tmp_path / "run", "runs.jsonl"):
            time.sleep(0.01)
        started = workers_of(process)
        started[0].kill()
        out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, ""), err
    assert "workers" in out
    assert table(tmp_path / "run") == expected
    assert not psutil.wait_procs(started, timeout=10)[1]
    fault.count("detected", "recovered", "bit-equal")


@pytest.mark.slow
@pytest.mark.fault("a sweep whose parent is killed")
def test_workers_do_not_outlive_their_parent(fault, tiny, tmp_path):
    for stopped in (False, True)[: 1 + len(fault.times(0, 1))]:
        with start(*sweep(tiny, "--seed=0:500", "--cluster=local"), cwd=tmp_path) as process:
            while not lines(tmp_path / "run", "runs.jsonl"):
                time.sleep(0.01)
            started = workers_of(process)
            if stopped:
                started[0].suspend()
            process.kill()
        assert not psutil.wait_procs(started, timeout=10)[1]
        shutil.rmtree(tmp_path / "run")
        fault.count("detected", "recovered")


def searched(run_dir: Path) -> list[tuple]:
    """The trials of a search, but for its times."""
    return [
        (trial.setting, [(mark.epoch, mark.valid_accuracy) for mark in trial.runs[0].marks])
        for trial in search.read(run_dir / "trials.jsonl")
    ]


@pytest.mark.slow
@pytest.mark.fault("the client of a cluster that is killed")
@pytest.mark.parametrize(
    ("name", "ledger", "read", "flags"),
    [
        ("sweep", "runs.jsonl", table, ("--seed=0:12",)),
        (
            "search",
            "trials.jsonl",
            searched,
            (*HALVED, "--lr=0.01..0.3:log", "--trials=8", "--valid=50", "--final_seeds=2"),
        ),
    ],
)
def test_what_a_client_finished_before_it_was_killed_is_kept(
    fault, tiny, tmp_path, name, ledger, read, flags
):
    given = (*SIZES, "--dataset=tiny", f"--data_dir={tiny}", "--noreport", *flags)
    assert command(name, *given, "--run_dir=alone", cwd=tmp_path).returncode == 0
    expected = read(tmp_path / "alone")
    with contextlib.ExitStack() as stack:
        chaos = Chaos(False, tmp_path, stack)
        for _ in range(2):
            chaos.join()
        to = f"--cluster={chaos.address(chaos.port)}"
        client = chaos.start("-m", f"experiments.{name}", *given, to, "--run_dir=run")
        for count in (4, 9):
            until = time.monotonic() + 120
            while len(lines(tmp_path / "run", ledger)) < count and time.monotonic() < until:
                time.sleep(0.01)
            client.kill()
            before = (tmp_path / "run" / ledger).read_bytes()
            again = ("--run_dir=run", "--resume", to, "--noreport")
            client = chaos.start("-m", f"experiments.{name}", *again)
            fault.count("detected", "recovered", "bit-equal")
        _, err = client.communicate(timeout=240)
        assert (client.returncode, err) == (0, ""), err
    whole = before[: before.rindex(b"\n") + 1]
    assert (tmp_path / "run" / ledger).read_bytes().startswith(whole)
    assert read(tmp_path / "run") == expected


class Relay:
    """A network between a worker and the scheduler, which can be closed."""

    def __init__(self, port: int) -> None:
        self._to, self._open = ("127.0.0.1", port), []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with self._server, contextlib.suppress(OSError):
            while True:
                here, _ = self._server.accept()
                try:
                    there = socket.create_connection(self._to)
                except OSError:
                    here.close()
                    continue
                self._open += [here, there]
                for ends in ((here, there), (there, here)):
                    threading.Thread(target=self._copy, args=ends, daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with source, contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
        cut(target)

    def close(self) -> bool:
        """Cut what is connected, if anything is; what connects anew gets through."""
        connected = bool(self._open)
        while self._open:
            cut(self._open.pop())
        return connected

    def end(self) -> None:
        """Let nothing through any more."""
        cut(self._server)
        self.close()


def cut(end: socket.socket) -> None:
    """Close a connection for both sides, whoever reads from it."""
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


KINDS = {
    "kill": mark("one of 8 workers, killed"),
    "stop": mark("one of 8 workers, stopped"),
    "network": mark("one of 8 workers, its network closed"),
    "machine": mark("one of 8 workers, gone with its machine; another joins"),
}


class Chaos:
    """A scheduler and workers behind relays, in processes of their own."""

    def __init__(self, tls: bool, path: Path, stack: contextlib.ExitStack) -> None:
        self.tls, self.path, self.stack = tls, path, stack
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.port = server.getsockname()[1]
        self.relays: list[Relay] = []
        self.workers: list = []
        self.schedulers = 0
        self.schedule()

    def address(self, port: int) -> str:
        return f"{'tls' if self.tls else 'tcp'}://127.0.0.1:{port}"

    def start(self, *command: str):
        process = start(*command, cwd=self.path, env=ENV)
        self.stack.callback(process.communicate)
        self.stack.callback(end, process.pid)
        return process

    def schedule(self) -> None:
        """Start the scheduler: ours, or as it comes."""
        self.schedulers += 1
        if self.tls:
            flags = ("--host=127.0.0.1", f"--port={self.port}", "--certificates=key")
            self.scheduler = self.start("-m", "experiments.cluster", "scheduler", *flags)
            assert "scheduler at" in self.scheduler.stdout.readline()
        else:
            flags = ("--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard")
            self.scheduler = self.start("-m", "distributed.cli.dask_scheduler", *flags)

    def join(self) -> None:
        """Start a worker, behind a network of its own."""
        self.relays.append(Relay(self.port))
        self.stack.callback(self.relays[-1].end)
        to = f"--cluster={self.address(self.relays[-1].port)}"
        command = ("-m", "experiments.cluster", "worker", to, "--certificates=key", "--workers=1")
        self.workers.append(self.start(*command))

    def disturb(self, random) -> str | None:
        """Do something bad to one of the workers; where one is gone for good, another comes.

        Returns what it was; None if there was nothing to do it to.
        """
        which = random.randrange(len(self.workers))
        what = random.choice([*KINDS])
        trains = workers_of(self.workers[which])
        if what == "network":
            return what if self.relays[which].close() else None
        if what == "machine":
            end(self.workers[which].pid)
            del self.workers[which], self.relays[which]
            self.join()
            return what
        with contextlib.suppress(psutil.NoSuchProcess, IndexError):
            trains[0].kill() if what == "kill" else trains[0].suspend()
            return what
        return None


@pytest.mark.slow
@pytest.mark.fault("the scheduler of 8 workers, killed")
@pytest.mark.parametrize("tls", [False, True])
def test_the_table_of_a_disturbed_sweep_is_that_of_an_undisturbed_one(fault, tiny, tmp_path, tls):
    count, runs = (8, 200) if fault.times(0, 1) else (3, 40)
    flags = (f"--seed=0:{runs}",)
    expected = undisturbed(tiny, tmp_path, *flags)
    with contextlib.ExitStack() as stack:
        chaos = Chaos(tls, tmp_path, stack)
        for _ in range(count):
            chaos.join()
        to = (f"--cluster={chaos.address(chaos.port)}", "--certificates=key")
        client = chaos.start(*sweep(tiny, *flags, *to))
        until, then, happened = time.monotonic() + 1200, 1, Counter()
        while client.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
            done = len(lines(tmp_path / "run", "runs.jsonl"))
            if done < then:  # however slow the machine is
                continue
            then = done + 4
            happened.update(filter(None, [chaos.disturb(fault.random)]))
            if done > runs // 2 and chaos.schedulers == 1:
                chaos.scheduler.kill()
                _, err = client.communicate(timeout=120)
                assert client.returncode == 2
                assert err.startswith("error: the scheduler of the cluster does not answer")
                assert err.count("\n") == 1
                chaos.schedule()
                client = chaos.start("-m", "experiments.sweep", "--run_dir=run", "--resume", *to)
        assert client.poll() == 0, client.communicate()
        assert chaos.schedulers == 2
    assert table(tmp_path / "run") == expected
    assert happened.keys() == KINDS.keys() or count < 8, happened
    fault.count("detected", "recovered", "bit-equal")  # the scheduler
    for what in happened.elements():
        fault.other(KINDS[what]).count("detected", "recovered", "bit-equal")
