"""Strictness and fixtures for every test."""

import os
import random
import time
from collections import Counter
from pathlib import Path

import hypothesis
import jax
import jaxtyping
import pytest
from jaxtyping import install_import_hook
from skipping import skip
from tabulate import tabulate

# Before anything imports lenet: every annotated function then checks shapes and types in each call.
install_import_hook(
    [
        "lenet.data.splits",
        "lenet.engine",
        "lenet.inspect",
        "lenet.model",
        "lenet.ops.blocks",
        "lenet.ops.convolution",
        "lenet.ops.pooling",
        "lenet.reference",
        "lenet.train",
    ],
    "annotations.check",
)

from lenet import data, files, records  # noqa: E402
from lenet.errors import DataError  # noqa: E402

os.environ["LC_ALL"] = "C.UTF-8"  # the messages that tests quote are English
jax.config.update("jax_numpy_rank_promotion", "raise")
# As the entry points do: what devices share, they share in tests.
jax.config.update("jax_num_cpu_devices", 2)
# Shapes are drawn at random and each compiles anew: few examples, no deadline.
hypothesis.settings.register_profile("quick", max_examples=5, deadline=None)
hypothesis.settings.register_profile("thorough", max_examples=200, deadline=None)
hypothesis.settings.load_profile("quick")


FAULTS = ("injected", "detected", "recovered", "bit-equal")
BEGIN = pytest.StashKey[float]()


@pytest.fixture(scope="session")
def fashion_mnist() -> data.Data:
    """The real data set, fetched where that is possible."""
    try:
        return data.load("fashion_mnist")
    except DataError as error:
        skip(f"no source of Fashion-MNIST can be reached: {error}")
        raise


@pytest.fixture
def unchecked():
    """Annotations are not checked, as for a user: the test is of an error of the project's own."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def torch():
    """PyTorch, an implementation of the same network that we did not write."""
    try:
        import torch
    except ImportError:
        skip("PyTorch is not installed (scripts/setup torch)")
        raise
    torch.set_num_threads(1)
    return torch


def pytest_addoption(parser):
    group = parser.getgroup("faults", "faults that are injected (tests/faults)")
    group.addoption("--injections", type=int, help="about how many; by default a few of each kind")
    group.addoption("--faults-seed", type=int, help="seed of what is random in them")
    group.addoption("--faults-record", type=Path, help="file for the table, such as results/...")


def pytest_configure(config):
    config.stash[BEGIN] = time.monotonic()
    if config.option.faults_seed is None and not hasattr(config, "workerinput"):
        config.option.faults_seed = random.randrange(1 << 16)


def pytest_report_header(config):
    return f"faults: --faults-seed={config.option.faults_seed}"


def pytest_terminal_summary(terminalreporter):
    """Print what was injected and what came of it, if a number of injections was asked for."""
    options = terminalreporter.config.option
    if options.injections is None:
        return
    found: dict[str, Counter] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == "fault" and report.when == "teardown":
                    found.setdefault(value["fault"], Counter()).update(value["counts"])
    seconds = time.monotonic() - terminalreporter.config.stash[BEGIN]
    terminalreporter.section(f"faults, --faults-seed={options.faults_seed}, {seconds:.0f} s")
    rows = {name: [counts[kind] for kind in FAULTS] for name, counts in sorted(found.items())}
    total = [sum(column) for column in zip(*rows.values(), strict=True)]
    shown = [
        [name, *(count or "" for count in row)] for name, row in (*rows.items(), ("all", total))
    ]
    terminalreporter.write_line(tabulate(shown, ("fault", *FAULTS)))
    failed = any(terminalreporter.stats.get(what) for what in ("failed", "error"))
    if options.faults_record and not failed:
        record = {
            "command": f"scripts/test --faults --injections={options.injections} "
            f"--faults-seed={options.faults_seed}",
            "seconds": round(seconds),
            "environment": records.environment(),
            "faults": rows,
        }
        files.write_json(options.faults_record, record)
