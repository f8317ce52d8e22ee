"""An exercise of the chapter and its answer."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from lenet.chapter.page import Page, heading


class Exercise(NamedTuple):
    """An exercise: the docstring of `answer` is the question in our words."""

    number: str
    kind: Literal["R", "P"]  # answered by an experiment, or by a proof with a numerical check
    answer: Callable[[Page], None]
    seconds: int = 0  # rough duration on two cores; 0 means less than ten

    @property
    def question(self) -> str:
        """The question in a sentence or two."""
        return heading(self.answer)
