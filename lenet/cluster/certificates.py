"""Who may join: on this machine anyone, between machines whoever has the certificates."""

import ipaddress
import json
import os
import socket
import time
from pathlib import Path

import platformdirs
from distributed import Security
from distributed.comm.addressing import get_address_host_port

from lenet import files, stopping
from lenet.errors import UsageError

CERTIFICATE, KEY = "cluster.crt", "cluster.key"


def directory() -> Path:
    """Return the directory of this user's certificates, which may not exist."""
    return platformdirs.user_config_path("lenet", appauthor=False) / "cluster"


def certificates(path: Path, *, make: bool = False) -> Security:
    """Return the security of a cluster whose members all have the key in a directory.

    Args:
      path: of the directory, which nobody else may read.
      make: make the key, and its certificate for a year, if there is none.

    Raises:
      UsageError: if there is none, or others may read it.
    """
    if make and not (path / KEY).exists():
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"certificates={path}: cannot be a directory: {error.strerror}. Name another one"
            ) from None
        _check_private(path)
        made = Security.temporary()
        files.write(path / CERTIFICATE, made.tls_ca_file.encode())
        files.write(path / KEY, made.tls_client_key.encode())
    for name in (CERTIFICATE, KEY):
        if not (path / name).is_file():
            raise UsageError(
                f"certificates={path}: there is no {name}. Copy this directory from the machine "
                "of the scheduler, which makes it."
            )
    _check_private(path)
    roles = ("client", "scheduler", "worker")
    return Security(
        require_encryption=True,
        tls_ca_file=str(path / CERTIFICATE),
        **{f"tls_{role}_cert": str(path / CERTIFICATE) for role in roles},
        **{f"tls_{role}_key": str(path / KEY) for role in roles},
    )


def _check_private(path: Path) -> None:
    """Raise a UsageError if others may read a directory."""
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise UsageError(f"certificates={path}: others may read it. Type chmod 700 {path}.")


def security(address: str, path: Path) -> Security | None:
    """Return how to talk to a scheduler: by the certificates at `path`, or None on this machine.

    Raises:
      UsageError: if messages would cross a network in the clear, and as `certificates`.
    """
    scheme, _, _ = address.rpartition("://")
    try:
        host, port = get_address_host_port(address if scheme else f"tcp://{address}", strict=True)
        found = {each[4][0] for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
        here = all(ipaddress.ip_address(each).is_loopback for each in found)
        if not 0 < port < 65536:
            raise ValueError(f"port {port} is not from 1 to 65535")
    except (ValueError, OSError) as error:
        raise UsageError(
            f"cluster={address}: not the address of a scheduler, such as tls://HOST:8786 ({error})"
        ) from None
    if scheme == "tls":
        return certificates(path)
    if scheme not in ("", "tcp") or not here:
        raise UsageError(
            f"cluster={address}: without TLS only on this machine (127.0.0.1), because whoever "
            "reaches a cluster can run code on it. Start `python -m experiments.cluster scheduler` "
            "and use its address, tls://HOST:PORT."
        )
    return None


def address_in(cluster: str, patience: float) -> str:
    """Return the address of a scheduler, given that or the file in which it is.

    Raises:
      UsageError: if the file does not come, or is none.
    """
    path = Path(cluster).expanduser()
    if ":" in cluster:
        return cluster
    until = time.monotonic() + patience
    while not path.exists() and time.monotonic() < until:
        stopping.stop_if_asked()
        time.sleep(0.1)
    if not path.exists():
        raise UsageError(
            f"cluster={cluster}: no address, such as tls://HOST:8786, and no such file after "
            f"{patience:g} s. A scheduler makes it: `python -m experiments.cluster scheduler "
            f"--scheduler_file={cluster}`"
        )
    try:
        return str(json.loads(path.read_bytes())["address"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(
            f"cluster={cluster}: not the file of a scheduler. One makes it: `python -m "
            f"experiments.cluster scheduler --scheduler_file={cluster}`"
        ) from None
