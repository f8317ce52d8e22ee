"""Find a dataset, verify it and return it as `Data`; the cache keeps what other sources find."""

import difflib
import logging
import os
import re
from pathlib import Path

from lenet.data import cache, debian, sources
from lenet.data.checksums import FILES, KNOWN, Raw, verify
from lenet.data.splits import Data, hold_out
from lenet.errors import DataError, UsageError

log = logging.getLogger("lenet")

NAMES = (*KNOWN, "synthetic")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")  # becomes part of paths


def load(
    name: str = "fashion_mnist", *, data_dir: str | Path | None = None, valid: int = 0
) -> Data:
    """Load and verify the dataset `name`.

    Args:
      name: fashion_mnist, mnist, kmnist, synthetic, or the name of any dataset that `data_dir` has
        as four IDX files or that tensorflow-datasets has prepared (features image and label; the
        classes are those declared there, otherwise the labels 0 to the highest).
      data_dir: the only directory to search; None searches all sources.
      valid: number of training examples to hold out, the same ones in every run (`hold_out`).

    Raises:
      UsageError: for an invalid name or number.
      DataError: if the dataset is missing or fails a check.

    >>> data = load("synthetic", valid=10_000)
    >>> data.train.images.shape, data.valid.labels.shape, data.num_classes
    ((50000, 28, 28, 1), (10000,), 10)
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(
            f"dataset {name!r:.80}: expected a name of 1 to 64 letters, digits, '_' and '-', "
            f"such as {', '.join(NAMES)}"
        )
    if name == "synthetic":
        if data_dir is not None:
            raise UsageError(
                f"data_dir={data_dir}: dataset synthetic is generated, not read. "
                "Remove this argument"
            )
        from lenet.data import synthetic

        data = synthetic.make()
    elif data_dir is not None:
        data = verify(name, sources.given(name, Path(os.path.expanduser(data_dir)))).to_data(name)
    else:
        data = _find(name).to_data(name)
    sizes = (f"{len(split.labels):,}" for split in (data.train, data.test))
    log.info("%s: %s training and %s test images from %s", name, *sizes, data.source)
    return hold_out(data, valid)


def _find(name: str) -> Raw:
    """Return the dataset from the first source that has it and passes verification."""
    tried = []
    try:
        # Only datasets that never change are cached; a user's own may change in its directory.
        if name in KNOWN and (cached := cache.read(name)) is not None:
            return verify(name, cached)
        tried.append("cache: no copy")
    except DataError as error:
        log.warning("%s. Renamed it to %s; trying other sources", error, cache.set_aside(name))
        tried.append(f"cache: {error}")
    from lenet.data import download  # requests takes longer to import than a cached set to read

    for source in (sources.system, sources.tfds, download.fetch, debian.fetch):
        try:
            raw = verify(name, source(name))
        except DataError as error:
            tried.append(str(error))
        else:
            if name in KNOWN:
                cache.store(name, raw)
            return raw
    if name not in NAMES and (close := difflib.get_close_matches(name.lower(), NAMES, n=1)):
        raise DataError(f"unknown dataset {name}. Did you mean {close[0]}?")
    raise DataError(
        f"could not load dataset {name}. Tried: {'; '.join(tried)}. To fix: {_remedy(name)}"
    )


def _remedy(name: str) -> str:
    package = f"apt install {debian.PACKAGE}, or " if name == "fashion_mnist" else ""
    folder = f"set data_dir=DIR to a directory with {', '.join(FILES)} (plain or .gz)"
    prepare = "" if name == "fashion_mnist" else f", or {sources.remedy(name)}"
    return f"{package}{folder}{prepare}"
