"""Images and arrays as text, for a page."""

import base64
import io
from typing import Any

import numpy as np
from PIL import Image


def sprite(images: np.ndarray) -> dict[str, Any]:
    """Return images side by side as one PNG, and how to find them in it.

    Args:
      images: uint8 [M, H, W, C], M at least 1, C 1 or 3.

    Returns:
      uri: of the PNG; columns: images in a row; height and width: of one of them
    """
    count, height, width, channels = images.shape
    columns = min(count, 40)
    rows = -(-count // columns)
    sheet = np.zeros((rows * columns, height, width, channels), np.uint8)
    sheet[:count] = images
    sheet = sheet.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    sheet = sheet.reshape(rows * height, columns * width, channels)
    content = io.BytesIO()
    Image.fromarray(sheet[:, :, 0] if channels == 1 else sheet).save(content, "PNG", optimize=True)
    uri = f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
    return {"uri": uri, "columns": columns, "height": height, "width": width, "count": count}


def packed(array: np.ndarray) -> str:
    """Return the bytes of an array, little-endian, for a script: float32 or uint8."""
    return base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode()
