"""Run configuration: the settings of a network and of its training, each declared once.

Flags, `--help`, config.json and validation derive from the fields below. A field is either a
number, which the compiled program takes as an input, so that a new value compiles nothing; or a
choice, which shapes the program, as a number that is a switch does at 0. This module imports
neither jax nor NumPy, so `--help` is quick.

A network is a frozen dataclass: `LeNet` here, or any other with a method `build(num_classes)` that
returns a Flax module, or a Flax module with a field `num_classes`.
"""

import dataclasses
import difflib
import functools
from typing import Any

from lenet import settings
from lenet.errors import UsageError
from lenet.settings import choice, is_code, number


@dataclasses.dataclass(frozen=True)
class LeNet:
    """Settings of the chapter's network, which `lenet.model` builds."""

    activation: str = choice(
        "sigmoid",
        "activation function of every layer except the last",
        among=("sigmoid", "relu", "tanh"),
    )
    pool: str = choice("avg", "pooling in 2×2 windows: average or max", among=("avg", "max"))
    channels: tuple[int, ...] = choice((6, 16), "output channels of each convolution")
    kernel_size: int = choice(5, "height and width of the convolution kernels, in pixels")
    hidden: tuple[int, ...] = choice((120, 84), "units of each dense layer except the last")
    init: str = choice(
        "xavier_uniform",
        "weight initialisation",
        among=(
            "xavier_uniform",
            "xavier_normal",
            "he_uniform",
            "he_normal",
            "lecun_uniform",
            "lecun_normal",
            "orthogonal",
            "normal",
            "pytorch",
        ),
    )
    bias_init: str = choice(
        "pytorch",
        "bias initialisation: pytorch = U(±1/√fan_in), the book's default; or zeros",
        among=("pytorch", "zeros"),
    )
    conv: str = choice(
        "auto",
        "convolution: matrix product, XLA's, a C++ kernel on a CPU, or chosen by device",
        among=("auto", "matmul", "lax", "native"),
    )
    precision: str = choice(
        "float32",
        "compute precision (parameters stay float32); tensorfloat32: NVIDIA GPUs only",
        among=("float32", "tensorfloat32", "bfloat16"),
    )


@dataclasses.dataclass(frozen=True)
class BNLeNet:
    """Settings of the book's LeNet with batch normalisation, `lenet.networks.BNLeNet`."""

    pool: str = choice("avg", "pooling in 2×2 windows: average or max", among=("avg", "max"))


@dataclasses.dataclass(frozen=True)
class LeNet5:
    """Settings of LeNet-5 of 1998, `lenet.networks.LeNet5`: changes towards the book's LeNet."""

    output: str = choice(
        "rbf", "outputs: radial basis functions or a dense layer", among=("rbf", "dense")
    )
    connections: str = choice(
        "partial", "feature maps of S2 that C3 sees: some or all", among=("partial", "full")
    )
    pool: str = choice(
        "subsampling", "pooling: trainable subsampling or the average", among=("subsampling", "avg")
    )
    squashing: str = choice(
        "scaled_tanh",
        "activation: 1.7159 tanh(2x/3), tanh or sigmoid",
        among=("scaled_tanh", "tanh", "sigmoid"),
    )
    pixels: str = choice(
        "scaled", "pixels: from -0.1 to 1.175, or plain from 0 to 1", among=("scaled", "plain")
    )
    weights: str = choice(
        "1998", "initial weights: the paper's or the book's", among=("1998", "book")
    )


OWN = {"lenet": LeNet, "bn_lenet": BNLeNet, "lenet5_1998": LeNet5}
"""The project's networks by name; that of another one is MODULE:CLASS."""


SEEDS = 2**31
"""Seeds are below it."""

MOST_PARTS = 64
"""A batch is cut into at most so many parts."""


