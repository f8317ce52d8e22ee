"""English and Chinese: the English text is the key, `locale/` holds the Chinese (gettext)."""

import functools
import locale
import os
from collections.abc import Callable
from pathlib import Path

LANGUAGES = ("en", "zh")
CATALOGUE = Path(__file__).parent / "locale" / "zh" / "LC_MESSAGES" / "lenet.po"
Translate = Callable[[str], str]


def default() -> str:
    """Return the language of the locale: zh where LC_ALL, LC_MESSAGES or LANG says so, else en."""
    given = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), None)
    name = given or locale.getlocale()[0] or ""  # the latter knows what Windows says
    return "zh" if name.lower().startswith(("zh", "chinese")) else "en"


def mark(text: str) -> str:
    """Return `text` unchanged: Babel extracts it here, and it is translated where it is printed."""
    return text


def translate(language: str, text: str, **values: object) -> str:
    """Return a text in a language, its {names} filled in; in English where there is no Chinese.

    >>> translate("zh", "epoch {n}", n=3)
    '第 3 轮'
    """
    return translation(language)(text).format(**values)


def translation(language: str) -> Translate:
    """Return the function from an English text to that of `language`."""
    if language == "en":
        return str
    chinese = _catalogue()
    return lambda text: chinese.get(text, text)


@functools.cache
def _catalogue() -> dict[str, str]:
    from babel.messages.pofile import read_po  # only Chinese waits for it

    with CATALOGUE.open("rb") as file:
        return {str(m.id): str(m.string) for m in read_po(file) if m.id and m.string}
