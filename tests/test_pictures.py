"""Pictures become the network's images as stated; what is no picture is one line."""

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lenet.data import pictures
from lenet.errors import DataError

SHAPE = (28, 28, 1)


def saved(tmp_path, picture: Image.Image, name: str = "x.png", **options):
    path = tmp_path / name
    picture.save(path, **options)
    return path


def read(path, shape, *, invert: bool = False) -> np.ndarray:
    return pictures.fit(pictures.grey(path), shape, invert=invert)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def test_a_grey_picture_of_the_size_keeps_its_pixels(tmp_path):
    pixels = noise(28, 28)
    path = saved(tmp_path, Image.fromarray(pixels))
    assert (read(path, SHAPE)[:, :, 0] == pixels).all()
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
    assert set(read(saved(tmp_path, picture), SHAPE).ravel()) == {level}


def test_a_photograph_is_turned_as_its_tag_says(tmp_path):
    pixels = np.zeros((56, 56), np.uint8)
    pixels[:, :28] = 255  # light on the left
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn by 90° clockwise
    path = saved(tmp_path, Image.fromarray(pixels), "x.jpg", exif=exif, quality=100)
    image = read(path, SHAPE)[:, :, 0]
    assert image[:12].min() > 240  # light above
    assert image[16:].max() < 15


def test_an_animation_is_refused(tmp_path):
    frames = [Image.new("L", (8, 8), value) for value in (0, 255)]
    path = saved(tmp_path, frames[0], save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match="animated"):
        read(path, SHAPE)


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
        read(path, SHAPE)


def test_a_directory_is_named(tmp_path):
    with pytest.raises(DataError, match="could not read"):
        read(tmp_path, SHAPE)


def test_a_picture_too_large_is_refused_before_it_is_unpacked(tmp_path):
    path = saved(tmp_path, Image.new("1", (10_000, 6_000)))
    with pytest.raises(DataError, match="10000×6000"):
        read(path, SHAPE)


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
        assert read(path, SHAPE).shape == SHAPE
