"""Faults are injected into real processes and files; what came of each is counted in a table.

    scripts/test --faults                  all of them, 2,000 or more
    scripts/test --faults --injections=200 fewer, of the same kinds

A run without --faults injects one or a few of each kind.
"""

import random
import subprocess
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
from harness import Fault, Runner
from warm import Worker, server


@pytest.fixture
def fault(request, record_property) -> Iterator[Fault]:
    """The fault whose row of the table the test's mark names."""
    name = request.node.get_closest_marker("fault").args[0]
    seed, injections = (request.config.getoption(f"--{x}") for x in ("faults-seed", "injections"))
    made = Fault(name, random.Random(f"{seed} {request.node.name}"), injections)
    yield made
    for each in (made, *made.others.values()):
        record_property("fault", {"fault": each.name, "counts": dict(each.counts)})


@pytest.fixture(scope="session")
def runner(tiny) -> Runner:
    """Six epochs of a small network."""
    small = ("--channels=2,3", "--hidden=8", "--batch_size=64", "--preset=modern", "--momentum=0.9")
    return Runner(tiny, *small, "--epochs=6", "--lr=0.02")


@pytest.fixture(scope="session")
def whole(runner, tmp_path_factory) -> Path:
    """The directory of a run that nothing interrupted."""
    run_dir = tmp_path_factory.mktemp("whole") / "run"
    done = runner.run(run_dir)
    assert done.returncode == 0, done.stderr
    return run_dir


@pytest.fixture(scope="session")
def disk(tmp_path_factory) -> Path:
    """The library that stops calls."""
    library = tmp_path_factory.mktemp("disk") / "disk.so"
    source = Path(__file__).with_name("disk.c")
    build = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, source, "-ldl"]
    subprocess.run(build, check=True)
    return library


@pytest.fixture(scope="session")
def forked(disk) -> ForkServerContext:
    """Processes that have imported everything."""
    return server(disk)


@pytest.fixture(scope="session")
def worker(forked, disk) -> Iterator[Worker]:
    """A process that runs commands, in which calls can be stopped."""
    made = Worker(forked, disk)
    yield made
    made.stop()
