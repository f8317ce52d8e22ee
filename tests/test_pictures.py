"""Pictures become the network's images as stated; what is no picture is one line."""

import contextlib
import io
import os
import socket
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps, PngImagePlugin

from lenet import limits
from lenet.data import pictures
from lenet.errors import DataError

SHAPE = (28, 28, 1)


def saved(tmp_path, picture: Image.Image, name: str = "x.png", **options):
    path = tmp_path / name
    picture.save(path, **options)
    return path


def read(path, shape=SHAPE, *, invert: bool = False) -> np.ndarray:
    return pictures.read(path, shape, invert=invert).image


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def with_chunk(path: Path, added: bytes) -> Path:
    """Put something behind the header of a PNG."""
    content = path.read_bytes()
    path.write_bytes(content[:33] + added + content[33:])
    return path


def with_segment(path: Path, marker: int, content: bytes) -> Path:
    """Put a segment at the beginning of a JPEG."""
    segment = struct.pack(">BBH", 0xFF, marker, 2 + len(content)) + content
    path.write_bytes(b"\xff\xd8" + segment + path.read_bytes()[2:])
    return path


def exif(orientation: int, order: str = ">") -> bytes:
    """EXIF of a single entry."""
    begin = b"MM" if order == ">" else b"II"
    entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0)
    return begin + struct.pack(f"{order}HIH", 42, 8, 1) + entry + bytes(4)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def test_a_grey_picture_of_the_size_keeps_its_pixels(tmp_path):
    pixels = noise(28, 28)
    path = saved(tmp_path, Image.fromarray(pixels))
    assert (read(path)[:, :, 0] == pixels).all()
    assert (read(path, SHAPE, invert=True)[:, :, 0] == 255 - pixels).all()


def test_proportions_are_kept_and_the_rest_is_black(tmp_path):
    path = saved(tmp_path, Image.new("L", (200, 100), 255))
    for invert, light in ((False, 255), (True, 0)):
        image = read(path, SHAPE, invert=invert)[:, :, 0]
        assert image.dtype == np.uint8
        assert (image[7:21] == light).all()
        assert (image[:7] == 0).all()
        assert (image[21:] == 0).all()


@pytest.mark.parametrize(
    ("picture", "level"),
    [
        (Image.new("RGB", (28, 28), (0, 255, 0)), 150),  # 0.587 · 255, rounded
        (Image.new("RGBA", (28, 28), (255, 255, 255, 0)), 0),  # transparent is black
        (Image.fromarray(np.full((28, 28), 0x8000, np.uint16)), 0x80),  # sixteen bits are scaled
    ],
)
def test_colours_weigh_as_the_eye_sees_them(tmp_path, picture, level):
    assert set(read(saved(tmp_path, picture)).ravel()) == {level}


