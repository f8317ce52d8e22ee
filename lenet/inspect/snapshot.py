"""A snapshot of a network while it learns: kernels, confusion matrix, answers to a few images.

Small enough to be kept after each epoch: of the book's network 4.5 kB of JSON.
"""

import base64
import binascii
import math
from typing import Any, NamedTuple

import numpy as np
from flax import linen as nn
from jaxtyping import Float, Int, Int8, Integer, UInt8

from lenet.data import Split
from lenet.engine.forward import Params
from lenet.inspect import modules
from lenet.inspect.confusion import confusion
from lenet.inspect.predictions import probabilities

EACH, MOST_IMAGES = 3, 30
"""Images of each class, and in all."""
MOST_WEIGHTS = 3_000
"""Of the kernels of all convolutions; those of a network with more are not kept."""
MOST_CLASSES = 30
"""Of a confusion matrix that is kept."""


class Snapshot(NamedTuple):
    """What a network is and says after an epoch."""

    images: list[int]  # places in the test set
    answers: UInt8[np.ndarray, "M K"]  # the probabilities of these images, times 255
    kernels: dict[str, tuple[float, Int8[np.ndarray, "kh kw Cin Cout"]]]
    """By convolution: the largest absolute weight, and the weights in 127ths of it."""
    confusion: Int[np.ndarray, "K K"] | None  # of the whole test set; None before training


def sample(labels: Int[np.ndarray, " N"], classes: int, most: int = MOST_IMAGES) -> list[int]:
    """Return the places of the first images of each class: EACH, or as many as `most` allows.

    >>> sample(np.array([1, 0, 0, 0, 0, 1]), 2)
    [1, 2, 3, 0, 5]
    """
    each = max(1, min(EACH, most // classes))
    places = [i for k in range(classes) for i in np.flatnonzero(labels == k)[:each].tolist()]
    return places[:most]


def take(
    model: nn.Module,
    params: Params,
    test: Split,
    classes: int,
    predicted: Integer[np.ndarray, " N"] | None = None,
) -> Snapshot:
    """Return the snapshot of a network of K `classes`.

    Args:
      predicted: the predicted class of each test image, if the matrix is to be kept.
    """
    images = sample(test.labels, classes)
    shares = probabilities(model, params, test.images[images])
    answers = np.rint(255 * np.nan_to_num(shares)).astype(np.uint8)
    matrix = None
    if predicted is not None and classes <= MOST_CLASSES:
        matrix = confusion(test.labels, predicted.astype(np.int32), classes)
    return Snapshot(images, answers, _kept(params), matrix)


def kernels(params: Params) -> dict[str, Float[np.ndarray, "kh kw Cin Cout"]]:
    """Return the kernels of a network's convolutions by the names of their modules.

    Those are its parameters of four axes that are called "kernel".

    >>> params = {"stem": {"conv": {"kernel": np.ones((3, 3, 1, 4)), "bias": np.ones(4)}}}
    >>> [*kernels(params)]
    ['stem/conv']
    """
    return {
        name.removesuffix("/kernel"): np.asarray(of, np.float32)
        for name, of in modules.parameters(params).items()
        if name.endswith("/kernel") and of.ndim == 4
    }


def _kept(params: Params) -> dict[str, tuple[float, Int8[np.ndarray, "kh kw Cin Cout"]]]:
    all_of = kernels(params)
    if sum(kernel.size for kernel in all_of.values()) > MOST_WEIGHTS:
        return {}
    return {name: _quantised(kernel) for name, kernel in all_of.items()}


def _quantised(kernel: np.ndarray) -> tuple[float, Int8[np.ndarray, "kh kw Cin Cout"]]:
    most = float(np.abs(kernel).max())
    scale = most if math.isfinite(most) and most > 0 else 1.0
    return scale, np.rint(127 * np.nan_to_num(kernel) / scale).astype(np.int8)


def packed(kernel: np.ndarray) -> list[Any]:
    """Return a kernel as snapshots in JSON hold it: its largest absolute weight, and base64.

    >>> packed(np.array([[[[2.0, -1.0]]]]))
    [2.0, 'f8A=']
    """
    return _pair(*_quantised(kernel))


def to_dict(snapshot: Snapshot) -> dict[str, Any]:
    """Return a snapshot as plain values for JSON; arrays of bytes are in base64.

    >>> tiny = Snapshot([0], np.array([[255, 0]], np.uint8), {}, None)
    >>> to_dict(tiny)
    {'images': [0], 'answers': '/wA=', 'kernels': {}, 'confusion': None}
    """
    return {
        "images": snapshot.images,
        "answers": _packed(snapshot.answers),
        "kernels": {name: _pair(*kernel) for name, kernel in snapshot.kernels.items()},
        "confusion": None if snapshot.confusion is None else snapshot.confusion.tolist(),
    }


def is_one(values: Any) -> bool:
    """Whether a value read from JSON is what `to_dict` returns.

    >>> is_one({"images": [0], "answers": "/wA=", "kernels": {}, "confusion": None}), is_one({})
    (True, False)
    """
    if not isinstance(values, dict) or values.keys() != set(Snapshot._fields):
        return False
    kernels, matrix = values["kernels"], values["confusion"]
    return (
        _are_whole(values["images"])
        and _is_packed(values["answers"])
        and isinstance(kernels, dict)
        and all(
            isinstance(of, list) and len(of) == 2 and type(of[0]) is float and _is_packed(of[1])
            for of in kernels.values()
        )
        and (matrix is None or (isinstance(matrix, list) and all(map(_are_whole, matrix))))
    )


def _pair(scale: float, weights: np.ndarray) -> list[Any]:
    return [round(scale, 6), _packed(weights)]


def _packed(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()


def _is_packed(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(base64.b64decode(value, validate=True))
    except (binascii.Error, ValueError):
        return False


def _are_whole(values: Any) -> bool:
    return isinstance(values, list) and all(type(x) is int and x >= 0 for x in values)
