"""The flag --lang: what a command prints its text in."""

from absl import flags

from lenet.language import LANGUAGES, default, translation


def define() -> None:
    """Define --lang."""
    flags.DEFINE_enum("lang", None, LANGUAGES, "English or Chinese; without it, that of the locale")


def asked() -> str:
    """Return the language asked for, en or zh."""
    return flags.FLAGS.lang or default()


def translate(text: str) -> str:
    """Return `text` in the language asked for."""
    return translation(asked())(text)
