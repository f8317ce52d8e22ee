"""Every exercise of the chapter, answered by an experiment or a proof that is checked in numbers.

They are numbered as in the chapter: 2.1 is the first of the second section (why convolutions,
convolution, padding and stride, channels, pooling, LeNet), 2.2a the first part of the second. The
English edition (version 1.0, chapter 7) and the Chinese one (2.0, chapter 6) share the sections;
where their lists differ, the number is the English one and the question says so.
"""

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from lenet.chapter.page import Page

MODULES = ("why_convolution", "convolution", "padding", "channels", "pooling", "lenet")


class Exercise(NamedTuple):
    """One exercise."""

    number: str
    kind: Literal["R", "P"]  # answered by an experiment that runs, or by a proof checked in numbers
    seconds: int  # about how long on two cores; 0: less than ten
    question: str  # in our own words
    answer: Callable[["Page"], None]


_EXERCISES: dict[str, Exercise] = {}


def exercise(
    number: str, kind: Literal["R", "P"], *, seconds: int = 0
) -> Callable[[Callable[["Page"], None]], Callable[["Page"], None]]:
    """Enter a function as the answer to an exercise; its docstring is the question."""

    def enter(answer: Callable[["Page"], None]) -> Callable[["Page"], None]:
        question = " ".join(inspect.cleandoc(answer.__doc__ or "").split())
        _EXERCISES[number] = Exercise(number, kind, seconds, question, answer)
        return answer

    return enter


def exercises() -> dict[str, Exercise]:
    """Return all exercises by number, in the chapter's order."""
    for module in MODULES:
        import_module(f"{__name__}.{module}")
    return dict(sorted(_EXERCISES.items()))
