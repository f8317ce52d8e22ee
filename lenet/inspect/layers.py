"""What each layer of a network gives, holds, costs and sees: the chapter's arithmetic."""

import collections
import math
from typing import Any, NamedTuple

import jax
from flax import linen as nn
from flax.traverse_util import flatten_dict
from tabulate import tabulate

from lenet.engine import forward
from lenet.inspect import modules
from lenet.inspect.receptive_field import Window, receptive_field
from lenet.language import Translate
from lenet.model import LeNet, feature_maps
from lenet.networks.layers import WINDOW, plain


class Layer(NamedTuple):
    """One row of the table, for one image."""

    name: str
    output_shape: tuple[int, ...]  # (H, W, C) or (features,)
    parameters: int
    multiply_adds: Any = None  # int, of the forward pass; None where it is not known, as below
    receptive_field: Any = None  # (int, int), pixels of the input, down and across
    stride: int | None = None  # pixels of the input between neighbours; none once there is no map


class Layers(list[Layer]):
    """The rows; a notebook displays them as a table."""

    def _repr_html_(self) -> str:
        return table(self, form="html")


def layers(model: nn.Module, image_shape: tuple[int, ...]) -> Layers:
    """Return a row for each layer of `model` on images of `image_shape` = (H, W, C).

    The receptive field is that of `receptive_field`; a dense layer sees the whole image. Of another
    network than LeNet the rows are the modules that it calls, with what they return and hold.

    >>> [layer.parameters for layer in layers(LeNet(), (28, 28, 1)) if layer.parameters]
    [156, 2416, 48120, 10164, 850]
    """
    if not isinstance(model, LeNet):
        return _called(model, image_shape)
    rows = Layers()
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


def _called(model: nn.Module, image_shape: tuple[int, ...]) -> Layers:
    """The innermost modules in the order of their calls, by the paths of their names."""
    model = plain(model)
    with modules.recorded() as outputs:
        params, _ = jax.eval_shape(
            lambda key: forward.init(model, key, image_shape), jax.random.key(0)
        )
    held = collections.Counter[str]()
    for path, leaf in flatten_dict(params).items():
        held["/".join(path[:-1])] += math.prod(leaf.shape)
    names = [*modules.innermost(outputs, held)]
    shapes = {name: outputs[name].shape[1:] if name in outputs else () for name in names}
    return Layers(Layer(name or type(model).__name__, shapes[name], held[name]) for name in names)


def table(rows: list[Layer], t: Translate = str, form: str = "simple") -> str:
    """Return the rows and their totals, the heads translated by `t`; `form` is tabulate's."""
    cells = [
        (
            row.name,
            "×".join(map(str, row.output_shape)),
            f"{row.parameters:,}",
            "" if row.multiply_adds is None else f"{row.multiply_adds:,}",
            "×".join(map(str, row.receptive_field or ())),
            row.stride or "",
        )
        for row in rows
    ]
    parameters, products = sum(r.parameters for r in rows), [r.multiply_adds for r in rows]
    multiply_adds = "" if None in products else f"{sum(filter(None, products)):,}"
    heads = (
        t("layer"),
        t("output"),
        t("parameters"),
        t("multiply-adds"),
        t("receptive field"),
        t("stride"),
    )
    made = tabulate(
        [*cells, (t("total"), "", f"{parameters:,}", multiply_adds, "", "")],
        headers=heads,
        tablefmt=form,
        colalign=("left", "left", "right", "right", "right", "right"),
        disable_numparse=True,
    )
    return str(made)
