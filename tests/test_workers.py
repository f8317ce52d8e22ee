"""A process for each core: the rows of one process, and an end with the first that fails."""

import dataclasses
import os
import signal

import pytest
from record_rows import timeless

from lenet import train
from lenet.config import Config
from lenet.data import synthetic
from lenet.engine import cores
from lenet.engine.workers import Workers
from lenet.errors import DivergedError, UsageError
from lenet.model import network

TINY = Config(dataset="synthetic", channels=(2, 3), hidden=(8,), batch_size=64, epochs=2)
# Two programs; the second run of the first diverges.
RUNS = [
    *(
        dataclasses.replace(TINY, activation="relu", lr=lr, seed=seed)
        for seed, lr in enumerate((0.1, 1e6, 0.3))
    ),
    dataclasses.replace(TINY, activation="sigmoid"),
]
pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system cannot bind a process to a core"
)


@pytest.fixture(scope="module")
def small():
    return synthetic.make(300, 50)


def with_networks(configs):
    return [(network(config, 10), config) for config in configs]


def core() -> int:
    return min(os.sched_getaffinity(0))


@pytest.fixture(scope="module")
def started(small):
    with Workers([core(), core()], small) as pool:
        yield pool


def by_run(rows) -> dict[int, list]:
    """What was yielded, by run, without the times."""
    found: dict[int, list] = {run: [] for run in range(len(RUNS))}
    for run, row in rows:
        found[run] += [str(row)] if isinstance(row, DivergedError) else timeless([row])
    return found


@pytest.mark.slow
def test_every_run_has_the_rows_of_one_process_to_the_bit(small, started):
    here = (item for epoch in train.sweep(RUNS, small) for item in epoch.rows.items())
    found = by_run(started.fit(with_networks(RUNS)))
    assert found == by_run(here)
    assert [len(rows) for rows in found.values()] == [2, 1, 2, 2]
    assert "diverged" in found[1][0]


def test_workers_go_on_with_more_runs(started):
    assert {run for run, _ in started.fit(with_networks(RUNS[3:4]))} == {0}


def test_what_a_worker_cannot_do_is_the_error_of_the_sweep(started):
    with pytest.raises(UsageError, match="one run needs about"):  # terabytes
        list(started.fit(with_networks([dataclasses.replace(TINY, hidden=(1 << 20, 1 << 20))])))


def test_a_worker_that_is_killed_ends_the_sweep_in_one_line(small):
    with Workers([core()], small) as pool:
        (process,) = pool._processes
        rows = pool.fit(with_networks([dataclasses.replace(TINY, epochs=1000)]))
        next(rows)
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(UsageError, match="Continue with resume"):
            list(rows)


def test_processes_are_started_where_they_pay(small, monkeypatch):
    count = len(os.sched_getaffinity(0))
    assert cores.for_workers(RUNS, small) == []  # a second of work
    monkeypatch.setattr(cores, "WORTH", 1)
    assert cores.for_workers(RUNS[:1], small) == []
    if count > 1:
        assert len(cores.for_workers(RUNS, small)) == min(2, count)  # the tests have two devices
