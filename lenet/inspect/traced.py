"""Read a network as a chain of known layers from the program that JAX traces of it.

However a network is written, its program has few kinds of operations. If each takes the result of
the one before, and is a convolution, a pooling, a product with a matrix, an activation, flattening,
or a sum or product with a number for each channel, then the network is a chain, which others can
compute. Batch normalisation by running statistics is such a product and sum; a convolution or dense
layer before it takes it up.
"""

import collections
import math
from collections.abc import Container, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.extend import core as jex

from lenet import ops
from lenet.engine import forward
from lenet.engine.forward import Params
from lenet.inspect.chain import (
    KINDS,
    NONE,
    Activation,
    Chain,
    Convolution,
    Dense,
    Flatten,
    Link,
    Pooling,
    Scaling,
    Sides,
    outputs,
)
from lenet.inspect.modules import parameters
from lenet.model import LeNet
from lenet.networks.layers import plain
from lenet.ops.shapes import Size

WEIGHTED = (Convolution, Dense)
CALLS = {"jit", "pjit", "closed_call", "checkpoint", "remat2"}
"""Operations that are a program; those with a parameter "call_jaxpr" are others."""
SAME = {"copy", "stop_gradient", "reduce_precision", "optimization_barrier"}
"""Operations that return the same numbers, to rounding."""


def chain(model: nn.Module, params: Params, image_shape: tuple[int, ...]) -> Chain | None:
    """Return a network on images of (H, W, C) as a chain of layers; None if it is no such chain.

    The chain computes in float32 what the network does without training. That is checked on random
    images, unless the network answers with no numbers.

    >>> params = LeNet().init(jax.random.key(0), jnp.zeros((1, 28, 28, 1)))["params"]
    >>> [link.name for link in chain(LeNet(), params, (28, 28, 1))][:4]
    ['conv1', 'activation1', 'pool1', 'conv2']
    """
    shown = plain(model)
    if isinstance(shown, LeNet):
        shown = shown.clone(precision="float32")
    images = jax.random.uniform(jax.random.key(0), (3, *image_shape))
    with ops.of_xla(), jax.default_matmul_precision("highest"):
        # Of two images, and checked on three: what depends on their number is no layer.
        network = partial(forward.apply, shown, params)
        program = jax.make_jaxpr(network)(images[:2])
        try:
            read = _read(program)
            found = _named(_simplified(read.layers), read.paths, parameters(params))
        except _OtherError:
            return None
        wanted, by_layer = jax.jit(lambda x: (network(x), [*outputs(found, x)]))(images)
    if any(x.shape[1:] != link.shape for link, x in zip(found, by_layer, strict=True)):
        return None
    ours = by_layer[-1] if found else images
    if ours.shape != wanted.shape:
        return None
    if not np.isfinite(wanted).all():
        return found
    # Of what tells images apart, where that is little; half precision rounds more.
    varies = float(jnp.abs(wanted - wanted.mean(0)[None]).max())
    rounding = 0.05 if "f16[" in str(program) else 0.001  # also of bf16
    near = rounding * varies + 1e-5 * float(jnp.abs(wanted).max())
    return found if float(jnp.abs(ours - wanted).max()) <= near else None


class _OtherError(Exception):
    """A program is no chain of known layers."""


class _Result:
    """What an operation returns that depends on the images."""


class _Crop(NamedTuple):
    """Rows and columns at the end are left out."""

    whole: Size
    left: Size


class _Windows(NamedTuple):
    """Maps as windows [H', ph, W', pw, C]."""

    size: Size


Read = list[tuple[Any, tuple[int, ...]]]
"""Layers with the shape of what they return of an image."""


