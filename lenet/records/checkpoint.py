"""Save and load checkpoints: pickle-free NumPy archives whose checksum detects corruption.

A checkpoint is an npz file, which NumPy reads without this module: an array for each leaf of the
state, under names such as "params/conv1/kernel", and header.json:

    format       VERSION
    epoch        epochs trained so far
    config       as config.to_dict
    image_shape  [H, W, C] of the network's input; num_classes of its output
    data         fingerprint of the training data
    environment  versions and hardware; on the same ones, a resumed run is bitwise identical

The comment of the zip archive, at the end of the file, is the sha256 of all bytes before it.
"""

import contextlib
import dataclasses
import functools
import hashlib
import io
import itertools
import json
import logging
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from tokenize import TokenError
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lenet import config as config_module
from lenet import files, limits
from lenet.config import Config
from lenet.engine import sgd
from lenet.engine.sgd import State
from lenet.errors import DiskError, LenetError, RecordError, UsageError, reason
from lenet.model import network as model_of
from lenet.settings import is_code

log = logging.getLogger("lenet")

VERSION = 1
KEPT = 3
"""Number of checkpoints kept, the newest ones."""

_HEADER = "header.json"
_DIGEST = len(hashlib.sha256().hexdigest())


class Checkpoint(NamedTuple):
    """The state of a run after an epoch, and what it belongs to."""

    epoch: int
    config: Config
    image_shape: tuple[int, ...]
    num_classes: int
    data: str  # fingerprint
    environment: dict[str, Any]
    state: State  # NumPy arrays


class DamagedError(RecordError):
    """A damaged checkpoint; an earlier one may be intact."""


def path_of(run_dir: Path, epoch: int) -> Path:
    """Return the path of the checkpoint of an epoch."""
    return run_dir / "checkpoints" / f"{epoch:05d}.npz"


def save(run_dir: Path, saved: Checkpoint) -> Path:
    """Write a checkpoint atomically, then remove all of this run except the newest KEPT.

    Raises:
      DiskError: if the disk does not take it; earlier checkpoints are unchanged.
    """
    path = path_of(run_dir, saved.epoch)
    files.write(path, to_bytes(saved))
    kept = 1
    for old in _files(run_dir):
        # One more than KEPT does no harm.
        with contextlib.suppress(OSError, RecordError, DiskError, UsageError):
            if int(old.stem) < saved.epoch and not old.is_symlink() and _belongs(old, saved):
                kept += 1
                if kept > KEPT:
                    files.remove(old)
    return path


def _belongs(path: Path, saved: Checkpoint) -> bool:
    """Whether a file is a checkpoint of the same run."""
    with _archive(files.read(path, limits.CHECKPOINT_BYTES)) as archive:
        about = _about(archive, saved.config.network, saved.config.optimizer)
    same = dataclasses.replace(about.config, epochs=saved.config.epochs) == saved.config
    return same and about.data == saved.data


def to_bytes(saved: Checkpoint) -> bytes:
    """Return the content of a checkpoint file."""
    header = saved._asdict() | {"format": VERSION, "config": config_module.to_dict(saved.config)}
    del header["state"]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        # ZipInfo has a fixed date: the same state is the same file.
        archive.writestr(zipfile.ZipInfo(_HEADER), json.dumps(header, allow_nan=False))
        for name, array in _named(saved.state).items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w") as file:
                np.lib.format.write_array(file, np.asarray(array), (1, 0), allow_pickle=False)
        archive.comment = b"0" * _DIGEST
    content = buffer.getvalue()[:-_DIGEST]
    return content + hashlib.sha256(content).hexdigest().encode()


def load(path: Path, network: Any = None, optimizer: Any = None) -> Checkpoint:
    """Load a checkpoint file; that of another network than LeNet needs the `network`.

    The state of an optimizer of the user's is left out unless the `optimizer` is given.

    Raises:
      DamagedError: if any bit of it has changed, or it cannot be read.
      RecordError: if it has another format version, or does not fit the network it names.
    """
    try:
        content = files.read(path, limits.CHECKPOINT_BYTES)
    except OSError as error:
        raise DamagedError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return from_bytes(content, network, optimizer)
    except RecordError as error:
        raise type(error)(f"{path}: {error}") from None