@dataclasses.dataclass(frozen=True, init=False)
class Config:
    """Settings of one run. The defaults are the book's own run, the preset `book`.

    `network` may be a name of OWN. The settings of the network can be given and read as if they
    were its own. NumPy scalars become Python numbers, and lists become tuples. `check` validates
    the values.

    >>> config = Config(epochs=3, channels=[6, 16])
    >>> config.network.channels == config.channels == (6, 16)
    True
    """

    network: Any = dataclasses.field(default=LeNet(), metadata={"kind": "network"})

    # The optimisation
    optimizer: Any = choice(  # noqa: RUF009  a word or a function
        "sgd",
        "update rule; adam's momentum and the others' constants are those of its paper",
        among=("sgd", "adam", "adamw", "lion"),
        code=True,
    )
    lr: float = number(0.9, "learning rate", low=0, open_=True)
    epochs: int = number(10, "number of epochs", low=1, high=1_000_000)
    batch_size: int = choice(256, "examples per minibatch; an epoch's last one may have fewer")
    parts: int = choice(
        2, "parts of a minibatch, for as many cores (default: the machine's, 2, 4 or 8)"
    )
    momentum: float = number(0.0, "momentum of sgd, from 0 to below 1", low=0, high=1)
    nesterov: bool = choice(False, "Nesterov momentum; needs momentum above 0")
    weight_decay: float = number(
        0.0,
        "adds this times the weights to the gradient (adamw, lion: to the update)",
        low=0,
    )
    average: float = number(
        0.0,
        "decay of a moving average of the weights, evaluated beside them; 0: none",
        low=0,
        high=1,
        switch=True,
    )
    clip: float = number(
        0.0, "largest norm of the gradient, which is scaled to it; 0: any", low=0, switch=True
    )
    schedule: str = choice(
        "constant",
        "learning-rate schedule: constant, or decay to zero",
        among=("constant", "linear", "cosine"),
    )
    warmup: float = number(0.0, "epochs of linear warmup of the learning rate from 0", low=0)
    order: str = choice(
        "examples",
        "shuffle examples, or fixed batches (as the book's TensorFlow code does)",
        among=("examples", "batches"),
    )
    short_batch: str = choice(
        "last",
        "an epoch's short batch: last, first, dropped, or last and weighed by its size",
        among=("last", "first", "drop", "scale"),
    )
    augment: str = choice(
        "",
        "random changes of training images, such as shift:2,flip,erase:8 (pixels)",
    )
    seed: int = number(0, "seed for initial weights and shuffling", low=0, high=SEEDS)
    order_seed: int = number(-1, "seed for shuffling; -1 uses seed", low=-1, high=SEEDS)

    # The data
    dataset: str = choice("fashion_mnist", "fashion_mnist, mnist, kmnist, synthetic or your own")
    valid: int = choice(0, "training examples held out for validation", low=0)

    def __init__(self, network: Any = LeNet(), **values: Any) -> None:
        if isinstance(network, str):
            if network not in OWN:
                raise UsageError(f"network={network!a:.60}: must be one of {', '.join(OWN)}")
            network = OWN[network]()
        known = [field.name for field in fields(network=network)]
        for name in values:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                guess = f"Did you mean {close[0]}?" if close else f"Settings: {', '.join(known)}"
                raise UsageError(f"unknown setting: {ascii(name)[1:-1]}. {guess}")
        object.__setattr__(self, "network", settings.changed(network, values))
        for field in _TRAINING:
            value = settings.plain(values.get(field.name, field.default), field.default)
            object.__setattr__(self, field.name, value)

    def __getattr__(self, name: str) -> Any:
        network = self.__dict__.get("network")
        if network is None or name not in {field.name for field in settings.of(network)}:
            raise AttributeError(f"{type(self).__name__} has no setting {name}")
        return getattr(network, name)


_TRAINING = [field for field in dataclasses.fields(Config) if field.name != "network"]

PRESETS: dict[str, dict[str, Any]] = {
    "book": {},
    "book-en": {"lr": 0.1, "batch_size": 128},
    "modern": {"activation": "relu", "pool": "max", "lr": 0.1},
    "book-bn": {"network": "bn_lenet", "lr": 1.0},
}
"""Named settings that differ from the defaults, and a name of OWN where it is another network."""


def fields(kind: str | None = None, network: Any = LeNet()) -> list[dataclasses.Field]:
    """Return the settings of a network and its training, or those of one kind.

    Args:
      kind: "number", an input of the program, or "choice", as all settings of a network are; None:
        both.
      network: whose settings come first.

    Raises:
      UsageError: naming a setting that both have.
    """
    own, training = settings.of(network), _TRAINING
    if both := {field.name for field in own} & {field.name for field in training}:
        name = sorted(both)[0]
        raise UsageError(
            f"{type(network).__name__}.{name}: training has a setting of this name, too. Rename it"
        )
    numbers = [field for field in training if field.metadata["kind"] == "number"]
    if kind == "number":
        return numbers
    return [field for field in (*own, *training) if kind is None or field not in numbers]


