"""What each layer of a network gives, holds, costs and sees: the chapter's arithmetic."""

import collections
import contextlib
import functools
import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.extend import core as jex
from tabulate import tabulate

from lenet import ops
from lenet.engine import forward
from lenet.inspect import modules
from lenet.inspect.receptive_field import Window, measured, receptive_field
from lenet.language import Translate
from lenet.model import LeNet, feature_maps
from lenet.networks.layers import WINDOW, plain

MOST_PRODUCTS = 1 << 34
"""Multiply-adds for measuring receptive fields, at most: a few seconds."""


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
    network than LeNet the rows are the modules that it calls, with what they return and hold. Their
    multiply-adds are those of the convolutions and matrix products in the program of the network;
    their receptive fields are `measured`, unless that takes long (MOST_PRODUCTS).

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
        params, kept = jax.eval_shape(
            lambda key: forward.init(model, key, image_shape), jax.random.key(0)
        )
    held = collections.Counter[str]()
    for path, leaf in modules.parameters({"params": params}).items():
        held[path.rpartition("/")[0]] += math.prod(leaf.shape)
    names = [*modules.innermost(outputs, held)]
    shapes = {name: outputs[name].shape[1:] if name in outputs else () for name in names}
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    with ops.of_xla():
        program = jax.make_jaxpr(functools.partial(forward.apply, model))(
            forward.variables(params, kept), images
        )
    *of_variables, _ = program.jaxpr.invars
    products = _products(program.jaxpr, [*(False for _ in of_variables), True])
    counts = collections.Counter[str]()
    for path, count in products.items():  # a module may be called within another
        inside = [name for name in names if f"/{path}".endswith(f"/{name}")]
        counts[max(inside, key=len, default="?")] += count
    fields: dict[str, Any] = {}
    numbers = sum(math.prod(shape) for shape in shapes.values())
    cost = max(sum(counts.values()), 256 * numbers)
    if (1 + 2 * sum(image_shape[:2])) * cost <= MOST_PRODUCTS:
        # Such as a random stream among the variables, or code of the user's that looks at values.
        with contextlib.suppress(Exception):
            fields = _fields(model, forward.variables(params, kept), image_shape)
    rows = Layers(
        Layer(
            name or type(model).__name__,
            shapes[name],
            held[name],
            counts[name],
            *fields.get(name, ()),
        )
        for name in names
    )
    if counts["?"]:  # outside these modules
        rows.append(Layer("", (), 0, counts["?"]))
    return rows


def _fields(model: nn.Module, shapes: Any, image_shape: tuple[int, ...]) -> dict[str, Any]:
    """Receptive fields and strides by module, `measured` with positive numbers as parameters."""
    rng = np.random.default_rng(0)
    drawn = jax.tree.map(lambda x: rng.uniform(0.5, 1.5, x.shape).astype(x.dtype), shapes)
    with ops.of_xla():
        return dict(measured(functools.partial(modules.captured, model, drawn), image_shape))


def _products(
    program: Any, given: Sequence[bool], above: tuple[str, ...] = ()
) -> collections.Counter[str]:
    """Return the multiply-adds of the convolutions and matrix products of a program, by module.

    Those that images go into: `given` says which inputs are made of images.
    """
    found = collections.Counter[str]()
    made = {of for of, is_made in zip(program.invars, given, strict=True) if is_made}
    for step in program.eqns:
        inputs = [not isinstance(of, jex.Literal) and of in made for of in step.invars]
        if not any(inputs):
            continue
        made.update(step.outvars)
        scopes = _scopes(above, str(step.source_info.name_stack))
        path = "/".join(scopes[1:])  # after the class
        shapes = [of.aval.shape for of in (*step.invars, *step.outvars)]
        for inner in jax.tree.leaves(step.params):
            if hasattr(inner, "eqns"):
                body: Any = getattr(inner, "jaxpr", inner)  # without its constants
                once = _products(body, _given(step, inputs, body), scopes)
                times = step.params.get("length", 1)  # of a scan
                found.update({name: count * times for name, count in once.items()})
        match step.primitive.name:
            case "conv_general_dilated":
                outputs = shapes[1][step.params["dimension_numbers"].rhs_spec[0]]
                found[path] += math.prod(shapes[2]) * math.prod(shapes[1]) // outputs
            case "dot_general":
                (ours, _), _ = step.params["dimension_numbers"]
                found[path] += math.prod(shapes[2]) * math.prod(shapes[0][axis] for axis in ours)
    return found


def _given(step: Any, inputs: list[bool], body: Any) -> list[bool]:
    """Return which inputs of the program inside an operation are made of images."""
    if len(inputs) != len(body.invars):
        return [True] * len(body.invars)
    if step.primitive.name == "scan":  # what it carries is, after its first step
        # Constants, what is carried, what is scanned over: the latter has an axis more outside.
        # Versions of JAX differ in the names that they have for the numbers of these.
        carried = _as_outside(step.outvars, body.outvars)
        first = _as_outside(step.invars, body.invars) - carried
        return [*inputs[:first], *[True] * carried, *inputs[first + carried :]]
    return inputs


def _as_outside(outside: Sequence[Any], inside: Sequence[Any]) -> int:
    """Return how many values of a loop have the same shape inside it."""
    return sum(x.aval.shape == y.aval.shape for x, y in zip(outside, inside, strict=True))


def _scopes(above: tuple[str, ...], stack: str) -> tuple[str, ...]:
    """Return the names of the class and of the modules in which an operation is.

    Flax puts "block.method" before or after "block", or in its place. A program inside begins with
    the module again that it is in.

    >>> _scopes((), "Net/Net._helper/vmap(conv)"), _scopes(("Net", "a"), "a/b.method/b/c")
    (('Net', 'conv'), ('Net', 'a', 'b', 'c'))
    """
    found, again = list(above), True
    for scope in filter(None, stack.split("/")):
        name, dot, _ = re.sub(r"^\w+\((.*)\)$", r"\1", scope).partition(".")
        if not (found and name == found[-1] and (dot or again)):
            found.append(name)
        again = bool(dot)
    return tuple(found)


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
