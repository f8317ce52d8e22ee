"""Take the docs' pictures of reports, and measure how large they are and how long they take.

python scripts/screenshots.py RUN_DIR SWEEP_DIR

Makes the report of a run and of a sweep REPEATS times each, in processes of their own, and keeps
what was measured in results/report.json; then opens both in Chromium, in English and Chinese, and
leaves docs/LANGUAGE/report/*.png. For the Chinese ones the system needs a Chinese font.
"""

import io
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
from playwright.sync_api import Page, sync_playwright

from lenet import files, records

ROOT = Path(__file__).parent.parent
REPEATS = 5
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH = 1100


def measure(run_dir: Path, to: Path) -> dict[str, Any]:
    """Make a report; return its size and the seconds that the command took."""
    about = next(filter(Path.exists, (run_dir / "config.json", run_dir / "sweep.json")))
    options = [f"--to={to}", "--lang=en"]
    command = [sys.executable, "-P", "-m", "experiments.report", str(run_dir), *options]
    seconds = []
    for _ in range(REPEATS):
        begin = time.monotonic()
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        seconds.append(round(time.monotonic() - begin, 2))
    trained = records.read_json(about)["command"]
    return {"bytes": to.stat().st_size, "seconds": seconds, "command": trained}


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
        if name == "sweep":
            take(tab, folder / "sweep.png", "#charts h2", 900)
            continue
        take(tab, folder / "run.png", "h1", 1330)
        view = tab.locator(".view").first
        maps = view.locator(".layer canvas").nth(2)
        take(tab, folder / "layers.png", "#layers h2", 1130)
        maps.hover(position={"x": 310, "y": 50})
        take(tab, folder / "layers.png", "#layers h2", 1130)


def main(run_dir: str, sweep_dir: str) -> None:
    """Measure, then take the pictures."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"error: no browser: {', '.join(BROWSERS)}")
    with tempfile.TemporaryDirectory() as aside:
        pages = {name: Path(aside) / f"{name}.html" for name in ("run", "sweep")}
        found: dict[str, Any] = {
            name: measure(Path(given), pages[name])
            for name, given in (("run", run_dir), ("sweep", sweep_dir))
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
            tab = made.new_page()
            opened = []
            for _ in range(REPEATS):
                begin = time.monotonic()
                tab.goto(pages["run"].as_uri())
                tab.wait_for_selector("html[data-ready]")
                opened.append(round(time.monotonic() - begin, 2))
            found["seconds_to_open"] = opened
            said = tab.inner_text("#agreement")
            found["largest_difference_of_logits"] = float(said.rsplit(" ", 1)[1].rstrip(")."))
            made.close()
        files.write_json(ROOT / "results" / "report.json", found)
    print(f"report of a run: {statistics.median(found['run']['seconds']):.1f} s")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
