"""The space of a search: for each setting that varies a range, or a list of values."""

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from lenet.errors import UsageError

_RANGE = re.compile(r"(.+?)\.\.(.+?)(:log)?")


@dataclasses.dataclass(frozen=True)
class Range:
    """All numbers from `low` to `high`, both of which are possible."""

    low: float
    high: float
    log: bool  # whether their logarithms are equally likely
    whole: bool  # whole numbers only

    def number(self, value: float) -> float:
        """Return a value of the range as a setting: whole, or rounded to 6 digits."""
        rounded = round(value) if self.whole else float(f"{value:.6g}")
        return min(max(rounded, self.low), self.high)

    def share(self, value: float) -> float:
        """Return where a value lies between the ends, from 0 to 1."""
        low, high, at = self.low, self.high, value
        if self.log:
            low, high, at = (math.log(x) for x in (low, high, at))
        return (at - low) / (high - low)


Axis = Range | tuple[Any, ...]
"""A range, or the values of a list."""
Space = Mapping[str, Axis]
"""By name of the setting."""
Setting = Mapping[str, Any]
"""A value for each axis of a space."""


def is_range(text: str) -> bool:
    """Return whether a text looks like a range: LOW..HIGH or LOW..HIGH:log.

    >>> [is_range(text) for text in ("0.01..1:log", "32..256", "0.01..1:log9", "1,2")]
    [True, True, False, False]
    """
    return bool(_RANGE.fullmatch(text)) and not re.search(r":log\d+$|,", text)


def parse(name: str, text: str, *, whole: bool) -> Range:
    """Parse LOW..HIGH or LOW..HIGH:log.

    Raises:
      UsageError: naming the setting, what is wrong and what to write.

    >>> parse("lr", "0.01..1:log", whole=False)
    Range(low=0.01, high=1.0, log=True, whole=False)
    """
    found = _RANGE.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        low, high = (int(end) if whole else float(end) for end in found.group(1, 2))
    except ValueError:
        kind = "whole numbers, such as 32..256" if whole else "numbers, such as 0.01..1:log"
        raise UsageError(f"{name}={text!a:.60}: expected a range of {kind}") from None
    log = found[3] is not None
    if not all(map(math.isfinite, (low, high))):
        raise UsageError(f"{name}={text}: both ends must be finite")
    if low >= high:
        remedy = (
            f"the lower end comes first: {name}={high:g}..{low:g}"
            if low > high
            else (f"a range has two different ends; for one value write {name}={low:g}")
        )
        raise UsageError(f"{name}={text}: {remedy}{found[3] or '' if low > high else ''}")
    if log and low <= 0:
        start = max(high // 100, 1) if whole else high / 100
        raise UsageError(
            f"{name}={text}: a log range starts above 0, such as {start:g}..{high:g}:log"
        )
    return Range(low, high, log, whole)


def size(space: Space) -> float:
    """Return how many settings a space has; there is no end of floats.

    >>> size({"batch_size": Range(32, 33, False, True), "optimizer": ("sgd", "adam")})
    4
    """
    return math.prod(
        len(axis)
        if isinstance(axis, tuple)
        else axis.high - axis.low + 1
        if axis.whole
        else math.inf
        for axis in space.values()
    )


def key(setting: Setting) -> str:
    """Return what two equal settings have in common: sizes may be tuples, or lists as in JSON."""
    return json.dumps(setting, sort_keys=True)


def to_dict(space: Space) -> dict[str, Any]:
    """Return a space as plain values for JSON."""
    return {
        name: list(axis) if isinstance(axis, tuple) else dataclasses.asdict(axis)
        for name, axis in space.items()
    }


def from_dict(values: Any) -> dict[str, Axis]:
    """Return the space that `to_dict` wrote, read back from JSON.

    Raises:
      ValueError: if it is none.
    """
    if not isinstance(values, dict) or not values:
        raise ValueError("space: expected settings with their ranges")
    try:
        return {
            name: Range(**axis)
            if isinstance(axis, dict)
            else tuple(tuple(x) if isinstance(x, list) else x for x in axis)
            for name, axis in values.items()
        }
    except TypeError as error:
        raise ValueError(f"space: not the axes of a search: {error}") from None
