"""A PostgreSQL server for a test: on loopback, of an ordinary user, in a directory of its own.

It asks for a password, and answers when the test begins.
"""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from skipping import skip

PASSWORD = "a secret of 2 words"
URL = "postgresql+psycopg://lenet:{password}@127.0.0.1:{port}/postgres"


def _program(name: str) -> str:
    """Return a program of the server, which Debian keeps outside PATH."""
    places = [str(x) for x in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    found = shutil.which(name, path=os.pathsep.join([*places, os.environ.get("PATH", "")]))
    if found is None:
        skip(f"PostgreSQL is not installed (apt-get install postgresql): no {name}")
    return str(found)


def _answers(port: int) -> bool:
    import psycopg

    try:
        psycopg.connect(
            host="127.0.0.1", port=port, user="lenet", password=PASSWORD, dbname="postgres"
        ).close()
    except psycopg.OperationalError:
        return False
    return True


@contextlib.contextmanager
def server() -> Iterator[tuple[str, subprocess.Popen]]:
    """Start a server; yield the URL of a database, with the password, and the process."""
    initdb, postgres = _program("initdb"), _program("postgres")
    place = Path(tempfile.mkdtemp(prefix="lenet-postgres-"))
    user = {}
    if os.getuid() == 0:  # the server refuses root
        nobody = pwd.getpwnam("nobody")
        os.chown(place, nobody.pw_uid, nobody.pw_gid)
        user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = place / "data"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": place, **user}
    try:
        secret = place / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        make = [initdb, "-D", data, "-U", "lenet", "-A", "scram-sha-256", "--pwfile", secret]
        subprocess.run([*make, "-N", "--locale=C", "-E", "UTF8"], check=True, **quiet)
        options = ["-h", "127.0.0.1", "-p", str(port), "-k", place, "-F"]
        with subprocess.Popen([postgres, "-D", data, *options], **quiet) as process:
            try:
                while process.poll() is None and not _answers(port):
                    time.sleep(0.1)
                yield URL.format(password=quote(PASSWORD), port=port), process
            finally:
                process.kill()
    finally:
        shutil.rmtree(place, ignore_errors=True)
