"""Training diagnostics: why a network learns or does not, layer by layer.

A network of sigmoids starts on a plateau. Its last hidden layer outputs almost the same for every
image, so that only the last biases learn, and the gradient in the first layers is far smaller than
the gradient in the last (X. Glorot, Y. Bengio: Understanding the difficulty of training deep
feedforward neural networks. AISTATS 2010).
"""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict
from jax import Array

from lenet.data import Split
from lenet.engine import metrics
from lenet.engine.forward import Params
from lenet.inspect.activations import Statistics, activations, statistics

SAMPLE = 256
"""Number of examples that is enough for `diagnose`."""
MOST_OUTPUTS = 1 << 27
"""Numbers that all layers return for the examples, at most: 0.5 GiB."""


def diagnose(model: nn.Module, params: Params, split: Split) -> dict[str, Statistics]:
    """Return the statistics of each layer, in the order of the network; {} of a very large one.

    The gradient is that of the mean cross-entropy over the examples, without dropout and with
    running statistics; layers without a kernel have none. SAMPLE examples are plenty. The layers
    are those of `activations`; the logits of a network that computes them outside its modules have
    the name of its class.
    """
    of_image = _layers(model, params, split.images[:1])
    if len(split.images) * sum(x.size for x in of_image.values()) > MOST_OUTPUTS:
        return {}
    values, sizes = jax.device_get(_measure(model, params, *split))
    found = statistics(model, dict(zip(of_image, values, strict=True)))
    for name, (gradient, weight) in sizes.items():
        if name in found:
            sized = {"gradient": float(gradient), "weight": float(weight)}
            found[name] = found[name]._replace(**sized)
    logits = found.pop("", None)  # of another network, whose last module may return them
    again = len(values) > 1 and np.array_equal(values[-2], values[-1], equal_nan=True)
    return found | ({type(model).__name__: logits} if logits and not again else {})


def _layers(
    model: nn.Module, params: Params, images: np.ndarray
) -> dict[str, jax.ShapeDtypeStruct]:
    """The layers in order with their outputs; JAX sorts dictionaries by name."""
    names: list[str] = []

    def outputs(params: Params) -> tuple[Array, ...]:
        found = activations(model, params, images)
        names[:] = found
        return tuple(found.values())

    return dict(zip(names, jax.eval_shape(outputs, params), strict=True))


@partial(jax.jit, static_argnames="model")
def _measure(
    model: nn.Module, params: Params, images: Array, labels: Array
) -> tuple[tuple[Array, ...], dict[str, tuple[Array, Array]]]:
    """What each layer gives, and the root mean squares of its kernel's gradient and its kernel."""
    count = len(labels)
    whole = params if "params" in params else {"params": params}

    def loss(trained: Params) -> tuple[Array, tuple[Array, ...]]:
        values = (*activations(model, whole | {"params": trained}, images).values(),)
        sums = metrics.of_batch(values[-1], labels, jnp.ones(count, bool))
        return sums.loss_sum / count, values

    with jax.default_matmul_precision("highest"):
        gradients, values = jax.grad(loss, has_aux=True)(whole["params"])

    def size(x: Array | np.ndarray) -> Array:
        return jnp.sqrt(jnp.mean(x * x))

    weights = flatten_dict(whole["params"])
    sizes = {
        "/".join(path[:-1]): (size(gradient), size(weights[path]))
        for path, gradient in flatten_dict(gradients).items()
        if path[-1] == "kernel"
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
