"""Evaluate a run on the test set: confusion matrix, mistakes, calibration, robustness."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from flax import linen as nn
from PIL import Image

from lenet import inspect
from lenet.data import Split
from lenet.engine.forward import Params
from lenet.figures import diagnostics
from lenet.inspect.activations import activations
from lenet.report.page import Part, merged

PER_CELL = 20
"""Examples of a cell of the confusion matrix, at most."""
PICTURE_BYTES = 1_900_000
"""Of all examples before compression, at most: 2,400 of 28 × 28."""
MISTAKES = 24
BATCH = 128
"""Images of which the outputs of all layers are held at once."""


def part(model: nn.Module, params: Params, test: Split, class_names: Sequence[str]) -> Part:
    """Return the sections of a run that need the test set."""
    probabilities = inspect.probabilities(model, params, test.images)
    calibration = inspect.calibration(test.labels, probabilities)
    robust = inspect.robustness(model, params, test)
    drawn = {"calibration": diagnostics.calibration(calibration)}
    drawn |= {what: diagnostics.robustness(what, by) for what, by in robust.items()}
    found = Part({"calibration": calibration, "robust": robust}, drawn)
    pictures = _pictures(test, probabilities, len(class_names))
    shown = [index for index, *_ in pictures.payload["tiles"]]
    return merged([pictures, _plane(model, params, test.images[shown]), found])


def _pictures(test: Split, probabilities: np.ndarray, classes: int) -> Part:
    """The confusion matrix and the most confident mistakes, with their images."""
    predicted, sure = probabilities.argmax(1), probabilities.max(1)
    confusion = inspect.confusion(test.labels, predicted, classes)
    worst = inspect.worst(test.labels, probabilities, MISTAKES).tolist()
    most = max(PICTURE_BYTES // test.images[0].size - len(worst), 1)
    cells = _cells(test.labels, predicted, sure, most)
    shown = sorted({i for some in cells.values() for i in some} | set(worst))
    place = {index: at for at, index in enumerate(shown)}
    tiles = [[i, int(test.labels[i]), int(predicted[i]), round(float(sure[i]), 4)] for i in shown]
    values = {
        "confusion": confusion,
        "often": _often(confusion),
        "mistaken": int((predicted != test.labels).sum()),
        "tested": len(test.labels),
        "per_cell": PER_CELL,
    }
    payload = {
        "sprite": sprite(test.images[shown]),
        "tiles": tiles,
        "counts": {f"{t},{p}": int(confusion[t, p]) for t, p in np.argwhere(confusion).tolist()},
        "cells": {f"{t},{p}": [place[i] for i in some] for (t, p), some in cells.items()},
    }
    return Part(values, payload=payload)


def _plane(model: nn.Module, params: Params, images: np.ndarray) -> Part:
    """Where each image lies in the first two principal components of the last hidden layer."""
    count = len(images)
    whole = np.resize(np.arange(count), -(-count // BATCH) * BATCH)  # each shape compiles anew
    batches = [_hidden(model, params, images[some]) for some in whole.reshape(-1, BATCH)]
    hidden = np.concatenate(batches)[:count]
    if not np.isfinite(hidden).all() or not hidden.std(0).any():
        return Part({"plane": None})
    centred = hidden - hidden.mean(0)
    _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:2] * np.where(axes[:2].sum(1, keepdims=True) < 0, -1, 1)  # else chance has a sign
    places, shares = np.zeros((len(images), 2)), np.zeros(2)  # of one unit there is one component
    places[:, : len(axes)] = centred @ axes.T / lengths[0]
    shares[: len(axes)] = lengths[:2] ** 2 / (lengths**2).sum()
    about = {"units": hidden.shape[1], "shares": shares.tolist()}
    return Part({"plane": about}, payload={"places": places.round(4).tolist()})


def _hidden(model: nn.Module, params: Params, images: np.ndarray) -> np.ndarray:
    """The outputs of the last layer but the one that returns the logits, [M, units].

    Without one, the logits.
    """
    found = activations(model, params, images)
    *_, logits = found.values()
    layers = [values for name, values in found.items() if name] or [logits]
    before = [values for values in layers if values.shape != logits.shape] or [logits]
    return np.asarray(before[-1], np.float64).reshape(len(images), -1)


def sprite(images: np.ndarray) -> dict[str, Any]:
    """Return images side by side as one PNG, and how to find them in it.

    Args:
      images: uint8 [M, H, W, C], M at least 1, C 1 or 3.

    Returns:
      uri: of the PNG; columns: images in a row; height and width: of one of them
    """
    count, height, width, channels = images.shape
    columns = min(count, 40)
    rows = -(-count // columns)
    sheet = np.zeros((rows * columns, height, width, channels), np.uint8)
    sheet[:count] = images
    sheet = sheet.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    sheet = sheet.reshape(rows * height, columns * width, channels)
    content = io.BytesIO()
    Image.fromarray(sheet[:, :, 0] if channels == 1 else sheet).save(content, "PNG", optimize=True)
    uri = f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
    return {"uri": uri, "columns": columns, "height": height, "width": width, "count": count}


def _cells(
    labels: np.ndarray, predicted: np.ndarray, sure: np.ndarray, most: int
) -> dict[tuple[int, int], list[int]]:
    """The examples of each cell of the confusion matrix, most confident first, `most` in all."""
    behind: dict[tuple[int, int], list[int]] = {}
    for i in np.argsort(-sure, kind="stable").tolist():
        behind.setdefault((int(labels[i]), int(predicted[i])), []).append(i)
    each = PER_CELL
    while each > 1 and sum(min(len(some), each) for some in behind.values()) > most:
        each -= 1
    if len(behind) > most:  # of very many classes, those that are mistaken most often
        behind = dict(sorted(behind.items(), key=lambda item: -len(item[1]))[:most])
    return {cell: some[:each] for cell, some in sorted(behind.items())}


def _often(confusion: np.ndarray, most: int = 10) -> list[tuple[int, int, int]]:
    """The most frequent confusions: (true class, predicted class, count)."""
    wrong = confusion * (1 - np.eye(len(confusion), dtype=confusion.dtype))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = (np.unravel_index(i, wrong.shape) for i in order)
    return [(int(t), int(p), int(wrong[t, p])) for t, p in pairs if wrong[t, p]]
