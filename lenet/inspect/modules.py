"""What the modules of any Flax network return while it is applied."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from flax import linen as nn


@contextlib.contextmanager
def recorded() -> Iterator[dict[str, Any]]:
    """Yield the arrays that modules return until the block ends, by path, in order of the calls.

    The path of the whole network is "". A module that is called again keeps its last output.

    >>> import jax, jax.numpy as jnp
    >>> net = nn.Sequential([nn.Dense(3), nn.relu, nn.Dense(2)])
    >>> with recorded() as outputs:
    ...     variables = net.init(jax.random.key(0), jnp.ones((1, 4)))
    >>> {name: x.shape for name, x in outputs.items()}
    {'layers_0': (1, 3), 'layers_2': (1, 2), '': (1, 2)}
    """
    outputs: dict[str, Any] = {}

    def keep(call: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
        found = call(*args, **kwargs)
        if context.method_name == "__call__" and hasattr(found, "shape"):
            outputs["/".join(context.module.path)] = found
        return found

    with nn.intercept_methods(keep):
        yield outputs


def innermost(called: Iterable[str], holding: Iterable[str] = ()) -> list[str]:
    """Return the modules that contain no other, and those that hold parameters of their own.

    >>> innermost(["block/conv", "block", "head", ""])
    ['block/conv', 'head']
    """
    names, own = list(dict.fromkeys([*called, *holding])), set(holding)
    inside = [tuple(filter(None, name.split("/"))) for name in names]
    return [
        name
        for name, path in zip(names, inside, strict=True)
        if name in own or not any(other[: len(path)] == path != other for other in inside)
    ]
