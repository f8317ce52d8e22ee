"""The terms of `lenet.analysis.terms` in the language of a chart."""

from collections.abc import Callable

from lenet.analysis.terms import TERMS, VALUES

Translate = Callable[..., str]
"""The translation of a language: a text, and the values of its {names}."""


def term(t: Translate, name: str) -> str:
    """Return what a setting or measure is called in a language."""
    return t(TERMS[name]) if name in TERMS else name


def value(t: Translate, shown: str) -> str:
    """Return what a value of a setting is called in a language."""
    return t(VALUES[shown]) if shown in VALUES else shown
