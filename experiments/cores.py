"""Each core of a processor as a device, so that cores can share runs and the parts of a batch."""

import os

from lenet import records


def as_devices() -> None:
    """Have JAX take each core for a device; call it before jax loads. A number asked for stays."""
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        os.environ.setdefault("JAX_NUM_CPU_DEVICES", str(records.cores()))
