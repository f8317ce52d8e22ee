"""The run directory: what training writes, and how it is read back (files: `directory`)."""

from lenet.records.directory import check_begun, check_free, claim, exists, fresh, reclaim
from lenet.records.environment import (
    changes,
    code_of,
    command,
    describe,
    differences,
    digest_of,
    environment,
    resumed,
    software,
)
from lenet.records.predicted import predictions
from lenet.records.reading import (
    append,
    epochs,
    identity,
    read_json,
    read_lines,
    statistics,
    write_json,
)
from lenet.records.trained import Trained, load, restore

__all__ = [
    "Trained",
    "append",
    "changes",
    "check_begun",
    "check_free",
    "claim",
    "code_of",
    "command",
    "describe",
    "differences",
    "digest_of",
    "environment",
    "epochs",
    "exists",
    "fresh",
    "identity",
    "load",
    "predictions",
    "read_json",
    "read_lines",
    "reclaim",
    "restore",
    "resumed",
    "software",
    "statistics",
    "write_json",
]
