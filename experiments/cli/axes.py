"""Parse the flags of a sweep into axes, and combine the axes into the settings of its runs.

0.1,0.3,0.9        a list
0:8                the integers from 0 to 7
0.01..1:log9       nine values with a constant ratio
sigmoid,relu       words
6,16/12,32         sizes, which contain commas, so a slash separates the alternatives
"""

import collections
import dataclasses
import functools
import itertools
import math
import random
import re
from collections.abc import Iterator, Sequence
from typing import Any

from absl import flags

from experiments.cli import networks
from lenet import config as config_module
from lenet.errors import UsageError

MOST = 1_000_000
"""Largest number of values of one axis."""

_RANGE = re.compile(r"([+-]?[0-9]{1,18}):([+-]?[0-9]{1,18})")
_GRID = re.compile(r"(.+)\.\.(.+):log([0-9]{1,18})")


@dataclasses.dataclass(frozen=True)
class Axis:
    """The values of one flag."""

    name: str
    values: tuple[Any, ...]
    span: tuple[float, float] | None = None  # the ends of a log grid, for draws between them


def _fields() -> dict[str, dataclasses.Field]:
    """The settings, by name, of the network that the command line names."""
    return _of(networks.name())


@functools.lru_cache(maxsize=1)
def _of(network: str | None) -> dict[str, dataclasses.Field]:
    return {field.name: field for field in networks.fields()}


def parse(name: str, text: str, *, paired: bool = False) -> Axis:
    """Parse the flag `--name=text` into an axis.

    Raises:
      UsageError: for an invalid value, an empty range, a malformed grid, or a duplicate value,
        which only an axis that is paired with others may have.

    >>> parse("lr", "0.01..1:log3,2").values
    (0.01, 0.1, 1.0, 2.0)
    >>> parse("channels", "6,16/12,32").values
    ((6, 16), (12, 32))
    """
    parts = text.split("/" if has_commas(name) else ",")
    values: list[Any] = []
    for part in parts:
        values += _values(name, part)
        if len(values) > MOST:
            raise _malformed(name, part, f"more than {MOST:,} values")
    for value, times in collections.Counter(values).items():
        if times > 1 and not paired:
            raise UsageError(
                f"--{name}={_shown(text)}: duplicate value {config_module.written(value)}"
            )
    grid = _GRID.fullmatch(text)
    return Axis(name, tuple(values), (float(grid[1]), float(grid[2])) if grid else None)


def has_commas(name: str) -> bool:
    """Whether one value of a setting may contain commas, so that a slash separates values."""
    return name == "augment" or isinstance(_fields()[name].default, tuple)


def count(axes: Sequence[Axis], *, zipped: bool = False, draws: int | None = None) -> int:
    """Return the number of runs that `settings` yields.

    Raises:
      UsageError: if the axes to pair differ in length or make a pair twice, or draws exceed the
        combinations.
    """
    lengths = {axis.name: len(axis.values) for axis in axes}
    if zipped:
        paired = {name: n for name, n in lengths.items() if n > 1 and name != "seed"}
        if len(set(paired.values())) > 1:
            lengths_shown = ", ".join(f"--{name} has {n} values" for name, n in paired.items())
            raise UsageError(f"--zip: {lengths_shown}. Give each flag equally many values, or one")
        pairs = _pair([axis for axis in axes if axis.name != "seed"])
        for pair, times in collections.Counter(tuple(pair.items()) for pair in pairs).items():
            if times > 1:
                shown = " ".join(f"--{name}={config_module.written(value)}" for name, value in pair)
                raise UsageError(f"--zip: {shown} is given {times} times. Give each pair once")
        return len(pairs) * lengths.get("seed", 1)
    if draws is None:
        return math.prod(lengths.values())
    most = math.prod(_drawable(axis) for axis in axes if axis.name != "seed")
    if not 1 <= draws <= most:
        limit = f" and at most {most:,}, the number of combinations without seeds"
        raise UsageError(f"--random={draws}: must be at least 1{limit if most < math.inf else ''}")
    return draws * lengths.get("seed", 1)


def _drawable(axis: Axis) -> float:
    """Return how many different values `_one` draws from an axis; there is no end of floats."""
    if axis.span is None:
        return len(axis.values)
    if isinstance(_fields()[axis.name].default, float):
        return math.inf
    low, high = axis.span
    return round(high) - round(low) + 1


def settings(
    axes: Sequence[Axis], *, zipped: bool = False, draws: int | None = None, seed: int = 0
) -> Iterator[dict[str, Any]]:
    """Yield the settings of each run: the product of the axes, pairs, or random draws.

    Each pair, and each draw, is run with every seed of the axis "seed".

    Args:
      axes: with different names.
      zipped: pair the axes: all first values, then all second values; a single value is repeated.
      draws: number of different random combinations, log-uniform along a log grid, otherwise
        uniform among the values.
      seed: for the draws.
    """
    if draws is None and not zipped:
        names = [axis.name for axis in axes]
        combinations = itertools.product(*(axis.values for axis in axes))
        yield from (dict(zip(names, row, strict=True)) for row in combinations)
        return
    seeds = [{"seed": v} for axis in axes if axis.name == "seed" for v in axis.values] or [{}]
    others = [axis for axis in axes if axis.name != "seed"]
    found = _pair(others) if draws is None else _draw(others, draws, random.Random(seed))
    yield from (combination | own for combination in found for own in seeds)


