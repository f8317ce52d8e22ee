"""English and Chinese: the English text is the key, `locale/` holds the Chinese (gettext).

A text that is chosen in one place and shown in another travels as a `Message`, in no language.
"""

import functools
import locale
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

NAMES = {"en": "English", "zh": "中文"}
"""What each language calls itself."""
LANGUAGES = tuple(NAMES)
CATALOGUE = Path(__file__).parent / "locale" / "zh" / "LC_MESSAGES" / "lenet.po"
Translate = Callable[[str], str]


class Message(NamedTuple):
    """A text and the values of its {names}, not yet in any language."""

    text: str
    values: Mapping[str, Any] = {}


class Listed(NamedTuple):
    """Items that are shown one after the other: words, messages, numbers."""

    items: tuple[Any, ...]
    joint: str  # one of JOINTS


def default() -> str:
    """Return the language of the locale: zh where LC_ALL, LC_MESSAGES or LANG says so, else en."""
    given = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), None)
    name = given or locale.getlocale()[0] or ""  # the latter knows what Windows says
    return "zh" if name.lower().startswith(("zh", "chinese")) else "en"


def mark(text: str) -> str:
    """Return `text` unchanged: Babel extracts it here, and it is translated where it is shown."""
    return text


JOINTS = (mark(", "), mark("; "))


def message(text: str, /, **values: Any) -> Message:
    """Return a Message: Babel extracts `text` here, and `translate` shows it.

    Args:
      text: a literal, with {names} or {names:with a format}.
      **values: of its names. A Message or a Listed among them is translated with it.
    """
    return Message(text, values)


def listed(items: Iterable[Any], joint: str = JOINTS[0]) -> Listed:
    """Return items to show as a list, joined by ", " or "; ": by "、" or "；" in Chinese.

    >>> translate("zh", listed(["ReLU", 0.9]))
    'ReLU、0.9'
    """
    return Listed(tuple(items), joint)


def translate(language: str, text: str | Message | Listed, /, **values: Any) -> str:
    """Return a text in a language, its {names} filled in; in English where there is no Chinese.

    Control characters in what is filled in, such as the name of a file, are escaped.

    >>> translate("zh", "{layer}, ms", layer="conv1")
    'conv1，毫秒'
    >>> translate("zh", message("{times} ({title})", times=1.5, title=Message("test accuracy")))
    '1.5（测试精度）'
    """
    if isinstance(text, Listed):
        joint = translation(language)(text.joint)
        return joint.join(str(_shown(language, item)) for item in text.items)
    if isinstance(text, Message):
        return translate(language, text.text, **text.values)
    shown = {name: _shown(language, value) for name, value in values.items()}
    return translation(language)(text).format(**shown)


def translation(language: str) -> Translate:
    """Return the function from an English text to that of `language`."""
    if language == "en":
        return str
    chinese = _catalogue()
    return lambda text: chinese.get(text, text)


def sentences(language: str, texts: Iterable[str | Message]) -> str:
    """Return sentences as one paragraph: Chinese puts no space between them."""
    return (" " if language == "en" else "").join(translate(language, text) for text in texts)


# A space; or a Chinese character or a run of others, with the stops and brackets that close it.
PIECES = re.compile(
    r"\s|(?:[\u2e80-\u9fff\uff00-\uffef]|[^\s\u2e80-\u9fff\uff00-\uffef]+)[，。；：、！？）”》]*"
)


def wrapped(text: str, width: int) -> list[str]:
    """Break text into lines of `width` cells, at spaces and between Chinese characters.

    rich treats a run of Chinese as one word. No line begins with a stop or a closing bracket.

    >>> wrapped("步幅为 2 时减半。", 11)
    ['步幅为 2 时', '减半。']
    """
    from rich.cells import cell_len

    lines = [""]
    for piece in PIECES.findall(text):
        if lines[-1] and cell_len(lines[-1] + piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece if lines[-1] or piece.strip() else ""
    return [line.rstrip() for line in lines]


def printable(text: str) -> str:
    """Return a text with its control characters escaped: they would act on the terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _shown(language: str, value: Any) -> Any:
    """Return a value as `str.format` shall take it: numbers keep their formats, texts are words."""
    if isinstance(value, Message | Listed):
        return translate(language, value)
    return printable(str(value)) if isinstance(value, str | Path) else value


@functools.cache
def _catalogue() -> dict[str, str]:
    from babel.messages.pofile import read_po  # only Chinese waits for it

    with CATALOGUE.open("rb") as file:
        return {str(m.id): str(m.string) for m in read_po(file) if m.id and m.string}
