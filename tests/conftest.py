"""Strictness and fixtures for every test."""

import os

import hypothesis
import jax
import pytest

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
