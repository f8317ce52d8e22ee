"""A data set as the four IDX files that `--data_dir` takes."""

from pathlib import Path

import numpy as np

from lenet.data import Data, idx


def write(folder: Path, data: Data) -> Path:
    """Write images of one channel and their labels; return the folder."""
    folder.mkdir(exist_ok=True)
    for part, split in (("train", data.train), ("t10k", data.test)):
        idx.write(folder / f"{part}-images-idx3-ubyte", split.images[..., 0])
        idx.write(folder / f"{part}-labels-idx1-ubyte", split.labels.astype(np.uint8))
    return folder
