"""Kernels that a GPU ran, counted from a profile; copies and fills are not kernels."""

import tempfile
from collections.abc import Callable
from pathlib import Path

_COPIES = ("Memcpy", "Memset")


def of_jax(work: Callable[[], None]) -> int | None:
    """Count the kernels of `work`, which has been compiled; None without a GPU."""
    import jax

    if jax.default_backend() != "gpu":
        return None
    with tempfile.TemporaryDirectory() as directory:
        with jax.profiler.trace(directory):
            work()
        (path,) = Path(directory).rglob("*.xplane.pb")
        profile = jax.profiler.ProfileData.from_file(str(path))
        return sum(
            not event.name.startswith(_COPIES)
            for plane in profile.planes
            if plane.name.startswith("/device:GPU")
            for line in plane.lines
            if line.name.startswith("Stream")  # the other lines tell the same by another name
            for event in line.events
        )


def of_torch(work: Callable[[], None]) -> int:
    """Count the kernels of `work`."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as result:
        work()
        torch.cuda.synchronize()
    return sum(
        event.device_type == torch.autograd.DeviceType.CUDA and not event.name.startswith(_COPIES)
        for event in result.events()
    )
