"""English or Chinese: which one, and the catalogue that holds the Chinese.

The English text is the key, as gettext has it; `zh.po` holds what stands for it.
"""

import locale
import os
from collections.abc import Callable
from pathlib import Path

from absl import flags

from lenet.report.words import LANGUAGES, catalogue

CATALOGUE = Path(__file__).with_name("zh.po")
Translate = Callable[[str], str]


def define() -> None:
    """Define --lang."""
    flags.DEFINE_enum("lang", None, LANGUAGES, "English or Chinese; without it, that of the locale")


def asked() -> str:
    """Return the language asked for, en or zh."""
    return flags.FLAGS.lang or default()


def default() -> str:
    """Return the language of the locale: zh where LC_ALL, LC_MESSAGES or LANG says so, else en."""
    given = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), None)
    name = given or locale.getlocale()[0] or ""  # the latter knows what Windows says
    return "zh" if name.lower().startswith(("zh", "chinese")) else "en"


def mark(text: str) -> str:
    """Return `text` as it is: it is translated where it is printed, and found here."""
    return text


def translation(language: str) -> Translate:
    """Return the function from English text to that of `language`."""
    if language == "en":
        return str
    chinese = catalogue(CATALOGUE)
    return lambda text: chinese.get(text, text)
