"""A network as a chain of known layers, read from the program that JAX traces of it.

However a network is written, its program has few kinds of operations. If each takes the result of
the one before, and is a convolution, a pooling, a product with a matrix, an activation, flattening,
or a sum or product with a number for each channel, then the network is a chain, which others can
compute. Batch normalisation by running statistics is such a product and sum; a convolution or dense
layer before it takes it up.
"""

import collections
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array, lax
from jax.extend import core as jex
from jaxtyping import Float

from lenet import ops
from lenet.engine import forward
from lenet.engine.forward import Params
from lenet.networks.layers import plain
from lenet.ops.shapes import Size

Sides = tuple[Size, Size]
"""Padding before and after: down, across."""
NONE: Sides = ((0, 0), (0, 0))


class Convolution(NamedTuple):
    """A cross-correlation plus a bias."""

    kernel: Float[np.ndarray, "kh kw Ci Co"]  # Ci of each group
    bias: Float[np.ndarray, " Co"]
    stride: Size
    padding: Sides
    dilation: Size
    groups: int


class Pooling(NamedTuple):
    """The maximum or the average of windows; in an average, zeros of the padding count."""

    mode: str  # "max" or "avg"
    size: Size
    stride: Size
    padding: Sides


class Dense(NamedTuple):
    """A product with a matrix plus a bias."""

    kernel: Float[np.ndarray, "in out"]
    bias: Float[np.ndarray, " out"]


class Activation(NamedTuple):
    """A function of each number."""

    name: str  # a key of ACTIVATIONS


class Scaling(NamedTuple):
    """A product and a sum with numbers of each channel or unit."""

    scale: Float[np.ndarray, " C"]
    shift: Float[np.ndarray, " C"]


class Flatten(NamedTuple):
    """Maps [H, W, C] as a row, pixel by pixel."""


Layer = Convolution | Pooling | Dense | Activation | Scaling | Flatten
KINDS = {
    Convolution: "conv",
    Pooling: "pool",
    Dense: "dense",
    Activation: "activation",
    Scaling: "scaling",
    Flatten: "flatten",
}
ACTIVATIONS = {"sigmoid": nn.sigmoid, "relu": nn.relu, "tanh": nn.tanh}


class Link(NamedTuple):
    """A layer in its place."""

    name: str  # its kind, and which of them it is: "conv2"
    layer: Layer
    shape: tuple[int, ...]  # that it returns of an image: (H, W, C) or (features,)


Chain = tuple[Link, ...]


def chain(model: nn.Module, params: Params, image_shape: tuple[int, ...]) -> Chain | None:
    """Return a network on images of (H, W, C) as a chain of layers; None if it is no such chain.

    The chain computes what the network does without training, in float32, which is checked on
    random images: None also if it does not.

    >>> from lenet.model import LeNet
    >>> params = LeNet().init(jax.random.key(0), jnp.zeros((1, 28, 28, 1)))["params"]
    >>> [link.name for link in chain(LeNet(), params, (28, 28, 1))][:4]
    ['conv1', 'activation1', 'pool1', 'conv2']
    """
    shown = plain(model)
    if getattr(model, "precision", "") == "bfloat16":
        shown = shown.clone(precision="float32")
    images = jax.random.uniform(jax.random.key(0), (2, *image_shape))
    try:
        with ops.of_xla():
            program = jax.make_jaxpr(lambda x: forward.apply(shown, params, x))(images)
        found = _named(_read(program))
    except _OtherError:
        return None
    last = collections.deque(outputs(found, images), maxlen=1)
    wanted = forward.apply(shown, params, images)
    ours = last[0] if last else images
    if ours.shape != wanted.shape:
        return None
    if not np.isfinite(wanted).all():
        return found  # nothing can be said
    near = float(jnp.abs(ours - wanted).max()) <= 0.001 * float(jnp.abs(wanted).max())
    return found if near else None


def outputs(
    chain: Chain, images: Float[Array | np.ndarray, "B H W C"]
) -> Iterator[Float[Array, "B ..."]]:
    """Yield what each layer of a chain returns for images of 0 to 1, in order."""
    x = jnp.asarray(images)
    for link in chain:
        x = _applied(link.layer, x)
        yield x


