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
from jax import Array

from lenet.data import Split
from lenet.engine import metrics
from lenet.engine.forward import Params
from lenet.inspect.activations import Statistics, activations, statistics
from lenet.model import LeNet

SAMPLE = 256
"""Number of examples that is enough for `diagnose`."""


def diagnose(model: LeNet, params: Params, split: Split) -> dict[str, Statistics]:
    """Return the statistics of each layer, in the order of the network.

    The gradient is that of the mean cross-entropy over the examples, as in a training step; layers
    without a kernel have none. SAMPLE examples are plenty.
    """
    values, sizes = jax.device_get(_measure(model, params, *split))
    found = statistics(model, values)
    for name, (gradient, weight) in sizes.items():
        found[name] = found[name]._replace(gradient=float(gradient), weight=float(weight))
    return {name: found[name] for name in names(model)}


def names(model: LeNet) -> list[str]:
    """Return the names of the layers in order; JAX sorts dictionaries by name.

    >>> names(LeNet(channels=(4,), hidden=(8,)))
    ['conv1', 'pool1', 'dense1', 'dense2']
    """
    maps = [f"{kind}{i + 1}" for i in range(len(model.channels)) for kind in ("conv", "pool")]
    return maps + [f"dense{i + 1}" for i in range(len(model.hidden) + 1)]


@partial(jax.jit, static_argnames="model")
def _measure(
    model: LeNet, params: Params, images: Array, labels: Array
) -> tuple[dict[str, Array], dict[str, tuple[Array, Array]]]:
    """What each layer gives, and the root mean squares of its kernel's gradient and its kernel."""
    count = len(labels)

    def loss(params: Params) -> tuple[Array, dict[str, Array]]:
        values = activations(model, params, images)
        logits = values[f"dense{len(model.hidden) + 1}"]
        sums = metrics.of_batch(logits, labels, jnp.ones(count, bool))
        return sums.loss_sum / count, values

    with jax.default_matmul_precision("highest"):
        gradients, values = jax.grad(loss, has_aux=True)(params)

    def size(x: Array | np.ndarray) -> Array:
        return jnp.sqrt(jnp.mean(x * x))

    sizes = {
        name: (size(gradients[name]["kernel"]), size(params[name]["kernel"])) for name in params
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
