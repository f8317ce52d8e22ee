"""Every reader, with files that it reads, and how these are damaged where no checksum sees it."""

import dataclasses
import functools
import gzip
import io
import itertools
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import flags
from forged import sealed
from PIL import Image
from record_rows import ROW

from experiments import cli
from experiments.cli import axes, command
from lenet import config, export, records, train
from lenet.config import Config
from lenet.data import idx, pictures
from lenet.model import network
from lenet.records import checkpoint, ledger
from lenet.records.seals import RUN, SEAL, seal
from lenet.runs import resuming

Edit = Callable[[bytes], bytes]
SMALL = Config(channels=(1, 2), hidden=(4,))
NAME = "0123456789abcdef" * 2
"""Of the run that the records are of."""


class Reader(NamedTuple):
    """A reader of files of one kind."""

    read: Callable[[Path], object]
    file: str  # its name
    samples: Callable[
        [Path], Mapping[str, bytes]
    ]  # files that it reads; also writes what else it needs
    inside: Callable[
        [bytes, int, Edit], bytes
    ]  # an edit of a part, by number, behind the checksums
    share: int  # of 100,000 cases


def plain(content: bytes, part: int, edit: Edit) -> bytes:
    """Edit a file that has no checksum."""
    return edit(content)


def in_gzip(content: bytes, part: int, edit: Edit) -> bytes:
    """Edit what a gzip file holds."""
    packed = content.startswith(b"\x1f\x8b")
    return gzip.compress(edit(gzip.decompress(content)), mtime=0) if packed else edit(content)


def in_zip(content: bytes, part: int, edit: Edit) -> bytes:
    """Edit a member of an archive, and give the archive the checksums that it should have."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w") as new:
        for at, name in enumerate(old.namelist()):
            data = old.read(name)
            new.writestr(name, edit(data) if at == part % len(old.namelist()) else data)
        new.comment = old.comment
    return sealed(buffer.getvalue()) if new.comment else buffer.getvalue()


def in_png(content: bytes, part: int, edit: Edit) -> bytes:
    """Edit a chunk of a PNG, or its pixels before they are packed."""
    if not content.startswith(pictures.SIGNATURE):
        return edit(content)
    chunks, at = [], 8
    while at < len(content):
        (length,) = struct.unpack_from(">I", content, at)
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    kind, data = chunks[part % len(chunks)]
    edited = zlib.compress(edit(zlib.decompress(data))) if kind == b"IDAT" else edit(data)
    chunks[part % len(chunks)] = kind, edited
    packed = ((struct.pack(">I", len(x)), k + x) for k, x in chunks)
    return pictures.SIGNATURE + b"".join(
        size + body + struct.pack(">I", zlib.crc32(body)) for size, body in packed
    )


ODD = (
    None,
    True,
    -1,
    10**400,
    1e308,
    -0.0,
    2**63,
    "",
    "x" * 500,
    "\x1b[2J",
    [],
    {},
    [[[]]],
    [None],
)


def in_json(content: bytes, part: int, edit: Edit) -> bytes:
    """Put something else into a place of a line of JSON, and seal it again."""
    *lines, _ = content.split(b"\n") if content.count(b"\n}\n") == 0 else (content, b"")
    at = part % len(lines)
    values = json.loads(lines[at])
    places = [*_places(values)]
    holder, key = places[part // len(lines) % len(places)]
    text = edit(json.dumps(holder[key]).encode())
    odd = ODD[len(text) % len(ODD)]
    try:
        holder[key] = odd if part % 3 else json.loads(text)
    except (ValueError, RecursionError):
        holder[key] = odd
    try:
        lines[at] = json.dumps(seal({k: x for k, x in values.items() if k != SEAL}, NAME)).encode()
    except ValueError:  # no JSON: NaN
        lines[at] = json.dumps(values).encode()
    return b"\n".join([*lines, b""])


def _places(values: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place in a JSON value: what holds it, and where."""
    inside = values.items() if isinstance(values, dict) else enumerate(values)
    for key, value in list(inside):
        yield values, key
        if isinstance(value, dict | list):
            yield from _places(value)


