"""Pictures from anywhere as images that a network takes: grey, of its size, light on dark."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageOps, UnidentifiedImageError

from lenet.errors import DataError

FORMATS = ("PNG", "JPEG")
MOST = 50_000_000
"""Pixels at most, before any is unpacked."""
LIGHT = 200
"""Of 255: paper in a photograph is this light, or lighter."""


def read(path: str | Path, image_shape: tuple[int, ...], *, invert: bool = False) -> np.ndarray:
    """Return a picture as one image of the network: `fit` of what `grey` reads.

    Args:
      path: of a PNG or JPEG file.
      image_shape: (H, W, 1), what the network takes.
      invert: dark on light, such as a photograph on white, becomes light on dark, as the sets are.

    Returns:
      uint8 [H, W, 1]

    Raises:
      DataError: naming the file, if it is none of these, moves, is damaged or too large.
    """
    if image_shape[2] != 1:
        message = f"{path}: the network takes {image_shape[2]} channels, pictures become grey: 1"
        raise DataError(message)
    return fit(grey(path), image_shape, invert=invert)


def fit(picture: Image.Image, image_shape: tuple[int, ...], *, invert: bool = False) -> np.ndarray:
    """Return a grey picture as an image: shrunk or grown (Lanczos) and centred on black.

    It is inverted first, if asked, and keeps its proportions; of the right size, its pixels, too.

    Args:
      picture: of mode L.
      image_shape, invert: as `read`.
    """
    height, width, _ = image_shape
    if invert:
        picture = ImageChops.invert(picture)
    if picture.size != (width, height):
        picture = ImageOps.pad(picture, (width, height), Image.Resampling.LANCZOS, color=0)
    return np.asarray(picture, np.uint8)[:, :, None]


def on_light(picture: Image.Image) -> bool:
    """Whether the edges of a grey picture are light, as where something lies on white paper.

    >>> on_light(Image.new("L", (9, 9), 255)), on_light(Image.new("L", (9, 9), 0))
    (True, False)
    """
    pixels = np.asarray(picture)
    edges = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return float(np.median(edges)) >= LIGHT


def grey(path: str | Path) -> Image.Image:
    """Return a picture as it is seen: turned as its EXIF tag says, grey (Rec. 601), on black.

    Raises:
      DataError: as `read`.
    """
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
        raise DataError(f"{path}: no {' or '.join(FORMATS)} that can be read") from None
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