class _Reader:
    """What was read of a program so far: `layers`, and the result that may be used next.

    `paths` has the path of the Flax module that each convolution and product belongs to.
    """

    def __init__(self) -> None:
        self.layers: Read = []
        self.paths: list[str] = []
        self.latest = _Result()

    def walk(self, program: Any, constants: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
        """Evaluate what does not depend on the images, read the rest; return the outputs."""
        values = dict(zip(program.constvars, constants, strict=True))
        values |= zip(program.invars, inputs, strict=True)

        def value(of: Any) -> Any:
            return of.val if isinstance(of, jex.Literal) else values[of]

        for step in program.eqns:
            given = [value(of) for of in step.invars]
            if step.primitive.name in CALLS or "call_jaxpr" in step.params:
                body = step.params.get("jaxpr", step.params.get("call_jaxpr"))
                inner = getattr(body, "jaxpr", body), getattr(body, "consts", ())
                found = self.walk(*inner, given)
            elif any(isinstance(each, _Result) for each in given):
                found = [self._next(step, given)]
            else:
                found = step.primitive.bind(*given, **step.params)
                found = found if step.primitive.multiple_results else [found]
            values |= zip(step.outvars, found, strict=True)
        return [value(of) for of in program.outvars]

    def _next(self, step: Any, given: list[Any]) -> _Result:
        """Read an operation on the latest result."""
        places = [i for i, each in enumerate(given) if isinstance(each, _Result)]
        if len(places) > 1 or given[places[0]] is not self.latest or len(step.outvars) > 1:
            raise _OtherError  # a branch
        before, after = step.invars[places[0]].aval.shape, step.outvars[0].aval.shape
        known = [each for i, each in enumerate(given) if i != places[0]]
        if step.primitive.name in ("reduce_max", "reduce_sum"):
            found = self._reduced(step, before, after)
        else:
            found = _layers(step, places[0], known, before, after)
        if found:
            self.layers += found
            self.paths += [_path(step) for layer, _ in found if isinstance(layer, WEIGHTED)]
            self.latest = _Result()
        return self.latest

    def _reduced(self, step: Any, before: tuple[int, ...], after: tuple[int, ...]) -> Read:
        """Read a maximum or a sum: of whole maps, or of windows that were made of them."""
        mode, axes = step.primitive.name.removeprefix("reduce_"), tuple(step.params["axes"])
        if axes == (1, 2) and len(before) == 4:
            whole = (before[1], before[2])
            return [(Pooling(mode, whole, whole, NONE), (1, 1, *after[1:])), (Flatten(), after[1:])]
        if axes != (2, 4) or not self.layers or not isinstance(self.layers[-1][0], _Windows):
            raise _OtherError
        size = self.layers.pop()[0].size
        if self.layers and isinstance(crop := self.layers[-1][0], _Crop):
            if crop.left != tuple(n // k * k for n, k in zip(crop.whole, size, strict=True)):
                raise _OtherError  # more is left out than what fills no window
            self.layers.pop()
        return [(Pooling(mode, size, size, NONE), after[1:])]


def _path(step: Any) -> str:
    """Return the path of the module that an operation belongs to, as Flax has noted it."""
    _, *inner = str(step.source_info.name_stack).split("/")
    return "/".join(part for part in inner if "." not in part)  # Module.method


def _read(program: jex.ClosedJaxpr) -> _Reader:
    """Return what a program that takes images does to them."""
    reader = _Reader()
    (found,) = reader.walk(program.jaxpr, program.consts, [reader.latest])
    if found is not reader.latest:
        raise _OtherError
    return reader


def _layers(
    step: Any, place: int, known: list[Any], before: tuple[int, ...], after: tuple[int, ...]
) -> Read:
    """Return what an operation does to its input `place`; the others are `known`."""
    params, shape = step.params, after[1:]
    match step.primitive.name:
        case name if name in SAME:
            return []
        case "convert_element_type" if jnp.issubdtype(params["new_dtype"], jnp.floating):
            return []
        case "logistic":
            return [(Activation("sigmoid"), shape)]
        case "tanh":
            return [(Activation("tanh"), shape)]
        case "max" if not np.asarray(known[0]).any():
            return [(Activation("relu"), shape)]
        case "add" | "sub" | "mul" | "div" as name:
            return [(_scaling(name, place, np.asarray(known[0]), before), shape)]
        case "dot_general" if place == 0:
            return [(_product(params, np.asarray(known[0]), before), shape)]
        case "conv_general_dilated" if place == 0:
            return [(_convolution(params, np.asarray(known[0])), shape)]
        case "reduce_window_max" | "reduce_window_sum" as name:
            return [(_pooling(name, params), shape)]
        case "slice" if len(before) == 4 and not any(params["start_indices"]):
            if not params["strides"] and (before[0], before[3]) == (after[0], after[3]):
                return [(_Crop(_pair(before[1:3]), _pair(after[1:3])), shape)]
        case "broadcast_in_dim" if before == after:
            return []
        case "squeeze":
            return _reshaped(before, after)
        case "reshape" if params["dimensions"] is None:
            return _reshaped(before, after)
    raise _OtherError


def _scaling(name: str, place: int, known: np.ndarray, shape: tuple[int, ...]) -> Scaling:
    """A sum, difference, product or quotient with the same numbers for every example and pixel."""
    rows = np.broadcast_to(known, shape).reshape(-1, shape[-1]).astype(np.float64)
    numbers = rows[0]
    same = np.array_equal(rows, np.broadcast_to(numbers, rows.shape), equal_nan=True)
    if not same or (name == "div" and place == 1):
        raise _OtherError
    ones, zeros = np.ones_like(numbers), np.zeros_like(numbers)
    return {
        "add": lambda: Scaling(ones, numbers),
        "sub": lambda: Scaling(-ones, numbers) if place else Scaling(ones, -numbers),
        "mul": lambda: Scaling(numbers, zeros),
        "div": lambda: Scaling(1 / numbers, zeros),
    }[name]()


def _product(params: Any, kernel: np.ndarray, shape: tuple[int, ...]) -> Dense | Convolution:
    """A product of the last axis with a matrix: of maps, it is a convolution of 1×1."""
    (ours, theirs), batch = params["dimension_numbers"]
    if kernel.ndim != 2 or any(batch) or tuple(ours) != (len(shape) - 1,):
        raise _OtherError
    matrix = kernel if tuple(theirs) == (0,) else kernel.T
    bias = np.zeros(matrix.shape[1])
    if len(shape) == 2:
        return Dense(matrix, bias)
    if len(shape) != 4:
        raise _OtherError
    return Convolution(matrix[None, None], bias, (1, 1), NONE, (1, 1), 1)


def _convolution(params: Any, kernel: np.ndarray) -> Convolution:
    images, kernels, maps = params["dimension_numbers"]
    usual = images == maps == (0, 3, 1, 2) and kernels == (3, 2, 0, 1)
    usual &= params["batch_group_count"] == 1 and {*params["lhs_dilation"]} == {1}
    if not usual or min(min(each) for each in params["padding"]) < 0:
        raise _OtherError
    return Convolution(
        kernel,
        np.zeros(kernel.shape[-1]),
        _pair(params["window_strides"]),
        _sides(params["padding"]),
        _pair(params["rhs_dilation"]),
        params["feature_group_count"],
    )


def _pooling(name: str, params: Any) -> Pooling:
    sizes, strides = params["window_dimensions"], params["window_strides"]
    padding = params["padding"]
    usual = len(sizes) == 4 and {*params["base_dilation"], *params["window_dilation"]} == {1}
    usual &= {sizes[0], sizes[-1], strides[0], strides[-1]} == {1}
    usual &= {*padding[0], *padding[-1]} == {0}
    usual &= all(0 <= n < k for k, ends in zip(sizes, padding, strict=True) for n in ends)
    if not usual:
        raise _OtherError
    mode = name.removeprefix("reduce_window_")
    return Pooling(mode, _pair(sizes[1:3]), _pair(strides[1:3]), _sides(padding[1:3]))


def _reshaped(before: tuple[int, ...], after: tuple[int, ...]) -> Read:
    if before == after:
        return []
    if len(after) == 2 and after[0] == before[0]:
        return [(Flatten(), after[1:])]
    if len(before) == 4 and len(after) == 6:
        batch, height, down, width, across, channels = after
        if (batch, height * down, width * across, channels) == before:
            return [(_Windows((down, across)), after[1:])]
    raise _OtherError


def _pair(sizes: Sequence[int]) -> Size:
    return int(sizes[0]), int(sizes[1])


def _sides(padding: Sequence[Sequence[int]]) -> Sides:
    return _pair(padding[0]), _pair(padding[1])


def _simplified(layers: Read) -> Read:
    """Return the layers with averages for sums, and with products and sums taken up by others."""
    found: Read = []
    for layer, shape in layers:
        if isinstance(layer, _Crop | _Windows):
            raise _OtherError
        if isinstance(layer, Pooling) and layer.mode == "sum":
            area = np.full(shape[-1], float(math.prod(layer.size)))
            found += [(layer._replace(mode="avg"), shape), (Scaling(area, 0 * area), shape)]
            continue
        below = found[-1][0] if found else None
        match below, layer:
            case Scaling(scale, shift), Scaling():
                found[-1] = Scaling(scale * layer.scale, shift * layer.scale + layer.shift), shape
            case Scaling(scale, shift), Dense(kernel, bias):
                found[-1] = Dense(scale[:, None] * kernel, shift @ kernel + bias), shape
            case Scaling(scale, shift), Flatten():
                pixels = math.prod(shape) // len(scale)
                found[-1] = layer, shape
                found.append((Scaling(np.tile(scale, pixels), np.tile(shift, pixels)), shape))
            case (Convolution() | Dense(), Scaling(scale, shift)):
                # Most are sums alone, and a copy of a large kernel takes time.
                kernel = below.kernel if (scale == 1).all() else below.kernel * scale
                bias = below.bias * scale + shift
                found[-1] = below._replace(kernel=kernel, bias=bias), shape
            case _:
                found.append((layer, shape))
        match found[-1][0]:
            case Scaling(scale, shift) if np.allclose(scale, 1, 0, 1e-12) and not shift.any():
                found.pop()
    return found


def _known(path: str, modules: Container[str]) -> str:
    """Return the longest end of a path that is one of the modules, or "".

    A module that is called within another than its parent is noted there.
    """
    while path and path not in modules:
        path = path.partition("/")[2]
    return path


def _named(layers: Read, paths: Sequence[str], parameters: Iterable[str]) -> Chain:
    """Return layers with their names, and their numbers in float32.

    A layer with weights is named after the module that holds them, where that is known of all.
    """
    holding = {path.rpartition("/")[0] for path in parameters}
    modules = [module for path in paths if (module := _known(path, holding))]
    if len(set(modules)) != sum(isinstance(layer, WEIGHTED) for layer, _ in layers):
        modules = []
    own, counts = iter(modules), collections.Counter[str]()
    links = []
    for layer, shape in layers:
        counts[kind := KINDS[type(layer)]] += 1
        name = next(own, None) if isinstance(layer, WEIGHTED) else None
        numbers: dict[str, Any] = {
            name: each.astype(np.float32)
            for name, each in layer._asdict().items()
            if isinstance(each, np.ndarray)
        }
        links.append(Link(name or f"{kind}{counts[kind]}", layer._replace(**numbers), shape))
    return tuple(links)
