"""What the entry points share: flags from Config, help, signals, exit statuses, progress."""

from experiments.cli.command import complain, config, define_config, run

__all__ = ["complain", "config", "define_config", "run"]
