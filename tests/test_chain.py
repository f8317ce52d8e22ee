"""Networks as chains of known layers: what they compute here, in ONNX Runtime and in PyTorch."""

import io
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx
from hypothesis import assume, given
from hypothesis import strategies as st
from test_export import nchw, onnxruntime, session

from lenet import export, ops
from lenet.engine import forward
from lenet.errors import UsageError
from lenet.inspect.activations import activations
from lenet.inspect.chain import outputs
from lenet.inspect.traced import chain
from lenet.model import LeNet
from lenet.networks import BNLeNet, LeNet5

assert onnxruntime  # a fixture


class Built(nn.Module):
    """Layers by their names: a line of a test says what a network is."""

    words: str = "flatten; dense 4"

    @nn.compact
    def __call__(self, x, train=False):
        for word in self.words.split("; "):
            name, *numbers = re.split(r"[ ,]", word)
            x = getattr(self, name)(x, train, *map(int, numbers))
        return x

    def conv(self, x, _, features, size=3, stride=1, dilation=1, groups=1, fast=0):
        changes = {"conv_general_dilated": ops.conv_general_dilated} if fast else {}
        changes |= {"kernel_dilation": dilation, "feature_group_count": groups}
        padding = "SAME" if stride == 1 else "VALID"
        return nn.Conv(features, (size, size), stride, padding, **changes)(x)

    def uneven(self, x, _, features):
        return nn.Conv(features, (2, 3), padding=((0, 1), (2, 0)))(x)

    def dense(self, x, _, features):
        return nn.Dense(features)(x)

    def norm(self, x, train):
        return nn.BatchNorm(not train)(x)

    def dropout(self, x, train):
        return nn.Dropout(0.5, deterministic=not train)(x)

    def flatten(self, x, _):
        return x.reshape(len(x), -1)

    def mean(self, x, _):
        return x.mean((1, 2))

    def max(self, x, _, size, stride):
        return nn.max_pool(x, (size, size), (stride, stride))

    def wide(self, x, _, size, around):
        return nn.max_pool(x, (size, size), padding=((around, around), (around, around)))

    def avg(self, x, _, size, stride, same=0):
        return nn.avg_pool(x, (size, size), (stride, stride), "SAME" if same else "VALID")

    def quarter(self, x, _, most):
        return (ops.max_pool if most else ops.avg_pool)(x, 2)

    def standard(self, x, _):
        return (x - 0.25) / 0.5

    def relu(self, x, _):
        return nn.relu(x)

    def sigmoid(self, x, _):
        return nn.sigmoid(x)

    def tanh(self, x, _):
        return jnp.tanh(x)


def built(words) -> Built:
    return Built("; ".join(words))


class _Nnx(nnx.Module):
    def __init__(self, *, rngs: nnx.Rngs):
        self.conv = nnx.Conv(1, 4, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.dense = nnx.Linear(5 * 5 * 4, 3, rngs=rngs)

    def __call__(self, x, train=False):
        x = nnx.relu(self.norm(self.conv(x), use_running_average=not train))
        x = nnx.max_pool(x, (2, 2), (2, 2)).reshape(x.shape[0], -1)
        return self.dense(self.dropout(x, deterministic=not train))


CHAINS = {
    "book": (LeNet(), (28, 28, 1)),
    "book in bfloat16": (LeNet(precision="bfloat16"), (28, 28, 1)),
    "batch normalisation, by blocks": (BNLeNet("max", conv="matmul"), (28, 28, 1)),
    "of NNX": (nnx.bridge.ToLinen(_Nnx), (10, 10, 1)),
    "no layer but one": (built(("flatten", "dense 3")), (4, 4, 2)),
    "small": (
        built(("conv 8 3 1 1 1 1", "relu", "max 2 2", "flatten", "dropout", "dense 9", "dense 4")),
        (10, 9, 1),
    ),
    "normalised after": (
        built(("conv 4", "tanh", "norm", "quarter 0", "norm", "flatten", "norm", "dense 5")),
        (9, 8, 3),
    ),
    "groups, strides and dilation": (
        built(("standard", "conv 6 3 2", "sigmoid", "conv 12 3 1 2 3", "quarter 1", "relu", "mean"))
        , (12, 13, 2),
    ),
    "poolings that overlap": (
        built(("conv 3", "avg 3 1 1", "relu", "max 3 2", "dense 6", "mean", "norm", "dense 5")),
        (11, 11, 1),
    ),
}  # fmt: skip


def varied(model, shape):
    """Variables of a network, none of them what they begin as."""
    params, kept = jax.jit(lambda key: forward.init(model, key, shape))(jax.random.key(0))
    found = {"params": params, **kept}
    draws = np.random.default_rng(1)
    moved = jax.tree.map(lambda x: x + 0.2 * draws.uniform(size=x.shape).astype("f"), found)
    return moved if len(moved) > 1 else moved["params"]


SLOW = {"book in bfloat16", "normalised after", "poolings that overlap"}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(chain, id=name, marks=[pytest.mark.slow] * (name in SLOW))
        for name, chain in CHAINS.items()
    ],
)
def network(request):
    """A network, its parameters, its shape, images, and what its chain gives for them."""
    model, shape = request.param
    params, images = varied(model, shape), np.random.default_rng(0).random((5, *shape), np.float32)
    return model, params, shape, images, answers(chain(model, params, shape), images)


