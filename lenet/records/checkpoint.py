"""The state of a run as a file, and back: nothing in it is code, and no bit of it can be wrong.

A checkpoint is an npz file, which NumPy reads without this module: an array for each leaf of the
state, under names such as "params/conv1/kernel", and header.json:

    format       VERSION
    epoch        how many are behind it
    config       as config.to_dict
    image_shape  [H, W, C], and num_classes: what the network is for
    data         what it learns from, as data.fingerprint
    environment  versions and hardware: on the same ones, training goes on to the same bits

The comment of the zip archive, at the end of the file, is the sha256 of all before it.
"""

import contextlib
import hashlib
import io
import json
import logging
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lenet import config as config_module
from lenet import files
from lenet.config import Config
from lenet.engine import sgd
from lenet.engine.sgd import State
from lenet.errors import LenetError, RecordError
from lenet.model import network

log = logging.getLogger("lenet")

VERSION = 1
KEPT = 3
"""How many of the newest are kept."""

_HEADER = "header.json"
_HEADER_BYTES = 1 << 16  # at most
_DIGEST = len(hashlib.sha256().hexdigest())


class Checkpoint(NamedTuple):
    """A run after some epochs."""

    epoch: int
    config: Config
    image_shape: tuple[int, ...]
    num_classes: int
    data: str  # fingerprint
    environment: dict[str, Any]
    state: State  # NumPy arrays


class DamagedError(RecordError):
    """A checkpoint that is not as it was written; one before it may be."""


def path_of(run_dir: Path, epoch: int) -> Path:
    """Return where the checkpoint after an epoch lies.

    >>> path_of(Path("run"), 3).as_posix()
    'run/checkpoints/00003.npz'
    """
    return run_dir / "checkpoints" / f"{epoch:05d}.npz"


def save(run_dir: Path, saved: Checkpoint) -> Path:
    """Write a checkpoint, whole or not at all, then remove all but the newest KEPT.

    Raises:
      DiskError: when the disk does not take it; those before it are as they were.
    """
    path = path_of(run_dir, saved.epoch)
    files.write(path, to_bytes(saved))
    for old in _files(run_dir)[KEPT:]:
        with contextlib.suppress(OSError):  # one too many does no harm
            old.unlink()
    return path


def to_bytes(saved: Checkpoint) -> bytes:
    """Return the content of the file."""
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


def load(path: Path) -> Checkpoint:
    """Read what `save` wrote.

    Raises:
      DamagedError: if any bit of it is not as it was written.
      RecordError: if it is whole, but of another version, or not of the network it claims.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return from_bytes(content)
    except RecordError as error:
        raise type(error)(f"{path}: {error}") from None


def from_bytes(content: bytes) -> Checkpoint:
    """Return what `to_bytes` made the content of.

    Names and sizes are compared with those of the network before an array is read, so that no more
    memory is taken than a few times what is there, whatever it claims; nothing in it is run.

    Raises:
      DamagedError, RecordError: as `load`.
    """
    if len(content) <= _DIGEST:
        raise DamagedError(f"{len(content)} bytes: cut off")
    digest = hashlib.sha256(content[:-_DIGEST]).hexdigest().encode()
    if digest != content[-_DIGEST:]:
        raise DamagedError(f"the checksum of its {len(content):,} bytes is another: damaged")
    # From here on it is as somebody wrote it, who need not have been this module.
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
                raise RecordError("has compressed members, as no checkpoint of this project has")
            about = _about(archive)
            wanted = _wanted(about)
            _check_members(archive, wanted, len(content))
            arrays = {name: archive.read(f"{name}.npy") for name in _named(wanted)}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, KeyError) as error:
        raise RecordError(f"not an archive of arrays: {error}") from None
    except (ValueError, OverflowError, OSError) as error:  # of its directory
        raise RecordError(f"not an archive of arrays: {error}") from None
    return about._replace(state=_state(wanted, arrays))


def newest(run_dir: Path, *, set_aside: bool = False) -> Checkpoint | None:
    """Return the newest checkpoint that is whole; None if there is none at all.

    Args:
      run_dir: of the run.
      set_aside: whether those after it that are damaged get ".bad" behind their names; for whom
        the directory is locked.

    Raises:
      RecordError: if there are some and all are damaged, when nothing is touched; if one cannot be
        read; or if the newest that is whole is of another version.
      DiskError, UsageError: if one cannot be renamed.
    """
    bad: list[tuple[Path, DamagedError]] = []
    for path in _files(run_dir):
        try:
            found = load(path)
        except DamagedError as error:
            bad.append((path, error))
            continue
        for worse, why in bad:
            aside = worse.with_name(f"{worse.name}.bad")
            kept = f"kept aside as {aside.name}, " if set_aside else ""
            log.warning("%s; %s%s is used", why, kept, path.name)
            try:
                if set_aside:
                    worse.replace(aside)
            except OSError as error:
                raise files.cannot(str(worse), error) from error
        return found
    if bad:
        reasons = "; ".join(str(error) for _, error in bad)
        raise RecordError(f"no checkpoint is whole: {reasons}")
    return None


def last(run_dir: Path) -> Path | None:
    """Return where the newest checkpoint lies, damaged or not."""
    return next(iter(_files(run_dir)), None)


def _files(run_dir: Path) -> list[Path]:
    """The checkpoints, the newest first."""
    found = (run_dir / "checkpoints").glob("*.npz")
    return sorted(
        (path for path in found if path.stem.isdecimal()), key=lambda p: int(p.stem), reverse=True
    )


def _named(state: State) -> dict[str, Any]:
    """The leaves of a state by name."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): x for path, x in leaves}


