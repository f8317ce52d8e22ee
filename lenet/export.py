"""Export a trained network to NumPy, PyTorch, ONNX or StableHLO, and import PyTorch parameters.

NumPy and StableHLO take any network; PyTorch and ONNX one that is a chain of known layers
(`lenet.inspect.traced`).

Layouts. Ours: images [B, H, W, C], kernels [kh, kw, C_in, C_out] and [in, out], and the first dense
layer reads its features pixel by pixel. PyTorch and ONNX: images [B, C, H, W], kernels
[C_out, C_in, kh, kw] and [out, in], features channel by channel. All read images scaled to [0, 1]
and return the same logits [B, K].
"""

import io
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict

from lenet.engine import forward
from lenet.engine.forward import Params
from lenet.errors import RecordError, UsageError, reason
from lenet.inspect.chain import (
    NONE,
    Activation,
    Convolution,
    Dense,
    Flatten,
    Layer,
    Pooling,
    Scaling,
    Sides,
)
from lenet.inspect.traced import chain
from lenet.model import LeNet, feature_maps
from lenet.networks.layers import plain
from lenet.ops import of_xla

OPSET = 17
"""Version of the ONNX operators; runtimes support it since 2022."""
IR_VERSION = 8
EPSILON = 1e-5
"""What batch normalisation adds to a variance, as PyTorch does by default."""
LIMIT = 2**28
"""Most values in a tensor that is read: a small file can declare many."""

Arrays = dict[str, np.ndarray]


def to_npz(params: Params) -> bytes:
    """Return an npz file with one array per parameter, named like "conv1/kernel".

    Of a network that keeps more than parameters, `params` are all variables, and a name says which:
    "params/conv1/kernel", "batch_stats/bn_conv1/mean".
    """
    buffer = io.BytesIO()
    named = {name: np.asarray(x) for name, x in flatten_dict(params, sep="/").items()}
    np.savez(buffer, allow_pickle=False, **named)
    return buffer.getvalue()


def _sequential(
    model: nn.Module, params: Params, image_shape: tuple[int, ...]
) -> tuple[list[Layer], int]:
    """Return the layers of a network for images [B, C, H, W], as an nn.Sequential has them, and K.

    Kernels are [C_out, C_in, kh, kw] and [out, in].

    Raises:
      UsageError: for a network that is no chain of known layers.
    """
    if (links := chain(model, params, image_shape)) is None:
        raise UsageError(
            f"{type(model).__name__}: not a chain of convolutions, poolings, dense layers, batch "
            "normalisation and sigmoid, tanh or ReLU, so this format cannot hold it. Use "
            "format=stablehlo, which takes any network"
        )
    layers: list[Layer] = []
    shape, order = image_shape, np.arange(0)  # of the features: theirs come channel by channel
    for link in links:
        layer = link.layer
        match layer:
            case Convolution():
                layer = layer._replace(kernel=layer.kernel.transpose(3, 2, 0, 1))
            case Flatten():
                order = np.arange(math.prod(shape)).reshape(shape).transpose(2, 0, 1).ravel()
            case Scaling() if len(shape) == 1:
                layer = Scaling(layer.scale[order], layer.shift[order])
            case Dense():
                layer = layer._replace(kernel=layer.kernel[order].T)
                order = np.arange(len(layer.bias))
        layers.append(layer)
        shape = link.shape
    if len(shape) != 1 or (order != np.arange(len(order))).any():
        raise UsageError(f"{type(model).__name__}: ends with maps. Let a dense layer be the last")
    return layers, shape[0]


def _state(layer: Layer) -> Arrays:
    """Return the parameters of a layer by PyTorch's names."""
    match layer:
        case Convolution() | Dense():
            return {"weight": layer.kernel, "bias": layer.bias}
        case Scaling(scale, shift):  # batch normalisation of what has mean 0 and variance 1
            weight = (scale * math.sqrt(1 + EPSILON)).astype(np.float32)
            still = {"running_mean": np.zeros_like(scale), "running_var": np.ones_like(scale)}
            return {"weight": weight, "bias": shift, **still}
    return {}


def to_torch(model: nn.Module, params: Params, image_shape: tuple[int, ...]) -> Arrays:
    """Return the state dict of an nn.Sequential, as arrays: "0.weight", "0.bias", ...

    Of the book's network it is the book's; `torch_code` returns the nn.Sequential of any.

    Raises:
      UsageError: for a network that is no chain of known layers.
    """
    return _states(_sequential(model, params, image_shape)[0])