def _applied(layer: Layer, x: Array) -> Array:
    match layer:
        case Convolution(kernel, bias, stride, padding, dilation, groups):
            numbers = ("NHWC", "HWIO", "NHWC")
            highest = lax.Precision.HIGHEST
            y = lax.conv_general_dilated(
                *(x, jnp.asarray(kernel), stride, padding, None, dilation, numbers),
                feature_group_count=groups,
                precision=highest,
            )
            return y + bias[None, None, None]
        case Pooling(mode, size, stride, padding):
            start, reduce = (-np.inf, lax.max) if mode == "max" else (0.0, lax.add)
            window, steps, sides = (1, *size, 1), (1, *stride, 1), ((0, 0), *padding, (0, 0))
            y = lax.reduce_window(x, np.float32(start), reduce, window, steps, sides)
            return y if mode == "max" else y / math.prod(size)
        case Dense(kernel, bias):
            return jnp.dot(x, kernel, precision="highest") + bias[None]
        case Activation(name):
            return ACTIVATIONS[name](x)
        case Scaling(scale, shift):
            last = (1,) * (x.ndim - 1) + (-1,)
            return x * scale.reshape(last) + shift.reshape(last)
        case Flatten():
            return x.reshape(len(x), -1)


class _OtherError(Exception):
    """A program is no chain of known layers."""


class _Result:
    """What an operation returns that depends on the images; only the latest may be used."""


class _Crop(NamedTuple):
    """Rows and columns that fill no window are left out."""


class _Windows(NamedTuple):
    """Maps as windows [H', ph, W', pw, C]."""

    size: Size


class _Read(NamedTuple):
    """What was read of a program so far."""

    layers: list[tuple[Any, tuple[int, ...]]]  # with their output's shape, of an image
    latest: list[_Result]  # one


CALLS = {"jit", "pjit", "custom_jvp_call", "custom_vjp_call", "closed_call", "checkpoint", "remat2"}
SAME = {"convert_element_type", "copy", "stop_gradient", "reduce_precision", "optimization_barrier"}
"""Operations that return the same numbers, to rounding."""


def _read(program: jex.ClosedJaxpr) -> list[tuple[Layer, tuple[int, ...]]]:
    """Return the layers of a program that takes images, simplified, with their shapes."""
    images = _Result()
    read = _Read([], [images])
    (found,) = _walk(program.jaxpr, program.consts, [images], read)
    if found is not read.latest[0]:
        raise _OtherError
    return _simplified(read.layers)


def _walk(program: Any, constants: Sequence[Any], inputs: Sequence[Any], read: _Read) -> list[Any]:
    """Evaluate what does not depend on the images, and read the rest; return the outputs."""
    values = dict(zip(program.constvars, constants, strict=True))
    values |= zip(program.invars, inputs, strict=True)

    def value(of: Any) -> Any:
        return of.val if isinstance(of, jex.Literal) else values[of]

    for step in program.eqns:
        given = [value(of) for of in step.invars]
        if step.primitive.name in CALLS:
            inner = step.params.get("jaxpr", step.params.get("call_jaxpr"))
            found = _walk(getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()), given, read)
        elif not any(isinstance(each, _Result) for each in given):
            found = step.primitive.bind(*given, **step.params)
            found = found if step.primitive.multiple_results else [found]
        else:
            found = [_next(step, given, read)]
        values |= zip(step.outvars, found, strict=True)
    return [value(of) for of in program.outvars]


def _next(step: Any, given: list[Any], read: _Read) -> _Result:
    """Read an operation on the latest result."""
    at = [i for i, each in enumerate(given) if isinstance(each, _Result)]
    if len(at) > 1 or given[at[0]] is not read.latest[0]:
        raise _OtherError  # a branch
    (place,) = at
    if step.primitive.name in SAME:
        return read.latest[0]
    before, after = step.invars[place].aval.shape, step.outvars[0].aval.shape
    known = [np.asarray(each) for i, each in enumerate(given) if i != place]
    if layers := _layers(step, place, known, before, after, read):
        whole = (1, 1, *after[1:])  # of a pooling of whole maps, which come out flat
        read.layers.extend(
            (layer, whole if isinstance(layer, Pooling) and len(after) == 2 else after[1:])
            for layer in layers
        )
        read.latest[0] = _Result()
    return read.latest[0]


