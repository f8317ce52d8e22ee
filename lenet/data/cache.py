"""The per-user copy of a data set, so that finding, fetching and decoding it happens once.

CACHE/NAME/ holds the four decompressed IDX files and manifest.json: their sha256, the class names,
and where they came from. An entry appears whole, by one rename, or not at all.
"""

import contextlib
import json
import logging
import os
import shutil
import tempfile
import time
from pathlib import Path

import platformdirs

from lenet.data import idx, sources
from lenet.data.verify import FILES, Raw
from lenet.errors import DataError

log = logging.getLogger("lenet")

_MANIFEST = "manifest.json"
_MANIFEST_BYTES = 2**20  # 256 class names fit a thousand times


def directory() -> Path | None:
    """Return this user's cache directory, which may not exist yet, or None without a home."""
    # Without a home directory some versions raise, others return "~/.cache", which would be here.
    try:
        path = platformdirs.user_cache_path("lenet", appauthor=False)
    except RuntimeError:
        return None
    return path if path.is_absolute() else None


def read(name: str) -> Raw | None:
    """Return the entry of `name` with the digests kept beside it, or None where there is none.

    Raises DataError when the entry is there but damaged.
    """
    root = directory()
    if root is None or not os.path.lexists(root / name):
        return None
    path = root / name / _MANIFEST
    try:
        with open(path, encoding="utf-8") as file:
            manifest = json.loads(file.read(_MANIFEST_BYTES))
        sha256 = tuple(str(manifest["sha256"][file]) for file in FILES)
        class_names = tuple(map(str, manifest["class_names"]))
        shuffled = bool(manifest["shuffled"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise DataError(f"{str(path)!r}: not a manifest: {error}") from error
    raw = sources.folder(name, root / name)
    verdict = "as it was when cached"
    return raw._replace(class_names=class_names, sha256=sha256, shuffled=shuffled, verdict=verdict)


def store(name: str, raw: Raw) -> None:
    """Keep a verified set for the next time; a cache that cannot take it costs a warning only."""
    root = directory()
    if root is None:
        log.warning("%s is not cached: this user has no home or cache directory", name)
        return
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root, prefix=f".{name}-") as temporary:
            entry = Path(temporary) / name
            entry.mkdir()
            _write(entry, raw)
            _move(entry, root / name)
    except OSError as error:
        log.warning("%s is not cached: %s: %s", name, root, error.strerror or error)


def set_aside(name: str) -> str:
    """Rename a damaged entry, so that it can be looked into, and return its new name."""
    root = directory()
    assert root is not None  # it held the entry
    aside = root / f"{name}.bad-{time.time_ns()}"
    with contextlib.suppress(OSError):  # not writable, or another process was first
        (root / name).rename(aside)
    return aside.name if aside.exists() else name


def _write(entry: Path, raw: Raw) -> None:
    for file, array in zip(FILES, raw[:4], strict=True):
        # A colour image has one axis more than the name of the file says.
        idx.write(entry / file.replace("idx3", f"idx{array.ndim}"), array)
    manifest = {
        "sha256": dict(zip(FILES, raw.sha256, strict=True)),
        "class_names": raw.class_names,
        "shuffled": raw.shuffled,
        "source": f"{raw.source} ({raw.verdict})",
    }
    with open(entry / _MANIFEST, "w", encoding="utf-8") as stream:
        json.dump(manifest, stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())


def _move(entry: Path, target: Path) -> None:
    """Rename `entry` to `target`; where another process was first, its entry stays."""
    try:
        entry.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        shutil.rmtree(entry, ignore_errors=True)