def _states(layers: Sequence[Layer]) -> Arrays:
    return {
        f"{place}.{name}": np.ascontiguousarray(array)
        for place, layer in enumerate(layers)
        for name, array in _state(layer).items()
    }


def torch_code(model: nn.Module, params: Params, image_shape: tuple[int, ...]) -> str:
    """Return the nn.Sequential that `to_torch` is the state dict of, as an expression of Python.

    One that normalises is set to evaluation: the statistics stay as they are.

    Raises:
      UsageError: as `to_torch`, and if PyTorch cannot express the network.

    >>> model = LeNet(channels=(4,), hidden=())
    >>> params = model.init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)))["params"]
    >>> torch_code(model, params, (8, 8, 1)).split(", nn.")[1:]
    ['Sigmoid()', 'AvgPool2d(2)', 'Flatten()', 'Linear(64, 10))']
    """
    return _torch_sequential(_sequential(model, params, image_shape)[0])


def _torch_sequential(layers: Sequence[Layer]) -> str:
    flat = [any(isinstance(each, Flatten) for each in layers[:at]) for at in range(len(layers))]
    normalises = any(isinstance(layer, Scaling) for layer in layers)
    code = f"nn.Sequential({', '.join(map(_torch_code, layers, flat, itertools.count(1)))})"
    return code + ".eval()" * normalises


def _torch_code(layer: Layer, flat: bool, place: int) -> str:
    match layer:
        case Convolution(kernel, _, stride, padding, dilation, groups):
            outputs, inputs, *size = kernel.shape
            sizes = [str(inputs * groups), str(outputs), _size(size)]
            sizes += [f"stride={_size(stride)}"] * (stride != (1, 1))
            sizes += _padding(place, "Conv2d", padding)
            sizes += [f"dilation={_size(dilation)}"] * (dilation != (1, 1))
            sizes += [f"groups={groups}"] * (groups != 1)
            return f"nn.Conv2d({', '.join(sizes)})"
        case Pooling(mode, size, stride, padding):
            name = {"avg": "AvgPool2d", "max": "MaxPool2d"}[mode]
            if any(2 * before > side for side, (before, _) in zip(size, padding, strict=True)):
                raise UsageError(
                    f"layer {place}, padding={padding}: PyTorch's {name} pads by half its window "
                    f"of {size} at most, this network by more. Use format=onnx"
                )
            sizes = [_size(size), *[f"stride={_size(stride)}"] * (stride != size)]
            return f"nn.{name}({', '.join([*sizes, *_padding(place, name, padding)])})"
        case Dense(kernel, _):
            return f"nn.Linear({kernel.shape[1]}, {kernel.shape[0]})"
        case Activation(name):
            return {"sigmoid": "nn.Sigmoid()", "relu": "nn.ReLU()", "tanh": "nn.Tanh()"}[name]
        case Scaling(scale, _):
            return f"nn.BatchNorm{1 if flat else 2}d({len(scale)})"
        case Flatten():
            return "nn.Flatten()"


def _size(size: Sequence[int]) -> str:
    down, across = size
    return str(down) if down == across else f"({down}, {across})"


def _padding(place: int, layer: str, padding: Sides) -> list[str]:
    if padding == NONE:
        return []
    if any(before != after for before, after in padding):
        raise UsageError(
            f"layer {place}, padding={padding}: PyTorch's {layer} pads opposite sides alike, and "
            "this network does not. Use format=onnx"
        )
    return [f"padding={_size([before for before, _ in padding])}"]


class TorchLayer(NamedTuple):
    """A convolution or dense layer in a state dict."""

    name: str  # "net.0": what precedes ".weight" and ".bias"
    weight: np.ndarray  # [C_out, C_in, kh, kw] or [out, in]
    bias: np.ndarray  # [C_out] or [out]


