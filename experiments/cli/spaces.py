"""Parse the flags of a search into the space that it searches, and what does not vary."""

from typing import Any

from absl import flags

from experiments.cli import axes, networks
from lenet.config import Config
from lenet.errors import UsageError
from lenet.search import Space, space

FIXED = {
    "seed": "--seeds=N gives each setting N seeds, from --seed on",
    "epochs": "--halving stops settings early",
    "valid": "every setting is selected on the same images",
    "dataset": "search each dataset by itself",
    "parts": "it changes how results are rounded and what dropout draws, not what can be learned",
}
"""Settings that do not vary in a search, and what to do instead."""


def given() -> tuple[dict[str, Any], Space]:
    """Return the settings that were given one value, and the space of the others.

    Raises:
      UsageError: for a value that is none, or nothing to search.
    """
    fixed: dict[str, Any] = {}
    found: dict[str, space.Axis] = {}
    for field in networks.fields():
        name = field.name
        if not flags.FLAGS[name].present:
            continue
        text = str(flags.FLAGS[name].value)
        if space.is_range(text):
            if type(field.default) not in (int, float):
                raise UsageError(
                    f"--{name}={text}: only numbers have ranges. Give the values to try, separated "
                    f"by {'a slash' if axes.has_commas(name) else 'commas'}"
                )
            found[name] = space.parse(name, text, whole=isinstance(field.default, int))
        else:
            values = axes.parse(name, text).values
            if len(values) == 1:
                fixed[name] = values[0]
            else:
                found[name] = values
        if name in FIXED and name in found:
            raise UsageError(f"--{name}={text}: one value only: {FIXED[name]}")
    if not found:
        raise UsageError(
            "nothing to search: give ranges or lists of values, such as --lr=0.01..1:log "
            "--batch_size=32..256"
        )
    return fixed, found


def corners(base: Config, searched: Space) -> list[dict[str, Any]]:
    """Return settings in which each end of each range, and each value of each list, occurs."""
    ends = {
        name: [axis.number(axis.low), axis.number(axis.high)]
        if isinstance(axis, space.Range)
        else list(axis)
        for name, axis in searched.items()
    }
    most = max(map(len, ends.values()))
    return [{name: some[min(i, len(some) - 1)] for name, some in ends.items()} for i in range(most)]