def answers(links, images):
    return np.asarray(jax.jit(lambda x: [*outputs(links, x)][-1])(images))


def apply(model, params, images):
    return jax.jit(lambda p, x: forward.apply(model, p, x))(params, images)


def test_a_chain_gives_what_its_network_gives(network):
    model, params, _, images, expected = network
    near = 0.1 if getattr(model, "precision", "") == "bfloat16" else 1e-5
    np.testing.assert_allclose(expected, apply(model, params, images), rtol=0, atol=near)


def test_onnx_runtime_gives_the_same(onnxruntime, network):
    model, params, shape, images, expected = network
    started = session(onnxruntime, export.to_onnx(model, params, shape))
    for size in (5, 1):
        (logits,) = started.run(None, {"images": nchw(images[:size])})
        np.testing.assert_allclose(logits, expected[:size], rtol=0, atol=2e-5)


def test_pytorch_gives_the_same_by_the_code_that_is_printed(torch, network):
    model, params, shape, images, expected = network
    net = eval(export.torch_code(model, params, shape), {"nn": torch.nn})
    content = export.to_torch_file(model, params, shape)
    net.load_state_dict(torch.load(io.BytesIO(content), weights_only=True))
    with torch.no_grad():
        logits = net(torch.from_numpy(nchw(images))).numpy()
    np.testing.assert_allclose(logits, expected, rtol=0, atol=2e-5)


def test_the_layers_of_the_book_s_network_are_those_that_it_shows():
    model, shape = CHAINS["book"]
    params, images = varied(model, shape), np.random.default_rng(0).random((3, *shape), np.float32)
    links = chain(model, params, shape)
    after = dict(zip((link.name for link in links), outputs(links, images), strict=True))
    for ours, theirs in (("activation1", "conv1"), ("pool2", "pool2"), ("dense3", "dense3")):
        shown = activations(model, params, images)[theirs]
        np.testing.assert_allclose(after[ours], shown, rtol=1e-6, atol=1e-6)


