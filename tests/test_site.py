"""The site of the docs in a real browser, served as a forge serves it."""

import functools
import http.server
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from commands import ROOT

pytestmark = pytest.mark.slow

PAGES = [
    *("index", "start", "api/index", "cli", "faq", "hardware", "studies"),
    *("chapter/padding", "exercises/2", "notebooks/index", "notebooks/train"),
]


@pytest.fixture(scope="module")
def site(once) -> Path:
    """The site, built by what builds it; a warning fails it."""

    def make(path: Path) -> None:
        done = subprocess.run(["scripts/docs"], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        shutil.copytree(ROOT / "build" / "site", path / "site")

    return once("site", make) / "site"


@pytest.fixture(scope="module")
def address(site):
    """Where the site is served below a folder, as a forge serves that of a project."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def translate_path(self, path):
            return super().translate_path(path.removeprefix("/lenet"))

    handler = functools.partial(Handler, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/lenet"
        server.shutdown()


@pytest.fixture
def tab(browser, address):
    """A page whose console has to stay empty, and that asks only this server."""
    complaints: list[str] = []
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    tab = context.new_page()
    tab.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    tab.on(
        "console",
        lambda said: (
            complaints.append(f"{said.type}: {said.text}")
            if said.type in ("error", "warning")
            else None
        ),
    )
    tab.on(
        "request",
        lambda request: (
            complaints.append(f"request: {request.url[:80]}")
            if not request.url.startswith((address, "data:", "blob:"))
            else None
        ),
    )
    yield tab
    context.close()
    assert complaints == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_pages_load_without_an_error(tab, address, language):
    for page in PAGES:
        tab.goto(f"{address}/{language}/{page}.html")
        assert tab.title()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_page_fits_a_phone(browser, site, address, language):
    tab = browser.new_page(viewport={"width": 375, "height": 700})
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    pages = [path for path in (site / language).rglob("*.html") if "_static" not in path.parts]
    assert len(pages) > 40
    too_wide = {}
    for path in pages:
        tab.goto(f"{address}/{path.relative_to(site).as_posix()}", wait_until="domcontentloaded")
        if (over := tab.evaluate(wide)) > 0:
            too_wide[path.name] = over
    assert too_wide == {}
    tab.close()


@pytest.mark.parametrize("page", ["index", "start", "chapter/padding", "notebooks/train"])
def test_the_switch_leads_to_the_same_page_and_back(tab, address, page):
    tab.goto(f"{address}/en/{page}.html")
    for language in ("zh", "en"):
        tab.locator(f'a.language[hreflang="{language}"]').first.click()
        tab.wait_for_url(f"{address}/{language}/{page}.html")
        assert tab.locator("html").get_attribute("lang").startswith(language)


@pytest.mark.parametrize(
    ("language", "word", "found"),
    [
        ("en", "receptive field", "chapter/receptive_field"),
        ("zh", "感受野", "chapter/receptive_field"),
    ],
)
def test_the_search_finds_a_term(tab, address, language, word, found):
    tab.goto(f"{address}/{language}/search.html?q={word}")
    result = tab.locator(f'#search-results a[href*="{found}.html"]').first
    result.wait_for(timeout=20_000)
    result.click()
    tab.wait_for_url(f"{address}/{language}/{found}.html**")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_one_click_from_every_page_there_is_a_network_to_draw_into(tab, address, language):
    tab.goto(f"{address}/{language}/chapter/padding.html")
    tab.locator('a[href$="live.html"]').first.click()
    tab.wait_for_selector("html[data-ready]", timeout=60_000)
    assert tab.url == f"{address}/{language}/live.html"
    logits = tab.evaluate("window.lenet.logits(new Array(784).fill(0))")
    assert len(logits) == 10


def test_no_line_ends_between_two_chinese_characters(site):
    """A browser would show a space there."""
    for page in (site / "zh").glob("*.html"):
        text = re.sub(r"<(pre|script|style)\b.*?</\1>", "", page.read_text(), flags=re.DOTALL)
        assert not re.search(r"[\u4e00-\u9fff，。；：]\n[\u4e00-\u9fff（“]", text), page.name


def test_the_reference_is_there(site):
    for page in ("operations", "networks", "training", "trained", "statistics"):
        for language in ("en", "zh"):
            assert (site / language / "api" / f"{page}.html").stat().st_size > 50_000


def test_a_notebook_shows_results_and_none_failed(site, tab, address):
    tab.goto(f"{address}/en/notebooks/train.html")
    assert tab.locator(".cell_output img").count() >= 2  # the curves of two runs
    assert "61,706" in tab.locator(".cell_output table").first.inner_text()
    for language in ("en", "zh"):
        made = sorted((site / language / "notebooks").glob("*.ipynb"))
        sources = {path.stem for path in (ROOT / "docs" / language / "notebooks").glob("*.md")}
        assert {path.stem for path in made} == sources - {"index"}
        assert not any('"output_type": "error"' in path.read_text("utf-8") for path in made)