def torch_layers(state: Mapping[str, Any]) -> tuple[list[TorchLayer], list[TorchLayer]]:
    """Return the convolutions and the dense layers of a state dict, each in the order of the file.

    A layer is recognised by its shapes: a weight of rank 4 or 2 and a bias, with names that begin
    alike. What else is in the names does not matter: "0.weight", "net.0.weight" and
    "module.conv1.weight" are the same network.

    Args:
      state: arrays or tensors of any real type, by name; they are converted to float32.

    Raises:
      RecordError: for any other tensor, a weight without its bias, or a value that is not finite.
    """
    arrays = {name: _float32(name, x) for name, x in state.items()}
    layers: dict[int, list[TorchLayer]] = {4: [], 2: []}
    expected = set()
    for name, array in arrays.items():
        *prefix, last = name.split(".")
        if last == "weight" and array.ndim in layers:
            bias = ".".join([*prefix, "bias"])
            if bias not in arrays:
                raise RecordError(f"{bias!a}: missing. Every layer needs a bias: use bias=True")
            layers[array.ndim].append(TorchLayer(".".join(prefix), array, arrays[bias]))
            expected |= {name, bias}
    for name, array in arrays.items():
        if name not in expected:
            raise RecordError(
                f"{name!a}: {array.shape}, expected none: the network has convolutions and dense "
                "layers only"
            )
    return layers[4], layers[2]


def _float32(name: str, x: Any) -> np.ndarray:
    """Return an array, or a tensor wherever it lies, as a float32 array of finite values."""
    if hasattr(x, "is_meta"):  # a tensor
        import torch

        if torch.nn.parameter.is_lazy(x) or x.is_meta:
            raise RecordError(
                f"{name!a}: has no values yet. Apply the network to an image before saving it"
            )
    size, dtype = math.prod(np.shape(x)), x.dtype
    if "complex" in str(dtype):
        raise RecordError(f"{name!a}: {dtype}, expected real numbers. Save a real network")
    if size > LIMIT:
        raise RecordError(f"{name!a}: {size:,} values; the limit is {LIMIT:,}")
    try:
        with np.errstate(over="ignore"):  # refused below
            array = x.float().numpy(force=True) if hasattr(x, "is_meta") else np.float32(x)
    except (RuntimeError, TypeError, ValueError) as error:
        raise RecordError(f"{name!a}: cannot be read as float32: {reason(error)}") from None
    if not (finite := np.isfinite(array)).all():
        raise RecordError(
            f"{name!a}: {size - finite.sum():,} of {size:,} values are NaN, infinite or too large "
            "for float32. Save the network before training diverges"
        )
    return np.asarray(array)


def from_torch(model: LeNet, state: Mapping[str, Any], image_shape: tuple[int, ...]) -> Params:
    """Return the parameters in a state dict of the book's network; the inverse of `to_torch`.

    The state dict is read by structure (`torch_layers`), so that any names of the layers will do.

    Raises:
      RecordError: if a value is not finite, or its layers or shapes do not match `model`.
    """
    shape = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    wanted = jax.eval_shape(model.init, jax.random.key(0), shape)["params"]
    convolutions, dense = torch_layers(state)
    found = len(convolutions), len(dense)
    if found != (counts := (len(model.channels), len(model.hidden) + 1)):
        raise RecordError(
            f"{found[0]} convolutions and {found[1]} dense layers, expected {counts[0]} and "
            f"{counts[1]}: the state dict does not match these settings"
        )
    names = [f"conv{i + 1}" for i in range(counts[0])] + [f"dense{i + 1}" for i in range(counts[1])]
    params: dict[str, dict[str, Any]] = {}
    for layer, theirs in zip(names, convolutions + dense, strict=True):
        ours = wanted[layer]["kernel"].shape
        expected = ours[:1:-1] + ours[:2] if len(ours) == 4 else ours[::-1]
        for leaf, array, right in (
            ("weight", theirs.weight, expected),
            ("bias", theirs.bias, expected[:1]),
        ):
            if array.shape != right:
                name = ".".join(filter(None, (theirs.name, leaf)))
                raise RecordError(
                    f"{name!a}: {array.shape}, expected {right}: the state dict does not match "
                    "these settings"
                )
        kernel = theirs.weight.transpose((2, 3, 1, 0) if theirs.weight.ndim == 4 else (1, 0))
        if layer == "dense1":
            height, width = feature_maps(model, image_shape[:2])[-1][1]
            channels = kernel.reshape(-1, height, width, kernel.shape[1])
            kernel = channels.transpose(1, 2, 0, 3).reshape(kernel.shape)
        params[layer] = {"kernel": np.ascontiguousarray(kernel), "bias": theirs.bias}
    return params


