"""The flag --network: a network of the user's, and the flags of its settings.

A record never names code that is imported: the flag is given again to whatever needs the network.
"""

import dataclasses
import sys
from typing import Any

from absl import flags

from experiments.cli import code
from lenet import config, settings
from lenet.errors import UsageError

NAME = "network"


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
    """Return the name that --network gives, or else --preset; None if none does."""
    return _given(NAME) or of_preset(_given("preset"))


def of_preset(preset: str | None) -> str | None:
    """Return the name of a preset's network; None for LeNet."""
    found = config.PRESETS.get(preset or "", {}).get(NAME)
    return None if found is None else str(found)


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
    made = found()
    settings.of(made)
    return made
