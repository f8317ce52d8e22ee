"""User-facing texts use the terms of the field: the rules are in CONTRIBUTING.md."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from lenet.language import CATALOGUE

ROOT = Path(__file__).parent.parent

HABITS = {
    r"\bgoes on\b": "continues, resumes",
    r"\b(is|are|was|were) told\b": "log, report",
    r"\bleft in\b": "saved to",
    r"\bcannot tell\b": "inconclusive",
    r"\bfor want of\b": "because there is no",
    r"\bno better than a guess\b": "at chance level",
    r"\b(is|are) not here\b": "is not installed, is missing",
    r"\bis there twice\b": "duplicate",
    r"\bthe texts\b": "the book; the course notes",
    r"\bto the same bits\b": "bitwise identical",
    r"\bwhat is taken for what\b": "confusion matrix",
    r"\bdata sets?\b": "dataset",
    r"\b(max|average|avg)-pooling\b": "max pooling, average pooling",
    r"(\d|^) %(?![}\w])": "95%, without a space",
    r"(?<![-\w=])\dx\d(?!\w)": "2×2, except in flags",
}
"""Phrases that replace a term of the field, as patterns, with the term."""

HALF_WIDTH = re.compile(r"[\u4e00-\u9fff](?:[,;:!?]|\.(?:\s|$)|\()|[,;:] ?[\u4e00-\u9fff]")
"""Punctuation of English beside a Chinese character."""

CHINESE = [ROOT / "README.zh-CN.md", *sorted((ROOT / "docs" / "zh").rglob("*.md"))]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs" / "en").rglob("*.md")),
    *sorted(path for kind in ("html", "js") for path in (ROOT / "lenet").rglob(f"*.{kind}")),
]
SOURCES = sorted(path for room in ("lenet", "experiments") for path in (ROOT / room).rglob("*.py"))


def literals(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the string literals of a module, docstrings included, with their lines."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, re.sub(r"\s+", " ", node.value)


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a page with their numbers, fenced code and its output aside."""
    fenced = False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        fenced ^= line.startswith("```")
        if not fenced:
            yield number, line


def half_width(text: str) -> list[str]:
    """Return the punctuation of English in a Chinese text, code in backquotes aside."""
    return [m[0] for m in HALF_WIDTH.finditer(re.sub(r"`[^`]*`", "``", text))]


def habits(text: str) -> list[str]:
    """Return what to write instead of the phrases in a text."""
    return [f"{m[0]!r}: {term}" for p, term in HABITS.items() for m in re.finditer(p, text, re.I)]


def parameters(paths: list[Path]) -> list:
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in paths]


@pytest.mark.parametrize("path", parameters(SOURCES))
def test_messages_and_docstrings_have_no_habit(path):
    found = [f"line {n}: {each}" for n, text in literals(path) for each in habits(text)]
    assert found == []


@pytest.mark.parametrize("path", parameters(PAGES))
def test_pages_have_no_habit(path):
    found = [f"line {n}: {each}" for n, text in lines(path) for each in habits(text)]
    assert found == []


@pytest.mark.parametrize("path", parameters(CHINESE))
def test_chinese_pages_have_chinese_punctuation(path):
    found = [(n, each) for n, text in lines(path) for each in half_width(text)]
    assert found == []


def test_the_catalogue_has_chinese_punctuation():
    with CATALOGUE.open("rb") as file:
        texts = [(m.lineno, str(m.string)) for m in read_po(file) if m.string]
    assert [(n, text) for n, text in texts if half_width(text)] == []


def test_a_habit_is_found():
    for text in (
        "it goes on",
        "95 % interval",
        "a 2x2 design",
        "Max-pooling",
        "two data sets",
        " % of them",
    ):
        assert habits(text)
    for text in ("--kernel_size=3x3", "0x08", "2×2", "95%", "datasets", "28 epochs"):
        assert not habits(text)
    for text in ("精度: 0.8", "图像, 标签", "精度(测试)", "完成.", "A, 精度"):
        assert half_width(text)
    for text in (
        "精度：0.8，{x:.3f}",
        "`特征, B` 精度",
        "1! · 2! 不为 0",
        "[数据](#数据)",
        "0.8036, 0.8037",
    ):
        assert not half_width(text)
