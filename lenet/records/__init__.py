"""The run directory: what training writes, and how it is read back (files: `directory`)."""

from lenet.records.directory import check_free, claim, exists, fresh, reclaim
from lenet.records.environment import describe, differences, environment
from lenet.records.reading import epochs, read_json, read_rows, statistics
from lenet.records.trained import Trained, load, restore

__all__ = [
    "Trained",
    "check_free",
    "claim",
    "describe",
    "differences",
    "environment",
    "epochs",
    "exists",
    "fresh",
    "load",
    "read_json",
    "read_rows",
    "reclaim",
    "restore",
    "statistics",
]
