"""Settings: fields of a frozen dataclass that flags, records and checks derive from.

A setting is either a number, which a compiled program takes as an input, so that a new value
compiles nothing; or a choice, which shapes the program. At 0 a number that is a switch takes its
step out of the program, which is another one then. Free of jax and NumPy.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, TypeVar

from lenet.errors import UsageError

T = TypeVar("T")
KINDS = (bool, int, float, str, tuple)
"""Types of a setting; a tuple holds sizes."""
_NOT_SETTINGS = ("parent", "name", "num_classes")  # of a Flax module; the data set the last


def number(
    default: float,
    doc: str,
    *,
    low: float,
    open_: bool = False,
    high: float = math.inf,
    switch: bool = False,
) -> Any:
    """Declare an input of the compiled program, within [low, high), or (low, high) if `open_`.

    With `switch`, 0 takes the step that it is a number of out of the program.
    """
    meta = {"doc": doc, "kind": "number", "low": low, "open": open_, "high": high}
    return dataclasses.field(default=default, metadata=meta | {"switch": switch})


def is_off(value: Any) -> bool:
    """Whether a switch is off: at Python's own 0, and not where an array is the program's input.

    >>> is_off(0.0), is_off(0.5)
    (True, False)
    """
    return isinstance(value, int | float) and value == 0


def choice(
    default: Any,
    doc: str,
    *,
    among: tuple[str, ...] = (),
    low: int | None = None,
    code: bool = False,
) -> Any:
    """Declare a field that shapes the program: one of `among`, or of at least `low`.

    Sizes, which are integers and tuples of them, are at least 1 unless `low` says otherwise. With
    `code`, a function is a value, too, and so is its name MODULE:NAME, in a record.
    """
    low = 1 if low is None and type(default) in (int, tuple) else low
    meta = {"doc": doc, "kind": "choice", "among": among, "low": low, "code": code}
    return dataclasses.field(default=default, metadata=meta)


def of(owner: Any) -> list[dataclasses.Field]:
    """Return the settings of a dataclass, in order.

    Fields that are not declared with `number` or `choice` are choices.

    Raises:
      UsageError: naming the field that has no default, or one of a type that no record can hold;
        for a dataclass that is not frozen.
    """
    if type(owner).__hash__ is None:
        raise UsageError(
            f"{type(owner).__name__}: its fields may change after a program is compiled for them. "
            "Declare it with @dataclasses.dataclass(frozen=True)"
        )
    found = []
    for field in dataclasses.fields(owner):
        if not field.init or field.name in _NOT_SETTINGS:
            continue
        where = f"{type(owner).__name__}.{field.name}"
        if field.default_factory is not dataclasses.MISSING:
            raise UsageError(
                f"{where}: has a default_factory, whose value a record cannot hold. Give it a "
                "number, a word or a tuple of whole numbers as its default"
            )
        if field.default is dataclasses.MISSING:
            raise UsageError(f"{where}: has no default. Give it one: {field.name}: int = 64")
        if not _is_kind(field.default):
            raise UsageError(
                f"{where}={_shown(field.default)}: a setting is a number, a word, true or false, "
                "or a tuple of whole numbers. Choose it by a word, or make it a part of the class: "
                f"{field.name} = {'staticmethod(...)' if callable(field.default) else '...'}"
            )
        if "kind" in field.metadata:
            found.append(field)
        else:
            meta = {"doc": f"{field.name} of {type(owner).__name__}", "kind": "choice"}
            plain: Any = dataclasses.field(
                default=field.default, metadata=meta | {"among": (), "low": None}
            )
            plain.name = field.name
            found.append(plain)
    return found


def _is_kind(value: Any) -> bool:
    whole = not isinstance(value, tuple) or all(type(size) is int for size in value)
    return type(value) in KINDS and whole


def changed(owner: T, values: Mapping[str, Any]) -> T:
    """Return a dataclass with other values, all of them Python's own numbers and tuples."""
    found = {}
    for field in of(owner):
        before = getattr(owner, field.name)
        value = plain(values.get(field.name, before), field.default)
        if value is not before:
            found[field.name] = value
    if not found:
        return owner
    clone = getattr(owner, "clone", None)  # of a Flax module, whose parent is not a field to copy
    return clone(**found) if clone else dataclasses.replace(owner, **found)  # type: ignore


def plain(value: Any, default: Any) -> Any:
    """Convert a NumPy scalar to a Python number, and what lists sizes to a tuple of them."""
    # NumPy by name, without importing it; the arrays [R] and tracers of a sweep stay what they are.
    if type(value).__module__ == "numpy" and value.ndim == 0:
        return value.item()
    if isinstance(default, tuple) and hasattr(value, "__iter__") and not isinstance(value, str):
        return tuple(plain(size, 0) for size in value)
    if type(default) is float and type(value) is int:
        return _float(value)  # lr=1 is lr=1.0, and so the same compiled program
    return value


def _float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer beyond every float, which `check` refuses as infinite
        return math.inf


_SMALLEST, _LARGEST = 2.0**-126, (2 - 2.0**-23) * 2.0**127
"""The normal numbers of float32, with which a network trains: smaller ones are 0 to XLA."""


def check(field: dataclasses.Field, value: Any) -> None:
    """Raise a UsageError that names the setting, its value and the limit, unless it is valid."""
    meta = field.metadata
    if meta.get("code") and is_code(value):
        return
    _check_type(field, value)
    if meta["kind"] == "number":
        _check_number(field, value)
    elif meta["among"] and value not in meta["among"]:
        known = ", ".join(meta["among"]) + (" or MODULE:NAME" if meta.get("code") else "")
        raise UsageError(f"{field.name}={_shown(value)}: must be one of {known}")
    elif meta["low"] is not None and type(value) in (tuple, int):
        _check_sizes(field, value)
    elif type(value) is float and not math.isfinite(value):
        raise UsageError(f"{field.name}={value}: must be a finite number")
    elif meta["low"] is not None and type(value) is float and value < meta["low"]:
        raise UsageError(f"{field.name}={value:g}: must be at least {meta['low']:g}")


def is_code(value: Any) -> bool:
    """Whether a value is a function, or names one as MODULE:NAME."""
    return callable(value) or (isinstance(value, str) and ":" in value and value.isprintable())


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
    name = value if isinstance(value, str) else getattr(value, "__name__", None)
    if isinstance(name, str) and name.isprintable():
        return name[:60]
    return " ".join(repr(value).split())[:60]


def _check_number(field: dataclasses.Field, value: float) -> None:
    low, high, open_ = field.metadata["low"], field.metadata["high"], field.metadata["open"]
    if isinstance(value, float) and not math.isfinite(value):
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
