"""The flag --lang, and texts in the language it asks for."""

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


def saved(directory: Path) -> None:
    """Print where files were written, and which are there."""
    found = (path for path in directory.iterdir() if not path.name.startswith("."))
    names = sorted(f"{path.name}/" if path.is_dir() else path.name for path in found)
    print(t("saved to {directory}: {files}", directory=directory, files=listed(names)))


def t(text: str | Message | Listed, /, **values: Any) -> str:
    """Return a text in the language asked for, its {names} filled in."""
    return translate(asked(), text, **values)
