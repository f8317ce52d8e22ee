"""What the entry points share: flags from Config, help, signals, exit statuses, progress."""

from experiments.cli.command import (
    complain,
    config,
    define_config,
    given,
    own_flags,
    printable,
    run,
)

__all__ = ["complain", "config", "define_config", "given", "own_flags", "printable", "run"]
