"""Convert PNG and JPEG pictures to network input: greyscale, resized, light on dark."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageOps, UnidentifiedImageError

from lenet.errors import DataError

FORMATS = ("PNG", "JPEG")
MOST = 50_000_000
"""Largest number of pixels, checked before decompression."""
LIGHT = 200
"""Paper in a photograph is at least this light, of 255."""


def fit(picture: Image.Image, image_shape: tuple[int, ...], *, invert: bool = False) -> np.ndarray:
    """Resize a greyscale picture (Lanczos) and centre it on black; keep its proportions.

    A picture that already has the right size keeps its pixels.

    Args:
      picture: of mode L, from `grey`.
      image_shape: (H, W, 1), the input of the network.
      invert: invert the picture. Use it for dark on light, because the datasets are light on dark.

    Returns:
      uint8 [H, W, 1]
    """
    height, width, _ = image_shape
    if invert:
        picture = ImageChops.invert(picture)
    if picture.size != (width, height):
        picture = ImageOps.pad(picture, (width, height), Image.Resampling.LANCZOS, color=0)
    return np.asarray(picture, np.uint8)[:, :, None]


def on_light(picture: Image.Image) -> bool:
    """Return whether the edges of a greyscale picture are light, like a drawing on white paper.

    >>> on_light(Image.new("L", (9, 9), 255)), on_light(Image.new("L", (9, 9), 0))
    (True, False)
    """
    pixels = np.asarray(picture)
    edges = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return float(np.median(edges)) >= LIGHT


def grey(path: str | Path) -> Image.Image:
    """Read a picture as greyscale (Rec. 601), rotated by its EXIF tag, on black if transparent.

    Raises:
      DataError: if the file is missing, damaged, animated, too large, or neither PNG nor JPEG.
    """
    try:
        with warnings.catch_warnings():
            # about sizes, which are checked below, and about odd metadata
            warnings.simplefilter("ignore")
            with Image.open(path, formats=FORMATS) as picture:
                if getattr(picture, "is_animated", False):
                    raise DataError(f"{path}: animated. Save a single frame")
                if picture.width * picture.height > MOST:
                    size = f"{picture.width}×{picture.height}"
                    raise DataError(f"{path}: {size}, more than {MOST:,} pixels. Scale it down")
                turned = ImageOps.exif_transpose(picture)
                if turned.mode.startswith("I"):  # 16 bits; Pillow would cut, not scale them
                    turned = Image.fromarray((np.asarray(turned) >> 8).astype(np.uint8))
                if not turned.has_transparency_data:
                    return turned.convert("L")
                shown = turned.convert("RGBA")
                black = Image.new("RGBA", shown.size, (0, 0, 0, 255))
                return Image.alpha_composite(black, shown).convert("L")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except UnidentifiedImageError:
        raise DataError(f"{path}: not a readable {' or '.join(FORMATS)} file") from None
    except Image.DecompressionBombError:
        raise DataError(f"{path}: more than {MOST:,} pixels. Scale it down") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"{path}: could not read: {reason}") from None
    except (ValueError, SyntaxError) as error:  # Pillow raises these for some kinds of damage
        raise DataError(f"{path}: damaged: {error}") from None
