"""Training diagnostics: why a network learns or does not, layer by layer.

A network of sigmoids starts on a plateau. Its last hidden layer outputs almost the same for every
image, so that only the last biases learn, and the gradient in the first layers is far smaller than
the gradient in the last (X. Glorot, Y. Bengio: Understanding the difficulty of training deep
feedforward neural networks. AISTATS 2010).
"""

import math
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array

from lenet.data import Split
from lenet.engine import forward, metrics
from lenet.engine.forward import Params
from lenet.inspect import modules
from lenet.inspect.activations import Statistics, activations, statistics

SAMPLE = 256
"""Number of examples that is enough for `diagnose`."""
MOST_OUTPUTS = 1 << 26
"""Numbers that all layers return for the examples, at most: 0.25 GiB."""


def diagnose(model: nn.Module, params: Params, split: Split) -> dict[str, Statistics]:
    """Return the statistics of each layer, in the order of the network; {} of a very large one.

    The gradient is that of the mean cross-entropy over the examples, without dropout and with
    running statistics; layers without a kernel have none. SAMPLE examples are plenty. The layers
    are those of `activations`; the logits of a network that computes them outside its modules have
    the name of its class.
    """
    of_image = _layers(model, split.images.shape[1:])
    if len(split.images) * sum(of_image.values()) > MOST_OUTPUTS:
        return {}
    values, sizes = jax.device_get(_measure(model, (*of_image,), params, *split))
    found = statistics(model, dict(zip(of_image, values, strict=True)))
    for name, (gradient, weight) in sizes.items():
        if name in found:
            sized = {"gradient": float(gradient), "weight": float(weight)}
            found[name] = found[name]._replace(**sized)
    logits = found.pop("", None)  # of another network, whose last module may return them
    again = len(values) > 1 and np.array_equal(values[-2], values[-1], equal_nan=True)
    return found | ({type(model).__name__: logits} if logits and not again else {})


@lru_cache(maxsize=8)
def _layers(model: nn.Module, image_shape: tuple[int, ...]) -> dict[str, int]:
    """The layers in order, since JAX sorts dictionaries, and how many numbers each returns."""
    names: list[str] = []

    def numbers(asked: tuple[str, ...]) -> list[int] | None:
        """How many; None if one of them has escaped from a loop or branch of JAX."""

        def outputs(key: Array) -> list[Array]:
            variables = forward.variables(*forward.init(model, key, image_shape))
            found = activations(model, variables, jnp.zeros((2, *image_shape)))
            names[:] = asked or found
            return [found[name] for name in names]

        program = jax.make_jaxpr(outputs)(jax.random.key(0))
        escaped = any(isinstance(each, jax.core.Tracer) for each in program.consts)
        return None if escaped else [each.size // 2 for each in program.out_avals]

    if found := numbers(()):
        return dict(zip(names, found, strict=True))
    alone = {name: numbers((name,)) for name in tuple(names)}
    return {name: found[0] for name, found in alone.items() if found}


@partial(jax.jit, static_argnames=("model", "names"))
def _measure(
    model: nn.Module, names: tuple[str, ...], params: Params, images: Array, labels: Array
) -> tuple[tuple[Array, ...], dict[str, tuple[Array, Array]]]:
    """What each layer gives, and the root mean squares of its kernel's gradient and its kernel."""
    count = len(labels)
    whole = forward.whole(params)

    def loss(trained: Params) -> tuple[Array, tuple[Array, ...]]:
        found = activations(model, whole | {"params": trained}, images)
        values = tuple(found[name] for name in names)
        sums = metrics.of_batch(values[-1], labels, jnp.ones(count, bool))
        return sums.loss_sum / count, values

    with jax.default_matmul_precision("highest"):
        gradients, values = jax.grad(loss, has_aux=True)(whole["params"])

    def size(x: Array | np.ndarray) -> Array:
        return jnp.sqrt(jnp.mean(x * x))

    weights = modules.parameters(whole)
    sizes = {
        name.removesuffix("/kernel"): (size(gradient), size(weights[name]))
        for name, gradient in modules.parameters({"params": gradients}).items()
        if name.endswith("/kernel")
    }
    return values, sizes


def to_dict(epoch: int, found: dict[str, Statistics]) -> dict[str, Any]:
    """Return a row of statistics.jsonl: {"epoch": 0, "layers": {"conv1": {"mean": ...}, ...}}.

    What is no finite number, as shortly before a run diverges, is None.
    """

    def finite(x: float | None) -> float | None:
        return x if x is not None and math.isfinite(x) else None

    layers = {
        name: {key: finite(value) for key, value in each._asdict().items()}
        for name, each in found.items()
    }
    return {"epoch": epoch, "layers": layers}
