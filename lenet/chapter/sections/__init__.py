"""The sections of the chapter in the order of the book, each a function that fills a page."""

from collections.abc import Callable

from lenet.chapter.page import Page
from lenet.chapter.sections.channels import channels
from lenet.chapter.sections.cross_correlation import cross_correlation
from lenet.chapter.sections.edges import edges
from lenet.chapter.sections.fully_connected import fully_connected
from lenet.chapter.sections.lenet import lenet
from lenet.chapter.sections.multiple_channels import multiple_channels
from lenet.chapter.sections.one_by_one import one_by_one
from lenet.chapter.sections.padding import padding
from lenet.chapter.sections.pooling import pooling
from lenet.chapter.sections.receptive_field import receptive_field
from lenet.chapter.sections.stride import stride

SECTIONS: dict[str, Callable[[Page], None]] = {
    "fully_connected": fully_connected,
    "cross_correlation": cross_correlation,
    "channels": channels,
    "edges": edges,
    "receptive_field": receptive_field,
    "padding": padding,
    "stride": stride,
    "multiple_channels": multiple_channels,
    "one_by_one": one_by_one,
    "pooling": pooling,
    "lenet": lenet,
}

__all__ = ["SECTIONS"]
