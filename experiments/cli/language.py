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
    """Return a text in the language asked for, its {names} filled in."""
    return translate(asked(), text, **values)
