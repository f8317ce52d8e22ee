"""Write files atomically, into a directory that stays the one it was.

A reader finds a whole file or none. A process that holds a directory writes into it or nowhere: not
into another that was given its name, and not through a link inside it.
"""

import contextlib
import errno
import hashlib
import json
import os
import secrets
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import platformdirs

from lenet.errors import DiskError, InUseError, UsageError

if sys.platform != "win32":
    import fcntl

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}
_WRITE = os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
UNFINISHED = ".part"
_CHUNK = 2**20  # bytes


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


def private(directory: Path) -> Path | None:
    """Return a directory that nobody but this user can read or write, made if need be, or None."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.stat()
    except OSError:
        return None
    if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & 0o077):
        return None
    return directory


@contextlib.contextmanager
def hold(directory: Path, name: str | None = None) -> Iterator[None]:
    """Keep a directory open: until the block ends, what is written below its name goes into it.

    Args:
      directory: that exists.
      name: a random one, of the work in it. What a process that died left unfinished, under that
        name or of a single file, is removed, and nothing else is.

    Raises:
      OSError: if it cannot be opened.
    """
    handle = None if os.name == "nt" else os.open(directory, _FOLDER)
    try:
        status = os.stat(directory if handle is None else handle)
        inside = (x for x in directory.iterdir() if x.is_dir() and not x.is_symlink())
        for folder in (directory, *inside) if name else ():
            for left in folder.glob(f".*{UNFINISHED}"):
                base, _, token = left.name[1 : -len(UNFINISHED)].rpartition(".")
                if token in (name, _token(base)):
                    _remove_left(str(left), None)
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
    with open(path, "rb") as file:  # no more than it has, for as much is set aside at once
        content = file.read(min(status.st_size, most) + 1) if status.st_size <= most else b""
        while len(content) <= most and (more := file.read(_CHUNK)):  # it has grown meanwhile
            content += more
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
    with writing(path), _folder_of(path, make_it=False) as (at, name, _):
        try:
            handle, new = os.open(name, _WRITE | os.O_APPEND | os.O_EXCL, 0o644, dir_fd=at), True
        except FileExistsError:
            handle, new = os.open(name, _WRITE | os.O_APPEND, 0o644, dir_fd=at), False
        with open(handle, "wb") as file:
            _fill(file, [_lines(rows)])
        if new:
            _sync(at)


def replace(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Write a file aside, flush it to the disk and rename it to `path`.

    Raises:
      OSError: if the disk does not take it; nothing lies beside it then, and `path` is unchanged
        unless the last step failed, the flush of its directory.
      InUseError: as `check_held`, or if another process is writing it.
    """
    with _folder_of(path) as (at, name, token):
        with contextlib.suppress(FileNotFoundError):
            _refuse_link(name, at)
        folder, base = os.path.split(name)
        aside = os.path.join(folder, f".{base}.{token}{UNFINISHED}")
        try:
            handle = _begin(aside, at)
        except FileExistsError:
            raise InUseError(f"{path}: another process is writing it. Wait for it.") from None
        try:
            with open(handle, "wb") as file:
                _fill(file, chunks)
                if at is None:  # Windows renames no file that is open
                    file.close()
                os.replace(aside, name, src_dir_fd=at, dst_dir_fd=at)
            _sync(at)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(aside, dir_fd=at)
            raise


def make(directory: Path) -> None:
    """Make a directory and those above it, and return when the disk has their names.

    Raises:
      OSError: if that cannot be done.
    """
    if directory.is_dir():
        return
    make(directory.parent)
    directory.mkdir(exist_ok=True)
    # It may be another's, who lets this user make a directory in it and not read it.
    with contextlib.suppress(PermissionError), _folder_of(directory, make_it=False) as (at, _, _):
        _sync(at)


def rename(path: Path, name: str) -> None:
    """Rename a file, or a link, in its directory.

    Raises:
      DiskError, UsageError, InUseError: as `write`.
    """
    with writing(path), _folder_of(path) as (at, old, _):
        new = os.path.join(os.path.dirname(old), name)
        os.replace(old, new, src_dir_fd=at, dst_dir_fd=at)


def remove(path: Path) -> None:
    """Remove a file.

    Raises:
      DiskError, UsageError, InUseError: as `write`.
    """
    with writing(path), _folder_of(path) as (at, name, _):
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
def _folder_of(path: Path, *, make_it: bool = True) -> Iterator[tuple[int | None, str, str]]:
    """Yield a handle of the directory of a file, the file's name from there, and a token."""
    folder, token = path.parent, _token(path.name)
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
        if make_it:
            make(folder)
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


def _token(name: str) -> str:
    """Return the token of an unfinished file in a directory that nobody holds."""
    return hashlib.sha256(f"lenet {name}".encode(errors="surrogateescape")).hexdigest()[:32]


def _begin(name: str, at: int | None) -> int:
    """Open a new file and lock it: one that is not locked was left by a process that died."""
    while True:
        _remove_left(name, at)
        handle = os.open(name, _WRITE | os.O_EXCL, 0o644, dir_fd=at)
        if _lock(handle) and os.fstat(handle).st_nlink:
            return handle
        os.close(handle)  # removed by another process just before it was locked


def _remove_left(name: str, at: int | None) -> None:
    """Remove an unfinished file, if the process that began it is dead."""
    with contextlib.suppress(OSError):
        handle = os.open(name, os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0), dir_fd=at)
        try:
            if _lock(handle):
                os.unlink(name, dir_fd=at)
        finally:
            os.close(handle)


def _lock(handle: int) -> bool:
    """Lock a file until it is closed; return whether no other process has."""
    if sys.platform == "win32":  # where a file that is open cannot be removed
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _fill(file: IO[bytes], chunks: Iterable[bytes | memoryview]) -> None:
    """Write to a file, and return when the disk has all of it."""
    file.writelines(chunks)
    file.flush()
    os.fsync(file.fileno())


def _sync(at: int | None) -> None:
    """Return when the disk has the names in a directory, which then survive a crash."""
    if at is not None:
        os.fsync(at)


def _lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows).encode()
