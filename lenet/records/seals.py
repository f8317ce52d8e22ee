"""Seal what a run writes: a checksum over its values and the run, so that no flipped bit is silent.

Each line of JSON, and each JSON file, has "seal": the first 16 hexadecimal digits of the sha256 of
the run's name for itself and the other values. That name, "run", is random; it stands in the file
that describes the directory. Directories of earlier versions have neither.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

SEAL = "seal"
RUN = "run"


def seal(values: Mapping[str, Any], run: str | None) -> dict[str, Any]:
    """Return values with their seal; unchanged without a `run`, in a directory that has none.

    >>> seal({"epoch": 1}, "a")
    {'epoch': 1, 'seal': '67a60c66e9cc6219'}
    """
    return dict(values) if run is None else {**values, SEAL: _digest(values, run)}


def unseal(values: Mapping[str, Any], run: str | None) -> dict[str, Any]:
    """Return sealed values without their seal.

    Raises:
      ValueError: if they are not what was sealed, or of another run.
    """
    content = {name: value for name, value in values.items() if name != SEAL}
    if (run is None) != (SEAL not in values):
        raise ValueError("its seal is missing" if run else "it has the seal of a run")
    if run is not None and values[SEAL] != _digest(content, run):
        raise ValueError("its seal does not match: it is damaged, or of another run")
    return content


def _digest(values: Mapping[str, Any], run: str) -> str:
    # As they are read back: with lists for tuples, and texts for the keys of an object.
    plain = json.loads(json.dumps(values, allow_nan=False))
    return hashlib.sha256(f"{run} {json.dumps(plain, sort_keys=True)}".encode()).hexdigest()[:16]