def corner(height: int, width: int) -> np.ndarray:
    """Levels that differ in every corner, smooth enough for JPEG."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return (200 * x + 55 * y).astype(np.uint8)


@pytest.mark.parametrize("name", ["x.jpg", "x.png"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(10))
def test_a_picture_is_turned_as_its_exif_says(tmp_path, name, order, orientation):
    picture = Image.fromarray(corner(56, 112))
    path = saved(tmp_path, picture, name)
    if name == "x.jpg":
        with_segment(path, 0xE1, b"Exif\0\0" + exif(orientation, order))
    else:
        with_chunk(path, chunk(b"eXIf", exif(orientation, order)))
    with Image.open(path) as tagged:
        upright = ImageOps.exif_transpose(tagged)
    expected = read(saved(tmp_path, upright, "upright.png")).astype(int)
    assert np.abs(read(path) - expected).max() <= 1


def broken_exif() -> dict[str, bytes]:
    good = exif(6)
    ratio = struct.pack(">HHII", 0x011A, 5, 1, 26) + struct.pack(">HHII", 0x0128, 3, 1, 2 << 16)
    return {
        "cut": good[:12],
        "empty": b"",
        "its directory is outside": b"MM\0*" + b"\xff" * 4 + good[8:],
        "no TIFF": b"XX" + good[2:],
        "more entries than there are": good[:8] + b"\xff\xff" + good[10:20],
        "a resolution of n/0": b"MM\0*\0\0\0\x08\0\x02" + ratio + bytes(12),
        "a strange type": good[:12] + b"\xff\xff" + good[14:],
        "text for a number": good[:10] + struct.pack(">HHI4s", 0x0112, 2, 3, b"six\0"),
        "a loop": good[:-4] + b"\0\0\0\x08",
    }


@pytest.mark.parametrize("case", broken_exif())
def test_broken_exif_turns_nothing_and_keeps_nobody_from_reading(tmp_path, case):
    picture, block = Image.fromarray(corner(56, 56)), broken_exif()[case]
    path = saved(tmp_path, picture, "x.jpg")
    before = read(path)
    # where the orientation is there, that is enough
    turned = case in {"a strange type", "a loop", "more entries than there are"}
    expected = np.rot90(before, -1) if turned else before
    assert (
        np.abs(read(with_segment(path, 0xE1, b"Exif\0\0" + block)) - expected.astype(int)).max()
        <= 3
    )
    before = read(path := saved(tmp_path, picture))
    expected = np.rot90(before, -1) if turned else before
    assert (read(with_chunk(path, chunk(b"eXIf", block))) == expected).all()


@given(
    block=st.binary(max_size=80),
    order=st.sampled_from([b"", b"MM\0*\0\0\0\x08", b"II*\0\x08\0\0\0"]),
)
def test_whatever_a_picture_says_of_itself_it_is_read(tmp_path_factory, block, order):
    folder = tmp_path_factory.mktemp("odd")
    for marker, begin in ((0xE1, b"Exif\0\0"), (0xE2, b"MPF\0"), (0xED, b"Photoshop 3.0\0")):
        path = saved(folder, Image.fromarray(corner(30, 30)), "x.jpg")
        assert read(with_segment(path, marker, begin + order + block)).shape == SHAPE
    for kind in (b"eXIf", b"tEXt", b"zTXt", b"iCCP", b"pHYs", b"gAMA", b"abCd"):
        path = saved(folder, Image.fromarray(corner(30, 30)))
        assert read(with_chunk(path, chunk(kind, order + block))).shape == SHAPE


def test_a_jpeg_with_a_second_image_is_a_still_picture(tmp_path):
    first, second = Image.fromarray(corner(56, 56)), Image.new("L", (20, 20), 255)
    expected = read(saved(tmp_path, first, "x.jpg"))
    both = saved(tmp_path, first, "mpo.jpg", format="MPO", save_all=True, append_images=[second])
    with Image.open(both) as opened:
        assert (opened.format, opened.n_frames) == ("MPO", 2)
    assert (read(both) == expected).all()


def test_a_large_text_says_nothing_about_the_pixels(tmp_path):
    picture = Image.fromarray(noise(28, 28))
    text = PngImagePlugin.PngInfo()
    for name in "abc":
        text.add_text(name, "x" * 30_000_000, zip=True)
    assert (read(saved(tmp_path, picture, pnginfo=text))[:, :, 0] == noise(28, 28)).all()


def transparent(grey: int) -> Image.Image:
    """A square of ink on a transparent ground."""
    picture = Image.new("LA", (56, 56), (grey, 0))
    picture.paste((grey, 255), (20, 20, 36, 36))
    return picture


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P"])
def test_transparency_is_black_and_inverted_it_is_paper(tmp_path, mode):
    for ink, invert in ((255, False), (0, True)):
        picture = transparent(ink).convert("RGBA")
        picture = picture.quantize(4) if mode == "P" else picture.convert(mode)
        made = pictures.read(saved(tmp_path, picture), SHAPE, invert=invert)
        assert made.image[14, 14] > 240
        assert made.image[:6].max() < 8
        assert made.contrast > 240


@pytest.mark.parametrize(
    ("depth", "colours", "levels", "key"),
    [
        (1, 0, b"\xf0", b"\0\x01"),
        (2, 0, b"\xff\x00", b"\0\x03"),
        (4, 0, b"\xff\xff\x00\x00", b"\0\x0f"),
        (8, 0, b"\xff" * 4 + bytes(4), b"\0\xff"),
        (16, 0, b"\xff\xfe" * 4 + bytes(8), b"\xff\xfe"),
        (8, 2, b"\xff" * 12 + bytes(12), b"\0\xff" * 3),
        (16, 2, b"\xff\xfe" * 12 + bytes(24), b"\xff\xfe" * 3),
    ],
)
def test_a_level_can_be_transparent_in_every_depth(tmp_path, depth, colours, levels, key):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, depth, colours, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress((b"\0" + levels) * 8))
    path = tmp_path / "x.png"
    path.write_bytes(
        pictures.SIGNATURE + header + chunk(b"tRNS", key) + pixels + chunk(b"IEND", b"")
    )
    assert read(path, (8, 8, 1)).max() == 0  # the other half is black
    assert set(read(path, (8, 8, 1), invert=True)[:, :4].ravel()) == {0}
    assert set(read(path, (8, 8, 1), invert=True)[:, 4:].ravel()) == {255}


@pytest.mark.parametrize(
    ("picture", "invert"),
    [
        (Image.new("L", (50, 20), 255), False),
        (Image.new("RGB", (28, 28)), True),
        (transparent(0), False),
        (transparent(255), True),
    ],
)
def test_what_is_constant_once_prepared_has_no_contrast(tmp_path, picture, invert):
    assert pictures.read(saved(tmp_path, picture), SHAPE, invert=invert).contrast == 0


def test_a_dot_that_scaling_leaves_nothing_of_has_no_contrast(tmp_path):
    picture = Image.new("L", (2000, 2000))
    picture.putpixel((1000, 1000), 255)
    assert pictures.read(saved(tmp_path, picture), SHAPE).contrast < pictures.FAINT


@pytest.mark.parametrize("size", [(2000, 10), (10, 2000), (60_000, 1), (1, 40_000), (65_000, 40)])
def test_no_side_vanishes(tmp_path, size):
    image = read(saved(tmp_path, Image.new("L", size, 255)))[:, :, 0]
    assert (image == 255).sum() == 28
    assert (image == 255).all(axis=0 if size[0] < size[1] else 1).any()


@pytest.mark.parametrize("size", [(999, 1001), (1003, 1003), (2501, 1607), (1024, 3000)])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_reducing_first_makes_the_same_image(tmp_path, size, mode):
    """To a level or two: Pillow resizes the whole picture as its documentation says."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width]
    grey = (127 + 90 * np.sin(x / 90) * np.cos(y / 70)).astype(np.uint8)
    picture = Image.fromarray(grey).convert(mode)
    target = (
        (28, round(height / width * 28)) if width > height else (round(width / height * 28), 28)
    )
    expected = np.asarray(Image.fromarray(grey).resize(target, Image.Resampling.LANCZOS), int)
    for path in (saved(tmp_path, picture), saved(tmp_path, picture.convert("RGB"), "x.jpg")):
        image = read(path)[:, :, 0]
        top, left = (round((28 - side) / 2) for side in expected.shape)
        image = image[top : top + expected.shape[0], left : left + expected.shape[1]]
        assert np.abs(image - expected).max() <= 2


