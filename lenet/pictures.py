"""Pictures from anywhere as images that a network takes: grey, of its size, light on dark."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageOps, UnidentifiedImageError

from lenet.errors import DataError

FORMATS = ("PNG", "JPEG")
MOST = 50_000_000
"""Pixels at most, before any is unpacked."""


def read(path: str | Path, image_shape: tuple[int, ...], *, invert: bool = False) -> np.ndarray:
    """Return a picture as one image of the network.

    It is turned as its EXIF tag says, made grey (Rec. 601 luma), put on black where it is
    transparent, inverted if asked, shrunk or grown with its proportions kept (Lanczos), and centred
    on black. A picture that already has the size and is grey keeps its pixels.

    Args:
      path: of a PNG or JPEG file.
      image_shape: (H, W, 1), what the network takes.
      invert: dark on light, such as a photograph on white, becomes light on dark, as the sets are.

    Returns:
      uint8 [H, W, 1]

    Raises:
      DataError: naming the file, if it is none of these, moves, is damaged or too large.
    """
    height, width, channels = image_shape
    if channels != 1:
        raise DataError(f"{path}: the network takes {channels} channels, pictures become grey: 1")
    grey = _grey(path)
    if invert:
        grey = ImageChops.invert(grey)
    if grey.size != (width, height):
        grey = ImageOps.pad(grey, (width, height), Image.Resampling.LANCZOS, color=0)
    return np.asarray(grey, np.uint8)[:, :, None]


def _grey(path: str | Path) -> Image.Image:
    """The picture in grey, on black."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes that are refused below, and odd metadata
            with Image.open(path, formats=FORMATS) as picture:
                _check(path, picture)
                turned = ImageOps.exif_transpose(picture)
                if turned.mode.startswith("I"):  # 16 bits; Pillow would cut, not scale them
                    turned = Image.fromarray((np.asarray(turned) >> 8).astype(np.uint8))
                if not turned.has_transparency_data:
                    return turned.convert("L")
                shown = turned.convert("RGBA")
                black = Image.new("RGBA", shown.size, (0, 0, 0, 255))
                return Image.alpha_composite(black, shown).convert("L")
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except UnidentifiedImageError:
        raise DataError(f"{path}: not a picture; expected {' or '.join(FORMATS)}") from None
    except Image.DecompressionBombError:
        raise DataError(f"{path}: more than {MOST:,} pixels: make it smaller") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"{path}: cannot be read: {reason}") from None
    except (ValueError, SyntaxError) as error:  # what Pillow says of some damage
        raise DataError(f"{path}: damaged: {error}") from None


def _check(path: str | Path, picture: Image.Image) -> None:
    if getattr(picture, "is_animated", False):
        raise DataError(f"{path}: an animation; save one of its frames")
    if picture.width * picture.height > MOST:
        raise DataError(
            f"{path}: {picture.width}x{picture.height}, more than {MOST:,} pixels: make it smaller"
        )
