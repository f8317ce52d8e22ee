"""Strictness and fixtures for every test."""

import os
import random
from collections import Counter

import hypothesis
import jax
import pytest
from tabulate import tabulate

from lenet import data
from lenet.errors import DataError

jax.config.update("jax_numpy_rank_promotion", "raise")
# As the entry points do: what devices share, they share in tests.
jax.config.update("jax_num_cpu_devices", 2)
# Shapes are drawn at random and each compiles anew: few examples, no deadline.
hypothesis.settings.register_profile("quick", max_examples=12, deadline=None)
hypothesis.settings.register_profile("thorough", max_examples=200, deadline=None)
hypothesis.settings.load_profile("quick")


def skip(reason: str) -> None:
    """Skip a test; where LENET_TEST_ALL is set, as in CI, fail it instead."""
    if os.environ.get("LENET_TEST_ALL"):
        pytest.fail(f"LENET_TEST_ALL is set, but: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def fashion_mnist() -> data.Data:
    """The real data set, fetched where that is possible."""
    try:
        return data.load("fashion_mnist")
    except DataError as error:
        skip(f"no source of Fashion-MNIST can be reached: {error}")
        raise


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


def pytest_configure(config):
    if config.option.faults_seed is None and not hasattr(config, "workerinput"):
        config.option.faults_seed = random.randrange(1 << 16)


def pytest_report_header(config):
    return f"faults: --faults-seed={config.option.faults_seed}"


def pytest_terminal_summary(terminalreporter):
    """Print what was injected and what came of it, if a number of injections was asked for."""
    if terminalreporter.config.option.injections is None:
        return
    found: dict[str, Counter] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == "fault" and report.when == "teardown":
                    found.setdefault(value["fault"], Counter()).update(value["counts"])
    kinds = ("injected", "detected", "recovered", "bit-equal")
    total = sum(found.values(), Counter())
    rows = [[name, *(counts[kind] or "" for kind in kinds)] for name, counts in found.items()]
    rows.sort(key=lambda row: str(row[0]))
    rows.append(["all", *(total[kind] for kind in kinds)])
    terminalreporter.section(f"faults, --faults-seed={terminalreporter.config.option.faults_seed}")
    terminalreporter.write_line(tabulate(rows, ("fault", *kinds)))
