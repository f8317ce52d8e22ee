"""Cache datasets per user, so that each is found, downloaded and decoded once.

CACHE/NAME/ contains the four decompressed IDX files and manifest.json: their sha256, the class
names and the source. One rename creates an entry, so no entry is ever incomplete.
"""

import contextlib
import json
import logging
import os
import tempfile
import time
from pathlib import Path

from lenet import files, limits
from lenet.data import idx, sources
from lenet.data.checksums import FILES, Raw
from lenet.errors import DataError

log = logging.getLogger("lenet")

_MANIFEST = "manifest.json"


def read(name: str) -> Raw | None:
    """Return the entry of `name` with the digests of its manifest, or None if it is not cached.

    Raises:
      DataError: if the entry is damaged.
    """
    root = files.cache_directory()
    if root is None or not os.path.lexists(root / name):
        return None
    path = root / name / _MANIFEST
    try:
        manifest = json.loads(files.read(path, limits.MANIFEST_BYTES))
        sha256 = tuple(str(manifest["sha256"][file]) for file in FILES)
        class_names = tuple(map(str, manifest["class_names"]))
        shuffled = bool(manifest["shuffled"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise DataError(f"{str(path)!r}: invalid manifest: {error}") from error
    raw = sources.folder(name, root / name)
    verdict = "unchanged since it was cached"
    return raw._replace(class_names=class_names, sha256=sha256, shuffled=shuffled, verdict=verdict)


def store(name: str, raw: Raw) -> None:
    """Write a verified dataset to the cache; log a warning if that fails."""
    root = files.cache_directory()
    if root is None:
        log.warning("could not cache %s: this user has no home or cache directory", name)
        return
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root, prefix=f".{name}-") as temporary:
            entry = Path(temporary) / name
            entry.mkdir()
            _write(entry, raw)
            try:
                entry.rename(root / name)
            except OSError:
                if not (root / name).is_dir():  # else another process was first: its entry stays
                    raise
    except OSError as error:
        log.warning("could not cache %s in %s: %s", name, root, error.strerror or error)


def set_aside(name: str) -> str:
    """Rename a damaged entry, to keep it for inspection, and return its new name."""
    root = files.cache_directory()
    assert root is not None  # it contains the entry
    aside = root / f"{name}.bad-{time.time_ns()}"
    with contextlib.suppress(OSError):  # not writable, or another process was first
        (root / name).rename(aside)
    return aside.name if aside.exists() else name


def _write(entry: Path, raw: Raw) -> None:
    for file, array in zip(FILES, raw[:4], strict=True):
        # Colour images have one axis more than the standard file name says.
        idx.write(entry / file.replace("idx3", f"idx{array.ndim}"), array)
    manifest = {
        "sha256": dict(zip(FILES, raw.sha256, strict=True)),
        "class_names": raw.class_names,
        "shuffled": raw.shuffled,
        "source": f"{raw.source} ({raw.verdict})",
    }
    files.replace(entry / _MANIFEST, [json.dumps(manifest, indent=1).encode()])
