"""Datasets of images as arrays on the host: find them, verify them, split them.

    load ──► Data(train, valid, test), each a Split of uint8 images [N, H, W, C] and labels [N]

Sources, in this order: the user's cache, a package of the system, tensorflow-datasets' directory,
the original files by network, Debian's package by network; or `data_dir` alone.
"""

from lenet.data.loading import NAMES, load
from lenet.data.splits import Data, Split, hold_out, take

__all__ = ["NAMES", "Data", "Split", "hold_out", "load", "take"]
