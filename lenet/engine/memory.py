"""How much memory a computation takes, estimated before anything is compiled."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.extend.core import Jaxpr, Literal


def peak(f: Callable[..., Any], *args: Any) -> int:
    """Return the most bytes that `f(*args)` holds at once on a device besides its arguments.

    Operations are taken one by one as they are written, and a value as dropped after its last use.
    A compiler that fuses them needs less; one that computes them in another order may need more.

    >>> import jax.numpy as jnp
    >>> peak(lambda x: jnp.sin(jnp.outer(x, x)).sum(), jnp.zeros(100, jnp.float32))
    80000
    """
    return peak_of(jax.make_jaxpr(f)(*args).jaxpr)


def free(device: jax.Device) -> int:
    """Return how many bytes a device has left; the devices of a CPU share the machine's."""
    if stats := device.memory_stats():
        return stats["bytes_limit"] - stats["bytes_in_use"]
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return machine // jax.local_device_count(device.platform)


def peak_of(jaxpr: Jaxpr) -> int:
    """Return `peak` of what has been traced."""
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
