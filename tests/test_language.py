"""The Chinese catalogue, and texts that are chosen in one place and shown in another."""

import re
import sys
from pathlib import Path

import pytest
from babel.messages import Catalog
from chinese import islands

from lenet import language
from lenet.chapter import SECTIONS, heading
from lenet.language import Message, listed, message, translate

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
import translations  # noqa: E402  (a script, not a package)


@pytest.mark.parametrize(
    ("english", "chinese", "fault"),
    [
        ("stride", "", "no translation"),
        ("{n:,} runs", "{n} 次训练", "other names or formats"),
        ("stride", "步\U0002a6d6幅", "no glyph"),
        ("stride: the step", "步幅: 步长", "half-width :"),
        ("stride (the step)", "步幅(步长)", "half-width ( )"),
        ("{a}, {b}", "{a}, {b}", "half-width ,"),
        ("The end.", "完.", "half-width ."),
        ("shape (3, 4) by `f(x, y)`: {n:,}", "形状 (3, 4)，由 `f(x, y)` 得出：{n:,}", None),
    ],
)
def test_a_faulty_translation_is_found(english, chinese, fault):
    catalogue = Catalog()
    catalogue.add(english, chinese, locations=[("lenet/figures/run.py", 1)])
    found = list(translations.faults(catalogue))
    assert len(found) == (fault is not None)
    assert not fault or found[0].startswith(fault)


def test_babel_finds_texts_in_code_in_templates_and_in_docstrings():
    found = translations.texts()
    assert found["Charts"] == {
        f"lenet/report/{page}.html" for page in ("comparison", "search", "sweep")
    }
    assert "benchmarks/table.py" in found["memory, MB"]
    assert found[heading(SECTIONS["padding"])] == {"lenet/chapter/sections/padding.py"}


@pytest.mark.parametrize(
    "name",
    [
        *("benchmarks", "comparison", "faults", "hardware", "native", "report", "speed"),
        *("studies", "frameworks", "seeds", "book_search"),
    ],
)
def test_a_chinese_page_holds_no_english_that_has_a_chinese(name):
    path = ROOT / "docs" / "zh" / f"{name}.md"
    assert islands(path.read_text(encoding="utf-8")) == set()


def test_the_tables_of_the_chinese_readme_hold_no_english_that_has_a_chinese():
    text = (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")
    generated = re.findall(r"<!-- \w+: begin -->(.*?)<!-- \w+: end -->", text, re.DOTALL)
    assert generated
    assert islands("\n".join(generated)) == set()


def test_lists_and_messages_within_messages_follow_the_language():
    told = message(
        "{name}, {options}", name=Message("source"), options=listed([Message("precision"), "b", 2])
    )
    assert translate("en", told) == "source, precision, b, 2"
    assert translate("zh", told) == "来源，查准率、b、2"
    assert translate("zh", listed(["a", "b"], "; ")) == "a；b"


def test_numbers_keep_their_formats_in_both_languages():
    told = message("{title} ({count:,} examples)", title="PyTorch", count=5120)
    assert translate("en", told) == "PyTorch (5,120 examples)"
    assert translate("zh", told) == "PyTorch（5,120 个样本）"


def test_sentences_have_a_space_between_them_in_english_alone():
    texts = ["One.", "Two."]  # in no catalogue
    assert language.sentences("en", texts) == "One. Two."
    assert language.sentences("zh", texts) == "One.Two."


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"LC_ALL": "zh_CN.UTF-8", "LANG": "en_US.UTF-8"}, "zh"),
        ({"LANG": "zh_TW.UTF-8"}, "zh"),
        ({"LC_MESSAGES": "de_DE.UTF-8", "LANG": "zh_CN.UTF-8"}, "en"),
        ({"LC_ALL": "", "LANG": "C"}, "en"),
    ],
)
def test_the_language_is_that_of_the_locale(monkeypatch, variables, expected):
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert language.default() == expected
