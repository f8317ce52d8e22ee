"""Download the original files of a dataset, from the addresses tensorflow-datasets lists.

A host that does not answer costs a few seconds, once. `pooch` was measured and loses two checks:
of an endless answer it wrote all 200 MB to the disk before it compared the checksum, where this
module stops at the promised size; and it waited 15 s for a silent host instead of 5 s.
"""

import hashlib
import importlib.util
import logging
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from lenet import limits
from lenet.data import checksums, sources
from lenet.data.checksums import Raw
from lenet.errors import DataError

log = logging.getLogger("lenet")

REPORT_SECONDS = 3.0  # between two lines of progress
T = TypeVar("T")


class Address(NamedTuple):
    """One file to download."""

    url: str
    size: int  # bytes, as served (compressed)
    sha256: str  # of those bytes
    filename: str


def addresses(name: str) -> list[Address]:
    """Return the addresses of the four files of `name`, or an empty list if they are unknown.

    They are read from a text file of tensorflow-datasets, url_checksums/NAME.txt, because importing
    the package takes a second.
    """
    spec = importlib.util.find_spec("tensorflow_datasets")
    if spec is None or spec.origin is None:
        return []
    registry = Path(spec.origin).parent / "url_checksums" / f"{name}.txt"
    if not registry.is_file():
        return []
    wanted = {f"{file}.gz" for file in checksums.FILES}
    rows = (line.split("\t") for line in registry.read_text(encoding="utf-8").splitlines())
    found = [Address(url, int(size), sha256, file) for url, size, sha256, file in rows]
    return [address for address in found if address.filename in wanted]


def fetch(name: str) -> Raw:
    """Download the four files, check their size and sha256, and read them.

    Raises:
      DataError: if the download or a check fails.
    """
    files = addresses(name)
    if len(files) != len(checksums.FILES):
        raise DataError(f"download: no known address for {name}")
    host = urlsplit(files[0].url).hostname
    try:
        with tempfile.TemporaryDirectory(prefix="lenet-") as directory:
            end = time.monotonic() + limits.DOWNLOAD_SECONDS
            for address in files:  # stop at the first failure: they share a host
                _get(address, Path(directory) / address.filename, end)
            raw = sources.folder(name, Path(directory))
    except OSError as error:  # requests' own errors are OSErrors too
        raise DataError(f"download from {host}: {_reason(error)}") from error
    return raw._replace(source=str(host), verdict="verified")


def _get(address: Address, path: Path, end: float) -> None:
    """Download one file to `path` before the clock is at `end`.

    Raises:
      DataError: unless it has the promised size and sha256.
    """
    response = _within(
        limits.CONNECT_SECONDS,
        lambda: requests.get(
            address.url,
            stream=True,
            timeout=(limits.CONNECT_SECONDS, limits.STALL_SECONDS),
            headers={"Accept-Encoding": "identity"},  # the checksum covers the stored bytes
        ),
    )
    with response, open(path, "wb") as file:
        response.raise_for_status()
        digest, done, logged = hashlib.sha256(), 0, time.monotonic()
        for chunk in _arriving(response):
            done += len(chunk)
            if (now := time.monotonic()) > end:
                raise TimeoutError(f"not finished within {limits.DOWNLOAD_SECONDS:g} s")
            if now - logged > REPORT_SECONDS:
                logged = now
                sizes = done / 1e6, address.size / 1e6
                log.info("downloading %s: %.1f of %.1f MB", address.filename, *sizes)
            if done > address.size:  # before writing, so that no answer can fill the disk
                break
            digest.update(chunk)
            file.write(chunk)
    if done != address.size or digest.hexdigest() != address.sha256:
        raise DataError(
            f"download: {address.url}: expected {address.size:,} bytes with sha256 "
            f"{address.sha256[:16]}.., found {done:,} with {digest.hexdigest()[:16]}.."
        )


def _arriving(response: requests.Response) -> Iterator[bytes]:
    """Yield an answer as it arrives; `iter_content` would wait until a chunk is full."""
    try:
        while chunk := response.raw.read1(2**16, decode_content=False):
            yield chunk
    except HTTPError as error:
        raise requests.ConnectionError(error) from error


def _within(seconds: float, call: Callable[[], T]) -> T:
    """Return `call()`, or raise TimeoutError after `seconds`.

    The timeout of a connection covers neither the look-up of a name nor a host with many addresses.
    The thread is a daemon: it does not keep the program from exiting while it waits.
    """
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:  # raised in the calling thread
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return answer.result(timeout=seconds)
    except TimeoutError:
        raise TimeoutError(f"no answer within {seconds:g} s") from None


def _reason(error: Exception) -> str:
    """Return in a few words why a request or a file operation failed."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP status {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return "timed out"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return str(error).splitlines()[0] if str(error) else type(error).__name__
