"""The chapter's operations for use: batched, with channels, on XLA's own primitives.

Layout: images [B, H, W, C], kernels [kh, kw, Ci, Co]. Every function is pure and may be
differentiated, jitted and vmapped. `lenet.ops.blocks` holds a faster form for training, and
`lenet.ops.native` one that the system's C++ compiler makes; `conv_general_dilated` makes
`flax.linen.Conv` fast in a compiled loop on a CPU.
"""

from lenet.ops.convolution import conv2d, conv_transpose2d, convolve2d, patches
from lenet.ops.general import conv_general_dilated, of_xla
from lenet.ops.pooling import avg_pool, blur_pool, max_pool
from lenet.ops.shapes import output_shape

__all__ = [
    "avg_pool",
    "blur_pool",
    "conv2d",
    "conv_general_dilated",
    "conv_transpose2d",
    "convolve2d",
    "max_pool",
    "of_xla",
    "output_shape",
    "patches",
]
