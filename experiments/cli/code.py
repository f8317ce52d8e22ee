"""Code that the command line names as MODULE:NAME: networks and optimizers.

A record never names code that is imported: the flag is given again to whatever needs the code.
"""

import importlib
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from absl import flags

from lenet.errors import UsageError, code_of_others
from lenet.settings import is_code

FLAGS = flags.FLAGS
OF_CODE = ("network", "optimizer")
"""Flags that may name code."""


def to_resume(run_dir: Path, *others: str) -> str:
    """Return the flags that continue a directory: `others` that were given, and those of code."""
    of_code = [name for name in OF_CODE if name in FLAGS and is_code(FLAGS[name].value)]
    names = [name for name in (*of_code, *others) if FLAGS[name].present]
    again = (f"--{name}={FLAGS[name].value}" for name in names)
    return shlex.join([f"--run_dir={run_dir}", "--resume", *again])


def named(flag: str, name: str, example: str) -> Any:
    """Return what `--flag=MODULE:NAME` names; None if the module does not have it.

    Raises:
      UsageError: if the value has another form, or the module cannot be imported.
    """
    module, colon, qualified = name.rpartition(":")
    if not colon or not module or not qualified:
        raise UsageError(f"--{flag}={name}: expected {example}")
    if module.endswith(".py") or "/" in module:
        example = f"{Path(module).stem}:{qualified}"
        raise UsageError(
            f"--{flag}={name}: expected the name of a module, in its directory: --{flag}={example}"
        )
    return getattr(_imported(flag, name, module), qualified, None)


def loaded(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings by name, with the function of an optimizer in place of MODULE:NAME.

    Raises:
      UsageError: if there is no such function.
    """
    word = settings.get("optimizer")
    if not isinstance(word, str) or not is_code(word):
        return dict(settings)
    found = named("optimizer", word, "MODULE:NAME, such as my_opt:make")
    if not callable(found):
        module, _, name = word.rpartition(":")
        raise UsageError(
            f"--optimizer={word}: {module} has no function {name} that takes the schedule of the "
            "learning rate and returns an optax transformation"
        )
    return {**settings, "optimizer": found}


def _imported(flag: str, name: str, module: str) -> ModuleType:
    """Import a module, also one in the working directory: the command line names it."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # last: it stands in for no installed package
    with code_of_others(f"--{flag}={name}"):
        try:
            return importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise  # one that the module imports
            raise UsageError(
                f"--{flag}={name}: no module {error.name} here. Start in the directory of "
                f"{error.name}.py, or install its package"
            ) from None
