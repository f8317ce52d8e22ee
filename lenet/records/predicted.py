"""Predictions, predictions.jsonl: for each finished run, the predicted class of every test image.

A line holds the number of the run, 0 for a run alone, the epoch after which it predicted, and the
classes: the bytes of an array [N] in the order of the test images, compressed and in base64.
"""

import base64
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet.engine.rows import Row
from lenet.errors import RecordError
from lenet.records import reading
from lenet.records.directory import PREDICTIONS

Classes = NDArray[np.uint8] | NDArray[np.uint16]
_TYPES = ("uint8", "uint16")  # by the number of classes


def predictions(run_dir: str | Path) -> dict[int, Classes]:
    """Return the predicted class of each test image after the last epoch: [N] by run.

    A run alone has the number 0, runs of a sweep and of a comparison those of runs.jsonl. Runs that
    diverged have none, nor do those of earlier versions.

    Raises:
      RecordError: naming the line that is damaged.
    """
    path = Path(run_dir).expanduser() / PREDICTIONS
    return {int(line["run"]): _classes(line) for line in _lines(path)}


def beside(ledger: Path) -> Path:
    """Return the file with the predictions of the runs in a ledger."""
    return ledger.with_name(PREDICTIONS)


def lines(runs: Iterable[tuple[int, Row]]) -> list[dict[str, Any]]:
    """Return the lines of runs, given with their last rows; rows without predictions have none."""
    return [
        {
            "run": run,
            "epoch": row.epoch,
            "dtype": row.classes.dtype.name,
            "count": row.classes.size,
            "classes": base64.b64encode(
                zlib.compress(row.classes.astype(row.classes.dtype.newbyteorder("<")).tobytes(), 9)
            ).decode(),
        }
        for run, row in runs
        if row.classes is not None
    ]


def _lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a file, checked; none if there is no file."""
    found = [line for _, line in reading.read_lines(path)] if path.exists() else []
    for number, line in enumerate(found, start=1):
        try:
            _classes(line)
        except (KeyError, TypeError, ValueError, zlib.error):
            raise RecordError(f"{path}: line {number}: not the predictions of a run") from None
    return found


def _classes(line: dict[str, Any]) -> Classes:
    if type(line["run"]) is not int or line["dtype"] not in _TYPES:
        raise ValueError("no run, or no type of classes")
    kind = np.dtype(line["dtype"]).newbyteorder("<")
    size = line["count"] * kind.itemsize
    content = zlib.decompressobj().decompress(base64.b64decode(line["classes"]), size + 1)
    if len(content) != size:
        raise ValueError("not as many classes as images")
    return np.frombuffer(content, kind).astype(line["dtype"])