def _about(archive: zipfile.ZipFile) -> Checkpoint:
    """All but the state, from the header."""
    if archive.getinfo(_HEADER).file_size > _HEADER_BYTES:
        raise RecordError(f"{_HEADER} has more than {_HEADER_BYTES:,} bytes")
    try:
        header = json.loads(archive.read(_HEADER))
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{_HEADER}: not JSON: {error}") from None
    if not isinstance(header, dict) or header.get("format") != VERSION:
        found = header.get("format") if isinstance(header, dict) else None
        raise RecordError(f"format {found!r}: this is lenet's format {VERSION}; use its version")
    given = header.get("image_shape")
    shape = tuple(given) if isinstance(given, list) and len(given) == 3 else (0,)
    sizes = [*shape, header.get("num_classes"), header.get("epoch")]
    if not all(isinstance(x, int) and 0 < x < 1 << 20 for x in sizes):
        raise RecordError(f"{_HEADER}: image_shape, num_classes and epoch: expected whole numbers")
    data, environment = header.get("data"), header.get("environment")
    if not isinstance(data, str) or not isinstance(environment, dict):
        raise RecordError(f"{_HEADER}: data and environment are missing")
    if not isinstance(environment.get("versions", {}), dict):
        raise RecordError(f"{_HEADER}: environment: versions have no names")
    try:
        config = config_module.from_dict(header["config"])
    except (LenetError, TypeError, ValueError, LookupError, AttributeError) as error:
        raise RecordError(f"{_HEADER}: config: {error}") from None
    return Checkpoint(
        header["epoch"],
        config,
        shape,
        header["num_classes"],
        data,
        environment,
        State({}, (), jnp.zeros((), jnp.int32)),
    )


def _wanted(about: Checkpoint) -> State:
    """The shapes and types of the state of the network that the header describes."""
    model = network(about.config, about.num_classes)
    try:
        wanted: State = sgd.init.eval_shape(model, about.config, about.image_shape)
    except (ValueError, TypeError, OverflowError) as error:
        raise RecordError(f"{_HEADER}: no network: {error}") from None
    return wanted


def _check_members(archive: zipfile.ZipFile, wanted: State, size: int) -> None:
    """Raise a RecordError unless the archive has what is wanted, once, and no larger than it is."""
    names = sorted([_HEADER, *(f"{name}.npy" for name in _named(wanted))])
    found = sorted(archive.namelist())
    if found != names:
        other = sorted({*found} ^ {*names})[:5] or ["some are there twice"]
        raise RecordError(
            f"its arrays are not those of its network: {ascii(', '.join(other))[1:-1]}"
        )
    if sum(info.file_size for info in archive.infolist()) > size:
        raise RecordError("its members are larger than all of it")


def _state(wanted: State, arrays: Mapping[str, bytes]) -> State:
    """The state, from the content of .npy files."""
    leaves = [_array(name, arrays[name], leaf) for name, leaf in _named(wanted).items()]
    state: State = jax.tree.unflatten(jax.tree.structure(wanted), leaves)
    return state


def _array(name: str, content: bytes, expected: jax.ShapeDtypeStruct) -> np.ndarray:
    """The array of a .npy file, if it is what is expected: its header is read first."""
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"version {version}")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise RecordError(f"{name}: not a .npy file: {error}") from None
    if (shape, fortran, dtype) != (expected.shape, False, expected.dtype):
        raise RecordError(f"{name}: {dtype} {shape}, expected {expected.dtype} {expected.shape}")
    values = content[file.tell() :]
    if len(values) != expected.size * dtype.itemsize:
        raise RecordError(f"{name}: {len(values):,} bytes of values for {shape}")
    return np.frombuffer(values, dtype).reshape(shape)
