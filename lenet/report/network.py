"""Pack the trained network for a page, with logits from JAX that the page verifies itself by."""

import base64
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from flax import linen as nn

from lenet import inspect
from lenet.data import Split
from lenet.engine.forward import Params
from lenet.inspect import snapshot
from lenet.inspect.layers import layers
from lenet.model import WINDOW, LeNet
from lenet.ops.shapes import same_padding
from lenet.report.page import Part

MOST_SAMPLES = 60
"""Test images in the page."""
SAMPLE_BYTES = 400_000
"""Bytes of these images, at most; two images are always included."""
MOST_PARAMETERS = 800_000
"""A larger network is left out, because the page would exceed 8 MB."""
PARTS = ("kernel", "bias")


def part(
    model: nn.Module,
    params: Params,
    image_shape: tuple[int, ...],
    class_names: Sequence[str],
    test: Split | None,
) -> Part:
    """Return the network for network.js, or nothing if it has more than MOST_PARAMETERS.

    network.js computes LeNet alone; there is nothing to say of another network.
    """
    if not isinstance(model, LeNet):
        return Part({"network": None, "most_parameters": None})
    parameters = sum(layer.parameters for layer in layers(model, image_shape))
    values: dict[str, Any] = {"network": None, "most_parameters": MOST_PARAMETERS}
    if parameters > MOST_PARAMETERS:
        return Part(values)
    samples = _samples(model, params, test, len(class_names)) if test else []
    found = {
        "image_shape": image_shape,
        "layers": _chain(model, params, image_shape),
        "parameters": parameters,
        "samples": samples,
    }
    values |= {"network": found, "pair": chosen(class_names, {each["label"] for each in samples})}
    return Part(values, payload={"network": found})


def _chain(model: LeNet, params: Params, image_shape: tuple[int, ...]) -> list[dict[str, Any]]:
    """The layers in order, as network.js takes them."""
    (before, _), _ = same_padding(model.kernel_size)
    chain: list[dict[str, Any]] = []
    for layer in layers(model, image_shape):
        kind = layer.name.rstrip("0123456789")
        if kind == "flatten":
            continue
        shape = layer.output_shape if len(layer.output_shape) == 3 else (1, 1, *layer.output_shape)
        each: dict[str, Any] = {"name": layer.name, "kind": kind, "shape": shape}
        if kind == "pool":
            each |= {"size": WINDOW, "stride": WINDOW, "padding": 0, "mode": model.pool}
        else:
            each |= {name: packed(np.asarray(params[layer.name][name])) for name in PARTS}
            each |= {"activation": model.activation}
        if kind == "conv":
            padding = before if layer.name == "conv1" else 0
            each |= {"size": model.kernel_size, "stride": 1, "padding": padding}
        chain.append(each)
    chain[-1]["activation"] = "none"
    return chain


def _samples(model: LeNet, params: Params, test: Split, classes: int) -> list[dict[str, Any]]:
    """Some images of each class, with their logits from JAX."""
    most = min(MOST_SAMPLES, max(SAMPLE_BYTES // test.images[0].size, 2))
    places = snapshot.sample(test.labels, classes, most)
    images = test.images[places]
    logits = inspect.logits(model, params, images)
    return [
        {
            "index": i,
            "label": int(test.labels[i]),
            "pixels": packed(image),
            "logits": [round(float(x), 6) for x in of_image],
        }
        for i, image, of_image in zip(places, images, logits, strict=True)
    ]


def packed(array: np.ndarray) -> str:
    """Return the bytes of an array, little-endian, for a script: float32 or uint8."""
    return base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode()


def chosen(names: Sequence[str], there: Collection[int]) -> tuple[int, int]:
    """Return two classes to compare first: pullovers and coats, or others that have images.

    >>> chosen(("Bag", "Coat", "Pullover"), {0, 1, 2}), chosen(("0", "1"), {1})
    ((2, 1), (1, 1))
    """
    pair = [list(names).index(name) for name in ("Pullover", "Coat") if name in names]
    if len(pair) < 2 or not set(pair) <= set(there):
        pair = sorted(there)[:2] or [0]
    return pair[0], pair[-1]
