"""The values that a flag of a sweep takes, and the runs that they make together.

0.1,0.3,0.9        a list
0:8                whole numbers, from 0 to 7
0.01..1:log9       nine values, each the same multiple of the one before
sigmoid,relu       words
6,16/12,32         sizes, which have commas of their own, with a slash between alternatives
"""

import dataclasses
import itertools
import math
import random
import re
from collections.abc import Iterator, Sequence
from typing import Any

from absl import flags

from lenet import config as config_module
from lenet.errors import UsageError

MOST = 1_000_000
"""Values of one axis."""

_FIELDS = {field.name: field for field in config_module.fields()}
_RANGE = re.compile(r"([+-]?[0-9]{1,18}):([+-]?[0-9]{1,18})")
_GRID = re.compile(r"(.+)\.\.(.+):log([0-9]{1,18})")


@dataclasses.dataclass(frozen=True)
class Axis:
    """The values of one flag."""

    name: str
    values: tuple[Any, ...]
    span: tuple[float, float] | None = None  # the ends of a log grid: `draws` draw between them


def parse(name: str, text: str) -> Axis:
    """Return the axis that `--name=text` asks for.

    Raises:
      UsageError: for what is no value, an empty range, a malformed grid, or a value there twice.

    >>> parse("lr", "0.01..1:log3,2").values
    (0.01, 0.1, 1.0, 2.0)
    >>> parse("channels", "6,16/12,32").values
    ((6, 16), (12, 32))
    """
    parts = text.split("/" if isinstance(_FIELDS[name].default, tuple) else ",")
    values: list[Any] = []
    for part in parts:
        values += _values(name, part)
        if len(values) > MOST:
            raise _malformed(name, part, f"more than {MOST:,} values")
    seen: set[Any] = set()
    for value in values:
        if value in seen:
            raise UsageError(f"--{name}={_shown(text)}: {written(value)} is there twice")
        seen.add(value)
    grid = _GRID.fullmatch(text)
    return Axis(name, tuple(values), (float(grid[1]), float(grid[2])) if grid else None)


def count(axes: Sequence[Axis], *, zipped: bool = False, draws: int | None = None) -> int:
    """Return how many runs `settings` yields.

    Raises:
      UsageError: for axes of unequal lengths to pair, or fewer combinations than draws.
    """
    lengths = {axis.name: len(axis.values) for axis in axes}
    if zipped:
        paired = {name: n for name, n in lengths.items() if n > 1}
        if len(set(paired.values())) > 1:
            said = ", ".join(f"--{name} has {n}" for name, n in paired.items())
            raise UsageError(f"--zip: {said}: give axes of the same length, or of one value")
        return max(lengths.values(), default=1)
    if draws is None:
        return math.prod(lengths.values())
    seeds = lengths.pop("seed", 1)
    finite = not any(axis.span for axis in axes)
    if draws < 1 or (finite and draws > math.prod(lengths.values())):
        limit = f" and at most the {math.prod(lengths.values())} combinations" if finite else ""
        raise UsageError(f"--random={draws}: must be at least 1{limit}, each with every seed")
    return draws * seeds


def settings(
    axes: Sequence[Axis], *, zipped: bool = False, draws: int | None = None, seed: int = 0
) -> Iterator[dict[str, Any]]:
    """Yield the settings of each run: the product of the axes, pairs, or draws.

    Args:
      axes: each once.
      zipped: pair the axes, the first values of all, then the second; one value goes with all.
      draws: so many different combinations, each with every seed of the axis "seed"; uniform in
        the logarithm along a log grid, else one of the values.
      seed: of the draws.
    """
    names = [axis.name for axis in axes]
    values = [axis.values for axis in axes]
    if draws is None:
        if zipped:  # what has one value has it in every pair
            most = max(map(len, values), default=1)
            values = [each * most if len(each) == 1 else each for each in values]
        rows = zip(*values, strict=True) if zipped and axes else itertools.product(*values)
        yield from (dict(zip(names, row, strict=True)) for row in rows)
        return
    seeds = [{"seed": v} for axis in axes if axis.name == "seed" for v in axis.values] or [{}]
    drawn = _draw([axis for axis in axes if axis.name != "seed"], draws, random.Random(seed))
    yield from (combination | seed for combination in drawn for seed in seeds)


