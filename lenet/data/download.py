"""The original files of a data set, by network, as tensorflow-datasets' registry lists them.

A host that does not answer costs a few seconds, once.
"""

import hashlib
import importlib.util
import logging
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

import requests

from lenet.data import sources, verify
from lenet.data.verify import Raw
from lenet.errors import DataError

log = logging.getLogger("lenet")

CONNECT_SECONDS = 5.0  # for name, connection and first byte of the answer together
STALL_SECONDS = 15.0  # without a byte, once the answer flows
REPORT_SECONDS = 3.0  # between two lines of progress
T = TypeVar("T")


class Address(NamedTuple):
    """One file to download."""

    url: str
    size: int  # bytes, as served (compressed)
    sha256: str  # of those bytes
    filename: str


def addresses(name: str) -> list[Address]:
    """Return the four files of `name` as tensorflow-datasets' registry lists them, or none.

    The registry is read as a text file, url_checksums/NAME.txt, for importing takes a second.
    """
    spec = importlib.util.find_spec("tensorflow_datasets")
    if spec is None or spec.origin is None:
        return []
    registry = Path(spec.origin).parent / "url_checksums" / f"{name}.txt"
    if not registry.is_file():
        return []
    wanted = {f"{file}.gz" for file in verify.FILES}
    rows = (line.split("\t") for line in registry.read_text(encoding="utf-8").splitlines())
    found = [Address(url, int(size), sha256, file) for url, size, sha256, file in rows]
    return [address for address in found if address.filename in wanted]


def fetch(name: str) -> Raw:
    """Download the four files, compare size and sha256 with the registry, and read them.

    Raises DataError, one line, that says why they could not be had.
    """
    files = addresses(name)
    if len(files) != len(verify.FILES):
        raise DataError(f"download: no addresses known for {name}")
    host = urlsplit(files[0].url).hostname
    try:
        with tempfile.TemporaryDirectory(prefix="lenet-") as directory:
            for address in files:  # the first failure ends it: they share a host
                _get(address, Path(directory) / address.filename)
            raw = sources.folder(name, Path(directory))
    except OSError as error:  # requests' own errors are OSErrors too
        raise DataError(f"download from {host}: {_reason(error)}") from error
    return raw._replace(source=str(host), verdict="verified")


def _get(address: Address, path: Path) -> None:
    """Download one file to `path`; raise DataError unless it has the promised size and sha256."""
    response = _within(
        CONNECT_SECONDS,
        lambda: requests.get(
            address.url,
            stream=True,
            timeout=(CONNECT_SECONDS, STALL_SECONDS),
            headers={"Accept-Encoding": "identity"},  # the checksum is of the bytes as stored
        ),
    )
    with response, open(path, "wb") as file:
        response.raise_for_status()
        digest, done = hashlib.sha256(), 0
        for chunk in _reported(response.iter_content(2**16), address):
            done += len(chunk)
            if done > address.size:  # checked as it comes, so that no answer can fill the disk
                break
            digest.update(chunk)
            file.write(chunk)
    if done != address.size or digest.hexdigest() != address.sha256:
        raise DataError(
            f"download: {address.url}: expected {address.size:,} bytes of sha256 "
            f"{address.sha256[:16]}.., found {done:,} of {digest.hexdigest()[:16]}.."
        )


def _reported(chunks: Iterator[bytes], address: Address) -> Iterator[bytes]:
    """Pass chunks on, and tell every few seconds how far the download has come."""
    done, told = 0, time.monotonic()
    for chunk in chunks:
        done += len(chunk)
        if time.monotonic() - told > REPORT_SECONDS:
            told = time.monotonic()
            log.info("%s: %.1f of %.1f MB", address.filename, done / 1e6, address.size / 1e6)
        yield chunk


def _within(seconds: float, call: Callable[[], T]) -> T:
    """Return `call()`, or raise TimeoutError when it takes longer.

    The timeout of a connection covers neither the look-up of a name nor a host of many addresses.
    The thread is a daemon, so that one still waiting does not keep the program from ending.
    """
    answers: queue.SimpleQueue[T | BaseException] = queue.SimpleQueue()

    def run() -> None:
        try:
            answers.put(call())
        except BaseException as error:  # handed to the caller, whatever it is
            answers.put(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds:g} s") from None
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _reason(error: Exception) -> str:
    """Say in a few words why a request or a file operation failed."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP status {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return str(error).splitlines()[0] if str(error) else type(error).__name__
