"""Notebooks: those of the chapter do what its sections do, and objects display themselves."""

import re
import runpy

import pytest
from commands import ROOT
from test_summary import ENTRIES

from lenet import records, runs
from lenet.analysis.summary import Sweep
from lenet.chapter import SECTIONS, Page
from lenet.chapter.notebook import cells
from lenet.chapter.page import console
from lenet.config import Config
from lenet.inspect.layers import layers
from lenet.model import LeNet

HAND = ("train", "read", "sweep")


def code(language: str, name: str) -> list[str]:
    text = (ROOT / "docs" / language / "notebooks" / f"{name}.md").read_text(encoding="utf-8")
    return re.findall(r"^```{code-cell} ipython3\n(.*?)\n```$", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(
    "name",
    [pytest.param(x, marks=[] if x == "padding" else [pytest.mark.slow]) for x in SECTIONS],
)
def test_the_cells_of_a_section_do_what_the_section_does(tmp_path, name):
    whole, parts = (Page("zh", tmp_path, console()) for _ in range(2))
    SECTIONS[name](whole)
    names = {"page": parts}
    for cell in cells(SECTIONS[name]):
        if cell.kind == "code":
            exec(cell.source, names)
        else:
            parts.say(cell.source)
    assert parts.events == whole.events


def test_both_languages_run_the_same_code():
    for name in HAND:
        english, chinese = (
            [cell.replace(f'"{language}"', "") for cell in code(language, name)]
            for language in ("en", "zh")
        )
        assert english == chinese != []
    for name in SECTIONS:
        first, *rest = code("zh", name)
        assert 'notebook.page("zh")' in first + rest[0]
        assert code("en", name) == [cell.replace('"zh"', '"en"') for cell in (first, *rest)]


def test_the_notebooks_of_the_chapter_are_those_of_its_code(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    rendered = runpy.run_path(str(ROOT / "scripts" / "notebooks.py"))["rendered"]()
    assert [p.name for p, text in rendered.items() if p.read_text("utf-8") != text] == []


def test_layers_and_sweeps_display_themselves():
    html = layers(LeNet(), (28, 28, 1))._repr_html_()
    assert html.count("<tr") == 10  # a head, eight layers, a total
    assert "61,706" in html
    html = Sweep(ENTRIES, ["lr"], Config())._repr_html_()
    assert html.count("<tr") == 1 + len({entry.config.lr for entry in ENTRIES})


def test_a_run_displays_its_epochs_its_curves_and_its_layers(trained, tmp_path):
    assert runs.Run(tmp_path / "<run>", Config(), None)._repr_html_() == (
        f"{tmp_path}/&lt;run&gt;: no epoch yet"
    )
    run = runs.resume(trained[0])
    html = run._repr_html_()
    assert html.count("<tr") == 1 + 3
    assert f"{run.rows()[-1].valid_accuracy:.4f}" in html
    assert '<img src="data:image/png;base64,iVBOR' in html
    restored = records.restore(trained[0])
    assert "conv1" in restored._repr_html_()
    assert "after epoch 3" in repr(restored)
    assert len(repr(restored)) < 500  # a line, without the parameters
