"""Take the docs' pictures of reports, and measure how large they are and how long they take.

python scripts/screenshots.py RUN_DIR SWEEP_DIR          leaves docs/LANGUAGE/report/*.png
python scripts/screenshots.py RUN_DIR SWEEP_DIR FOLDER   and in FOLDER first screens in each form

Makes the reports of a run, a sweep and the registered comparison REPEATS times each, in processes
of their own, opens them in Chromium, and keeps in results/report.json how large they are, how long
that takes, and how often Tab stops. The system needs a Chinese font.
"""

import io
import itertools
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, CDPSession, FloatRect, Page, sync_playwright

from lenet import files, records
from lenet.language import LANGUAGES

ROOT = Path(__file__).parent.parent
COMPARE = ROOT / "lenet" / "analysis" / "comparison_record.json"
REPEATS = 5
MOVES = 50
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH = 1100
SIZES = {1280: 800, 1680: 1000, 390: 844}
"""Windows, as wide and high as a laptop's, a desktop's and a phone's."""
OBSERVED = """
window.tasks = [0];
new PerformanceObserver((list) => tasks.push(...list.getEntries().map(({ duration }) => duration)))
  .observe({ type: "longtask", buffered: true });
new MutationObserver((_, observer) => {
  if (!document.querySelector(".canvas .role-axis text")) return;
  window.firstChart = performance.now();
  observer.disconnect();
}).observe(document, { subtree: true, childList: true });
"""
"""Notes the first chart and the long tasks of a page (those above 50 ms), in milliseconds."""


def measure(run_dir: Path, to: Path) -> dict[str, Any]:
    """Make a report; return its size and the seconds that the command took."""
    names = ("config.json", "sweep.json", "compare.json")
    about = next(filter(Path.exists, (run_dir / name for name in names)))
    options = [f"--to={to}", "--lang=en"]
    command = [sys.executable, "-P", "-m", "experiments.report", str(run_dir), *options]
    seconds = []
    for _ in range(REPEATS):
        begin = time.monotonic()
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        seconds.append(round(time.monotonic() - begin, 2))
    trained = records.read_json(about)["command"]
    return {"bytes": to.stat().st_size, "seconds": seconds, "command": trained}


def opening(browser: Browser, path: Path) -> dict[str, list[float]]:
    """Open a page several times; return seconds to all of it, to a chart, of the longest task."""
    found: dict[str, list[float]] = {"open": [], "first_chart": [], "longest_task": []}
    for _ in range(REPEATS):
        tab = browser.new_page(viewport={"width": WIDTH, "height": 900})
        tab.add_init_script(OBSERVED)
        begin = time.monotonic()
        tab.goto(path.as_uri())
        tab.wait_for_selector("html[data-ready]")
        found["open"].append(round(time.monotonic() - begin, 2))
        first, longest = tab.evaluate("() => [firstChart, Math.max(...tasks)]")
        found["first_chart"].append(round(first / 1000, 2))
        found["longest_task"].append(round(longest / 1000, 3))
        tab.close()
    return found


def hover(browser: Browser, path: Path) -> dict[str, float]:
    """Return what a move of the pointer over the network costs, in ms, by how slow the CPU is."""
    found = {}
    for slower in (1, 4):
        tab = browser.new_page(viewport={"width": WIDTH, "height": 900})
        tab.goto(path.as_uri())
        tab.wait_for_selector("html[data-ready]")
        maps = tab.locator(".view .layer canvas").nth(2)
        maps.scroll_into_view_if_needed()
        box = maps.bounding_box()
        assert box is not None
        session = tab.context.new_cdp_session(tab)
        session.send("Performance.enable")
        session.send("Emulation.setCPUThrottlingRate", {"rate": slower})

        def busy(session: CDPSession = session) -> float:
            told = session.send("Performance.getMetrics")["metrics"]
            return float(next(each["value"] for each in told if each["name"] == "TaskDuration"))

        def move(i: int, tab: Page = tab, box: FloatRect = box) -> None:
            x, y = (box["x"] + (7 * i) % box["width"], box["y"] + (5 * i) % box["height"])
            tab.mouse.move(x, y)
            tab.evaluate("() => new Promise(requestAnimationFrame)")

        for i in range(MOVES):  # what is computed once
            move(i)
        before = busy()
        for i in range(MOVES):
            move(i)
        found[str(slower)] = round(1000 * (busy() - before) / MOVES, 1)
        tab.close()
    return found


