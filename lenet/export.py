"""Export a trained network to NumPy, PyTorch, ONNX or StableHLO, and import PyTorch parameters.

Layouts. Ours: images [B, H, W, C], kernels [kh, kw, C_in, C_out] and [in, out], and the first dense
layer reads its features pixel by pixel. PyTorch and ONNX: images [B, C, H, W], kernels
[C_out, C_in, kh, kw] and [out, in], features channel by channel. All read images scaled to [0, 1]
and return the same logits [B, K].
"""

import io
import itertools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict

from lenet.engine import forward
from lenet.engine.forward import Params
from lenet.errors import RecordError, UsageError, reason
from lenet.model import LeNet, feature_maps
from lenet.networks.layers import WINDOW, plain
from lenet.ops.shapes import same_padding

OPSET = 17
"""Version of the ONNX operators; runtimes support it since 2022."""
IR_VERSION = 8
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


def _layers(model: LeNet) -> list[tuple[str, int]]:
    """Return the layers with parameters, and their indices in the book's nn.Sequential.

    Activation and pooling follow each convolution, then comes nn.Flatten, and an activation follows
    each dense layer except the last.
    """
    flatten = 3 * len(model.channels)
    convolutions = [(f"conv{i + 1}", 3 * i) for i in range(len(model.channels))]
    dense = [(f"dense{i + 1}", flatten + 1 + 2 * i) for i in range(len(model.hidden) + 1)]
    return convolutions + dense


def to_torch(model: LeNet, params: Params, image_shape: tuple[int, ...]) -> Arrays:
    """Return the state dict of the book's nn.Sequential, as arrays: "0.weight", "0.bias", ..."""
    state: Arrays = {}
    for layer, place in _layers(model):
        kernel = np.asarray(params[layer]["kernel"])
        if layer == "dense1":
            height, width = feature_maps(model, image_shape[:2])[-1][1]
            pixels = kernel.reshape(height, width, -1, kernel.shape[1])
            kernel = pixels.transpose(2, 0, 1, 3).reshape(kernel.shape)
        axes = (3, 2, 0, 1) if kernel.ndim == 4 else (1, 0)
        state[f"{place}.weight"] = np.ascontiguousarray(kernel.transpose(axes))
        state[f"{place}.bias"] = np.array(params[layer]["bias"])
    return state


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
    zeros = jax.tree.map(lambda x: np.zeros(x.shape, np.float32), wanted)
    expected = to_torch(model, zeros, image_shape)
    convolutions, dense = torch_layers(state)
    found = len(convolutions), len(dense)
    if found != (counts := (len(model.channels), len(model.hidden) + 1)):
        raise RecordError(
            f"{found[0]} convolutions and {found[1]} dense layers, expected {counts[0]} and "
            f"{counts[1]}: the state dict does not match these settings"
        )
    params: dict[str, dict[str, Any]] = {}
    for (layer, place), theirs in zip(_layers(model), convolutions + dense, strict=True):
        for leaf, array in (("weight", theirs.weight), ("bias", theirs.bias)):
            if array.shape != (right := expected[f"{place}.{leaf}"].shape):
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


def to_torch_file(model: LeNet, params: Params, image_shape: tuple[int, ...]) -> bytes:
    """Return `to_torch` as a file for `torch.load(weights_only=True)`.

    Raises:
      UsageError: if PyTorch is not installed, or cannot express this network.
    """
    if model.kernel_size % 2 == 0:
        raise UsageError(
            f"kernel_size={model.kernel_size}: PyTorch's Conv2d cannot pad even kernel sizes as "
            "this network does. Use format=onnx"
        )
    try:
        import torch
    except ImportError:
        raise UsageError("PyTorch is not installed: scripts/setup torch") from None
    buffer = io.BytesIO()
    state = to_torch(model, params, image_shape)
    torch.save({name: torch.from_numpy(x) for name, x in state.items()}, buffer)
    return buffer.getvalue()


def to_onnx(model: LeNet, params: Params, image_shape: tuple[int, ...]) -> bytes:
    """Return an ONNX model: "images" float32 [batch, C, H, W] to "logits" float32 [batch, K].

    The ONNX checker has verified it, shapes included. The batch may have any size.

    Raises:
      UsageError: if the onnx package is not installed.
    """
    try:
        import onnx
        from onnx import TensorProto, helper, numpy_helper
    except ImportError:
        raise UsageError("package 'onnx' is not installed: scripts/setup export") from None
    state = to_torch(model, params, image_shape)
    nodes: list[Any] = []
    numbers = itertools.count()
    last = "images"

    def add(operator: str, *inputs: str, to: str | None = None, **attributes: Any) -> None:
        nonlocal last
        output = to or f"{operator.lower()}_{next(numbers)}"
        nodes.append(helper.make_node(operator, [last, *inputs], [output], **attributes))
        last = output

    activation = {"sigmoid": "Sigmoid", "relu": "Relu", "tanh": "Tanh"}[model.activation]
    pool = {"avg": "AveragePool", "max": "MaxPool"}[model.pool]
    *before, (_, end) = _layers(model)
    for layer, place in before:
        names = (f"{place}.weight", f"{place}.bias")
        if layer.startswith("conv"):
            rows, columns = same_padding(model.kernel_size) if place == 0 else ((0, 0), (0, 0))
            # ONNX lists the padding before each axis first, then the padding after.
            add("Conv", *names, pads=[rows[0], columns[0], rows[1], columns[1]])
            add(activation)
            add(pool, kernel_shape=[WINDOW] * 2, strides=[WINDOW] * 2)
        else:
            if layer == "dense1":
                add("Flatten")
            add("Gemm", *names, transB=1)
            add(activation)
    if not model.hidden:
        add("Flatten")
    add("Gemm", f"{end}.weight", f"{end}.bias", to="logits", transB=1)
    height, width, channels = image_shape
    images, logits = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *sizes])
        for name, sizes in (
            ("images", (channels, height, width)),
            ("logits", (model.num_classes,)),
        )
    )
    weights = [numpy_helper.from_array(x, name) for name, x in state.items()]
    graph = helper.make_graph(nodes, "LeNet", [images], [logits], weights)
    opsets = [helper.make_opsetid("", OPSET)]
    made = helper.make_model(
        graph, producer_name="lenet", ir_version=IR_VERSION, opset_imports=opsets
    )
    onnx.checker.check_model(made, full_check=True)
    content: bytes = made.SerializeToString()
    return content


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
        made = export.export(jax.jit(logits), platforms=("cpu", "cuda", "tpu"))(images)
    except TypeError as error:
        raise UsageError(
            f"{type(model).__name__}: needs to know the size of a batch ({error}). Write "
            "images.shape[0] in place of len(images)"
        ) from None
    return bytes(made.serialize())
