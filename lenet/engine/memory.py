"""Estimate the memory of a computation before anything is compiled."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.extend.core import Jaxpr, Literal

from lenet.engine import container


def peak(f: Callable[..., Any], *args: Any) -> int:
    """Return the peak memory of `f(*args)` in bytes, without its arguments.

    Assumes that operations run one by one in program order, and that a value is freed after its
    last use. A compiler that fuses operations needs less; one that reorders them may need more.

    >>> import jax.numpy as jnp
    >>> peak(lambda x: jnp.sin(jnp.outer(x, x)).sum(), jnp.zeros(100, jnp.float32))
    80000
    """
    return peak_of(jax.make_jaxpr(f)(*args).jaxpr)


def free(device: jax.Device) -> int:
    """Return the free memory of a device in bytes; CPU devices share that of the machine."""
    if stats := device.memory_stats():
        return stats["bytes_limit"] - stats["bytes_in_use"]
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(machine, container.memory() or machine) // jax.local_device_count(device.platform)


def peak_of(jaxpr: Jaxpr) -> int:
    """Return `peak` of a traced function."""
    last = {
        var: index
        for index, equation in enumerate(jaxpr.eqns)
        for var in equation.invars
        if not isinstance(var, Literal)
    }
    last |= dict.fromkeys((v for v in jaxpr.outvars if not isinstance(v, Literal)), len(jaxpr.eqns))
    most, held = 0, dict[Any, int]()
    for index, equation in enumerate(jaxpr.eqns):
        inside = max((peak_of(inner) for inner in _inner(equation.params)), default=0)
        held |= {var: _bytes(var.aval) for var in equation.outvars}
        most = max(most, sum(held.values()) + inside)
        held = {var: size for var, size in held.items() if last.get(var, -1) > index}
    return most


def _bytes(value: Any) -> int:
    return int(value.size * value.dtype.itemsize)


def _inner(params: dict[str, Any]) -> Iterator[Jaxpr]:
    """The computations within an operation: the body of a loop, what is called, branches."""
    for value in params.values():
        for part in value if isinstance(value, tuple | list) else (value,):
            closed: Any = getattr(part, "jaxpr", part)
            if hasattr(closed, "eqns"):
                yield closed
