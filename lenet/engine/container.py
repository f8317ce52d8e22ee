"""Limits of a container (a cgroup of Linux): the cores and the memory that it may use."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def cores(root: Path = ROOT) -> float | None:
    """Return how many cores' time this process may use; None where there is no limit."""
    limits = []
    for group in _groups(root):
        with contextlib.suppress(OSError, ValueError):  # version 2: "200000 100000", or "max ..."
            quota, period = (group / "cpu.max").read_text().split()
            limits.append(int(quota) / int(period))
        with contextlib.suppress(OSError, ValueError):  # version 1; -1 is no limit
            quota, period = ((group / f"cpu.cfs_{x}_us").read_text() for x in ("quota", "period"))
            limits += [int(quota) / int(period)] if int(quota) > 0 else []
    return min(limits, default=None)


def memory(root: Path = ROOT) -> int | None:
    """Return how many bytes this process may use; None where there is no limit."""
    limits = []
    for group in _groups(root):
        for name in ("memory.max", "memory.limit_in_bytes"):
            with contextlib.suppress(OSError, ValueError):
                limits.append(int((group / name).read_text()))
    return min(limits, default=None)


def _groups(root: Path) -> Iterator[Path]:
    """Yield the groups of this process and those around them."""
    own = [""]
    with contextlib.suppress(OSError):
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
        own += [line.split(":", 2)[2].strip("/") for line in lines]
    for top in (root, root / "cpu", root / "memory"):
        for name in own:
            group = top / name
            yield from (place for place in (group, *group.parents) if place.is_relative_to(top))