def to_torch_file(model: nn.Module, params: Params, image_shape: tuple[int, ...]) -> bytes:
    """Return `to_torch` as a file for `torch.load(weights_only=True)`.

    Raises:
      UsageError: if PyTorch is not installed, or cannot express this network.
    """
    layers, _ = _sequential(model, params, image_shape)
    _torch_sequential(layers)
    try:
        import torch
    except ImportError:
        raise UsageError(
            "PyTorch is not installed: pip install torch, or scripts/setup torch in a clone"
        ) from None
    buffer = io.BytesIO()
    torch.save({name: torch.from_numpy(x) for name, x in _states(layers).items()}, buffer)
    return buffer.getvalue()


def to_onnx(model: nn.Module, params: Params, image_shape: tuple[int, ...]) -> bytes:
    """Return an ONNX model: "images" float32 [batch, C, H, W] to "logits" float32 [batch, K].

    The ONNX checker has verified it, shapes included. The batch may have any size.

    Raises:
      UsageError: if the onnx package is not installed, or the network is no chain of known layers.
    """
    try:
        import onnx
        from onnx import TensorProto, helper, numpy_helper
    except ImportError:
        raise UsageError(
            "package 'onnx' is not installed: pip install onnx, or scripts/setup export in a clone"
        ) from None
    nodes: list[Any] = []
    weights: list[Any] = []
    layers, classes = _sequential(model, params, image_shape)
    last = "images"
    for place, layer in enumerate(layers):
        operator, attributes = _onnx_operator(layer)
        state = {f"{place}.{name}": array for name, array in _state(layer).items()}
        weights += [numpy_helper.from_array(np.array(x), name) for name, x in state.items()]
        output = "logits" if place == len(layers) - 1 else f"{operator.lower()}_{place}"
        nodes.append(helper.make_node(operator, [last, *state], [output], **attributes))
        last = output
    height, width, channels = image_shape
    images, logits = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *sizes])
        for name, sizes in (("images", (channels, height, width)), ("logits", (classes,)))
    )
    graph = helper.make_graph(nodes, type(model).__name__, [images], [logits], weights)
    opsets = [helper.make_opsetid("", OPSET)]
    made = helper.make_model(
        graph, producer_name="lenet", ir_version=IR_VERSION, opset_imports=opsets
    )
    onnx.checker.check_model(made, full_check=True)
    content: bytes = made.SerializeToString()
    return content


def _onnx_operator(layer: Layer) -> tuple[str, dict[str, Any]]:
    """Return the operator of a layer, and its attributes."""

    def pads(padding: Sides) -> list[int]:  # before each axis first, then after
        return [side[end] for end in (0, 1) for side in padding]

    match layer:
        case Convolution(_, _, stride, padding, dilation, groups):
            steps = {"strides": stride, "dilations": dilation, "group": groups}
            return "Conv", steps | {"pads": pads(padding)}
        case Pooling(mode, size, stride, padding):
            window = {"kernel_shape": size, "strides": stride, "pads": pads(padding)}
            if mode == "max":
                return "MaxPool", window
            return "AveragePool", window | {"count_include_pad": 1}
        case Dense():
            return "Gemm", {"transB": 1}
        case Activation(name):
            return {"sigmoid": "Sigmoid", "relu": "Relu", "tanh": "Tanh"}[name], {}
        case Scaling():
            return "BatchNormalization", {"epsilon": EPSILON}
        case Flatten():
            return "Flatten", {}


def to_stablehlo(model: nn.Module, params: Params, image_shape: tuple[int, ...]) -> bytes:
    """Return a StableHLO program with its parameters, for any batch size on CPU, GPU and TPU.

    `jax.export.deserialize(content).call(images)` maps float32 images [B, H, W, C] to logits.

    Raises:
      UsageError: for a network that needs to know the size of a batch.
    """
    from jax import export

    shown = plain(model)  # the convolution operation, which other compilers support
    held = jax.tree.map(jnp.asarray, params)
    (batch,) = export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((batch, *image_shape), jnp.float32)

    def logits(images: jax.Array) -> jax.Array:
        with jax.default_matmul_precision("highest"):
            return forward.apply(shown, held, images)

    try:
        with of_xla():
            made = export.export(jax.jit(logits), platforms=("cpu", "cuda", "tpu"))(images)
    except (TypeError, jax.errors.InconclusiveDimensionOperation) as error:
        raise UsageError(
            f"{type(model).__name__}: needs to know the size of a batch ({error}). Write "
            "images.shape[0] in place of len(images)"
        ) from None
    return bytes(made.serialize())
