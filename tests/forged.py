"""Checkpoints as somebody could forge them, with the checksum they should have."""

import hashlib
import io
import json
import zipfile

import pytest

from lenet.records import checkpoint


def sealed(content: bytes) -> bytes:
    """Give content, but for its last bytes, the checksum it should have."""
    body = content[: -checkpoint._DIGEST]
    return body + hashlib.sha256(body).hexdigest().encode()


def forged(
    content: bytes, *, header=None, arrays=None, twice=None, compress=zipfile.ZIP_STORED
) -> bytes:
    """Build the archive anew with other members, and seal it."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["header.json"] = json.dumps(
        json.loads(members["header.json"]) | (header or {})
    ).encode()
    members |= arrays or {}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compress) as archive:
        for name, data in members.items():
            if data is not None:
                archive.writestr(name, data)
        if twice:
            with pytest.warns(UserWarning, match="Duplicate"):
                archive.writestr(twice, members[twice])
        archive.comment = b"0" * checkpoint._DIGEST
    return sealed(buffer.getvalue())
