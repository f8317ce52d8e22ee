"""Write files atomically, into a directory that stays the one it was.

A reader finds a whole file or none. A process that holds a directory writes into it or nowhere: not
into another that was given its name, and not through a link inside it.
"""

import contextlib
import errno
import json
import os
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import platformdirs

from lenet.errors import DiskError, InUseError, UsageError

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}
_WRITE = os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
UNFINISHED = ".part"


class _Held(NamedTuple):
    """A directory that this process holds open."""

    path: str  # absolute
    handle: int | None  # None on Windows, which opens no directory
    status: os.stat_result  # which directory it is
    name: str | None  # of the work in it
    token: str  # part of the names of its unfinished files


_held: dict[str, _Held] = {}  # by path, as it was given: the working directory may change


def cache_directory() -> Path | None:
    """Return this user's cache directory, which may not exist yet, or None without a home."""
    # Without a home directory some versions raise and others return "~/.cache", a relative path.
    try:
        path = platformdirs.user_cache_path("lenet", appauthor=False)
    except RuntimeError:
        return None
    return path if path.is_absolute() else None


@contextlib.contextmanager
def hold(directory: Path, name: str | None = None) -> Iterator[None]:
    """Keep a directory open: until the block ends, what is written below its name goes into it.

    Args:
      directory: that exists.
      name: a random one, of the work in it. What a process left unfinished under that name is
        removed, and nothing else is.

    Raises:
      OSError: if it cannot be opened.
    """
    handle = None if os.name == "nt" else os.open(directory, _FOLDER)
    try:
        status = os.stat(directory if handle is None else handle)
        inside = (x for x in directory.iterdir() if x.is_dir() and not x.is_symlink())
        for folder in (directory, *inside) if name else ():
            for left in folder.glob(f".*.{name}{UNFINISHED}"):
                left.unlink(missing_ok=True)
        token = name or secrets.token_hex(16)
        absolute = os.path.abspath(directory)
        _held[os.path.normpath(directory)] = _Held(absolute, handle, status, name, token)
        yield
    finally:
        _held.pop(os.path.normpath(directory), None)
        if handle is not None:
            os.close(handle)


def is_held(directory: Path) -> bool:
    """Whether this process holds a directory."""
    return os.path.normpath(directory) in _held


def held_name(directory: Path) -> str | None:
    """Return the name of the work in a directory that this process holds."""
    return _held[os.path.normpath(directory)].name


def check_held(directory: Path) -> None:
    """Raise an InUseError if the name of a held directory means another one by now, or none."""
    held = _held.get(os.path.normpath(directory))
    if held is None:
        return
    try:
        same = os.path.samestat(os.stat(held.path), held.status)
    except OSError:
        same = False
    if not same:
        raise InUseError(
            f"run_dir={directory}: was moved or replaced while this process was writing it. "
            "Nothing more was written. Resume the run where it is now."
        )


def read(path: Path, most: int) -> bytes:
    """Return the content of a regular file of at most `most` bytes.

    A pipe or device, which may never end, is not even opened.

    Raises:
      OSError: if it cannot be read, is no regular file or is larger.
    """
    status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "a pipe or device, not a regular file")
    with open(path, "rb") as file:
        content = file.read(most + 1) if status.st_size <= most else b""
    if max(status.st_size, len(content)) > most:
        raise OSError(errno.EFBIG, f"more than {most:,} bytes")
    return content


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; make its directory if need be.

    Raises:
      DiskError: if the disk does not take it.
      UsageError: if it may not be written there.
      InUseError: as `check_held`.
    """
    with writing(path):
        replace(path, [content])


def write_json(path: Path, values: Any) -> None:
    """Write `values` as JSON, whole or not at all."""
    write(path, (json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a line of JSON for each row, all of them, whole or not at all."""
    write(path, _lines(rows))


def append(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Append a line of JSON for each row, and return when the disk has them.

    Raises:
      DiskError, UsageError, InUseError: as `write`.
    """
    with writing(path), _folder_of(path, make=False) as (at, name, _):
        _write(os.open(name, _WRITE | os.O_APPEND, 0o644, dir_fd=at), [_lines(rows)])


def replace(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Write a file aside, flush it to the disk and rename it to `path`.

    Raises:
      OSError: if the disk does not take it; nothing lies beside it then, and `path` is unchanged
        unless the last step failed, the flush of its directory.
      InUseError: as `check_held`.
    """
    with _folder_of(path) as (at, name, token):
        with contextlib.suppress(FileNotFoundError):
            _refuse_link(name, at)
        folder, base = os.path.split(name)
        aside = os.path.join(folder, f".{base}.{token}{UNFINISHED}")
        handle = os.open(aside, _WRITE | os.O_EXCL, 0o644, dir_fd=at)
        try:
            _write(handle, chunks)
            os.replace(aside, name, src_dir_fd=at, dst_dir_fd=at)
            if at is not None:  # so that the new name survives a crash
                os.fsync(at)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(aside, dir_fd=at)
            raise


def rename(path: Path, name: str) -> None:
    """Rename a file, or a link, in its directory.

    Raises:
      DiskError, UsageError, InUseError: as `write`.
    """
    with writing(path), _folder_of(path) as (at, old, _):
        new = os.path.join(os.path.dirname(old), name)
        os.replace(old, new, src_dir_fd=at, dst_dir_fd=at)


def remove(path: Path) -> None:
    """Remove a file; raise an OSError if that cannot be done, or an InUseError as `check_held`."""
    with _folder_of(path) as (at, name, _):
        os.unlink(name, dir_fd=at)


@contextlib.contextmanager
def writing(what: str | Path) -> Iterator[None]:
    """Raise the project's error for an OSError at writing `what`.

    Raises:
      DiskError: if the disk does not take it.
      UsageError: if it may not be written there.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _DISK:
            reason = f"cannot be written: {error.strerror}; free some space"
            raise DiskError(f"{what}: {reason}") from error
        if error.errno == errno.ELOOP:
            raise UsageError(f"{what}: is a link; links are not written through") from error
        raise UsageError(f"{what}: cannot be used: {error.strerror}; choose another") from error


@contextlib.contextmanager
def _folder_of(path: Path, *, make: bool = True) -> Iterator[tuple[int | None, str, str]]:
    """Yield a handle of the directory of a file, the file's name from there, and a token."""
    folder, token = path.parent, secrets.token_hex(16)
    with contextlib.ExitStack() as stack:
        for top in (folder, folder.parent):
            if not (held := _held.get(os.path.normpath(top))):
                continue
            check_held(top)
            token, at = held.token, held.handle
            if at is None:
                break
            if top != folder:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(folder.name, dir_fd=at)
                    os.fsync(at)
                _refuse_link(folder.name, at)
                at = os.open(folder.name, _FOLDER | getattr(os, "O_NOFOLLOW", 0), dir_fd=at)
                stack.callback(os.close, at)
            yield at, path.name, token
            return
        if make:
            folder.mkdir(parents=True, exist_ok=True)
        if os.name == "nt":
            yield None, str(path), token
            return
        at = os.open(folder, _FOLDER)
        stack.callback(os.close, at)
        yield at, path.name, token


def _refuse_link(name: str, at: int | None) -> None:
    """Raise an OSError if a file or a folder is a link."""
    if stat.S_ISLNK(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _write(handle: int, chunks: Iterable[bytes | memoryview]) -> None:
    """Write to a handle, and close it when the disk has all of it."""
    with open(handle, "wb") as file:
        file.writelines(chunks)
        file.flush()
        os.fsync(file.fileno())


def _lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows).encode()
