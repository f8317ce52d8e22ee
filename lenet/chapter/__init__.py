"""The chapter as code: its sections, its exercises and its claims, each checked as it runs.

The book is *Dive into Deep Learning* (d2l.ai), the chapter on convolutional neural networks:
chapter 6 of the Chinese edition, chapter 7 of the English one. The course notes are two Chinese
handouts on the same chapter, from which this project started.
"""

from collections.abc import Callable

from lenet.chapter import claims
from lenet.chapter.claims import CLAIMS
from lenet.chapter.exercises import EXERCISES
from lenet.chapter.page import Page, heading
from lenet.chapter.sections import SECTIONS
from lenet.language import mark

CHAPTER: dict[str, Callable[[Page], None]] = {**SECTIONS, "claims": claims.check}
"""The pages of the chapter by name: what fills them."""

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
"""The names of the pages as words: in Chinese, they are also accepted on the command line."""

__all__ = ["CHAPTER", "CLAIMS", "EXERCISES", "NAMES", "SECTIONS", "Page", "heading"]
