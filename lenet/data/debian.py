"""Download Debian's package of Fashion-MNIST with apt-get, and unpack it without installing it."""

import logging
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from lenet.data import sources
from lenet.data.checksums import Raw
from lenet.errors import DataError

log = logging.getLogger("lenet")

PACKAGE = "dataset-fashion-mnist"
_APT_OPTIONS = (
    *("-q", "-o", "Acquire::Retries=0"),
    *("-o", "Acquire::http::Timeout=5", "-o", "Acquire::https::Timeout=5"),  # seconds
)
# Private directories need no root and leave the lists of the system unchanged, so no hook may run.
_APT_CONF = """
Dir::State::lists "{root}/lists";
Dir::Cache "{root}/cache";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""


def fetch(name: str) -> Raw:
    """Download and unpack Debian's package of Fashion-MNIST; needs no root.

    If the system has no package lists (a fresh container), private ones are downloaded first.

    Raises:
      DataError: if apt-get is missing or fails.
    """
    if name != "fashion_mnist":
        raise DataError(f"apt-get: no package for {name}")
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise DataError("apt-get: not installed")
    log.info("%s: downloading Debian's package %s (31 MB) with apt-get", name, PACKAGE)
    try:
        with tempfile.TemporaryDirectory(prefix="lenet-") as temporary:
            root = Path(temporary)
            root.chmod(0o755)  # apt, started by root, downloads as its own user
            try:
                _run(root, "apt-get", "download", PACKAGE)
            except DataError as error:
                if "Unable to locate" not in str(error) and "404" not in str(error):
                    raise
                _download_with_private_lists(root)
            package = next(root.glob(f"{PACKAGE}_*.deb"))
            _run(root, "dpkg-deb", "-x", package.name, "unpacked")
            raw = sources.folder(name, root / "unpacked/usr/share/datasets/fashion-mnist")
    except OSError as error:
        raise DataError(f"apt-get: {error.strerror or error}") from error
    return raw._replace(source=f"Debian's package {PACKAGE}")


def _download_with_private_lists(root: Path) -> None:
    for directory in ("lists/partial", "cache/archives/partial"):
        (root / directory).mkdir(parents=True)
    conf = root / "apt.conf"
    conf.write_text(_APT_CONF.format(root=root), encoding="utf-8")
    _run(root, "apt-get", "-c", str(conf), "update")
    _run(root, "apt-get", "-c", str(conf), "download", PACKAGE)


def _run(directory: Path, program: str, *arguments: str, seconds: float = 300) -> None:
    """Run a program in `directory`; raise DataError with its first error line if it fails."""
    command = [program, *(_APT_OPTIONS if program == "apt-get" else ()), *arguments]
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DataError(f"{program}: not finished after {seconds:.0f} s") from error
    if done.returncode:
        complaints = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        reason = (complaints or done.stderr.splitlines() or [f"status {done.returncode}"])[0]
        raise DataError(f"{program}: {reason.strip()}")
