"""Schedulers and workers: on this machine for one sweep, or on many for as long as they are needed.

No port is open to others without TLS; the pages that Dask serves are for this machine alone.
"""

import asyncio
import contextlib
import ipaddress
import json
import logging
import socket
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
from distributed import Client, Nanny, Scheduler, Security, SpecCluster
from distributed.comm.addressing import get_address_host_port

from lenet import files, stopping
from lenet.cluster.worker import REFUSED, OneCore
from lenet.errors import UsageError

HERE = "127.0.0.1"
START = 60
"""Seconds in which a worker of this machine, which has the data, has to start."""


@contextlib.contextmanager
def local(cores: Sequence[int | None]) -> Iterator[Client]:
    """Start a worker on each of some cores of this machine; stop them when the block ends.

    Raises:
      UsageError: if one does not start.
    """
    _quiet()
    options = {"host": HERE, "dashboard_address": f"{HERE}:0"}
    workers = {
        name: {"cls": Nanny, "options": _member(core, START) | {"host": HERE}}
        for name, core in enumerate(cores)
    }
    try:
        cluster = SpecCluster(workers, {"cls": Scheduler, "options": options})
    except (RuntimeError, OSError, TimeoutError) as error:
        raise UsageError(
            f"a worker process did not start ({error}), possibly out of memory. Prefix the command "
            "with `taskset -c 0` to use one process."
        ) from None
    with cluster, Client(cluster, set_as_default=False) as client:
        yield client


@contextlib.contextmanager
def connect(address: str, security: Security | None, patience: float) -> Iterator[Client]:
    """Connect to a scheduler.

    Raises:
      UsageError: if it does not answer within `patience` seconds.
    """
    _quiet()
    until = time.monotonic() + patience
    while True:
        try:  # the same time limits how long it looks for a scheduler that has gone
            client = Client(
                address, security=security, timeout=min(patience, 10), set_as_default=False
            )
            break
        except (OSError, TimeoutError, ValueError) as error:
            stopping.stop_if_asked()
            if time.monotonic() > until:
                raise UsageError(_no_answer(address, patience, error)) from None
    with client:
        yield client


async def schedule(
    host: str | None,
    port: int,
    security: Security,
    file: Path | None,
    ready: Callable[[str], None],
) -> None:
    """Run a scheduler with mutual TLS until this is cancelled.

    Args:
      host, port: where others reach it; None: on all addresses of this machine.
      security: from `certificates`.
      file: to write its address to, until it ends.
      ready: called with its address.

    Raises:
      UsageError: if it cannot listen there, or the file has no directory.
    """
    _quiet()
    if file and not file.parent.is_dir():
        raise UsageError(f"scheduler_file={file}: there is no directory {file.parent}")
    try:
        with warnings.catch_warnings():  # of a network without a way out: `reachable`
            warnings.filterwarnings("ignore", "Couldn't detect a suitable IP", RuntimeWarning)
            options: dict[str, Any] = {"protocol": "tls", "security": security}
            options["dashboard_address"] = f"{HERE}:0"
            scheduler = await Scheduler(host=host, port=port, **options)
            address = scheduler.address if host else reachable(scheduler.address)
    except (OSError, RuntimeError) as error:  # Dask wraps the reason
        where = f"host={host}, port={port}" if host else f"port={port}"
        raise UsageError(
            f"{where}: cannot listen there ({error.__cause__ or error}). Name another host=, or "
            "another port=; 0 takes any that is free"
        ) from None
    try:
        if file:
            files.write_json(file, scheduler.identity() | {"address": address})
        ready(address)
        await scheduler.finished()
    finally:
        if file:
            with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
                if json.loads(file.read_bytes())["id"] == scheduler.id:  # not the next one's
                    file.unlink()  # else workers would look for a scheduler that is gone
        await scheduler.close()


def reachable(address: str) -> str:
    """Return an address of a scheduler by which other machines of its network reach it.

    Dask looks for the way to a public address; where there is none it finds only this machine.
    """
    host, port = get_address_host_port(address)
    if not ipaddress.ip_address(host).is_loopback:
        return address
    found = (each for of_one in psutil.net_if_addrs().values() for each in of_one)
    others = (each.address for each in found if each.family == socket.AF_INET)
    other = next((each for each in others if not ipaddress.ip_address(each).is_loopback), host)
    return f"{address.partition('://')[0]}://{other}:{port}"


async def serve(
    address: str,
    security: Security | None,
    cores: Sequence[int | None],
    patience: float,
    tell: Callable[[bool], None],
) -> None:
    """Run a worker for each of some cores (None: for all of them) until this is cancelled.

    A worker that dies is started again, and one that lost the scheduler joins it again.

    Args:
      address, security: of the scheduler.
      cores: of this machine.
      patience: seconds to wait for the scheduler.
      tell: called with True when a worker has joined the cluster, with False when it has left.

    Raises:
      UsageError: if the scheduler is away for `patience` seconds, or refuses.
    """
    _quiet()

    async def each(core: int | None) -> None:
        await _serve(address, security, core, patience, tell)

    await asyncio.gather(*map(each, cores))


async def _serve(
    address: str,
    security: Security | None,
    core: int | None,
    patience: float,
    tell: Callable[[bool], None],
) -> None:
    seen = time.monotonic()
    while True:
        try:
            async with _Nanny(address, security=security, **_member(core, patience)) as nanny:
                tell(True)
                try:
                    await nanny.finished()
                finally:
                    tell(False)
                    seen = time.monotonic()
            if nanny.refusal:
                raise UsageError(nanny.refusal)
        except (OSError, TimeoutError, RuntimeError, ValueError) as error:
            if time.monotonic() - seen > patience:
                raise UsageError(_no_answer(address, patience, error)) from None
        await asyncio.sleep(1)


class _Nanny(Nanny):
    """The process that watches a worker, and knows whether it was refused."""

    refusal = ""

    def close_gracefully(self, reason: str = "") -> None:
        """Note that the worker left for a reason, and is not to be started again."""
        self.refusal = reason.removeprefix(REFUSED) if reason.startswith(REFUSED) else ""
        super().close_gracefully(reason)


def _member(core: int | None, seconds: float) -> dict[str, Any]:
    """Return the options of the worker of a core, which has to start within some seconds."""
    return {
        "worker_class": OneCore,
        "core": core,
        "nthreads": 1,
        "memory_limit": None,
        "death_timeout": seconds,
        "dashboard_address": f"{HERE}:0",
        "silence_logs": logging.CRITICAL,
    }


def _no_answer(address: str, patience: float, error: BaseException) -> str:
    scheme, _, place = address.rpartition("://")
    secure = "" if scheme == "tls" else f"; if it has certificates, its address is tls://{place}"
    while error.__cause__:  # Dask wraps the reason, and names its own classes
        error = error.__cause__
    said = "" if "Nanny" in str(error) or isinstance(error, TimeoutError) else str(error)[:100]
    why = f" ({said})" if said else ""
    return (
        f"cluster={address}: no answer in {patience:g} s{why}. Start `python -m "
        "experiments.cluster scheduler` there, and have its certificates here "
        f"(certificates=DIR){secure}."
    )


def _quiet() -> None:
    """Have Dask say nothing: what matters is raised."""
    for name in logging.root.manager.loggerDict:
        if name.partition(".")[0] in ("distributed", "tornado"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
