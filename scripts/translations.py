"""Bring the Chinese catalogue up to what the project says, by Babel's own extraction.

python scripts/translations.py            add what is new, drop what is gone, name what is missing
python scripts/translations.py --check    fail if anything is missing, stale or wrong

A translation keeps the {names} of its text and their formats, uses characters that the figures'
fonts have, and is punctuated as Chinese is.
"""

import inspect
import io
import re
import string
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from babel.messages import Catalog, Message
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po, write_po
from fontTools.ttLib import TTFont
from matplotlib import font_manager

from lenet import files
from lenet.chapter import CHAPTER, CLAIMS, EXERCISES, heading
from lenet.figures import style
from lenet.language import CATALOGUE

ROOT = Path(__file__).parent.parent
SAID: dict[str, Any] = {"mark": None, "message": None, "translate": (2,), "t": None}
PAGE = dict.fromkeys(("say", "note", "value", "check", "answer"))
PAGE |= {"figure": (2,), "track": (2,), "Finding": (2, 3)}
SOURCES = (  # files, how Babel reads them, and which arguments of which calls are text
    ("lenet/report/*.html", "jinja2", {"t": None, "m": None}),
    ("lenet/chapter/**/*.py", "python", SAID | PAGE),
    ("lenet/**/*.py", "python", SAID | {"info": None, "warning": None}),
    ("experiments/**/*.py", "python", SAID),
    ("benchmarks/*.py", "python", SAID),
    ("scripts/*.py", "python", SAID),
    # A table names what was injected.
    ("tests/faults/*.py", "python", {"fault": None, "mark": None}),
)


def texts() -> dict[str, set[str]]:
    """Return every text the project says, and the files that say it."""
    found: dict[str, set[str]] = {}
    for pattern, method, keywords in SOURCES:
        for path in ROOT.glob(pattern):
            for _, text, _, _ in extract_from_file(method, str(path), keywords):
                for each in [text] if isinstance(text, str) else text:
                    found.setdefault(each, set()).add(path.relative_to(ROOT).as_posix())
    documented: list[Any] = [*CHAPTER.values(), *(claim.compute for claim in CLAIMS)]
    documented += [exercise.answer for exercise in EXERCISES.values()]
    for function in documented:
        path = Path(inspect.getfile(function)).relative_to(ROOT)
        found.setdefault(heading(function), set()).add(path.as_posix())
    return found


def updated(old: Catalog, found: dict[str, set[str]]) -> Catalog:
    """Return the catalogue of what is said now, with the translations there were."""
    new = Catalog(locale="zh", fuzzy=False)
    for places, text in sorted((sorted(places), text) for text, places in found.items()):
        known = old.get(text)
        new.add(text, known.string if known else "", locations=[(place, 1) for place in places])
    return new


DRAWN = ("lenet/chapter", "lenet/figures", "benchmarks/scaling")
"""Where texts may stand in a picture, in a font that has not every character."""
ASIDE = re.compile(r"`[^`]*`|[(\[⟨][^()\[\]⟨⟩一-鿿]*[)\]⟩]")
"""Code, and brackets of formulas: they keep their punctuation."""
HALF_WIDTH = re.compile(r"(?<=[一-鿿])[,;:.!?()]|[,;:](?=\s|$)|[,;:!?()](?=[一-鿿“])")


def half_width(text: str) -> list[str]:
    """Return the punctuation marks in a Chinese text that are those of English.

    >>> half_width("卷积: 步幅为 (3, 4), 填充为 0")
    [':', ',']
    """
    while ASIDE.search(text):  # brackets within brackets
        text = ASIDE.sub("", text)
    return HALF_WIDTH.findall(text)


def faults(catalogue: Catalog) -> Iterator[str]:
    """Yield what is missing or wrong, a line each."""
    fonts = [style.CHINESE, font_manager.findfont("DejaVu Sans")]
    glyphs = set().union(*(TTFont(font).getBestCmap() for font in fonts))
    for message in catalogue:
        if not message.id:
            continue
        chinese = str(message.string)
        if not chinese:
            yield f"no translation of {message.id!r}"
        elif names(chinese) != names(str(message.id)):
            yield f"other names or formats in braces: {chinese!r}"
        elif any(place.startswith(DRAWN) for place, _ in message.locations) and (
            lacking := {c for c in chinese if ord(c) not in glyphs and c.isprintable()}
        ):
            yield f"no glyph for {''.join(sorted(lacking))} in {chinese!r}"
        elif half := half_width(chinese):
            yield f"half-width {' '.join(half)} in {chinese!r}"


def names(text: str) -> set[tuple[str, str | None]]:
    """Return the names in braces, each with its format, and the %s of a log by their number."""
    braced = {(name, form) for _, name, form, _ in string.Formatter().parse(text) if name}
    return braced | {("%s", str(text.count("%s")))}


def content(catalogue: Catalog) -> bytes:
    """Return the file, without a date or line numbers, which change with everything."""
    for message in catalogue:
        if isinstance(message, Message):
            message.flags.discard("python-brace-format")
    buffer = io.BytesIO()
    write_po(buffer, catalogue, width=96, omit_header=True, include_lineno=False)
    return buffer.getvalue()


def main(arguments: list[str]) -> None:
    """Update or check."""
    with CATALOGUE.open("rb") as file:
        new = updated(read_po(file), texts())
    if arguments != ["--check"]:
        files.write(CATALOGUE, content(new))
    wrong = list(faults(new))
    if arguments == ["--check"] and content(new) != CATALOGUE.read_bytes():
        wrong.append("the catalogue is not up to date: run python scripts/translations.py")
    if wrong:
        sys.exit("\n".join(["error: the Chinese catalogue:", *wrong]))


if __name__ == "__main__":
    main(sys.argv[1:])
