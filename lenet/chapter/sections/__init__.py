"""The sections of the chapter in the order of the book, each a function that fills a page.

Those on dilation, matrix products, groups, blurs, backward passes, effective receptive fields,
LeNet's budget and its dense head go beyond the book's present editions.
"""

from collections.abc import Callable

from lenet.chapter.page import Page
from lenet.chapter.sections import (
    backward,
    channels,
    convolution,
    dilation,
    effective,
    introduction,
    lenet,
    matrix,
    padding,
    pooling,
)
from lenet.language import mark

NAMED: dict[str, Callable[[Page], None]] = {
    mark("fully connected"): introduction.fully_connected,
    mark("cross-correlation"): convolution.cross_correlation,
    mark("channels"): introduction.channels,
    mark("edges"): convolution.edges,
    mark("receptive field"): convolution.receptive_field,
    mark("padding"): padding.padding,
    mark("stride"): padding.stride,
    mark("dilation"): dilation.dilation,
    mark("multiple channels"): channels.multiple_channels,
    mark("one by one"): channels.one_by_one,
    mark("matrix product"): matrix.matrix_product,
    mark("grouped"): channels.grouped,
    mark("pooling"): pooling.pooling,
    mark("blur pool"): pooling.blur_pool,
    mark("backward"): backward.backward,
    mark("effective receptive field"): effective.effective_receptive_field,
    mark("lenet"): lenet.lenet,
    mark("budget"): lenet.budget,
    mark("dense head"): lenet.dense_head,
}
"""The sections by name, in words."""

SECTIONS = {fill.__name__: fill for fill in NAMED.values()}
"""The sections by name, as it is typed: fully_connected."""

__all__ = ["NAMED", "SECTIONS"]
