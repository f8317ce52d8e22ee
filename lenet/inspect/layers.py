"""What each layer of a LeNet gives, holds, costs and sees: the chapter's arithmetic as a table."""

import math
from collections.abc import Iterator
from typing import NamedTuple

from tabulate import tabulate

from lenet.inspect.receptive_field import Window, receptive_field
from lenet.language import Translate
from lenet.model import WINDOW, LeNet, feature_maps


class Layer(NamedTuple):
    """One row of the table, for one image."""

    name: str
    output_shape: tuple[int, ...]  # (H, W, C) or (features,)
    parameters: int
    multiply_adds: int  # of the forward pass
    receptive_field: tuple[int, int]  # pixels of the input, down and across
    stride: int | None  # pixels of the input between neighbours; none once there is no map


def layers(model: LeNet, image_shape: tuple[int, ...]) -> list[Layer]:
    """Return a row for each layer of `model` on images of `image_shape` = (H, W, C).

    The receptive field is that of `receptive_field`; a dense layer sees the whole image.

    >>> [layer.parameters for layer in layers(LeNet(), (28, 28, 1)) if layer.parameters]
    [156, 2416, 48120, 10164, 850]
    """
    return [*_convolutional(model, image_shape), *_dense(model, image_shape)]


def _convolutional(model: LeNet, image_shape: tuple[int, ...]) -> Iterator[Layer]:
    channels, k = image_shape[2], model.kernel_size
    windows: list[Window] = []
    for i, (convolved, pooled) in enumerate(feature_maps(model, image_shape[:2])):
        out = model.channels[i]
        weights = k * k * channels * out
        windows.append(Window(k))
        field = receptive_field(windows)
        yield Layer(
            f"conv{i + 1}",
            (*convolved, out),
            weights + out,
            math.prod(convolved) * weights,
            (field.size, field.size),
            field.stride,
        )
        windows.append(Window(WINDOW, stride=WINDOW))
        field = receptive_field(windows)
        yield Layer(f"pool{i + 1}", (*pooled, out), 0, 0, (field.size, field.size), field.stride)
        channels = out


def _dense(model: LeNet, image_shape: tuple[int, ...]) -> Iterator[Layer]:
    whole = (image_shape[0], image_shape[1])
    *_, last = _convolutional(model, image_shape)
    features = math.prod(last.output_shape)
    yield Layer("flatten", (features,), 0, 0, last.receptive_field, None)
    for i, width in enumerate((*model.hidden, model.num_classes), start=1):
        weights = features * width
        yield Layer(f"dense{i}", (width,), weights + width, weights, whole, None)
        features = width


def table(rows: list[Layer], t: Translate = str) -> str:
    """Return the rows and their totals as text in columns, the heads translated by `t`."""
    cells = [
        (
            row.name,
            "×".join(map(str, row.output_shape)),
            f"{row.parameters:,}",
            f"{row.multiply_adds:,}",
            "×".join(map(str, row.receptive_field)),
            row.stride or "",
        )
        for row in rows
    ]
    parameters, multiply_adds = sum(r.parameters for r in rows), sum(r.multiply_adds for r in rows)
    heads = (
        t("layer"),
        t("output"),
        t("parameters"),
        t("multiply-adds"),
        t("receptive field"),
        t("stride"),
    )
    return tabulate(
        [*cells, (t("total"), "", f"{parameters:,}", f"{multiply_adds:,}", "", "")],
        headers=heads,
        colalign=("left", "left", "right", "right", "right", "right"),
        disable_numparse=True,
    )
