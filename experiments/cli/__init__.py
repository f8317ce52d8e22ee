"""What the entry points share: flags from Config, help, signals, exit statuses, progress."""

from experiments.cli.command import (
    complain,
    config,
    console,
    define_config,
    given,
    own_flags,
    run,
)
from experiments.cli.language import printable

__all__ = [
    "complain",
    "config",
    "console",
    "define_config",
    "given",
    "own_flags",
    "printable",
    "run",
]
