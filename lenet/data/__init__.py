"""Load, verify and split image datasets, as arrays on the host.

    load ──► Data(train, valid, test), each a Split of uint8 images [N, H, W, C] and labels [N]

Sources, in this order: the user's cache, a package of the operating system, the directory of
tensorflow-datasets, a download of the original files, a download of Debian's package. With
`data_dir`, only that directory. Check a dataset of your own with `check`.
"""

from lenet.data.loading import NAMES, load
from lenet.data.splits import Data, Split, check, hold_out, take

__all__ = ["NAMES", "Data", "Split", "check", "hold_out", "load", "take"]
