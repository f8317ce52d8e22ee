"""What follows a sweep or a search: commands for its best setting."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from lenet import records
from lenet.analysis.searched import Searched
from lenet.analysis.summary import SEEDS, Setting, Sweep
from lenet.config import SEEDS as SEEDS_BELOW
from lenet.language import Message, mark, message

AGAIN = mark("To train the best setting's run with seed {seed} again and save its network:")
QUOTE = mark("For an accuracy to quote, train it with seeds that have not selected it:")
FEWEST = 8
"""Fresh seeds at least: an interval over fewer is of little use."""


class Command(NamedTuple):
    """A command, and what it is for."""

    why: Message
    line: str


def of_sweep(sweep: Sweep, flags: Mapping[str, Any]) -> list[Command]:
    """Return commands for the best setting of a sweep; none if no run of it learned.

    Fresh seeds are offered where held-out images ranked the settings. `flags` are those that its
    record holds.
    """
    best = sweep.settings[0]
    found = _again(best, flags)
    # Where test images selected it, they can no longer say how good it is, whatever the seeds.
    if not found or len(sweep.settings) == 1 or sweep.measure != "valid_accuracy":
        return found
    seeds = [getattr(entry.config, name) for entry in sweep.entries for name in SEEDS]
    fresh = range(first := 1 + max(seeds), first + max(FEWEST, len(best.entries)))
    if fresh.stop <= SEEDS_BELOW:
        found.append(Command(message(QUOTE), records.command("sweep", best.config, flags, fresh)))
    return found


def of_search(found: Searched, flags: Mapping[str, Any]) -> list[Command]:
    """Return the command for the best setting of a search, whose final seeds are fresh."""
    return _again(found.final, flags) if found.final else []


def _again(setting: Setting, flags: Mapping[str, Any]) -> list[Command]:
    if (config := setting.example) is None:
        return []
    return [Command(message(AGAIN, seed=config.seed), records.command("train", config, flags))]
