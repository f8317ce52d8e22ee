"""Pack the trained network for a page, with logits from JAX that the page verifies itself by."""

import base64
from collections.abc import Collection, Sequence
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from lenet import inspect
from lenet.data import Split
from lenet.engine.forward import Params
from lenet.inspect import snapshot
from lenet.inspect.chain import (
    KINDS,
    Activation,
    Chain,
    Convolution,
    Dense,
    Flatten,
    Pooling,
    Scaling,
)
from lenet.inspect.traced import chain
from lenet.report.page import Part

MOST_SAMPLES = 60
"""Test images in the page."""
SAMPLE_BYTES = 400_000
"""Bytes of these images, at most; two images are always included."""
MOST_PARAMETERS = 800_000
"""A larger network is left out, because the page would exceed 8 MB."""


def part(
    model: nn.Module,
    params: Params,
    image_shape: tuple[int, ...],
    class_names: Sequence[str],
    test: Split | None,
) -> Part:
    """Return the network for network.js: a chain of convolutions, poolings and dense layers.

    Nothing of another network, nor of one with more than MOST_PARAMETERS.
    """
    parameters = sum(x.size for x in jax.tree.leaves(params.get("params", params)))
    if parameters > MOST_PARAMETERS:
        return Part({"network": None, "most_parameters": MOST_PARAMETERS})
    links = chain(model, params, image_shape)
    if links is None or (layers := _layers(links)) is None:
        return Part({"network": None, "most_parameters": None})
    samples = _samples(model, params, test, len(class_names)) if test else []
    found = {
        "image_shape": image_shape,
        "layers": layers,
        "parameters": parameters,
        "samples": samples,
    }
    pair = chosen(class_names, {each["label"] for each in samples})
    values = {"network": found, "pair": pair, "most_parameters": MOST_PARAMETERS}
    return Part(values, payload={"network": found})


def _layers(links: Chain) -> list[dict[str, Any]] | None:
    """The layers in order, as network.js takes them; None if there are others.

    What follows a convolution or dense layer is in it: its activation. One that follows a maximum
    may as well come before, for it rises. Any other one is a layer of its own, as is normalisation
    that nothing takes up: a product and a sum for each channel.
    """
    found: list[dict[str, Any]] = []
    for link in links:
        shape = link.shape if len(link.shape) == 3 else (1, 1, *link.shape)
        each: dict[str, Any] = {"name": link.name, "kind": KINDS[type(link.layer)], "shape": shape}
        match link.layer:
            case Convolution(kernel, bias, (down, across), ((top, _), (left, _)), (1, 1), 1) if (
                kernel.shape[0] == kernel.shape[1] and down == across and top == left
            ):
                each |= {"kernel": packed(kernel), "bias": packed(bias), "activation": "none"}
                each |= {"size": kernel.shape[0], "stride": down, "padding": top}
            case Pooling(mode, (high, wide), (down, across), ((top, _), (left, _))) if (
                high == wide and down == across and top == left
            ):
                each |= {"size": high, "stride": down, "padding": top, "mode": mode}
            case Dense(kernel, bias):
                each |= {"kernel": packed(kernel), "bias": packed(bias), "activation": "none"}
            case Scaling(scale, shift):
                each |= _scaling(scale, shift)
            case Activation(name):
                before = found[:-1] if found and found[-1].get("mode") == "max" else found
                if before and before[-1].get("activation") == "none":
                    before[-1]["activation"] = name
                    continue
                ones = np.ones(link.shape[-1], np.float32)
                each |= _scaling(ones, 0 * ones) | {"kind": "scaling", "activation": name}
            case Flatten():
                continue
            case _:
                return None
        found.append(each)
    return found if found and found[-1]["kind"] == "dense" else None


def _scaling(scale: np.ndarray, shift: np.ndarray) -> dict[str, Any]:
    window = {"size": 1, "stride": 1, "padding": 0}
    return window | {"kernel": packed(scale), "bias": packed(shift), "activation": "none"}


def _samples(model: nn.Module, params: Params, test: Split, classes: int) -> list[dict[str, Any]]:
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