def _layers(
    step: Any,
    place: int,
    known: list[np.ndarray],
    before: tuple[int, ...],
    after: tuple[int, ...],
    read: _Read,
) -> list[Any]:
    """Return the layers that an operation is, on input `place`; the others are `known`."""
    params = step.params
    match step.primitive.name:
        case "logistic":
            return [Activation("sigmoid")]
        case "tanh":
            return [Activation("tanh")]
        case "max" if not known[0].any():
            return [Activation("relu")]
        case "add" | "sub" | "mul" | "div" as name:
            return [_scaling(name, place, known[0], before)]
        case "dot_general" if place == 0:
            return [_product(params, known[0], before)]
        case "conv_general_dilated" if place == 0:
            return [_convolution(params, known[0])]
        case "reduce_window_max" | "reduce_window_sum" as name:
            return [_pooling(name, params)]
        case "reduce_max" | "reduce_sum" as name:
            mode, axes = name.removeprefix("reduce_"), tuple(params["axes"])
            if axes == (1, 2) and len(before) == 4:
                size = (before[1], before[2])
                return [Pooling(mode, size, size, NONE), Flatten()]
            if axes == (2, 4) and read.layers and isinstance(read.layers[-1][0], _Windows):
                size = read.layers.pop()[0].size
                if read.layers and isinstance(read.layers[-1][0], _Crop):
                    read.layers.pop()
                return [Pooling(mode, size, size, NONE)]
        case "slice" if len(before) == 4 and not any(params["start_indices"]):
            if not params["strides"] and (before[0], before[3]) == (after[0], after[3]):
                return [_Crop()]
        case "reshape" | "squeeze" | "expand_dims" | "broadcast_in_dim":
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
    last = (0, 3, 1, 2)
    usual = images == maps == last and kernels == (3, 2, 0, 1)
    if not usual or params["batch_group_count"] != 1 or set(params["lhs_dilation"]) != {1}:
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
    dilated = {*params["base_dilation"], *params["window_dilation"]} != {1}
    outer = {sizes[0], sizes[-1], strides[0], strides[-1]} | {*params["padding"][0]}
    outer |= {*params["padding"][-1]}
    if len(sizes) != 4 or dilated or outer != {0, 1}:
        raise _OtherError
    mode = name.removeprefix("reduce_window_")
    return Pooling(mode, _pair(sizes[1:3]), _pair(strides[1:3]), _sides(params["padding"][1:3]))


def _reshaped(before: tuple[int, ...], after: tuple[int, ...]) -> list[Any]:
    if before == after:
        return []
    if len(after) == 2 and after[0] == before[0] and math.prod(after) == math.prod(before):
        return [Flatten()]
    if len(before) == 4 and len(after) == 6:
        batch, height, down, width, across, channels = after
        if (batch, height * down, width * across, channels) == before:
            return [_Windows((down, across))]
    raise _OtherError


def _pair(sizes: Sequence[int]) -> Size:
    return int(sizes[0]), int(sizes[1])


def _sides(padding: Sequence[Sequence[int]]) -> Sides:
    return _pair(padding[0]), _pair(padding[1])


def _simplified(
    layers: Sequence[tuple[Any, tuple[int, ...]]],
) -> list[tuple[Layer, tuple[int, ...]]]:
    """Return the layers with averages for sums, and with products and sums taken up by others."""
    found: list[tuple[Layer, tuple[int, ...]]] = []
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
                kernel, bias = below.kernel * scale, below.bias * scale + shift
                found[-1] = below._replace(kernel=kernel, bias=bias), shape
            case _:
                found.append((layer, shape))
        match found[-1][0]:
            case Scaling(scale, shift) if np.allclose(scale, 1, 0, 1e-12) and not shift.any():
                found.pop()
    return found


def _named(layers: Sequence[tuple[Layer, tuple[int, ...]]]) -> Chain:
    """Return layers with their names, and their numbers in float32."""
    counts = collections.Counter[str]()
    links = []
    for layer, shape in layers:
        counts[kind := KINDS[type(layer)]] += 1
        numbers: dict[str, Any] = {
            name: each.astype(np.float32)
            for name, each in layer._asdict().items()
            if isinstance(each, np.ndarray)
        }
        links.append(Link(f"{kind}{counts[kind]}", layer._replace(**numbers), shape))
    return tuple(links)
