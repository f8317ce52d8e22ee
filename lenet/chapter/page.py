"""A page: the text, checks and figures of a section or an exercise, in the reader's language."""

import contextlib
import dataclasses
import inspect
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track
from rich.text import Text
from tabulate import tabulate

from lenet import files, stopping
from lenet.figures import style
from lenet.language import Listed, Message, mark, translate, translation, wrapped

T = TypeVar("T")
Kind = Literal["say", "note", "show", "value", "check", "answer", "figure"]


class CheckError(Exception):
    """A check failed."""


class Event(NamedTuple):
    """One item of a page, as translated text."""

    kind: Kind
    text: str
    file: str = ""  # of a figure


PAIRS = (mark("{name}: {value}"), mark("{name}:\n{value}"))
"""A description and a value of one line, and of several."""


@dataclasses.dataclass
class Page:
    """Prints sentences, values, checks and figures, and keeps them as events.

    Texts are English, keys of the catalogue; the keyword arguments fill in their {names}.
    """

    language: str
    directory: Path  # for the figures
    console: Console
    events: list[Event] = dataclasses.field(default_factory=list)

    def t(self, text: str | Message | Listed, /, **values: Any) -> str:
        """Return `text` in the reader's language, for titles and labels in figures."""
        return translate(self.language, text, **values)

    def say(self, text: str, **values: Any) -> None:
        """Print a sentence or two."""
        self._print("say", self.t(text, **values), 0)

    def note(self, text: str, **values: Any) -> None:
        """Print a sentence or two that belong to the previous text."""
        self._print("note", self.t(text, **values), 4)

    def show(self, expression: str, value: Any) -> None:
        """Print an expression and its value, as a notebook does. Not translated."""
        shown = _shown(value)
        gap = "\n" if "\n" in shown else "   "
        self._print("show", f">>> {expression}{gap}{shown}", 4)

    def value(self, text: str, value: Any, **values: Any) -> None:
        """Print a description and the value: a number, an array, a Message or a list of them."""
        shown = self.t(value) if isinstance(value, Message | Listed) else _shown(value)
        pair = translation(self.language)(PAIRS["\n" in shown])  # `t` would escape the line ends
        self._print("value", pair.format(name=self.t(text, **values), value=shown), 4)

    def verbatim(self, text: str) -> None:
        """Print lines as they are. Not translated."""
        self._print("show", text, 4)

    def table(self, rows: Iterable[Iterable[Any]], headers: str, **options: Any) -> None:
        """Print a table; `headers` are translated and separated by " | ", options tabulate's."""
        self.verbatim(tabulate(rows, headers=headers.split(" | "), **options))

    def check(self, text: str, holds: Any, **values: Any) -> None:
        """Print the statement `text`, and raise CheckError unless it `holds`."""
        sentence = self.t(text, **values)
        self._print("check", sentence, 2, mark="✓ " if holds else "✗ ")
        if not holds:
            raise CheckError(sentence)

    def answer(self, text: str, **values: Any) -> None:
        """Print the conclusion."""
        self._print("answer", self.t(text, **values), 2, mark="→ ")

    @contextlib.contextmanager
    def figure(
        self, name: str, caption: str, size: tuple[float, float] = (8, 4), **values: Any
    ) -> Iterator[Figure]:
        """Yield a figure to draw on, then save it as NAME.png and print its caption."""
        with style.style():
            figure = Figure(figsize=size, layout="constrained")
            yield figure
            picture = style.png(figure, dpi=110)
        self._figure(f"{name}.png", picture, self.t(caption, **values))

    def _figure(self, name: str, picture: bytes, caption: str) -> None:
        path = self.directory / name
        files.write(path, picture)
        self._print("figure", f"{path}: {caption}", 2, event=caption, file=name)

    def track(self, items: Iterable[T], text: str) -> Iterator[T]:
        """Iterate over slow items with a progress bar on a terminal; raise if a signal came."""
        steps = track(
            items,
            self.t(text),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        for item in steps:
            stopping.stop_if_asked()
            yield item

    def _print(
        self, kind: Kind, text: str, indent: int, *, mark: str = "", event: str = "", file: str = ""
    ) -> None:
        stopping.stop_if_asked()
        self.events.append(Event(kind, event or text, file))
        if kind in ("show", "value"):  # verbatim, however wide
            self.console.print(textwrap.indent(text, " " * indent), soft_wrap=True)
            return
        style = {"✓ ": "green", "✗ ": "bold red", "→ ": "bold"}.get(mark, "")
        for number, line in enumerate(wrapped(mark + text, self.console.width - indent)):
            shown = Text(" " * indent + line)
            if number == 0:
                shown.stylize(style, indent, indent + len(mark))
            self.console.print(shown, soft_wrap=True)


def heading(fill: Callable[..., Any]) -> str:
    """Return the heading of what `fill` prints: its docstring, on one line."""
    return " ".join(inspect.cleandoc(fill.__doc__ or "").split())


def console() -> Console:
    """Return a console on stdout, at most 100 characters wide."""
    width = min(shutil.get_terminal_size().columns, 100)
    terminal = sys.stdout.isatty()  # whatever FORCE_COLOR says
    return Console(width=width, force_terminal=terminal, highlight=False, markup=False, emoji=False)


def _shown(value: Any) -> str:
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        array = np.asarray(value)
        return np.array2string(array, precision=4, suppress_small=True, floatmode="maxprec")
    return str(value)