class Block(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.tanh(nn.Conv(2, (3, 3))(x))


class Nested(nn.Module):
    shared: bool = False

    @nn.compact
    def __call__(self, x):
        x = nn.Sequential([nn.Conv(2, (3, 3)), nn.BatchNorm(True), nn.relu], name="first")(x)
        x = Block(name="block")(x)
        last = nn.Conv(2, (3, 3), name="last")
        x = last(nn.sigmoid(last(x))) if self.shared else last(x)
        return nn.Dense(3)(x.mean((1, 2)))


def test_layers_with_weights_have_the_names_of_their_modules_unless_two_share_one():
    shape = (9, 8, 1)
    alone, shared = (
        [link.name for link in chain(model, varied(model, shape), shape)]
        for model in (Nested(), Nested(shared=True))
    )
    assert alone[::2] == ["Conv_0", "block/Conv_0", "last", "flatten1"]
    assert alone[1::2] == ["activation1", "activation2", "pool1", "Dense_0"]
    assert shared[::2] == ["conv1", "conv2", "conv3", "conv4", "flatten1"]
    assert shared[-1] == "dense1"


class Residual(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = x + nn.Conv(1, (3, 3))(x)
        return nn.Dense(3)(x.reshape(len(x), -1))


class Channels(nn.Module):
    """Features channel by channel: the order of another layout."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(x.transpose(0, 3, 1, 2).reshape(len(x), -1))


class Masked(nn.Module):
    """What depends on the place in an image is no number for a channel."""

    @nn.compact
    def __call__(self, x):
        x = x * self.param("mask", nn.initializers.normal(), x.shape[1:])[None]
        return nn.Dense(3)(x.reshape(len(x), -1))


class Swish(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(nn.silu(x).reshape(len(x), -1))


class Cropped(nn.Module):
    """More is left out than what fills no window."""

    @nn.compact
    def __call__(self, x):
        x = ops.max_pool(x[:, :4, :4], 2)
        return nn.Dense(3)(x.reshape(len(x), -1))


class Whole(nn.Module):
    """Whole numbers in between are other numbers."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)((x * 2).astype(jnp.uint8).astype(jnp.float32).reshape(len(x), -1))


class OfBatch(nn.Module):
    """What depends on the number of images."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(x.sum((1, 2)) / len(x))


class Negative(nn.Module):
    """Padding that takes away."""

    @nn.compact
    def __call__(self, x):
        return nn.Conv(3, (3, 3), padding=((-1, -1), (-1, 0)))(x).mean((1, 2))


class Barrier(nn.Module):
    @nn.compact
    def __call__(self, x):
        x, _ = jax.lax.optimization_barrier((x, jnp.ones(2)))
        return nn.Dense(3)(x.reshape(len(x), -1))


class Transposed(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.ConvTranspose(2, (3, 3), (2, 2))(x).mean((1, 2))


class Layered(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(nn.LayerNorm()(x.reshape(len(x), -1)))


OTHERS = [
    *(Residual(), Channels(), Masked(), Swish(), Cropped(), Whole(), OfBatch(), Negative()),
    *(Barrier(), Transposed(), Layered(), pytest.param(LeNet5(), marks=pytest.mark.slow)),
]


@pytest.mark.parametrize("model", OTHERS, ids=lambda model: type(model).__name__)
def test_what_is_no_chain_is_said_to_be_none(model):
    shape = (8, 8, 1)
    params = varied(model, shape)
    assert chain(model, params, shape) is None
    with pytest.raises(UsageError, match=f"{type(model).__name__}: not a chain of convolutions"):
        export.to_onnx(model, params, shape)


@pytest.mark.parametrize(
    ("words", "kept"), [("conv 2; flatten", False), ("conv 1; flatten", True), ("norm; mean", True)]
)
def test_maps_as_answers_have_another_order_elsewhere_and_are_refused(words, kept, onnxruntime):
    """But for those of one channel, and of one pixel."""
    model, shape = Built(words), (3, 3, 1)
    if kept:
        params, images = varied(model, shape), np.ones((2, *shape), np.float32)
        started = session(onnxruntime, export.to_onnx(model, params, shape))
        (logits,) = started.run(None, {"images": nchw(images)})
        expected = forward.apply(model, params, images)
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5)
        return
    with pytest.raises(UsageError, match=r"Built: ends with maps\. Let a dense layer be the last"):
        export.to_torch(model, varied(model, shape), shape)


def test_a_pooling_that_pads_more_than_half_its_window_is_not_for_pytorch():
    model, shape = Built("wide 3 2; mean; dense 2"), (6, 6, 1)
    with pytest.raises(UsageError, match=r"MaxPool2d pads by half its window of \(3, 3\)"):
        export.torch_code(model, varied(model, shape), shape)


def test_pytorch_is_not_given_what_it_cannot_pad(onnxruntime):
    model, shape = built(("uneven 2", "mean")), (6, 6, 1)
    params = varied(model, shape)
    with pytest.raises(UsageError, match=r"padding=\(\(0, 1\), \(2, 0\)\): PyTorch's Conv2d"):
        export.to_torch_file(model, params, shape)
    images = np.random.default_rng(0).random((2, *shape), np.float32)
    started = session(onnxruntime, export.to_onnx(model, params, shape))
    (logits,) = started.run(None, {"images": nchw(images)})
    np.testing.assert_allclose(logits, forward.apply(model, params, images), rtol=0, atol=1e-5)


MAPS = st.sampled_from(
    [
        "conv 4",
        "conv 2 1",
        "conv 4 3 1 2",
        "norm",
        "relu",
        "tanh",
        "quarter 0",
        "avg 2 1",
        "dense 2",
    ]
)
ROWS = st.sampled_from(["dense 3", "norm", "sigmoid", "dropout"])


@given(st.lists(MAPS, max_size=5), st.sampled_from(["flatten", "mean"]), st.lists(ROWS, max_size=3))
def test_any_order_of_known_layers_is_a_chain(maps, between, rows):
    assume(maps.count("quarter 0") + maps.count("avg 2 1") < 3)
    model, shape = built((*maps, between, *rows, "dense 2")), (9, 9, 2)
    params = varied(model, shape)
    images = np.random.default_rng(0).random((2, *shape), np.float32)
    links = chain(model, params, shape)
    logits = answers(links, images)
    np.testing.assert_allclose(logits, apply(model, params, images), rtol=1e-3, atol=1e-4)
    assert [link.shape for link in links][-1] == (2,)
