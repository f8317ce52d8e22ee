"""Further networks of the project: the book's LeNet with batch normalisation, and that of 1998.

`lenet.model.network` builds them from their settings in `lenet.config`.
"""

from lenet.networks.bn_lenet import BNLeNet
from lenet.networks.lenet5_1998 import LeNet5

__all__ = ["BNLeNet", "LeNet5"]
