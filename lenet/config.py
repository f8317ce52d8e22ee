"""Run configuration. Each setting is declared once, in `Config`.

Flags, `--help`, config.json and validation derive from the fields below. A field is either a
number, which the compiled program takes as an input, so that a new value compiles nothing; or a
choice, which shapes the program. This module imports neither jax nor NumPy, so `--help` is quick.
"""

import dataclasses
import math
from typing import Any

from lenet.errors import UsageError


def _number(
    default: float, doc: str, *, low: float, open_: bool = False, high: float = math.inf
) -> Any:
    """Declare an input of the compiled program, within [low, high), or (low, high) if `open_`."""
    meta = {"doc": doc, "kind": "number", "low": low, "open": open_, "high": high}
    return dataclasses.field(default=default, metadata=meta)


def _choice(default: Any, doc: str, *, among: tuple[str, ...] = (), low: int = 1) -> Any:
    """Declare a field that shapes the program: one of `among`, or sizes of at least `low`."""
    meta = {"doc": doc, "kind": "choice", "among": among, "low": low}
    return dataclasses.field(default=default, metadata=meta)


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of one run. The defaults are the book's own run, the preset `book`.

    NumPy scalars become Python numbers, and lists become tuples. `check` validates the values.

    >>> Config(epochs=3, channels=[6, 16]).channels
    (6, 16)
    """

    # The network
    activation: str = _choice(
        "sigmoid",
        "activation function of every layer except the last",
        among=("sigmoid", "relu", "tanh"),
    )
    pool: str = _choice("avg", "pooling in 2×2 windows: average or max", among=("avg", "max"))
    channels: tuple[int, ...] = _choice((6, 16), "output channels of each convolution")
    kernel_size: int = _choice(5, "height and width of the convolution kernels, in pixels")
    hidden: tuple[int, ...] = _choice((120, 84), "units of each dense layer except the last")
    init: str = _choice(
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
    bias_init: str = _choice(
        "pytorch",
        "bias initialisation: pytorch = U(±1/√fan_in), the book's default; or zeros",
        among=("pytorch", "zeros"),
    )
    conv: str = _choice(
        "auto",
        "convolution algorithm: matrix product, XLA's convolution, or chosen by device",
        among=("auto", "matmul", "lax"),
    )
    precision: str = _choice(
        "float32",
        "compute precision (parameters stay float32); tensorfloat32: NVIDIA GPUs only",
        among=("float32", "tensorfloat32", "bfloat16"),
    )

    # The optimisation
    lr: float = _number(0.9, "learning rate", low=0, open_=True)
    epochs: int = _number(10, "number of epochs", low=1, high=1_000_000)
    batch_size: int = _choice(256, "examples per minibatch; an epoch's last one may have fewer")
    momentum: float = _number(0.0, "momentum, from 0 to below 1", low=0, high=1)
    nesterov: bool = _choice(False, "Nesterov momentum; needs momentum above 0")
    weight_decay: float = _number(
        0.0, "L2 penalty: adds this times the weights to the gradient", low=0
    )
    schedule: str = _choice(
        "constant",
        "learning-rate schedule: constant, or decay to zero",
        among=("constant", "linear", "cosine"),
    )
    warmup: float = _number(0.0, "epochs of linear warmup of the learning rate from 0", low=0)
    order: str = _choice(
        "examples",
        "shuffle examples, or fixed batches (as the book's TensorFlow code does)",
        among=("examples", "batches"),
    )
    seed: int = _number(0, "seed for initial weights and shuffling", low=0, high=2**31)
    order_seed: int = _number(-1, "seed for shuffling; -1 uses seed", low=-1, high=2**31)

    # The data
    dataset: str = _choice("fashion_mnist", "fashion_mnist, mnist, kmnist, synthetic or your own")
    valid: int = _choice(0, "training examples held out for validation", low=0)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = _plain(getattr(self, field.name), field.default)
            if type(field.default) is float and type(value) is int:
                value = _float(value)  # lr=1 is lr=1.0, and so the same compiled program
            object.__setattr__(self, field.name, value)


def _plain(value: Any, default: Any) -> Any:
    """Convert a NumPy scalar to a Python number, and what lists sizes to a tuple of them."""
    # NumPy by name, without importing it; the arrays [R] and tracers of a sweep stay what they are.
    if type(value).__module__ == "numpy" and value.ndim == 0:
        return value.item()
    if isinstance(default, tuple) and hasattr(value, "__iter__") and not isinstance(value, str):
        return tuple(_plain(size, 0) for size in value)
    return value


def _float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer beyond every float, which `check` refuses as infinite
        return math.inf


_SMALLEST, _LARGEST = 2.0**-126, (2 - 2.0**-23) * 2.0**127
"""The normal numbers of float32, with which a network trains: smaller ones are 0 to XLA."""

PRESETS: dict[str, dict[str, Any]] = {
    "book": {},
    "book-en": {"lr": 0.1, "batch_size": 128},
    "modern": {"activation": "relu", "pool": "max", "lr": 0.1},
}
"""Named settings that differ from the defaults."""


def fields(kind: str | None = None) -> list[dataclasses.Field]:
    """Return Config's fields in order, or only those of one kind: "number" or "choice"."""
    return [f for f in dataclasses.fields(Config) if kind in (None, f.metadata["kind"])]


