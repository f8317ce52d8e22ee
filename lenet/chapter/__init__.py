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
from lenet.chapter.sections import NAMED, SECTIONS
from lenet.language import mark

CHAPTER: dict[str, Callable[[Page], None]] = {**SECTIONS, "claims": claims.check}
"""The pages of the chapter by name: what fills them."""

NAMES = {fill.__name__: name for name, fill in NAMED.items()} | {"claims": mark("claims")}
"""The names of the pages as words: in Chinese, they are also accepted on the command line."""

__all__ = ["CHAPTER", "CLAIMS", "EXERCISES", "NAMES", "SECTIONS", "Page", "heading"]
