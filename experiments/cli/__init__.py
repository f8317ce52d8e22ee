"""What the entry points share: flags from Config, help, signals, exit statuses, progress."""

from experiments.cli.command import (
    complain,
    config,
    console,
    define_config,
    doc,
    given,
    own_flags,
    preset,
    run,
)

__all__ = [
    "complain",
    "config",
    "console",
    "define_config",
    "doc",
    "given",
    "own_flags",
    "preset",
    "run",
]
