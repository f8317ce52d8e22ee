"""What the modules of any Flax network return while it is applied, and what they hold."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict
from jax import Array
from jaxtyping import Num

from lenet.engine import forward
from lenet.engine.forward import Params


def captured(
    model: nn.Module, params: Params, images: Num[Array | np.ndarray, "B H W C"]
) -> dict[str, Num[Array, "B ..."]]:
    """Return what the innermost modules return of each image, by path in the order of their calls.

    The last is the logits, "". A module that is called again has its last output. One that returns
    no array [B, ..., units] of real numbers is left out, as is one that a scan repeats. Of a
    network whose branches have other modules, which Flax cannot capture, the logits are all.

    >>> import jax, jax.numpy as jnp
    >>> class Net(nn.Module):
    ...     @nn.compact
    ...     def __call__(self, images):
    ...         x = nn.relu(nn.Conv(2, (3, 3), name="conv")(images))
    ...         return nn.Dense(5, name="dense")(x.mean((1, 2)))
    >>> images = jnp.ones((1, 8, 8, 1))
    >>> found = captured(Net(), Net().init(jax.random.key(0), images)["params"], images)
    >>> {name: x.shape for name, x in found.items()}
    {'conv': (1, 8, 8, 2), 'dense': (1, 5), '': (1, 5)}
    """
    try:
        with recorded() as called:
            logits, sown = forward.sown(model, params, images, "intermediates")
    except Exception:
        return {"": forward.apply(model, params, images)}
    calls = flatten_dict(sown)
    outputs = {_joined(path[:-1]): of[-1] for path, of in calls.items() if path[-1] == "__call__"}
    known = {k: outputs[k] for k in innermost(called) if k and _of_images(outputs.get(k), logits)}
    return known | {"": logits}


def _of_images(output: Any, logits: Array) -> bool:
    """Whether an output has numbers for each image, and did not escape from a program within."""
    if getattr(output, "ndim", 0) < 2 or output.shape[0] != len(logits):
        return False
    escaped = isinstance(output, jax.core.Tracer) is not isinstance(logits, jax.core.Tracer)
    return not escaped and bool(jnp.issubdtype(output.dtype, jnp.floating))


def parameters(params: Params) -> dict[str, Any]:
    """Return the parameters of a network, without what it keeps beside them, by path.

    >>> [*parameters({"params": {"layers": {0: {"kernel": np.ones(2)}}}, "batch_stats": {}})]
    ['layers/0/kernel']
    """
    leaves = flatten_dict(nn.meta.unbox(forward.whole(params)["params"]))
    return {_joined(path): leaf for path, leaf in leaves.items()}


def _joined(path: tuple[Any, ...]) -> str:
    return "/".join(map(str, path))


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