def check(config: Config) -> Config:
    """Return `config` if all its values are valid.

    Raises:
      UsageError: naming the field, the value and the limit, such as "lr=-1.0: must be above 0".
    """
    for field in fields(network=config.network):
        settings.check(field, getattr(config, field.name))
    if config.optimizer != "sgd" and (config.momentum or config.nesterov):
        given = f"momentum={config.momentum:g}" if config.momentum else "nesterov=true"
        raise UsageError(f"{given}: is of optimizer=sgd; {word(config.optimizer)} has its own")
    if is_code(config.optimizer) and config.weight_decay:
        raise UsageError(
            f"weight_decay={config.weight_decay:g}: optimizer={word(config.optimizer)} makes the "
            "whole update; decay the weights there"
        )
    own = isinstance(config.network, LeNet)
    if own and config.conv == "native" and config.precision == "bfloat16":
        raise UsageError(
            "precision=bfloat16: conv=native computes in float32; use conv=matmul or conv=lax"
        )
    if config.short_batch in ("first", "drop") and config.order == "batches":
        raise UsageError(
            f"short_batch={config.short_batch}: order=batches puts it anywhere. Use order=examples"
        )
    augmentations(config.augment)
    if config.parts > MOST_PARTS or config.parts & (config.parts - 1):
        powers = ", ".join(str(2**n) for n in range(MOST_PARTS.bit_length() - 1))
        raise UsageError(f"parts={config.parts}: must be one of {powers} or {MOST_PARTS}")
    if config.nesterov and config.momentum == 0:
        raise UsageError("nesterov=true: needs momentum above 0, such as momentum=0.9")
    if config.warmup >= config.epochs and config.warmup > 0:
        raise UsageError(f"warmup={config.warmup:g}: must be below epochs={config.epochs}")
    return config


def to_dict(config: Config) -> dict[str, Any]:
    """Return the settings as values that JSON can represent; LeNet goes without saying."""
    named = {} if isinstance(config.network, LeNet) else {"network": name_of(config.network)}
    return named | {
        field.name: list(value) if isinstance(value, tuple) else word(value)
        for field in fields(network=config.network)
        for value in [getattr(config, field.name)]
    }


def from_dict(values: dict[str, Any], network: Any = None, optimizer: Any = None) -> Config:
    """Return the checked Config that `to_dict` wrote.

    Args:
      values: by name.
      network: the network that they are of, whose own settings do not matter. Without it another
        network than those of OWN can be read, but not built: a record names no code to import.
      optimizer: the function that the record names, if it names one. Without it the settings can
        be read, but not trained with.

    Raises:
      UsageError: for unknown names, invalid values, and the values of another network.
    """
    if not isinstance(values, dict):
        raise UsageError(f"settings: expected names with values, found {type(values).__name__}")
    values = dict(values)
    name = values.pop("network", None)
    if network is None:
        own = OWN.get(str(name or "lenet"))
        network = _recorded(name, values) if own is None else own()
    elif (found := name_of(network).rpartition(":")[2]) != str(name or "lenet").rpartition(":")[2]:
        raise UsageError(f"network={found}: the record is of {name or 'lenet'}")
    if callable(optimizer):
        found, recorded = name_of(optimizer), str(values.get("optimizer"))
        if found.rpartition(":")[2] != recorded.rpartition(":")[2]:
            raise UsageError(f"optimizer={found}: the record is of {recorded}")
        values["optimizer"] = optimizer
    known = {field.name for field in fields(network=network)}
    if unknown := sorted(set(values) - known):
        raise UsageError(f"unknown setting: {ascii(', '.join(unknown))[1:-1]}")
    return check(Config(network, **values))


AUGMENTATIONS = {"shift": 2, "flip": None, "erase": 8}
"""Pixels of each where none are given; None: it takes none."""


