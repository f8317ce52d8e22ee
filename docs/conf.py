"""The documentation site, a language at a time: scripts/docs builds docs/en and docs/zh.

https://www.sphinx-doc.org/en/master/usage/configuration.html
"""

import importlib.metadata
import os
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.search.zh import SearchChinese

NAMES = {"en": "English", "zh": "中文"}
LIVE = {"en": "Live network", "zh": "试用网络"}
"""The link to live.html: the report of a run, made by scripts/docs."""
TITLES = {"en": "lenet", "zh": "lenet 中文文档"}

project = "lenet"
author = "the authors of lenet"
release = importlib.metadata.version("lenet")
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
templates_path = ["_templates"]
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/favicon.svg"
html_theme = "sphinx_book_theme"
html_theme_options: dict[str, Any] = {
    "article_header_end": [
        "hosted.html",
        "live.html",
        "language.html",
        "article-header-buttons.html",
    ],
    "home_page_in_toc": False,
    "show_navbar_depth": 1,
    "use_download_button": False,
    "use_fullscreen_button": False,
}
html_show_copyright = False
html_last_updated_fmt = None

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_execution_timeout = 600
nb_merge_streams = True

REPOSITORY = os.environ.get("GITHUB_REPOSITORY", "")
"""OWNER/NAME where a workflow of GitHub builds the site, and publishes it to gh-pages."""

INSTALL = f"""\
```{{code-cell}} ipython3
:tags: [remove-cell]

try:
    import lenet
except ImportError:  # in a notebook that is hosted elsewhere
    %pip install --quiet git+https://github.com/{REPOSITORY}
```
"""

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
napoleon_google_docstring = True
napoleon_numpy_docstring = False


class Chinese(SearchChinese):
    """Chinese words, in a browser that stems the English ones among them.

    Sphinx 9.0 names the stemmer after the language, and no page defines a ChineseStemmer.
    """

    language_name = "English"


def setup(app: Sphinx) -> None:
    """Take what differs between the languages from the folder that is built."""
    language = Path(app.srcdir).name
    other = next(each for each in NAMES if each != language)
    app.config.language = {"en": "en", "zh": "zh_CN"}[language]
    app.config.html_title = TITLES[language]
    app.config.html_context = {
        "default_mode": "auto",
        "other": other,
        "other_name": NAMES[other],
        "live": LIVE[language],
    }
    app.add_search_language(Chinese)
    app.connect("source-read", without_link)
    if language == "zh":
        app.connect("source-read", joined)
    app.connect("source-read", with_install)
    app.connect("html-page-context", with_button)


def without_link(app: Sphinx, page: str, source: list[str]) -> None:
    """Drop the link to the other language, which a page needs on a forge and the site has above."""
    source[0] = re.sub(r"^\[(?:English|中文)\]\(.*\)\n", "", source[0], count=1, flags=re.MULTILINE)


def joined(app: Sphinx, page: str, source: list[str]) -> None:
    """Join lines between two Chinese characters, where a browser would show a space."""
    chinese = "[\u2018-\u201d\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]"
    parts = re.split(r"(^```.*?^```$)", source[0], flags=re.MULTILINE | re.DOTALL)
    between = re.compile(rf"(?<={chinese})\n *(?={chinese})")
    parts[::2] = [between.sub("", part) for part in parts[::2]]
    source[0] = "".join(parts)


def with_install(app: Sphinx, page: str, source: list[str]) -> None:
    """Begin a notebook with a cell that installs lenet where it is missing."""
    if REPOSITORY and source[0].startswith("---\njupytext:"):
        head, first, rest = source[0].partition("```{code-cell}")
        source[0] = f"{head}{INSTALL}\n{first}{rest}"


def with_button(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Give a notebook the address that opens it in Colab."""
    if REPOSITORY and page.startswith("notebooks/") and page != "notebooks/index":
        path = f"{REPOSITORY}/blob/gh-pages/{Path(app.srcdir).name}/{page}.ipynb"
        context["hosted"] = f"https://colab.research.google.com/github/{path}"
