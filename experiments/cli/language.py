"""The flag --lang, and texts in the language it asks for."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from absl import flags

from lenet.language import LANGUAGES, Listed, Message, default, listed, translate


def define() -> None:
    """Define --lang."""
    flags.DEFINE_enum("lang", None, LANGUAGES, "language of the output (default: from the locale)")


def asked() -> str:
    """Return the language asked for, en or zh; that of the locale where there is no such flag."""
    known = flags.FLAGS.is_parsed() and "lang" in flags.FLAGS
    return (flags.FLAGS.lang if known else None) or default()


def saved(directory: Path, names: Iterable[str]) -> None:
    """Print where files were written."""
    print(t("saved to {directory}: {files}", directory=directory, files=listed(names)))


def t(text: str | Message | Listed, /, **values: Any) -> str:
    """Return a text in the language asked for, its {names} filled in.

    Control characters in them, such as in the name of a file, are escaped.
    """
    safe = {
        name: printable(str(value)) if isinstance(value, str | Path) else value
        for name, value in values.items()
    }
    return translate(asked(), text, **safe)


def printable(text: str) -> str:
    """Return a text with its control characters escaped: they would act on the terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
