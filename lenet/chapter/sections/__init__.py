"""The chapter's sections in the order of the texts, each a function that fills a page."""

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from lenet.language import mark

if TYPE_CHECKING:
    from lenet.chapter.page import Page

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


def sections() -> dict[str, Callable[["Page"], None]]:
    """Return the sections by name; those that `claims` checks are apart."""
    modules = {name: import_module(f"{__name__}.{name}") for name in NAMES if name != "claims"}
    return {name: getattr(module, name) for name, module in modules.items()}


def title(section: Callable[["Page"], None]) -> str:
    """Return what a section shows, in a sentence: its docstring."""
    return " ".join(inspect.cleandoc(section.__doc__ or "").split())