def augmentations(text: str) -> list[tuple[str, int]]:
    """Return the changes that `augment` lists, with their pixels.

    Raises:
      UsageError: naming one that is unknown, or pixels that cannot be.

    >>> augmentations("shift:1,flip")
    [('shift', 1), ('flip', 0)]
    """
    found = []
    for each in filter(None, text.split(",")):
        name, colon, pixels = each.partition(":")
        usual = AUGMENTATIONS.get(name, 0)
        if name not in AUGMENTATIONS or (colon and usual is None):
            raise UsageError(f"augment={each!a:.40}: expected shift:PIXELS, flip or erase:PIXELS")
        if colon and not (pixels.isdecimal() and 1 <= int(pixels[:9]) <= 1024):
            raise UsageError(f"augment={each!a:.40}: pixels must be from 1 to 1,024")
        found.append((name, int(pixels) if colon else usual or 0))
    return found


def replace(config: Config, **values: Any) -> Config:
    """Return a config with other values; `dataclasses.replace` without its types."""
    return Config(**{**vars(config), **values})


def different(one: Config, other: Config) -> str:
    """Return the first setting that two runs differ in, or nothing: "lr=0.1, not 0.9".

    Of a network and an optimizer the name counts, and not where it is imported from.
    """
    both: list[dict[str, Any]] = [{"network": "lenet"} | to_dict(config) for config in (one, other)]
    for each in both:
        each |= {code: each[code].rpartition(":")[2] for code in ("network", "optimizer")}
    a, b = both
    for name in (*a, *b):
        if a.get(name) != b.get(name):
            return f"{name}={written(a.get(name))}, not {written(b.get(name))}"
    return ""


def written(value: Any) -> str:
    """Return the value of a setting as one writes it on the command line.

    >>> written((6, 16)), written(True), written(0.1), written(0.123456789)
    ('6,16', 'true', '0.1', '0.123456789')
    """
    if isinstance(value, tuple | list):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    if callable(value):
        return name_of(value)
    short = f"{value:g}" if isinstance(value, float) else ""
    return short if short and float(short) == value else str(value)


def flags(config: Config) -> list[str]:
    """Return the flags of `experiments.train` that give a run these settings on any machine.

    Settings at their defaults are left out, except `parts`, whose default is the machine's, and
    those of a network of the user's, of which a record does not hold the defaults.

    >>> flags(Config(pool="max", lr=0.1)), flags(Config("bn_lenet", seed=3))
    (['--pool=max', '--lr=0.1', '--parts=2'], ['--network=bn_lenet', '--parts=2', '--seed=3'])
    """
    network = [] if isinstance(config.network, LeNet) else [f"--network={name_of(config.network)}"]
    fixed = [] if type(config.network) in OWN.values() else settings.of(config.network)
    whole = {"parts", *(field.name for field in fixed)}
    return network + [
        f"--{field.name}={written(value)}"
        for field in fields(network=config.network)
        for value in [getattr(config, field.name)]
        if field.name in whole or value != field.default
    ]


def name_of(code: Any) -> str:
    """Return the name of a network or a function, as --network and --optimizer take it.

    >>> name_of(LeNet()), name_of(check)
    ('lenet', 'lenet.config:check')
    """
    for name, own in OWN.items():
        if type(code) is own:
            return name
    named = code if hasattr(code, "__qualname__") else type(code)
    return f"{named.__module__}:{named.__qualname__}"


def word(value: Any) -> Any:
    """Return the name of a function; other values are what a record holds."""
    return name_of(value) if callable(value) else value


def _recorded(name: Any, values: dict[str, Any]) -> Any:
    """Return a network that has a name and settings, and cannot be built."""
    own = {key: value for key, value in values.items() if key not in {f.name for f in _TRAINING}}
    zeros = tuple((key, (0,) if type(own[key]) is list else type(own[key])()) for key in own)
    try:
        return _class_of(str(name), zeros)()
    except (TypeError, ValueError) as error:
        raise UsageError(f"network={ascii(name)[:60]}: {error}") from None


@functools.cache
def _class_of(name: str, zeros: tuple[tuple[str, Any], ...]) -> type:
    """Return a dataclass of that name, the same for the same fields: configs compare."""
    module, _, qualified = name.rpartition(":")
    made = dataclasses.make_dataclass(
        qualified, [(key, type(zero), zero) for key, zero in zeros], frozen=True
    )
    made.__module__ = module
    return made
