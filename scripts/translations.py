"""Bring experiments/zh.po, the Chinese catalogue, up to what the experiments say.

python scripts/translations.py            add what is new, drop what is gone, name what is missing
python scripts/translations.py --check    fail if anything is missing, stale or cannot be shown

A translation keeps the {names} of its text, and uses characters that the figures' fonts have.
"""

import ast
import inspect
import io
import string
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from babel.messages import Catalog, Message
from babel.messages.pofile import read_po, write_po
from fontTools.ttLib import TTFont
from matplotlib import font_manager

from lenet import files
from lenet.chapter import CHAPTER, CLAIMS, EXERCISES, heading
from lenet.figures import style
from lenet.language import CATALOGUE

ROOT = Path(__file__).parent.parent
ARGUMENTS = {  # which arguments of a call are text
    "page.say": (0,),
    "page.note": (0,),
    "page.value": (0,),
    "page.check": (0,),
    "page.answer": (0,),
    "page.t": (0,),
    "page.figure": (1,),
    "page.track": (1,),
    "walk.translate": (0,),
    "translated": (0,),
    "mark": (0,),
    "Finding": (1, 2),
}


def texts() -> dict[str, str]:
    """Every text the experiments say, and the file that says it."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / "experiments").rglob("*.py")):
        for text in literals(ast.parse(path.read_text(encoding="utf-8"))):
            found.setdefault(text, str(path.relative_to(ROOT)))
    documented: list[Any] = [*CHAPTER.values(), *(claim.compute for claim in CLAIMS)]
    documented += [exercise.answer for exercise in EXERCISES.values()]
    for function in documented:
        path = Path(inspect.getfile(function)).relative_to(ROOT)
        found.setdefault(heading(function), str(path))
    return found


def literals(tree: ast.AST) -> Iterator[str]:
    """The text in calls that print or mark it, be it in the call or in a variable before it."""
    variables: dict[str, list[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            for target in node.targets:
                variables.setdefault(ast.unparse(target), []).append(str(node.value.value))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            for index in ARGUMENTS.get(ast.unparse(node.func), ()):
                argument = node.args[index]
                if isinstance(argument, ast.Constant):
                    yield str(argument.value)
                elif isinstance(argument, ast.Name):
                    yield from variables.get(argument.id, [])
                elif isinstance(argument, ast.JoinedStr | ast.IfExp | ast.BinOp):
                    sys.exit(f"error: text must be a literal: {ast.unparse(node)}")


def updated(old: Catalog, found: dict[str, str]) -> Catalog:
    """The catalogue of what is said now, with the translations there were."""
    new = Catalog(locale="zh", fuzzy=False, header_comment="# Chinese for what experiments/ says.")
    for text, place in sorted(found.items(), key=lambda item: item[1]):
        known = old.get(text)
        new.add(text, known.string if known else "", locations=[(place, 1)])
    return new


def faults(catalogue: Catalog) -> Iterator[str]:
    """What is missing or wrong, a line each."""
    fonts = [style.CHINESE, font_manager.findfont("DejaVu Sans")]
    glyphs = set().union(*(TTFont(font).getBestCmap() for font in fonts))
    for message in catalogue:
        if not message.id:
            continue
        if not message.string:
            yield f"no translation of {message.id!r}"
        elif names(str(message.string)) != names(str(message.id)):
            yield f"other names or formats in braces: {message.string!r}"
        elif lacking := {c for c in message.string if ord(c) not in glyphs and c.isprintable()}:
            yield f"no glyph for {''.join(sorted(lacking))} in {message.string!r}"


def names(text: str) -> set[tuple[str, str | None]]:
    """The names in braces, each with its format."""
    return {(name, form) for _, name, form, _ in string.Formatter().parse(text) if name is not None}


def content(catalogue: Catalog) -> bytes:
    """The file, without a date or line numbers, which change with everything."""
    for message in catalogue:
        if isinstance(message, Message):
            message.flags.discard("python-brace-format")
    buffer = io.BytesIO()
    write_po(buffer, catalogue, width=96, omit_header=True, include_lineno=False)
    return buffer.getvalue()


def main(arguments: list[str]) -> None:
    """Update or check."""
    old = Catalog()
    if CATALOGUE.exists():
        with CATALOGUE.open("rb") as file:
            old = read_po(file)
    new = updated(old, texts())
    if arguments != ["--check"]:
        files.write(CATALOGUE, content(new))
    wrong = list(faults(new))
    if arguments == ["--check"] and content(new) != CATALOGUE.read_bytes():
        wrong.append("experiments/zh.po is not what scripts/translations.py writes: run it")
    if wrong:
        sys.exit("\n".join(["error: the Chinese catalogue:", *wrong]))


if __name__ == "__main__":
    main(sys.argv[1:])
