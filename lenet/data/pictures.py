"""Convert PNG and JPEG pictures to network input: greyscale, resized, light on dark.

Of a file only the pixels and the EXIF orientation are read: texts, profiles, previews and further
images are dropped before Pillow sees it, and one small array is kept of each picture.
`lenet/report/picture.js` takes the same steps in the browser, within the same limits.
"""

import io
import math
import os
import re
import stat
import struct
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageChops, UnidentifiedImageError

from lenet.errors import DataError
from lenet.limits import PICTURE_BYTES, PICTURE_PIXELS

FORMATS = ("PNG", "JPEG")
ENOUGH = 1_000_000
"""Larger pictures are averaged over squares, to at most this many pixels, and then resized."""
TILE = 1024
"""Side of the parts in which a picture becomes greyscale, about: in colour it is large."""
LIGHT = 200
"""Paper in a photograph is at least this light, of 255."""
FAINT = 16
"""A picture that spans fewer grey levels, of 255, is as good as constant."""

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
"""What begins a segment of a JPEG (ITU-T T.81, B.1.1); anything before it is filling."""
SCAN = 0xDA
UNREADABLE = f"not a readable {' or '.join(FORMATS)} file. Save it as one"
TOO_MANY = f"more than {PICTURE_PIXELS:,} pixels. Scale it down"
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture of each EXIF orientation upright; orientation 1 is."""


class Picture(NamedTuple):
    """A picture as network input, and what a person should hear about it."""

    image: np.ndarray  # uint8 [H, W, 1]
    light: bool  # the edges are light, like a drawing on white paper
    contrast: int  # grey levels that it spans once resized


def read(path: str | Path, image_shape: tuple[int, ...], *, invert: bool = False) -> Picture:
    """Read a picture as greyscale (Rec. 601), resize it (Lanczos) and centre it on black.

    It keeps its proportions, but has at least one pixel on each side; one that already has the
    right size keeps its pixels. Transparency is black; with `invert` it is paper, black afterwards.

    Args:
      path: a regular file.
      image_shape: (H, W, 1), the input of the network.
      invert: invert the picture. Use it for dark on light, because the datasets are light on dark.

    Raises:
      DataError: if the file is missing, not regular, damaged, animated, too large, or neither PNG
        nor JPEG. Nothing else is raised, whatever the file holds.
    """
    try:
        pixels, orientation = _essence(_content(path))
        with warnings.catch_warnings(action="ignore"):  # about sizes, which are checked
            return _prepared(pixels, orientation, image_shape, invert)
    except FileNotFoundError:
        reason = "no such file. Check its name"
    except UnidentifiedImageError:
        reason = UNREADABLE
    except Image.DecompressionBombError:
        reason = TOO_MANY
    except MemoryError:
        reason = "not enough memory to read it. Scale it down"
    except DataError as error:
        reason = str(error)
    except Exception as error:  # of Pillow: damage makes it raise almost any
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        reason = f"could not read: {' '.join(why.split())}. Check the file, or save it again"
    raise DataError(f"{path}: {reason}")


def on_light(picture: Image.Image) -> bool:
    """Return whether the edges of a greyscale picture are light, like a drawing on white paper.

    >>> on_light(Image.new("L", (9, 9), 255)), on_light(Image.new("L", (9, 9), 0))
    (True, False)
    """
    pixels = np.asarray(picture)
    edges = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return float(np.median(edges)) >= LIGHT


def _content(path: str | Path) -> bytes:
    """Return a file's bytes; a pipe or device, which may never end, is not even opened."""
    found = os.stat(path)
    if stat.S_ISDIR(found.st_mode):
        raise DataError("a directory. Name the image files in it")
    if not stat.S_ISREG(found.st_mode):
        raise DataError("a pipe or device, not a regular file. Save the image to a file first")
    with open(path, "rb") as file:
        content = file.read(PICTURE_BYTES + 1) if found.st_size <= PICTURE_BYTES else b""
    if max(found.st_size, len(content)) > PICTURE_BYTES:
        raise DataError(f"more than {PICTURE_BYTES / 1e6:.0f} MB. Scale it down")
    return content


def _essence(content: bytes) -> tuple[bytes, int]:
    """Return a file without what is not needed for its pixels, and its EXIF orientation."""
    if content.startswith(SIGNATURE):
        return _essence_of_png(content)
    if content.startswith(b"\xff\xd8\xff"):
        return _essence_of_jpeg(content)
    raise DataError(UNREADABLE)


def _essence_of_png(content: bytes) -> tuple[bytes, int]:
    """Keep the critical chunks and the transparency (PNG specification, 5.3 and 11.3)."""
    kept, orientation, at = bytearray(SIGNATURE), 1, len(SIGNATURE)
    still = False  # what announces an animation stands before the pixels
    while at + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        chunk = content[at : at + 12 + length]
        if kind == b"acTL" and not still and int.from_bytes(chunk[8:12]) > 1:
            raise DataError("animated. Save a single frame")
        still |= kind == b"IDAT"
        if kind == b"eXIf":
            orientation = _orientation(chunk[8:-4])
        elif kind == b"tRNS" or not kind[0] & 0x20:
            kept += chunk
        if kind == b"IEND":
            break
        at += 12 + length
    return bytes(kept), orientation