def of_idx(place: Path) -> dict[str, bytes]:
    """Images and labels, plain and packed."""
    made = [
        np.arange(24, dtype=np.uint8).reshape(shape) for shape in ((24,), (2, 3, 4), (1, 2, 3, 4))
    ]
    whole = [idx.header(array.shape) + array.tobytes() for array in made]
    return {f"{at}": x for at, x in enumerate([*whole, *map(gzip.compress, whole)])}


def described(place: Path) -> None:
    """Write the record that names the run."""
    about = records.describe(SMALL, _few(), "python -m experiments.train") | {RUN: NAME}
    (place / "config.json").write_text(json.dumps(seal(about, NAME), indent=2) + "\n")


@functools.cache
def _few() -> Any:
    from lenet.data import synthetic

    return synthetic.make(20, 10)


def of_config(place: Path) -> dict[str, bytes]:
    """The description of a run."""
    described(place)
    return {"config": (place / "config.json").read_bytes()}


def of_rows(place: Path) -> dict[str, bytes]:
    """Rows of a run."""
    described(place)
    rows = [dataclasses.replace(ROW, epoch=epoch).to_dict() for epoch in (1, 2, 3)]
    return {"rows": b"".join(json.dumps(seal(row, NAME)).encode() + b"\n" for row in rows)}


def of_ledger(place: Path) -> dict[str, bytes]:
    """Two finished runs, and one that diverged."""
    described(place)
    entries = [
        ledger.Entry(0, SMALL, [ROW], None),
        ledger.Entry(1, SMALL, [ROW, dataclasses.replace(ROW, epoch=2)], None),
        ledger.Entry(2, SMALL, [], "in step 3"),
    ]
    lines = [json.dumps(seal(entry.to_dict(), NAME)).encode() + b"\n" for entry in entries]
    return {"ledger": b"".join(lines)}


def of_statistics(place: Path) -> dict[str, bytes]:
    """What the layers did."""
    from lenet.inspect.activations import Statistics

    described(place)
    layers = {"conv1": dict.fromkeys(Statistics._fields, 0.5)}
    rows = [{"epoch": epoch, "layers": layers} for epoch in (0, 1)]
    return {"rows": b"".join(json.dumps(seal(row, NAME)).encode() + b"\n" for row in rows)}


def of_result(place: Path) -> dict[str, bytes]:
    """The end of a run."""
    described(place)
    result = ROW.to_dict() | {"environment": records.environment(), "synthetic": True}
    return {"result": json.dumps(seal(result, NAME), indent=2).encode() + b"\n"}


def of_checkpoint(place: Path) -> dict[str, bytes]:
    """The state of a small network."""
    state = train.init(network(SMALL, 10), SMALL, (28, 28, 1))
    made = checkpoint.Checkpoint(1, SMALL, (28, 28, 1), 10, "", {}, state)
    return {"checkpoint": checkpoint.to_bytes(made)}


def of_pictures(place: Path) -> dict[str, bytes]:
    """Pictures of every kind that people have."""
    grey = Image.fromarray(np.arange(20 * 30, dtype=np.uint32).reshape(20, 30).astype(np.uint8))
    made: dict[str, bytes] = {}
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds = {"L": {}, "RGBA": {}, "P": {"transparency": 3}, "I;16": {}, "1": {}, "LA": {}}
    for mode, options in kinds.items():
        buffer = io.BytesIO()
        sized = (
            Image.fromarray(np.asarray(grey).astype(np.uint16))
            if mode == "I;16"
            else grey.convert(mode)
        )
        sized.save(buffer, "PNG", **options)
        made[f"png {mode}"] = buffer.getvalue()
    for mode in ("L", "RGB", "CMYK"):
        buffer = io.BytesIO()
        grey.convert(mode).save(buffer, "JPEG", exif=exif, progressive=mode == "RGB", comment=b"x")
        made[f"jpeg {mode}"] = buffer.getvalue()
    return made


