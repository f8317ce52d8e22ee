"""The pages: every link leads somewhere, and both languages have the same ones."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import ROOT, python

DOCS = ROOT / "docs"
PAGES = [
    *(ROOT / name for name in ("README.md", "README.zh-CN.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted(DOCS.rglob("*.md")),
]


def without_code(text: str) -> str:
    """The prose of a page."""
    return re.sub(r"^```.*?^```|^(?: {4}).*?$|`[^`\n]*`", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """What a link may name in a page, as a forge and the site make it of a heading."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8"))):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        there = target.is_relative_to(ROOT) and target.exists()
        if not there or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_both_languages_have_the_same_pages_in_the_same_order():
    listed = {}
    for language in ("en", "zh"):
        folder = DOCS / language
        trees = [
            line
            for page in sorted(folder.rglob("index.md"))
            for tree in re.findall(
                r"^```{toctree}\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
            )
            for line in tree.splitlines()
            if line and not line.startswith(":")
            for line in [f"{page.parent.relative_to(folder).as_posix()}/{line}".removeprefix("./")]
        ]
        listed[language] = trees
        pages = {
            path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.md")
        }
        assert set(trees) | {"index"} == pages
    assert listed["en"] == listed["zh"]


@pytest.mark.parametrize(("name", "most"), [("README.md", 900), ("README.zh-CN.md", 1500)])
def test_the_readme_is_short(name, most):
    text = without_code((ROOT / name).read_text(encoding="utf-8"))
    words = re.findall(r"[\w'’-]+|[\u4e00-\u9fff]", re.sub(r"\]\([^)]*\)", "]", text))
    characters = sum(len(word) if re.match(r"[\u4e00-\u9fff]", word) else 1 for word in words)
    assert characters <= most


OF_NETWORKS = {"width", "help"}
"""Flags that networks of the pages bring along, and the one of every command."""


def commands_in(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of a page, by the name that lenet, experiments or scripts give it; its flags."""
    for line in text.replace("\\\n", " ").splitlines():
        for name, rest in re.findall(r"(?:\blenet |experiments\.|scripts/)(\w+)([^`#]*)", line):
            yield name, re.findall(r"\s--(?:no)?(\w+)", rest)


def test_every_flag_of_a_command_in_the_pages_is_one_of_its_own():
    code = (
        "import json; from experiments.cli.completion import entry_points;"
        "print(json.dumps({name: [each.name for each in own] for name, own in entry_points()}))"
    )
    done = python("-c", code)  # what this process imports, others could not run as a module
    known = {name: set(flags) for name, flags in json.loads(done.stdout).items()}
    found = [
        (page.name, name, flag)
        for page in PAGES
        if page.name != "CHANGELOG.md"  # which tells of flags that are gone
        for name, flags in commands_in(page.read_text(encoding="utf-8"))
        if name in known
        for flag in flags
    ]
    assert len(found) > 250
    assert [each for each in found if each[2] not in known[each[1]] | OF_NETWORKS] == []
