"""The cores of the CPU as JAX devices, which share runs and batches."""

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lenet.config import Config
from lenet.engine import container

if TYPE_CHECKING:
    from lenet.data.splits import Data

WORTH = 1_000_000
"""Examples to train on, in all, for which starting processes (some seconds) pays."""


def cores() -> int:
    """Return the number of cores that this process may use, by its affinity and its container."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, int(min(allowed or 1, container.cores() or math.inf)))


def parts() -> int:
    """Return how many parts of a batch suit this machine: a power of two, one for each core.

    At least two, so that one core and two compute the same bits; at most eight, of 32 examples
    each where a batch has the book's 256.
    """
    return 1 << (min(max(cores(), 2), 8).bit_length() - 1)


def as_devices() -> None:
    """Make each core a JAX device. Call it before jax is imported; an explicit number is kept."""
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        os.environ.setdefault("JAX_NUM_CPU_DEVICES", str(cores()))


def numbers() -> list[int | None]:
    """Return the cores that this process may use, by number; None where it cannot choose one."""
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return [*allowed[: cores()]] or [None] * cores()


def for_workers(configs: Sequence[Config], data: "Data") -> list[int | None]:
    """Return the cores that get a worker for these runs; none where one process is better."""
    import jax

    found = numbers()[: len(jax.local_devices())] if jax.default_backend() == "cpu" else []
    examples = sum(config.epochs for config in configs) * len(data.train.labels)
    return found if 1 < len(found) <= len(configs) and examples >= WORTH else []