def stops(browser: Browser, path: Path, width: int) -> int:
    """Return how often Tab stops in a page before it begins again."""
    tab = browser.new_page(viewport={"width": width, "height": SIZES[width]})
    tab.goto(path.as_uri())
    tab.wait_for_selector("html[data-ready]")
    focused = "() => [...document.querySelectorAll('*')].indexOf(document.activeElement)"
    seen: list[int] = []
    tab.locator("body").press("Tab")
    while (at := tab.evaluate(focused)) not in seen:
        seen.append(at)
        tab.keyboard.press("Tab")
    tab.close()
    return len(seen) - 1  # the page itself is no stop


def screens(browser: Browser, pages: dict[str, Path], folder: Path) -> None:
    """Take the first screen of each page in each window, theme and language; and its paper."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in pages.items():
        for width, height in SIZES.items():
            for scheme, language in itertools.product(("light", "dark"), LANGUAGES):
                size = {"width": width, "height": height}
                tab = browser.new_page(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
                tab.goto(path.as_uri())
                tab.wait_for_selector("html[data-ready]")
                if language != "en":
                    tab.click("#language")
                    tab.wait_for_timeout(1500)
                tab.screenshot(path=folder / f"{name}_{width}_{scheme}_{language}.png")
                tab.close()
        tab = browser.new_page(color_scheme="dark")
        tab.goto(path.as_uri())
        tab.wait_for_selector("html[data-ready]")
        tab.pdf(path=folder / f"{name}.pdf", format="A4")
        tab.close()


def take(tab: Page, path: Path, from_: str, height: int) -> None:
    """Take a picture of the page from an element on."""
    tab.set_viewport_size({"width": WIDTH, "height": height})
    tab.locator(from_).first.evaluate(
        "e => scrollTo({top: e.getBoundingClientRect().top + scrollY - 60, behavior: 'instant'})"
    )
    tab.wait_for_timeout(300)
    picture = Image.open(io.BytesIO(tab.screenshot())).convert("RGB")
    file = io.BytesIO()
    picture.quantize(256, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    files.write(path, file.getvalue())


def pictures(tab: Page, folder: Path, pages: dict[str, Path], language: str) -> None:
    """Take all pictures in one language."""
    for name, path in pages.items():
        tab.goto(path.as_uri())
        tab.wait_for_selector("html[data-ready]")
        if language != "en":
            tab.click("#language")
        tab.wait_for_timeout(1500)  # for the charts that were drawn anew
        take(tab, folder / f"{name}.png", "body", 1330)
        if name != "run":
            continue
        view = tab.locator(".view").first
        maps = view.locator(".layer canvas").nth(2)
        take(tab, folder / "layers.png", "#layers h2", 1130)
        maps.hover(position={"x": 100, "y": 30})
        take(tab, folder / "layers.png", "#layers h2", 1130)


def main(run_dir: str, sweep_dir: str, folder: str = "") -> None:
    """Measure, then take the pictures."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"error: no browser: {', '.join(BROWSERS)}")
    with tempfile.TemporaryDirectory() as aside:
        compared = Path(aside) / "compare"
        compared.mkdir()
        shutil.copy(COMPARE, compared / "compare.json")
        given: dict[str, str | Path] = {"run": run_dir, "sweep": sweep_dir, "comparison": compared}
        pages = {name: Path(aside) / f"{name}.html" for name in given}
        found: dict[str, Any] = {
            name: measure(Path(where), pages[name]) for name, where in given.items()
        } | {
            "command": f"python scripts/screenshots.py {run_dir} {sweep_dir}",
            "environment": records.environment(),
            "browser": re.sub(
                r" built on.*", "", subprocess.check_output([browser, "--version"], text=True)
            ).strip(),
        }
        with sync_playwright() as playwright:
            made = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
            for language, scheme in (("en", "light"), ("zh", "dark")):
                tab = made.new_page(
                    viewport={"width": WIDTH, "height": 900},
                    color_scheme=scheme,  # type: ignore[arg-type]
                )
                pictures(tab, ROOT / "docs" / language / "report", pages, language)
            for name, path in pages.items():
                found[name]["opening"] = opening(made, path)
                found[name]["stops"] = [stops(made, path, width) for width in (1280, 390)]
            found["run"]["hover"] = hover(made, pages["run"])
            if folder:
                screens(made, pages, Path(folder))
            tab = made.new_page()
            tab.goto(pages["run"].as_uri())
            tab.wait_for_selector("html[data-ready]")
            said = tab.inner_text("#agreement")
            found["largest_difference_of_logits"] = float(said.rsplit(" ", 1)[1].rstrip(")."))
            made.close()
        files.write_json(ROOT / "results" / "report.json", found)
    print(f"report of a run: {statistics.median(found['run']['seconds']):.1f} s")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(*sys.argv[1:])
