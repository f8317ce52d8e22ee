"""What determines a run, besides the data: one Config, declared once.

Flags, `--help`, config.json and the checks all come from the fields below. A field is either a
number, which a compiled program takes as input, so that another value compiles nothing; or a
choice, which shapes the program. This module needs no jax, so that `--help` is quick.
"""

import dataclasses
import math
from typing import Any

from lenet.errors import UsageError


def _number(
    default: float, doc: str, *, low: float, open_: bool = False, high: float = math.inf
) -> Any:
    """A field that a compiled program takes as input, within [low, high), or (low, high)."""
    meta = {"doc": doc, "kind": "number", "low": low, "open": open_, "high": high}
    return dataclasses.field(default=default, metadata=meta)


def _choice(default: Any, doc: str, *, among: tuple[str, ...] = (), low: int = 1) -> Any:
    """A field that shapes the program: one of `among`, or sizes of at least `low`."""
    meta = {"doc": doc, "kind": "choice", "among": among, "low": low}
    return dataclasses.field(default=default, metadata=meta)


@dataclasses.dataclass(frozen=True)
class Config:
    """A run of training. The defaults are the chapter's own run, the preset `book`."""

    # The network
    activation: str = _choice(
        "sigmoid", "activation after each layer but the last", among=("sigmoid", "relu", "tanh")
    )
    pool: str = _choice("avg", "average or max-pooling, 2x2", among=("avg", "max"))
    channels: tuple[int, ...] = _choice((6, 16), "output channels of each convolution")
    kernel_size: int = _choice(5, "side of the convolution window, in pixels")
    hidden: tuple[int, ...] = _choice((120, 84), "units of each dense layer before the last")
    init: str = _choice(
        "xavier_uniform",
        "initial weights",
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
        "initial biases: zeros, or PyTorch's uniform within 1/sqrt(fan-in), as in the texts",
        among=("pytorch", "zeros"),
    )
    conv: str = _choice(
        "auto",
        "how convolutions are computed: one matrix product, XLA's convolution, or whichever suits "
        "the device",
        among=("auto", "matmul", "lax"),
    )
    precision: str = _choice(
        "float32",
        "of products and activations (parameters are float32 always); tensorfloat32 is float32 but "
        "on NVIDIA GPUs",
        among=("float32", "tensorfloat32", "bfloat16"),
    )

    # The optimisation
    lr: float = _number(0.9, "learning rate of SGD", low=0, open_=True)
    epochs: int = _number(10, "passes over the training set", low=1, high=1_000_000)
    batch_size: int = _choice(256, "examples in a minibatch; the last of an epoch may be shorter")
    momentum: float = _number(0.0, "momentum of SGD, a fraction", low=0, high=1)
    nesterov: bool = _choice(False, "Nesterov's form of momentum")
    weight_decay: float = _number(0.0, "L2 penalty added to the gradient, times the weight", low=0)
    schedule: str = _choice(
        "constant",
        "learning rate over the run: constant, or falling to zero",
        among=("constant", "linear", "cosine"),
    )
    warmup: float = _number(0.0, "epochs over which the learning rate first rises from 0", low=0)
    order: str = _choice(
        "examples",
        "what is shuffled before each epoch: the examples, or, as the texts' TensorFlow does, "
        "batches that always hold the same ones",
        among=("examples", "batches"),
    )
    seed: int = _number(0, "seed of initial weights and order of examples", low=0, high=2**31)
    order_seed: int = _number(
        -1,
        "seed of the order alone, so that --seed is that of the weights; -1: as --seed",
        low=-1,
        high=2**31,
    )

    # The data
    dataset: str = _choice("fashion_mnist", "fashion_mnist, mnist, kmnist, synthetic or your own")
    valid: int = _choice(0, "training examples held out for validation", low=0)

    def __post_init__(self) -> None:
        for field in fields("number"):  # lr=1 is lr=1.0, and so the same compiled program
            if isinstance(field.default, float) and isinstance(getattr(self, field.name), int):
                object.__setattr__(self, field.name, float(getattr(self, field.name)))


PRESETS: dict[str, dict[str, Any]] = {
    "book": {},
    "book-en": {"lr": 0.1, "batch_size": 128},
    "modern": {"activation": "relu", "pool": "max", "lr": 0.1},
}
"""Named departures from the defaults."""


def fields(kind: str | None = None) -> list[dataclasses.Field]:
    """Return Config's fields in order; only the "number" or the "choice" ones if `kind` says so."""
    return [f for f in dataclasses.fields(Config) if kind in (None, f.metadata["kind"])]


def check(config: Config) -> Config:
    """Return `config`, or raise a UsageError that names the field, the value and the limit."""
    for field in fields():
        value, meta = getattr(config, field.name), field.metadata
        _check_type(field, value)
        if meta["kind"] == "number":
            _check_number(field, value)
        elif meta["among"] and value not in meta["among"]:
            raise UsageError(f"--{field.name}={value}: must be one of {', '.join(meta['among'])}")
        elif isinstance(value, tuple | int) and not isinstance(value, bool):
            _check_sizes(field, value)
    if config.nesterov and config.momentum == 0:
        raise UsageError("--nesterov needs --momentum above 0")
    if config.warmup >= config.epochs and config.warmup > 0:
        raise UsageError(f"--warmup={config.warmup:g}: must be below --epochs={config.epochs}")
    return config


def _check_type(field: dataclasses.Field, value: Any) -> None:
    """Raise a UsageError unless a value is of the type of the field's default."""
    right = type(value) is type(field.default)
    if right and isinstance(value, tuple):
        right = all(type(size) is int for size in value)
    if not right:
        shown = repr(value)[:60]
        raise UsageError(f"--{field.name}={shown}: must be such as {field.default!r}")


def _check_number(field: dataclasses.Field, value: float) -> None:
    low, high, open_ = field.metadata["low"], field.metadata["high"], field.metadata["open"]
    if not math.isfinite(value):
        raise UsageError(f"--{field.name}={value}: must be a finite number")
    if value < low or (open_ and value == low) or value >= high:
        limit = f"{'above' if open_ else 'at least'} {low:g}"
        below = f" and below {high:g}" if math.isfinite(high) else ""
        raise UsageError(f"--{field.name}={value}: must be {limit}{below}")


def _check_sizes(field: dataclasses.Field, value: int | tuple[int, ...]) -> None:
    low, limit = field.metadata["low"], 1 << 20
    sizes = value if isinstance(value, tuple) else (value,)
    shown = ",".join(map(str, sizes))
    if field.name == "channels" and not sizes:
        raise UsageError("--channels=: needs at least one convolution")
    if any(size < low or size > limit for size in sizes):
        raise UsageError(f"--{field.name}={shown}: must be at least {low} and at most {limit}")


def to_dict(config: Config) -> dict[str, Any]:
    """Return the fields as plain values for JSON."""
    return {
        f.name: list(v) if isinstance(v := getattr(config, f.name), tuple) else v for f in fields()
    }


def from_dict(values: dict[str, Any]) -> Config:
    """Return the Config that `to_dict` wrote; raise a UsageError for names it does not know."""
    if not isinstance(values, dict):
        raise UsageError(f"settings: expected names with values, found {type(values).__name__}")
    known = {f.name for f in fields()}
    if unknown := sorted(set(values) - known):
        raise UsageError(f"no such setting: {ascii(', '.join(unknown))[1:-1]}")
    plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    try:
        return check(Config(**plain))
    except OverflowError as error:  # a whole number that no float holds
        raise UsageError(f"settings: {error}") from None