def of_torch(place: Path) -> dict[str, bytes]:
    """The state dict of a small network, by itself and in a training checkpoint, old and new."""
    import torch

    shape = (28, 28, 1)
    params = train.init(network(SMALL, 10), SMALL, shape).params
    arrays = export.to_torch(network(SMALL, 10), params, shape)
    state = {name: torch.from_numpy(x.copy()) for name, x in arrays.items()}
    made = {}
    for name, saved in {"plain": state, "nested": {"model": state, "epoch": 3}}.items():
        for zipped in (True, False):
            buffer = io.BytesIO()
            torch.save(saved, buffer, _use_new_zipfile_serialization=zipped)
            made[f"{name} {zipped}"] = buffer.getvalue()
    return made


def read_torch(path: Path) -> None:
    """Read a state dict as experiments.import_torch does."""
    from experiments import import_torch  # which defines flags

    export.torch_layers(import_torch._read(path))


def in_torch(content: bytes, part: int, edit: Edit) -> bytes:
    """Edit a member of the newer format; the older is a row of pickles."""
    return in_zip(content, part, edit) if content.startswith(b"PK") else edit(content)


def of_axes(place: Path) -> dict[str, bytes]:
    """Texts of axes, behind the name of one."""
    texts = [
        "lr 0.01..1:log9",
        "seed 0:8",
        "channels 6,16/12,32",
        "activation relu,tanh",
        "lr 1e-3,.1",
    ]
    return {text: text.encode() for text in texts}


def read_axes(path: Path) -> None:
    """Read the text of an axis, and make its settings."""
    name, _, text = path.read_bytes().decode(errors="surrogateescape").partition(" ")
    if name in {field.name for field in config.fields()}:
        for setting in itertools.islice(axes.settings([axes.parse(name, text)]), 3):
            config.from_dict(setting)


def of_flags(place: Path) -> dict[str, bytes]:
    """Command lines."""
    if "lr" not in flags.FLAGS:
        cli.define_config()
    lines = [
        "--lr=0.9 --epochs=3",
        "--preset=modern --channels=6,16 --hidden=84",
        "--nonesterov --pool=max",
    ]
    return {line: line.replace(" ", "\n").encode() for line in lines}


def read_flags(path: Path) -> None:
    """Read a command line."""
    given = path.read_bytes().decode(errors="surrogateescape").split("\n")
    try:
        command._parse(["train", *given], operands=False)
        cli.config()
    finally:
        flags.FLAGS.unparse_flags()


READERS = {
    "IDX": Reader(idx.read, "train-images-idx3-ubyte", of_idx, in_gzip, 20_000),
    "config.json": Reader(
        lambda x: resuming.recorded(x.parent), "config.json", of_config, in_json, 10_000
    ),
    "metrics.jsonl": Reader(
        lambda x: records.epochs(x.parent, 3), "metrics.jsonl", of_rows, in_json, 12_000
    ),
    "statistics.jsonl": Reader(
        lambda x: records.statistics(x.parent), "statistics.jsonl", of_statistics, in_json, 8_000
    ),
    "result.json": Reader(
        lambda x: resuming.finished(x.parent, SMALL), "result.json", of_result, in_json, 8_000
    ),
    "runs.jsonl": Reader(ledger.read, "runs.jsonl", of_ledger, in_json, 10_000),
    "checkpoint": Reader(checkpoint.load, "00001.npz", of_checkpoint, in_zip, 6_000),
    "picture": Reader(
        lambda x: pictures.read(x, (28, 28, 1)), "x.png", of_pictures, in_png, 12_000
    ),
    "PyTorch": Reader(read_torch, "x.pt", of_torch, in_torch, 6_000),
    "axis": Reader(read_axes, "axis", of_axes, plain, 10_000),
    "flags": Reader(read_flags, "flags", of_flags, plain, 10_000),
}
