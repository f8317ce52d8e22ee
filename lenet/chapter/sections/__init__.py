"""The sections of the chapter in the order of the book, each a function that fills a page."""

from collections.abc import Callable

from lenet.chapter.page import Page
from lenet.chapter.sections import channels, convolution, introduction, lenet, padding, pooling
from lenet.language import mark

NAMED: dict[str, Callable[[Page], None]] = {
    mark("fully connected"): introduction.fully_connected,
    mark("cross-correlation"): convolution.cross_correlation,
    mark("channels"): introduction.channels,
    mark("edges"): convolution.edges,
    mark("receptive field"): convolution.receptive_field,
    mark("padding"): padding.padding,
    mark("stride"): padding.stride,
    mark("multiple channels"): channels.multiple_channels,
    mark("one by one"): channels.one_by_one,
    mark("pooling"): pooling.pooling,
    mark("lenet"): lenet.lenet,
}
"""The sections by name, in words."""

SECTIONS = {fill.__name__: fill for fill in NAMED.values()}
"""The sections by name, as it is typed: fully_connected."""

__all__ = ["NAMED", "SECTIONS"]