def _pair(axes: Sequence[Axis]) -> list[dict[str, Any]]:
    most = max((len(axis.values) for axis in axes), default=1)
    repeated = {a.name: a.values * most if len(a.values) == 1 else a.values for a in axes}
    return [{name: values[i] for name, values in repeated.items()} for i in range(most)]


def _draw(axes: Sequence[Axis], draws: int, stream: random.Random) -> list[dict[str, Any]]:
    found: dict[tuple[Any, ...], None] = {}
    while len(found) < draws:
        # Python guarantees the same stream in every version only for random().
        found[tuple(_one(axis, stream.random()) for axis in axes)] = None
    return [dict(zip((axis.name for axis in axes), row, strict=True)) for row in found]


def _one(axis: Axis, at: float) -> Any:
    if axis.span is None:
        return axis.values[int(at * len(axis.values))]
    low, high = axis.span
    return _number(axis.name, low * (high / low) ** at)


def _values(name: str, part: str) -> list[Any]:
    """Return the values of one element of a list."""
    default = _fields()[name].default
    if isinstance(default, bool):
        if part not in ("true", "false"):
            raise _malformed(name, part, "expected true, false or true,false")
        return [part == "true"]
    if isinstance(default, str):
        if not part and name != "augment":
            raise _malformed(name, part, "empty value; remove the extra comma")
        return [part]
    try:
        if isinstance(default, tuple):
            return [tuple(int(size) for size in part.split(",") if size)]
        if whole := _RANGE.fullmatch(part):
            return _range(name, part, int(whole[1]), int(whole[2]))
        if grid := _GRID.fullmatch(part):
            return _grid(name, part, float(grid[1]), float(grid[2]), int(grid[3]))
        return [int(part) if isinstance(default, int) else float(part)]
    except ValueError:
        forms = "6,16/12,32" if isinstance(default, tuple) else "1,2 or 0:8 or 0.01..1:log9"
        ranges = "; ranges are searched by experiments.search" if ".." in part else ""
        raise _malformed(name, part, f"expected a value like {forms}{ranges}") from None


def _range(name: str, part: str, start: int, stop: int) -> list[Any]:
    if start >= stop:
        raise _malformed(name, part, f"empty range; {start}:{start + 2} means {start},{start + 1}")
    if stop - start > MOST:
        raise _malformed(name, part, f"more than {MOST:,} values")
    return [_number(name, value) for value in range(start, stop)]


def _grid(name: str, part: str, low: float, high: float, points: int) -> list[Any]:
    if not (0 < low < high < math.inf and 2 <= points <= MOST):
        raise _malformed(
            name,
            part,
            "a log grid needs 0 < start < end and at least 2 points, such as 0.01..1:log9",
        )
    ratio = (high / low) ** (1 / (points - 1))
    inner = [low * ratio**i for i in range(1, points - 1)]
    return [_number(name, value) for value in (low, *inner, high)]


def _number(name: str, value: float) -> Any:
    """Return an integer for an integer field, otherwise a float rounded to 6 digits."""
    return float(f"{value:.6g}") if isinstance(_fields()[name].default, float) else round(value)


def _shown(text: str) -> str:
    text = text if text.isprintable() else ascii(text)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _malformed(name: str, part: str, what: str) -> UsageError:
    return UsageError(f"--{name}={_shown(part)}: {what}")


class _Flag(flags.Flag):
    """A flag that refuses to be given twice; absl would silently use the last."""

    def parse(self, argument: Any) -> None:
        if self.present:
            raise flags.IllegalFlagValueError(
                f"--{self.name}={_shown(str(argument))}: given twice. Put all values into one list"
            )
        super().parse(argument)


def define_one(name: str, default: str | None, doc: str, *, boolean: bool = False) -> None:
    """Define a flag whose value is an axis."""
    parser, serializer = flags.ArgumentParser[str](), flags.ArgumentSerializer[str]()
    flags.DEFINE_flag(_Flag(parser, serializer, name, default, doc, boolean=boolean))


def define() -> None:
    """Define --preset, --network and, for each setting, a flag whose value is an axis."""
    doc = "named settings to start from; flags override them"
    flags.DEFINE_enum("preset", "book", list(config_module.PRESETS), doc)
    networks.define()
    for field in _fields().values():
        doc = networks.described(field, among=True)
        define_one(
            field.name,
            None if field.name == "parts" else config_module.written(field.default),
            doc,
            boolean=isinstance(field.default, bool),
        )


def given(*, zipped: bool = False) -> list[Axis]:
    """Return the axes of the flags that were given, also those with one value."""
    return [
        parse(name, str(flags.FLAGS[name].value), paired=zipped and name != "seed")
        for name in _fields()
        if flags.FLAGS[name].present
    ]
