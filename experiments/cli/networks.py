"""The flag --network: a network of the user's, and the flags of its settings.

A record never names code that is imported: the flag is given again to whatever needs the network.
"""

import contextlib
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from absl import app, flags, logging

from experiments.cli import code
from lenet import config, settings
from lenet.errors import UsageError, code_of_others

NAME = "network"
_FLAGS = """
    book_seeds bridge_seeds certificates checkpoint_every cluster data_dir explain final_seeds
    flagfile format halving help helpfull helpshort helpxml host invert lang list live min_epochs
    neighbour_seeds network open out_dir patience port preset quick random random_seed
    refining_seeds report resume rule run_dir sampler sampler_seed scheduler_file seeds storage
    study to top tracker trials tuning_seeds undefok workers yes zip
"""
_OF_ABSL = [
    name
    for module in (app, logging)
    for flag in flags.FLAGS.flags_by_module_dict()[module.__name__]
    for name in (flag.name, flag.short_name)
    if name
]
RESERVED = frozenset((*_FLAGS.split(), *_OF_ABSL))
"""Flags of the commands, like which no field of a network can be named; a test compares them."""


def define() -> None:
    """Define --network."""
    flags.DEFINE_string(
        NAME,
        None,
        f"network: {', '.join(config.OWN)}; or MODULE:CLASS, a Flax module or a dataclass with "
        "build(num_classes); its fields become flags (default: the preset's)",
    )


def asked() -> Any:
    """Return the network that --network or --preset names, with its defaults; LeNet if none does.

    The command line is read before its flags are parsed, for the flags of the network are among
    them.

    Raises:
      UsageError: if there is no such network, or its fields cannot be settings.
    """
    given = name() or "lenet"
    return config.OWN[given]() if given in config.OWN else _load(given)


def fields(kind: str | None = None) -> list[dataclasses.Field]:
    """Return the settings of that network and its training, for flags.

    Where there is no such network those of LeNet: `asked` says so once errors can be shown.
    """
    try:
        return config.fields(kind, asked())
    except UsageError:
        return config.fields(kind)


def described(field: dataclasses.Field, *, among: bool = False) -> str:
    """Return the help of a setting's flag; with the words that it may be, if `among` asks."""
    words, doc = field.metadata.get("among", ()), str(field.metadata["doc"])
    if field.metadata.get("code"):
        return f"{doc} ({', '.join(words)} or MODULE:NAME)"
    return f"{doc} ({', '.join(words)})" if among and words else doc


def again() -> Any:
    """Return the network that --network or --preset names; None if none does."""
    return None if name() is None else asked()


def name() -> str | None:
    """Return the name that --network gives, or else --preset, or the record that is resumed.

    None if none does; of a record only a network of the project: it names no code to import.
    """
    return _given(NAME) or of_preset(_given("preset")) or _resumed()


def of_preset(preset: str | None) -> str | None:
    """Return the name of a preset's network; None for LeNet."""
    found = config.PRESETS.get(preset or "", {}).get(NAME)
    return None if found is None else str(found)


def _resumed() -> str | None:
    run_dir = _given("run_dir")
    if run_dir is None or _given("resume") is None:
        return None
    for what in ("sweep", "search"):  # `recall` says what is wrong with a record
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
            given = json.loads((Path(run_dir).expanduser() / f"{what}.json").read_bytes())["flags"]
            named = given.get(NAME) or of_preset(given.get("preset"))
            if named in config.OWN:
                return str(named)
    return None


def _given(name: str) -> str | None:
    """Return what the command line gives to a flag, before flags are parsed."""
    for at, argument in enumerate(sys.argv[1:], start=1):
        flag, equals, value = argument.partition("=")
        if flag.lstrip("-") == name and argument.startswith("-"):
            return value if equals else next(iter(sys.argv[at + 1 :]), "")
    return None


def _load(name: str) -> Any:
    found = code.named(NAME, name, f"{', '.join(config.OWN)} or MODULE:CLASS, such as my_net:Wide")
    if not isinstance(found, type) or not dataclasses.is_dataclass(found):
        module, _, qualified = name.rpartition(":")
        raise UsageError(
            f"--{NAME}={name}: {module} has no class {qualified} that is a Flax module or a "
            "frozen dataclass"
        )
    for field in dataclasses.fields(found):
        required = field.default is dataclasses.MISSING is field.default_factory
        if field.init and required:
            raise UsageError(
                f"--{NAME}={name}: {field.name} has no default. Give it one, such as "
                f"{field.name}: int = 64"
            )
    with code_of_others(f"--{NAME}={name}: cannot be made"):
        made = found()
    for field in settings.of(made):
        if field.name in RESERVED:
            raise UsageError(
                f"--{NAME}={name}: {field.name}: a flag of the commands has this name. Rename it"
            )
    return made