def test_an_animation_is_refused(tmp_path):
    frames = [Image.new("L", (8, 8), value) for value in (0, 255)]
    path = saved(tmp_path, frames[0], save_all=True, append_images=frames[1:])
    for _ in range(2):
        with pytest.raises(DataError, match=r"animated\. Save a single frame"):
            read(path)
        with_chunk(path, chunk(b"tEXt", b"text\0before"))


def test_an_animation_of_one_frame_is_a_still_picture(tmp_path):
    path = saved(tmp_path, Image.fromarray(noise(28, 28)))
    with_chunk(path, chunk(b"acTL", struct.pack(">II", 1, 0)))
    assert (read(path)[:, :, 0] == noise(28, 28)).all()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a readable PNG or JPEG"),
        (b"<html>", "not a readable PNG or JPEG"),
        (b"GIF89a" + bytes(100), "not a readable PNG or JPEG"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "x.png"),
        (None, "no such file"),
    ],
)
def test_what_is_no_picture_is_named(tmp_path, content, said):
    path = tmp_path / "x.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=said):
        read(path)


@pytest.mark.parametrize("kind", ["directory", "FIFO", "socket", "device", "loop", "too long"])
def test_what_is_no_file_is_named_and_not_opened(tmp_path, monkeypatch, kind):
    path, said = tmp_path / "x", "a pipe or device, not a regular file"
    monkeypatch.chdir(tmp_path)  # the name of a socket is short
    if kind == "directory":
        path, said = tmp_path, "a directory. Name the image files in it"
    elif kind == "FIFO":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/zero")
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind("x")
    elif kind == "loop":
        path.symlink_to(path)
        said = "could not read"
    else:
        path, said = tmp_path / ("x" * 300), "could not read: File name too long"
    with pytest.raises(DataError, match=said) as error:
        read(path)
    assert str(error.value).startswith(f"{path}: ")