def _draw(axes: Sequence[Axis], draws: int, stream: random.Random) -> list[dict[str, Any]]:
    found: dict[tuple[Any, ...], None] = {}
    while len(found) < draws:
        # Of Python's generator only random() is promised to stay the same from version to version.
        found[tuple(_one(axis, stream.random()) for axis in axes)] = None
    return [dict(zip((axis.name for axis in axes), row, strict=True)) for row in found]


def _one(axis: Axis, at: float) -> Any:
    if axis.span is None:
        return axis.values[int(at * len(axis.values))]
    low, high = axis.span
    return _number(axis.name, low * (high / low) ** at)


def _values(name: str, part: str) -> list[Any]:
    """The values that one element of a list stands for."""
    default = _FIELDS[name].default
    if isinstance(default, bool):
        if part not in ("true", "false"):
            raise _malformed(name, part, "expected true, false or true,false")
        return [part == "true"]
    if isinstance(default, str):
        if not part:
            raise _malformed(name, part, "a word is missing; leave out the comma or the flag")
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
        raise _malformed(name, part, f"expected such as {forms}") from None


def _range(name: str, part: str, start: int, stop: int) -> list[Any]:
    if start >= stop:
        raise _malformed(name, part, f"an empty range; {start}:{start + 2} is {start},{start + 1}")
    if stop - start > MOST:
        raise _malformed(name, part, f"more than {MOST:,} values")
    return [_number(name, value) for value in range(start, stop)]


def _grid(name: str, part: str, low: float, high: float, points: int) -> list[Any]:
    if not (0 < low < high < math.inf and 2 <= points <= MOST):
        raise _malformed(
            name, part, "a log grid goes up from above 0, in 2 steps or more: 0.01..1:log9"
        )
    ratio = (high / low) ** (1 / (points - 1))
    inner = [low * ratio**i for i in range(1, points - 1)]
    return [_number(name, value) for value in (low, *inner, high)]


def _number(name: str, value: float) -> Any:
    """A whole number for a field of such, else one with no more digits than are read."""
    return float(f"{value:.6g}") if isinstance(_FIELDS[name].default, float) else round(value)


def written(value: Any) -> str:
    """Return a value as it would be given on the command line."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def plain(values: Sequence[Any]) -> list[Any]:
    """Return the values of an axis for JSON."""
    return [list(value) if isinstance(value, tuple) else value for value in values]


def _shown(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}..."


def _malformed(name: str, part: str, what: str) -> UsageError:
    return UsageError(f"--{name}={_shown(part)}: {what}")


class _Flag(flags.Flag):
    """A flag that says so when it is given twice, where absl would take the last."""

    def parse(self, argument: Any) -> None:
        if self.present:
            raise flags.IllegalFlagValueError(
                f"--{self.name}={_shown(str(argument))}: given twice; put all values into one list"
            )
        super().parse(argument)


def define_one(name: str, default: str, doc: str, *, boolean: bool = False) -> None:
    """Define a flag that takes an axis, once."""
    flags.DEFINE_flag(
        _Flag(
            name=name,
            default=default,
            help_string=doc,
            parser=flags.ArgumentParser(),
            serializer=flags.ArgumentSerializer(),
            boolean=boolean,
        )
    )


def define() -> None:
    """Define --preset and, for each field of Config, a flag that takes an axis."""
    flags.DEFINE_enum("preset", "book", list(config_module.PRESETS), "settings to start from")
    for field in config_module.fields():
        among = field.metadata.get("among")
        doc = field.metadata["doc"] + (f" ({', '.join(among)})" if among else "")
        define_one(field.name, written(field.default), doc, boolean=isinstance(field.default, bool))


def given() -> list[Axis]:
    """Return the axes of the flags that were given; one value is an axis too."""
    return [
        parse(name, str(flags.FLAGS[name].value)) for name in _FIELDS if flags.FLAGS[name].present
    ]
