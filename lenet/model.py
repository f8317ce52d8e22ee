"""LeNet, after LeCun et al. (1998) as the chapter has it: two convolutions, three dense layers."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array
from jaxtyping import Float, Num

from lenet import config as config_module
from lenet import networks
from lenet.config import Config
from lenet.errors import UsageError, code_of_others
from lenet.networks.layers import (
    BIAS_INITIALIZERS,
    KERNEL_INITIALIZERS,
    POOLS,
    WINDOW,
    Conv2D,
    Dense,
    OfForms,
)
from lenet.ops import blocks, compiled
from lenet.ops.shapes import Padding, Size, check_axes, output_shape, same_padding

__all__ = [
    "ACTIVATIONS",
    "BIAS_INITIALIZERS",
    "FORMS",
    "KERNEL_INITIALIZERS",
    "POOLS",
    "PRECISIONS",
    "WINDOW",
    "Conv2D",
    "Dense",
    "LeNet",
    "feature_maps",
    "lenet_of",
    "network",
]

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "sigmoid": nn.sigmoid,
    "relu": nn.relu,
    "tanh": nn.tanh,
}

FORMS = ("matmul", "lax", "native")
"""How a convolution is computed: `blocks.conv2d`, `ops.conv2d` or `native.conv2d`. Parameters are
the same."""

PRECISIONS = ("float32", "tensorfloat32", "bfloat16")
"""Of products: exact float32, TF32 where a GPU has it, or bfloat16 for the activations, too."""


class LeNet(OfForms, nn.Module):
    """Convolution, activation and 2×2 pooling, repeated; then dense layers; logits come out.

    The first convolution is padded so that it keeps the size of its input, the others are not. With
    the defaults this is the chapter's network: 61,706 parameters on images of 28×28×1.

    Attributes:
      activation: a key of `ACTIVATIONS`.
      pool: "avg" or "max".
      channels: output channels of each convolution.
      kernel_size: side of the convolution window.
      hidden: widths of the dense layers before the last.
      num_classes: K.
      kernel_init: a key of `KERNEL_INITIALIZERS`.
      bias_init: a key of `BIAS_INITIALIZERS`; the book's is PyTorch's default.
      conv: a member of `FORMS`; both have the same parameters and, to rounding, the same result.
      precision: a member of `PRECISIONS`. Parameters and logits are float32 always; for
        "float32" and "tensorfloat32", products are what `jax.default_matmul_precision` says.

    >>> images = jnp.zeros((2, 28, 28, 1))
    >>> params = LeNet().init(jax.random.key(0), images)["params"]
    >>> LeNet().apply({"params": params}, images).shape
    (2, 10)
    >>> sum(p.size for p in jax.tree.leaves(params))
    61706
    """

    activation: str = "sigmoid"
    pool: str = "avg"
    channels: tuple[int, ...] = (6, 16)
    kernel_size: int = 5
    hidden: tuple[int, ...] = (120, 84)
    num_classes: int = 10
    kernel_init: str = "xavier_uniform"
    bias_init: str = "pytorch"
    conv: str = "matmul"
    precision: str = "float32"

    @property
    def matmul_precision(self) -> str:
        """What `jax.default_matmul_precision` takes."""
        return "highest" if self.precision == "float32" else "tensorfloat32"

    @nn.compact
    def __call__(self, images: Num[Array | np.ndarray, "B H W C"]) -> Float[Array, "B K"]:
        """Return the logits of images; raise a ValueError if a layer does not fit them."""
        _check_settings(self)
        window = ("kernel", (self.kernel_size,) * 2, "kh kw")
        check_axes(("images", images.shape, "B H W C"), window)
        maps = feature_maps(self, images.shape[1:3])
        dtype = jnp.bfloat16 if self.precision == "bfloat16" else jnp.float32
        x = jnp.asarray(images).astype(dtype)
        x = self._on_images(x, maps) if self.conv == "lax" else self._on_blocks(x, maps)
        return x.astype(jnp.float32)

    def _on_images(self, x: Array, maps: list[tuple[Size, Size]]) -> Array:
        pool, activation = POOLS[self.pool], ACTIVATIONS[self.activation]
        for i in range(len(maps)):
            padding = same_padding(self.kernel_size) if i == 0 else 0
            x = activation(self._convolution(i, padding)(x))
            self._keep(f"conv{i + 1}", x)
            x = pool(x, WINDOW)
            self._keep(f"pool{i + 1}", x)
        x = x.reshape(x.shape[0], -1)
        for i, units in enumerate((*self.hidden, self.num_classes), start=1):
            x = self._dense(i, units)(x)
            x = activation(x) if i <= len(self.hidden) else x
            self._keep(f"dense{i}", x)
        return x

    def _on_blocks(self, x: Array, maps: list[tuple[Size, Size]]) -> Array:
        # Blocks of 4×4 outputs pool to the blocks of 2×2 that the next layer starts from. The
        # direct kernel maps pixels, blocks of 1×1, to the blocks of 2×2 that pool to pixels.
        sides = [WINDOW ** min(len(maps) - i, 2) for i in range(len(maps))]
        if self.conv == "native":
            sides = [1] * len(maps)
        activation = ACTIVATIONS[self.activation]
        x = blocks.split(x, sides[0], same_padding(self.kernel_size))
        for i in range(len(maps)):
            if x.shape[0] < min(sides[i], WINDOW):
                x = blocks.split(blocks.merge(x, maps[i - 1][1]), sides[i])
            x = self._convolution(i)(x)
            self._keep(f"conv{i + 1}", activation(x), maps[i][0])
            x = blocks.activate_and_pool(x, activation, WINDOW, self.pool)
            self._keep(f"pool{i + 1}", x, maps[i][1])
        grid = maps[-1][1]
        x = x[0, 0, :, : grid[0], : grid[1]].reshape(-1, x.shape[-1])
        for i, units in enumerate(self.hidden, start=1):
            x = activation(self._dense(i, units, grid)(x))
            self._keep(f"dense{i}", x.T)
            grid = (1, 1)
        x = self._dense(len(self.hidden) + 1, self.num_classes, grid)(x).T
        self._keep(f"dense{len(self.hidden) + 1}", x)
        return x

    def _keep(self, layer: str, x: Array, size: Size | None = None) -> None:
        # For `lenet.activations`: blocks as images of a size. Where nobody asks for it, of no
        # effect, and compiled of no cost.
        if self.is_mutable_collection("activations") and not self.is_initializing():
            self.sow("activations", f"{layer}_out", x if size is None else blocks.merge(x, size))

    def _convolution(self, i: int, padding: Padding = 0) -> Conv2D:
        return Conv2D(
            features=self.channels[i],
            kernel_size=self.kernel_size,
            padding=padding,
            kernel_init=KERNEL_INITIALIZERS[self.kernel_init],
            bias_init=BIAS_INITIALIZERS[self.bias_init],
            form=self.conv,
            name=f"conv{i + 1}",
        )

    def _dense(self, i: int, units: int, grid: Size = (1, 1)) -> Dense:
        return Dense(
            features=units,
            grid=grid,
            kernel_init=KERNEL_INITIALIZERS[self.kernel_init],
            bias_init=BIAS_INITIALIZERS[self.bias_init],
            form=self.conv,
            name=f"dense{i}",
        )


def _check_settings(model: LeNet) -> None:
    """Raise a ValueError that names the setting, its value and what it may be."""
    choices: tuple[tuple[str, Iterable[str]], ...] = (
        ("activation", ACTIVATIONS),
        ("pool", POOLS),
        ("kernel_init", KERNEL_INITIALIZERS),
        ("bias_init", BIAS_INITIALIZERS),
        ("conv", FORMS),
        ("precision", PRECISIONS),
    )
    for name, among in choices:
        if getattr(model, name) not in among:
            value = getattr(model, name)
            raise ValueError(f"{name}={value!r}: must be one of {', '.join(among)}")
    sizes = (*model.channels, *model.hidden, model.kernel_size, model.num_classes)
    if not model.channels or min(sizes) < 1:
        raise ValueError(f"every size must be at least 1, with at least one convolution: {model}")


def lenet_of(model: nn.Module, what: str) -> LeNet:
    """Return a network that is a LeNet.

    Raises:
      UsageError: if it is another one; `what` begins the message.
    """
    if not isinstance(model, LeNet):
        raise UsageError(f"{what}: knows the layers of LeNet, not those of {type(model).__name__}")
    return model


def feature_maps(model: LeNet, size: Sequence[int]) -> list[tuple[Size, Size]]:
    """Return (H, W) after each convolution and after its pooling, for images of `size`.

    Raises:
      ValueError: naming the layer that images of this size do not reach.

    >>> feature_maps(LeNet(), (28, 28))
    [((28, 28), (14, 14)), ((10, 10), (5, 5))]
    """
    maps: list[tuple[Size, Size]] = []
    start = (int(size[0]), int(size[1]))
    for i in range(len(model.channels)):
        before = maps[-1][1] if maps else start
        try:
            padding = same_padding(model.kernel_size) if i == 0 else 0
            convolved = output_shape(before, model.kernel_size, padding=padding)
            maps.append((convolved, output_shape(convolved, WINDOW, stride=WINDOW)))
        except ValueError as error:
            raise ValueError(
                f"images of {start[0]}x{start[1]} are too small for conv{i + 1} and its pooling "
                f"with kernel_size={model.kernel_size}: {error}"
            ) from None
    return maps


def network(config: Config, num_classes: int) -> nn.Module:
    """Return the module of the network that `config` names, for this process's device.

    Raises:
      UsageError: if that cannot be built.
    """
    if isinstance(config.network, config_module.LeNet):
        return _lenet(config, num_classes)
    if isinstance(config.network, config_module.BNLeNet):
        return networks.BNLeNet(config.network.pool, num_classes, _form())
    if isinstance(config.network, config_module.LeNet5):
        return networks.LeNet5(num_classes, **dataclasses.asdict(config.network), conv=_form())
    name = config_module.name_of(config.network)
    _check_hashable(name, config.network)
    if isinstance(config.network, nn.Module):
        counts = "num_classes" in {field.name for field in dataclasses.fields(config.network)}
        counted: dict[str, Any] = {"num_classes": num_classes} if counts else {}
        return config.network.clone(**counted)
    build = getattr(config.network, "build", None)
    if build is None:
        raise UsageError(
            f"{name}: give the network again (--network={name}; in Python "
            '"network=..."): a record names no code to import. A network is a Flax module, or a '
            "dataclass with build(num_classes)"
        )
    with code_of_others(f"network={name}: build({num_classes}) failed"):
        found = build(num_classes)
    if not isinstance(found, nn.Module):
        raise UsageError(
            f"network={name}: build() returned {type(found).__name__}, expected a Flax module; "
            "wrap one of NNX: flax.nnx.bridge.ToLinen(Net, kwargs=FrozenDict(...))"
        )
    _check_hashable(name, found)
    return found


def _check_hashable(name: str, network: Any) -> None:
    """Raise a UsageError unless a network can be the key of its compiled programs."""
    try:
        hash(network)
    except TypeError:
        raise UsageError(
            f"network={name}: cannot be hashed, which the cache of its programs needs. Use tuples "
            "in place of lists, flax.core.FrozenDict in place of dicts"
        ) from None


def _form() -> str:
    """Return the form that `auto` stands for on this process's device."""
    # Inside a loop XLA's convolution is slow on a CPU; on a GPU it is what cannot be captured in a
    # graph. A TPU's matrix unit is made for it.
    return "lax" if jax.default_backend() == "tpu" else "matmul"


def _lenet(config: Config, num_classes: int) -> LeNet:
    form = _form() if config.conv == "auto" else config.conv
    if form == "native" and compiled.missing():
        form = "matmul"  # to use a network that is trained; `train.check` refuses to train one
    return LeNet(
        activation=config.activation,
        pool=config.pool,
        channels=config.channels,
        kernel_size=config.kernel_size,
        hidden=config.hidden,
        num_classes=num_classes,
        kernel_init=config.init,
        bias_init=config.bias_init,
        conv=form,
        precision=config.precision,
    )
