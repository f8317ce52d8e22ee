"""Download the original files of a dataset, from the addresses that tensorflow-datasets lists.

A host that does not answer costs a few seconds, once. `pooch` was measured and loses two checks:
of an endless answer it wrote all 200 MB to the disk before it compared the checksum, where this
module stops at the promised size; and it waited 15 s for a silent host instead of 5 s.
"""

import hashlib
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

ADDRESSES = {
    "fashion_mnist": (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        (
            (26421880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
            (29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
            (4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
            (5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
        ),
    ),
    "mnist": (
        "https://storage.googleapis.com/cvdf-datasets/mnist",
        (
            (9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
            (28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
            (1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
            (4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
        ),
    ),
    "kmnist": (
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist",
        (
            (18165135, "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4"),
            (29497, "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17"),
            (3041136, "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5"),
            (5120, "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"),
        ),
    ),
}
"""Of each dataset the host, then the size and the sha256 of each of FILES as served, compressed: as
tensorflow-datasets 4.9.10 has them in url_checksums/, which a test compares."""
REPORT_SECONDS = 3.0  # between two lines of progress
T = TypeVar("T")


class Address(NamedTuple):
    """One file to download."""

    url: str
    size: int  # bytes, as served (compressed)
    sha256: str  # of those bytes
    filename: str


def addresses(name: str) -> list[Address]:
    """Return the addresses of the four files of `name`, or an empty list if they are unknown."""
    host, served = ADDRESSES.get(name, ("", ()))
    names = [f"{file}.gz" for file in checksums.FILES]
    return [
        Address(f"{host}/{file}", size, sha256, file)
        for file, (size, sha256) in zip(names, served, strict=False)
    ]


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
