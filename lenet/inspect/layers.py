"""What each layer of a LeNet gives, holds, costs and sees: the chapter's arithmetic as a table."""

import math
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
    rows: list[Layer] = []
    windows: list[Window] = []

    def add(
        name: str, shape: tuple[int, ...], window: Window, parameters: int = 0, products: int = 0
    ) -> None:
        windows.append(window)
        field = receptive_field(windows)
        rows.append(Layer(name, shape, parameters, products, (field.size,) * 2, field.stride))

    channels, k = image_shape[2], model.kernel_size
    for i, (convolved, pooled) in enumerate(feature_maps(model, image_shape[:2]), start=1):
        out = model.channels[i - 1]
        weights = k * k * channels * out
        add(f"conv{i}", (*convolved, out), Window(k), weights + out, math.prod(convolved) * weights)
        add(f"pool{i}", (*pooled, out), Window(WINDOW, stride=WINDOW))
        channels = out
    whole, features = (image_shape[0], image_shape[1]), math.prod(rows[-1].output_shape)
    rows.append(Layer("flatten", (features,), 0, 0, rows[-1].receptive_field, None))
    for i, width in enumerate((*model.hidden, model.num_classes), start=1):
        weights = features * width
        rows.append(Layer(f"dense{i}", (width,), weights + width, weights, whole, None))
        features = width
    return rows


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
