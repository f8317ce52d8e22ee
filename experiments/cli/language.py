"""The flag --lang: the language of the printed text."""

from absl import flags

from lenet.language import LANGUAGES, default, translation


def define() -> None:
    """Define --lang."""
    flags.DEFINE_enum("lang", None, LANGUAGES, "language of the output (default: from the locale)")


def asked() -> str:
    """Return en or zh: the value of --lang, or the language of the locale."""
    return flags.FLAGS.lang or default()


def translate(text: str) -> str:
    """Return `text` in the language of --lang."""
    return translation(asked())(text)
