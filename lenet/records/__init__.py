"""The run directory: what training writes, and how it is read back.

config.json     the Config, the dataset and where it came from
metrics.jsonl   a row per epoch, in order
statistics.jsonl   what each layer did before the first epoch and after each, on some examples
result.json     the last row, seconds to compile, the environment, the place among the published
curves.png      the book's figure
checkpoints/    the state after the last epochs
runs.jsonl      of a sweep: a line for each finished run
"""

from lenet.records.directory import METRICS, STATISTICS, check_free, claim, exists, reclaim
from lenet.records.environment import describe, differences, environment
from lenet.records.reading import epochs, is_row, read_json, read_rows, statistics

__all__ = [
    "METRICS",
    "STATISTICS",
    "check_free",
    "claim",
    "describe",
    "differences",
    "environment",
    "epochs",
    "exists",
    "is_row",
    "read_json",
    "read_rows",
    "reclaim",
    "statistics",
]