def test_a_picture_too_large_is_refused_before_it_is_unpacked(tmp_path):
    path = saved(tmp_path, Image.new("1", (10_000, 6_000)))
    with pytest.raises(DataError, match=r"10000×6000, more than 50,000,000 pixels\. Scale it down"):
        read(path)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    path.write_bytes(pictures.SIGNATURE + header + chunk(b"IDAT", b""))
    with pytest.raises(DataError, match=r"more than 50,000,000 pixels\. Scale it down"):
        read(path)


def test_a_file_too_large_is_refused_before_it_is_read(tmp_path):
    path = saved(tmp_path, Image.new("1", (8, 8)))
    os.truncate(path, limits.PICTURE_BYTES + 1)
    with pytest.raises(DataError, match=r"more than 64 MB\. Scale it down"):
        read(path)


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (MemoryError(), "not enough memory to read it. Scale it down"),
        (RuntimeError("several\nlines"), "could not read: several lines"),
        (KeyError(), "could not read: KeyError"),
        (OverflowError("large"), "could not read: large"),
    ],
)
def test_whatever_pillow_raises_is_one_line(tmp_path, monkeypatch, raised, said):
    def fail(*arguments, **options):
        raise raised

    path = saved(tmp_path, Image.new("L", (8, 8)))
    monkeypatch.setattr(Image.Image, "resize", fail)
    with pytest.raises(DataError) as error:
        read(path)
    assert str(error.value).startswith(f"{path}: {said}")


MEASURED = """
import re, sys
from lenet.data import pictures
images = [pictures.read(path, (28, 28, 1), invert=True) for path in sys.argv[1:]]
print(re.search("VmHWM: *([0-9]+) kB", open("/proc/self/status").read().replace(chr(9), " "))[1])
"""
"""Prints the most memory of this process alone; that of getrusage begins with its parent's."""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("mode", "size", "name", "number"),
    [
        ("RGB", (4000, 3000), "x.png", 40),
        ("RGBA", (7000, 7000), "x.png", 1),
        ("RGB", (7000, 7000), "x.jpg", 2),
    ],
)
def test_no_number_of_pictures_takes_more_than_300_mb(tmp_path, mode, size, name, number):
    first = saved(tmp_path, Image.new(mode, size), name)
    paths = [first] + [tmp_path / f"{i}-{name}" for i in range(1, number)]
    for path in paths[1:]:
        os.link(first, path)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 300_000


@given(at=st.integers(0, 10_000), to=st.integers(0, 255), cut=st.booleans())
def test_damage_anywhere_is_refused_or_a_picture(tmp_path_factory, at, to, cut):
    buffer = io.BytesIO()
    Image.fromarray(noise(40, 30, 3)).save(buffer, "PNG")
    content = bytearray(buffer.getvalue())
    at %= len(content)
    content[at] = to
    path = tmp_path_factory.mktemp("damaged") / "x.png"
    path.write_bytes(content[:at] if cut else content)
    with contextlib.suppress(DataError):
        assert read(path).shape == SHAPE