def check(config: Config) -> Config:
    """Return `config` if all its values are valid.

    Raises:
      UsageError: naming the field, the value and the limit, such as "lr=-1.0: must be above 0".
    """
    for field in fields():
        value, meta = getattr(config, field.name), field.metadata
        _check_type(field, value)
        if meta["kind"] == "number":
            _check_number(field, value)
        elif meta["among"] and value not in meta["among"]:
            known = ", ".join(meta["among"])
            raise UsageError(f"{field.name}={_shown(value)}: must be one of {known}")
        elif isinstance(value, tuple | int) and not isinstance(value, bool):
            _check_sizes(field, value)
    if config.nesterov and config.momentum == 0:
        raise UsageError("nesterov=true: needs momentum above 0, such as momentum=0.9")
    if config.warmup >= config.epochs and config.warmup > 0:
        raise UsageError(f"warmup={config.warmup:g}: must be below epochs={config.epochs}")
    return config


def _check_type(field: dataclasses.Field, value: Any) -> None:
    """Raise a UsageError unless a value has the type of the field's default."""
    right = type(value) is type(field.default)
    if right and isinstance(value, tuple):
        right = all(type(size) is int for size in value)
    if right and isinstance(value, str) and not field.metadata["among"]:
        right = value.isprintable()
    if not right:
        default = field.default
        example = ",".join(map(str, default)) if isinstance(default, tuple) else default
        raise UsageError(f"{field.name}={_shown(value)}: expected a value like {example}")


def _shown(value: Any) -> str:
    """Return a value as part of a one-line message."""
    return (value if isinstance(value, str) and value.isprintable() else repr(value))[:60]


def _check_number(field: dataclasses.Field, value: float) -> None:
    low, high, open_ = field.metadata["low"], field.metadata["high"], field.metadata["open"]
    if not math.isfinite(value):
        raise UsageError(f"{field.name}={value}: must be a finite number")
    if value < low or (open_ and value == low) or value >= high:
        limit = f"{'above' if open_ else 'at least'} {low:g}"
        below = f" and below {high:g}" if math.isfinite(high) else ""
        raise UsageError(f"{field.name}={value}: must be {limit}{below}")
    if value != 0 and not _SMALLEST <= abs(value) <= _LARGEST:
        raise UsageError(
            f"{field.name}={value}: float32 has no such number; must be 0, or from {_SMALLEST:.2g} "
            f"to {_LARGEST:.2g}"
        )


def _check_sizes(field: dataclasses.Field, value: int | tuple[int, ...]) -> None:
    low, limit = field.metadata["low"], 1 << 20
    sizes = value if isinstance(value, tuple) else (value,)
    shown = ",".join(map(str, sizes))
    if field.name == "channels" and not sizes:
        raise UsageError("channels=: must have at least one convolution, such as channels=6,16")
    if any(size < low or size > limit for size in sizes):
        raise UsageError(f"{field.name}={shown}: must be at least {low} and at most {limit:,}")


def to_dict(config: Config) -> dict[str, Any]:
    """Return the fields as values that JSON can represent."""
    return {
        f.name: list(v) if isinstance(v := getattr(config, f.name), tuple) else v for f in fields()
    }


def from_dict(values: dict[str, Any]) -> Config:
    """Return the checked Config that `to_dict` wrote.

    Raises:
      UsageError: for unknown names and invalid values.
    """
    if not isinstance(values, dict):
        raise UsageError(f"settings: expected names with values, found {type(values).__name__}")
    known = {f.name for f in fields()}
    if unknown := sorted(set(values) - known):
        raise UsageError(f"unknown setting: {ascii(', '.join(unknown))[1:-1]}")
    return check(Config(**values))