def from_bytes(content: bytes, network: Any = None, optimizer: Any = None) -> Checkpoint:
    """Return the checkpoint that `to_bytes` encoded.

    Names and sizes are compared with the network's before an array is read, so memory use stays
    within a few times the file size whatever the header claims; no code in it is executed.

    Raises:
      DamagedError, RecordError: as `load`.
    """
    with _archive(content) as archive:
        about = _about(archive, network, optimizer)
        wanted = _wanted(about)
        _check_members(archive, about, wanted, len(content))
        arrays = {name: archive.read(f"{name}.npy") for name in _named(wanted)}
    leaves = [_array(name, arrays[name], leaf) for name, leaf in _named(wanted).items()]
    return about._replace(state=jax.tree.unflatten(jax.tree.structure(wanted), leaves))


@contextlib.contextmanager
def _archive(content: bytes) -> Iterator[zipfile.ZipFile]:
    """Open an archive whose checksum is right; raise as `load` where it is none."""
    if len(content) <= _DIGEST:
        raise DamagedError(f"truncated to {len(content)} bytes")
    digest = hashlib.sha256(content[:-_DIGEST]).hexdigest().encode()
    if digest != content[-_DIGEST:]:
        raise DamagedError(f"checksum mismatch ({len(content):,} bytes): the file is damaged")
    # From here on the file is what its writer meant, who need not have been this module.
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
                raise RecordError("compressed members: not a checkpoint of this project")
            yield archive
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, KeyError) as error:
        raise RecordError(f"not an archive of arrays: {error}") from None
    except (ValueError, OverflowError, OSError) as error:  # of its directory
        raise RecordError(f"not an archive of arrays: {error}") from None


def newest(
    run_dir: Path, network: Any = None, optimizer: Any = None, *, set_aside: bool = False
) -> Checkpoint | None:
    """Return the newest undamaged checkpoint; None if there is no checkpoint.

    `network` and `optimizer` as in `load`.

    With `set_aside`, rename newer, damaged ones to end in ".bad"; only for the holder of the lock.

    Raises:
      RecordError: if all checkpoints are damaged, and then none is renamed; or if the newest
        undamaged one has another format version.
      DiskError, UsageError: if one cannot be renamed.
    """
    bad: list[tuple[Path, DamagedError]] = []
    for path in _files(run_dir):
        try:
            found = load(path, network, optimizer)
        except DamagedError as error:
            bad.append((path, error))
            continue
        for worse, why in bad:
            names = (f"{worse.name}.bad{i or ''}" for i in itertools.count())
            aside = next(name for name in names if not os.path.lexists(worse.with_name(name)))
            kept = f"renamed it to {aside}; " if set_aside else ""
            log.warning("%s; %susing %s", why, kept, path.name)
            if set_aside:
                files.rename(worse, aside)
        return found
    if bad:
        reasons = "; ".join(str(error) for _, error in bad)
        raise RecordError(f"all checkpoints are damaged: {reasons}")
    return None


def last(run_dir: Path) -> Path | None:
    """Return the path of the newest checkpoint, damaged or not."""
    return next(iter(_files(run_dir)), None)


def _files(run_dir: Path) -> list[Path]:
    """Return the paths of the checkpoints, the newest first."""
    found = [p for p in (run_dir / "checkpoints").glob("*.npz") if p.stem.isdecimal()]
    return sorted(found, key=lambda path: int(path.stem), reverse=True)


