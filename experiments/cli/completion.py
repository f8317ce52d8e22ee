"""Print a script with which a shell completes the commands of lenet and their flags.

    eval "$(lenet completion bash)"                           in ~/.bashrc
    lenet completion zsh > ~/.zfunc/_lenet                    zsh, where fpath contains ~/.zfunc
    lenet completion fish > ~/.config/fish/completions/lenet.fish

The script holds the flags of the installed version: print it again after an upgrade.
"""

import argparse
import re
import runpy
from collections.abc import Iterator
from typing import Any

from absl import flags

from experiments import cli
from experiments.commands import COMMANDS, COMPLETION, purpose
from lenet.errors import UsageError

SHELLS = ("bash", "zsh", "fish")

_DIRECTORIES = ("run_dir", "data_dir", "out_dir", "certificates")
_FILES = ("to", "explain", "scheduler_file", "cluster")
_OPERANDS = ("report", "predict", "export", "import_torch", "track")  # commands that take paths


def main(*operands: str) -> None:
    """Print the script of a shell."""
    if len(operands) != 1 or operands[0] not in SHELLS:
        given = " ".join(operands)
        raise UsageError(f"completion {given}: name one of {', '.join(SHELLS)}")
    import shtab

    print(shtab.complete(parser(), shell=operands[0]))


def entry_points() -> Iterator[tuple[str, list[flags.Flag]]]:
    """Yield each command with its flags, which are gone again when the next one comes."""
    for name in COMMANDS:
        runpy.run_module(f"experiments.{name}")  # defines its flags, also a second time
        yield name, cli.own_flags()
        for flag in cli.own_flags():
            delattr(flags.FLAGS, flag.name)


def parser() -> argparse.ArgumentParser:
    """Return all commands and flags as shtab reads them, from argparse."""
    import shtab

    top = argparse.ArgumentParser("lenet")
    commands = top.add_subparsers()
    for name, defined in entry_points():
        command = commands.add_parser(name, help=purpose(name))
        for flag in defined:
            choices = getattr(flag.parser, "enum_values", None)
            kind = {"action": "store_true"} if flag.boolean else {"choices": choices}
            line = re.split(r"[.;] ", cli.doc(flag))[0].replace("%", "%%")
            argument: Any = command.add_argument(f"--{flag.name}", help=line, **kind)
            if flag.name in _DIRECTORIES:
                argument.complete = shtab.DIRECTORY
            elif flag.name in _FILES:
                argument.complete = shtab.FILE
        if name in _OPERANDS:
            paths: Any = command.add_argument("path", nargs="*")
            paths.complete = shtab.FILE
    command = commands.add_parser(COMPLETION, help="Print the script of a shell.")
    command.add_argument("shell", choices=SHELLS)
    return top


if __name__ == "__main__":
    cli.run(main, __doc__ or "", operands=True)