def _essence_of_jpeg(content: bytes) -> tuple[bytes, int]:
    """Drop comments and applications' segments, but those that say what the colours are."""
    kept, orientation, at = bytearray(content[:2]), 1, 2
    while found := MARKER.search(content, at):
        at, marker = found.start(), content[found.start() + 1]
        length = int.from_bytes(content[at + 2 : at + 4])
        if marker == SCAN or length < 2:  # the pixels, or damage
            break
        segment = content[at : at + 2 + length]
        if marker == 0xE1 and segment[4:10] == b"Exif\0\0":
            orientation = _orientation(segment[10:])
        if marker in {0xE0, 0xEE} or not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            kept += segment
        at += 2 + length
    return bytes(kept) + content[at:], orientation


def _orientation(exif: bytes) -> int:
    """Return the orientation, 1 to 8, that a block of EXIF states; 1 if it is broken (TIFF 6.0)."""
    order = ">" if exif.startswith(b"MM") else "<"
    try:
        (at,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, at)
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", exif, entry)
            if tag == 0x0112:
                return value if value in TURNS else 1
    except struct.error:
        pass
    return 1


def _prepared(
    pixels: bytes, orientation: int, image_shape: tuple[int, ...], invert: bool
) -> Picture:
    """Decode, reduce, resize, turn and centre."""
    height, width, _ = image_shape
    with Image.open(io.BytesIO(pixels), formats=FORMATS) as picture:
        size = picture.size
        if math.prod(size) > PICTURE_PIXELS:
            raise DataError(f"{size[0]}×{size[1]}, {TOO_MANY}")
        if picture.format == "PNG":
            _mend_transparency(picture, depth=pixels[24])
        grey, factor = _grey(picture, ground=255 if invert else 0)
    light = on_light(grey)
    if invert:
        grey = ImageChops.invert(grey)
    within = (height, width) if orientation >= 5 else (width, height)
    right, bottom = size[0] / factor, size[1] / factor  # within the last pixels, perhaps
    across, down = _fitted(size, within)
    # One direction a call: which one Pillow takes first depends on its version and the proportions.
    for to, ends in (
        ((across, grey.height), (right, grey.height)),
        ((across, down), (across, bottom)),
    ):
        grey = grey.resize(to, Image.Resampling.LANCZOS, (0, 0, *ends))
    if orientation in TURNS:
        grey = grey.transpose(TURNS[orientation])
    centred = Image.new("L", (width, height))
    centred.paste(grey, (round((width - grey.width) / 2), round((height - grey.height) / 2)))
    return Picture(np.asarray(centred)[:, :, None], light, int(np.ptp(np.asarray(grey))))


def _fitted(size: tuple[int, int], within: tuple[int, int]) -> tuple[int, int]:
    """Return the largest size of the same proportions within another; no side vanishes.

    >>> _fitted((200, 100), (28, 28)), _fitted((10, 2000), (28, 28))
    ((28, 14), (1, 28))
    """
    (w, h), (width, height) = size, within
    if w / h > width / height:
        return width, max(round(h / w * width), 1)
    return max(round(w / h * height), 1), height


def _mend_transparency(picture: Image.Image, depth: int) -> None:
    """Scale the transparent level as Pillow scales all others, of 2, 4 and 16 bits."""
    key = picture.info.get("transparency")
    if picture.mode == "L" and isinstance(key, int):
        picture.info["transparency"] = key * 255 // (2**depth - 1)
    elif picture.mode == "RGB" and depth == 16 and isinstance(key, tuple):
        picture.info["transparency"] = tuple(level >> 8 for level in key)


def _grey(picture: Image.Image, ground: int) -> tuple[Image.Image, int]:
    """Return a picture on a ground in greyscale, and how many of its pixels one stands for, across.

    JPEG is decoded at that scale, as far as it goes, and the rest is averaged.
    """
    (width, height), factor = picture.size, math.ceil(math.sqrt(math.prod(picture.size) / ENOUGH))
    picture.draft(None, (max(width // factor, 1), max(height // factor, 1)))
    scale = max(round(width / picture.width), round(height / picture.height))
    rest = math.ceil(factor / scale)
    side = TILE // rest * rest
    grey = Image.new("L", (-(-picture.width // rest), -(-picture.height // rest)))
    for top in range(0, picture.height, side):
        for left in range(0, picture.width, side):
            corner = min(left + side, picture.width), min(top + side, picture.height)
            part = _on_ground(picture.crop((left, top, *corner)), ground)
            grey.paste(part.reduce(rest), (left // rest, top // rest))
    return grey, scale * rest


def _on_ground(picture: Image.Image, ground: int) -> Image.Image:
    key = picture.info.get("transparency")
    if picture.mode.startswith("I"):  # 16 bits; Pillow would cut, not scale them
        levels = np.asarray(picture)
        grey = (levels >> 8).astype(np.uint8)
        if key is not None:
            grey[levels == key] = ground
        return Image.fromarray(grey)
    if not picture.has_transparency_data:
        return picture.convert("L")
    shown = picture.convert("RGBA")
    under = Image.new("RGBA", shown.size, (ground, ground, ground, 255))
    return Image.alpha_composite(under, shown).convert("L")
