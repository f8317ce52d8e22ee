"""Write the chapter's notebooks: docs/LANGUAGE/notebooks/SECTION.md, as MyST text.

python scripts/notebooks.py           write them from the sections of lenet.chapter
python scripts/notebooks.py --check   fail if a file is out of date

scripts/docs executes them, and those beside them that are written by hand.
"""

import sys
from functools import partial
from pathlib import Path

import pages

from lenet import files
from lenet.chapter import NAMES as WORDS
from lenet.chapter import SECTIONS, heading
from lenet.chapter.notebook import cells
from lenet.language import LANGUAGES, translate

ROOT = Path(__file__).parent.parent
FOLDER = "notebooks"
HEAD = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---
"""
BEGIN = """\
import jax

from lenet.chapter import notebook

jax.config.update("jax_default_matmul_precision", "highest")  # also on a GPU
page = notebook.page("{language}")"""


def rendered() -> dict[Path, str]:
    """Return the content of every notebook."""
    return {
        ROOT / "docs" / language / FOLDER / f"{name}.md": notebook(name, language)
        for language in LANGUAGES
        for name in SECTIONS
    }


def notebook(name: str, language: str) -> str:
    """Return a section as a notebook."""
    t, fill = partial(translate, language), SECTIONS[name]
    title = pages.titled(t(WORDS[name]))
    link = t(
        "The same section with its recorded results: {section}.",
        section=f"[{title}](../chapter/{name}.md)",
    )
    lines = [*pages.top(title, FOLDER, name, language), "", f"**{t(heading(fill))}**", "", link, ""]
    lines += code(BEGIN.format(language=language))
    for cell in cells(fill):
        lines += code(cell.source) if cell.kind == "code" else [pages.marked(t(cell.source)), ""]
    return HEAD + "\n" + "\n".join(lines).rstrip() + "\n"


def code(source: str) -> list[str]:
    """Return a cell of code."""
    return ["```{code-cell} ipython3", *source.splitlines(), "```", ""]


def main(arguments: list[str]) -> None:
    """Write or check."""
    if arguments not in ([], ["--check"]):
        sys.exit(f"error: {' '.join(arguments)}: expected --check or nothing")
    for path, content in rendered().items():
        if not arguments:
            path.parent.mkdir(exist_ok=True)
            files.write(path, content.encode())
        elif not path.exists() or path.read_text(encoding="utf-8") != content:
            sys.exit(f"error: {path.name} is out of date; run scripts/notebooks.py")


if __name__ == "__main__":
    main(sys.argv[1:])
