"""The chapter's sections in the order of the texts, each a function that fills a page."""

import inspect
from collections.abc import Callable

from experiments.chapter.channels import channels
from experiments.chapter.cross_correlation import cross_correlation
from experiments.chapter.edges import edges
from experiments.chapter.fully_connected import fully_connected
from experiments.chapter.lenet import lenet
from experiments.chapter.multiple_channels import multiple_channels
from experiments.chapter.one_by_one import one_by_one
from experiments.chapter.padding import padding
from experiments.chapter.pooling import pooling
from experiments.chapter.receptive_field import receptive_field
from experiments.chapter.stride import stride
from experiments.language import mark
from experiments.page import Page

SECTIONS: dict[str, Callable[[Page], None]] = {
    section.__name__: section
    for section in (
        fully_connected,
        cross_correlation,
        channels,
        edges,
        receptive_field,
        padding,
        stride,
        multiple_channels,
        one_by_one,
        pooling,
        lenet,
    )
}


NAMES = {
    "fully_connected": mark("fully connected"),
    "cross_correlation": mark("cross-correlation"),
    "channels": mark("channels"),
    "edges": mark("edges"),
    "receptive_field": mark("receptive field"),
    "padding": mark("padding"),
    "stride": mark("stride"),
    "multiple_channels": mark("multiple channels"),
    "one_by_one": mark("one by one"),
    "pooling": mark("pooling"),
    "lenet": mark("lenet"),
    "claims": mark("claims"),
}
"""What the sections are called where their name is read aloud: in Chinese, too."""


def title(section: Callable[[Page], None]) -> str:
    """Return what a section shows, in a sentence: its docstring."""
    return " ".join(inspect.cleandoc(section.__doc__ or "").split())
