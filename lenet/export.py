"""A trained network in other formats, and back from PyTorch's: the same logits everywhere.

Layouts. Ours: images [B, H, W, C], kernels [kh, kw, C_in, C_out] and [in, out], and the first dense
layer takes its features pixel by pixel. PyTorch and ONNX: images [B, C, H, W], kernels
[C_out, C_in, kh, kw] and [out, in], features channel by channel. All take images scaled to 0 to 1
and give logits [B, K].
"""

import io
import itertools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lenet.engine.sgd import Params
from lenet.errors import RecordError, UsageError
from lenet.model import WINDOW, LeNet, feature_maps
from lenet.ops.shapes import same_padding

OPSET = 17
"""Of ONNX's operators; runtimes of 2022 and later have them."""
IR_VERSION = 8

Arrays = dict[str, np.ndarray]


def to_npz(params: Params) -> bytes:
    """Return an npz file with an array for each parameter, named such as "conv1/kernel"."""
    buffer = io.BytesIO()
    named = {
        f"{layer}/{name}": np.asarray(x)
        for layer, leaves in params.items()
        for name, x in leaves.items()
    }
    np.savez(buffer, allow_pickle=False, **named)
    return buffer.getvalue()


def _layers(model: LeNet) -> list[tuple[str, int]]:
    """The layers with parameters, and their places in the texts' nn.Sequential.

    Each convolution is followed by its activation and pooling, then nn.Flatten, then each dense
    layer but the last by its activation.
    """
    flatten = 3 * len(model.channels)
    convolutions = [(f"conv{i + 1}", 3 * i) for i in range(len(model.channels))]
    dense = [(f"dense{i + 1}", flatten + 1 + 2 * i) for i in range(len(model.hidden) + 1)]
    return convolutions + dense


def to_torch(model: LeNet, params: Params, image_shape: tuple[int, ...]) -> Arrays:
    """Return the state dict of the texts' nn.Sequential, as arrays: "0.weight", "0.bias", ...

    Args:
      model: the network.
      params: its parameters.
      image_shape: (H, W, C).
    """
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


def from_torch(model: LeNet, state: Mapping[str, Any], image_shape: tuple[int, ...]) -> Params:
    """Return the parameters that a state dict of the texts' nn.Sequential has; undoes `to_torch`.

    Raises:
      RecordError: if its names or shapes are not those of `model`.
    """
    shape = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    wanted = jax.eval_shape(model.init, jax.random.key(0), shape)["params"]
    expected = {
        name: x.shape
        for name, x in to_torch(
            model, jax.tree.map(lambda x: np.zeros(x.shape, np.float32), wanted), image_shape
        ).items()
    }
    found = {name: tuple(np.shape(x)) for name, x in state.items()}
    if found != expected:
        name = sorted(found.items() ^ expected.items())[0][0]
        raise RecordError(
            f"{name!a}: {found.get(name, 'missing')}, expected {expected.get(name, 'none')}: "
            "not the network of these settings"
        )
    params: dict[str, dict[str, Any]] = {}
    for layer, place in _layers(model):
        weight = np.asarray(state[f"{place}.weight"], np.float32)
        kernel = weight.transpose((2, 3, 1, 0) if weight.ndim == 4 else (1, 0))
        if layer == "dense1":
            height, width = feature_maps(model, image_shape[:2])[-1][1]
            channels = kernel.reshape(-1, height, width, kernel.shape[1])
            kernel = channels.transpose(1, 2, 0, 3).reshape(kernel.shape)
        bias = np.asarray(state[f"{place}.bias"], np.float32)
        params[layer] = {"kernel": np.ascontiguousarray(kernel), "bias": bias}
    return params


def to_torch_file(model: LeNet, params: Params, image_shape: tuple[int, ...]) -> bytes:
    """Return `to_torch` as `torch.save` writes it; `torch.load(weights_only=True)` reads it.

    Raises:
      UsageError: if PyTorch is not installed, or has no such network.
    """
    if model.kernel_size % 2 == 0:
        raise UsageError(
            f"--format=torch: a window of {model.kernel_size} is padded by one more above than "
            "below, which PyTorch's Conv2d cannot: use --format=onnx"
        )
    try:
        import torch
    except ImportError:
        raise UsageError("--format=torch: PyTorch is not here: scripts/setup torch") from None
    buffer = io.BytesIO()
    state = to_torch(model, params, image_shape)
    torch.save({name: torch.from_numpy(x) for name, x in state.items()}, buffer)
    return buffer.getvalue()


def to_onnx(model: LeNet, params: Params, image_shape: tuple[int, ...]) -> bytes:
    """Return an ONNX model: "images" float32 [batch, C, H, W] to "logits" float32 [batch, K].

    It has been checked, shapes included. The batch may have any size.

    Raises:
      UsageError: if the onnx package is not installed.
    """
    try:
        import onnx
        from onnx import TensorProto, helper, numpy_helper
    except ImportError:
        message = "--format=onnx: the onnx package is not here: scripts/setup export"
        raise UsageError(message) from None
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
        weights = (f"{place}.weight", f"{place}.bias")
        if layer.startswith("conv"):
            rows, columns = same_padding(model.kernel_size) if place == 0 else ((0, 0), (0, 0))
            # All that is before the images, then all that is behind.
            add("Conv", *weights, pads=[rows[0], columns[0], rows[1], columns[1]])
            add(activation)
            add(pool, kernel_shape=[WINDOW] * 2, strides=[WINDOW] * 2)
        else:
            if layer == "dense1":
                add("Flatten")
            add("Gemm", *weights, transB=1)
            add(activation)
    if not model.hidden:
        add("Flatten")
    add("Gemm", f"{end}.weight", f"{end}.bias", to="logits", transB=1)
    height, width, channels = image_shape
    images = helper.make_tensor_value_info(
        "images", TensorProto.FLOAT, ["batch", channels, height, width]
    )
    logits = helper.make_tensor_value_info(
        "logits", TensorProto.FLOAT, ["batch", model.num_classes]
    )
    graph = helper.make_graph(
        nodes,
        "LeNet",
        [images],
        [logits],
        [numpy_helper.from_array(x, name) for name, x in state.items()],
    )
    made = helper.make_model(
        graph,
        producer_name="lenet",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    onnx.checker.check_model(made, full_check=True)
    content: bytes = made.SerializeToString()
    return content


def to_stablehlo(model: LeNet, params: Params, image_shape: tuple[int, ...]) -> bytes:
    """Return a StableHLO program for any batch, on CPU, GPU and TPU; the parameters are in it.

    `jax.export.deserialize(content).call(images)` maps float32 images [B, H, W, C] to logits.
    """
    from jax import export

    plain = model.clone(conv="lax")  # convolutions that other compilers know
    held = jax.tree.map(jnp.asarray, params)
    (batch,) = export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((batch, *image_shape), jnp.float32)

    def logits(images: jax.Array) -> jax.Array:
        with jax.default_matmul_precision("highest"):
            result: jax.Array = plain.apply({"params": held}, images)  # type: ignore[assignment]
            return result

    made = export.export(jax.jit(logits), platforms=("cpu", "cuda", "tpu"))(images)
    return bytes(made.serialize())