def _named(state: State) -> dict[str, Any]:
    """Return the leaves of a state by name."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): x for path, x in leaves}


def _about(archive: zipfile.ZipFile, network: Any, optimizer: Any) -> Checkpoint:
    """Return a checkpoint without its state, from the header."""
    if archive.getinfo(_HEADER).file_size > limits.HEADER_BYTES:
        raise RecordError(f"{_HEADER} has more than {limits.HEADER_BYTES:,} bytes")
    try:
        header = json.loads(archive.read(_HEADER))
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{_HEADER}: not JSON: {error}") from None
    found = header.get("format") if isinstance(header, dict) else None
    if found != VERSION:
        raise RecordError(
            f"format {found!r}: this version of lenet reads format {VERSION}; use the version "
            "that wrote the file"
        )
    given = header.get("image_shape")
    shape = tuple(given) if isinstance(given, list) and len(given) == 3 else (0,)
    sizes = [*shape, header.get("num_classes"), header.get("epoch")]
    if not all(isinstance(x, int) and 0 < x < 1 << 20 for x in sizes):
        raise RecordError(f"{_HEADER}: image_shape, num_classes and epoch: expected integers")
    data, environment = header.get("data"), header.get("environment")
    if not isinstance(data, str) or not isinstance(environment, dict):
        raise RecordError(f"{_HEADER}: data and environment are missing")
    if not isinstance(environment.get("versions", {}), dict):
        raise RecordError(f"{_HEADER}: environment: versions have no names")
    try:
        config = config_module.from_dict(header["config"], network, optimizer)
    except (LenetError, TypeError, ValueError, LookupError, AttributeError) as error:
        raise RecordError(f"{_HEADER}: config: {error}") from None
    nothing = State({}, (), jnp.zeros((), jnp.int32))
    return Checkpoint(
        header["epoch"], config, shape, header["num_classes"], data, environment, nothing
    )


def _wanted(about: Checkpoint) -> State:
    """Return the shapes and dtypes of the state that the header describes."""
    model, config = model_of(about.config, about.num_classes), about.config
    named = _names_optimizer(config)
    if named:
        config = config_module.replace(config, optimizer="sgd")
    try:
        init = functools.partial(sgd.init, model, image_shape=about.image_shape)
        wanted: State = jax.eval_shape(init, config)
        return wanted._replace(optimizer=()) if named else wanted
    except Exception as error:  # whatever a network of the user's raises
        raise RecordError(f"{_HEADER}: no network: {reason(error)}") from None


def _names_optimizer(config: Config) -> bool:
    """Whether a record names an optimizer of the user's, whose state nobody here knows."""
    return isinstance(config.optimizer, str) and is_code(config.optimizer)


def _check_members(archive: zipfile.ZipFile, about: Checkpoint, wanted: State, size: int) -> None:
    """Raise a RecordError unless the archive has exactly the wanted members, of possible size."""
    names = sorted([_HEADER, *(f"{name}.npy" for name in _named(wanted))])
    found = sorted(archive.namelist())
    if _names_optimizer(about.config):
        found = [name for name in found if not name.startswith("optimizer/")]
    if found != names:
        other = sorted({*found} ^ {*names})[:5] or ["duplicate names"]
        raise RecordError(f"its arrays do not match its network: {ascii(', '.join(other))[1:-1]}")
    if sum(info.file_size for info in archive.infolist()) > size:
        raise RecordError("its members claim more bytes than the file has")


def _array(name: str, content: bytes, expected: jax.ShapeDtypeStruct) -> np.ndarray:
    """Return the array of a .npy file; its header has to match what is expected."""
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"version {version}")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    except (ValueError, TypeError, SyntaxError, TokenError, RecursionError, MemoryError) as error:
        raise RecordError(f"{name}: not a .npy file: {error}") from None
    if (shape, fortran, dtype) != (expected.shape, False, expected.dtype):
        raise RecordError(f"{name}: {dtype} {shape}, expected {expected.dtype} {expected.shape}")
    values = content[file.tell() :]
    if len(values) != expected.size * dtype.itemsize:
        raise RecordError(f"{name}: {len(values):,} bytes of values for {shape}")
    return np.frombuffer(values, dtype).reshape(shape)
