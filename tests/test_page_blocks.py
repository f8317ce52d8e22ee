"""The commands and the Python of README and pages run, as they stand there, on few images."""

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import idx_folder
import pytest
from commands import ROOT, command, python
from PIL import Image

from lenet.data import synthetic

DOCS = ROOT / "docs"
READMES = ROOT / "README.md", ROOT / "README.zh-CN.md"
ENGLISH = sorted((DOCS / "en").rglob("*.md"))
FEW = {
    "train": ["--epochs=1", "--batch_size=64"],
    "sweep": ["--epochs=1", "--batch_size=64", "--valid=50"],
    "search": ["--epochs=2", "--valid=50", "--trials=4", "--seeds=2"],
    "compare": ["--seeds=2", "--valid=50", "--batch_size=50"],
}
"""Flags in place of a command's own, or beside them. The data are a folder of few images."""
ELSEWHERE = {
    "cluster": "machines: tests/test_cluster.py",
    "import_torch": "a file of PyTorch's: tests/test_export.py",
    "--live": "until it is interrupted: tests/test_live.py",
    "compare --run_dir": "hours; the small one is here",
    "--study=early_stopping": "hours",
    "chapter claims": "minutes: tests/test_ledger.py",
}
"""What is not run here, and why."""
WHOLE = DOCS / "en" / "networks.md"
"""What a test of its own runs on real data, in both languages: tests/test_networks.py."""


def python_of(page: Path) -> list[str]:
    """The blocks of Python of a page, in its order."""
    text = page.read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def commands_of(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Each command of a page by its name, with its arguments, in the order of the page."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = re.findall(r"^```bash\n(.*?)^```$|^ {4}(.*?)$", text, re.DOTALL | re.MULTILINE)
    for line in "\n".join(map("".join, blocks)).splitlines():
        found = re.match(r"(?:.*python -m experiments\.|.*\blenet )(\w+)( .*)?$", line)
        if found and not any(each in line for each in ELSEWHERE):
            yield found[1], shlex.split(found[2] or "", comments=True)


def under(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
def place(trained, tmp_path) -> Path:
    """A directory with what the pages suppose: runs, pictures, a network of one's own."""
    run, _ = trained
    for name in ("runs/NAME", "runs/A", "runs/B", "DIR"):
        shutil.copytree(run, tmp_path / name)
    for name in ("shirt.png", "photo.jpg", "x.png"):
        Image.new("L", (28, 28), 40).save(tmp_path / name)
    for block in python_of(WHOLE):
        if named := re.match(r"# (\w+\.py)\n", block):
            (tmp_path / named[1]).write_text(block)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [each for each in (READMES[0], *ENGLISH) if any(commands_of(each)) and each != WHOLE],
    ids=under,
)
def test_the_commands_of_a_page_run(page, place, once, monkeypatch):
    few = once("few", lambda path: idx_folder.write(path, synthetic.make(600, 60)))
    monkeypatch.syspath_prepend(place)
    for name, arguments in commands_of(page):
        flags: list[str] = []
        if name in FEW and "--resume" not in arguments:
            flags = [*FEW[name], "--dataset=few", f"--data_dir={few}"]
        replaced = {flag.partition("=")[0] for flag in flags}
        own = [each for each in arguments if each.partition("=")[0] not in replaced]
        files = [str(path) for path in place.glob("*.png")]
        own = [each for given in own for each in (files if given == "*.png" else [given])]
        done = command(name, *own, *flags, cwd=place, env={"BROWSER": "true"})
        assert not done.returncode, f"{name} {own}: {done.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [each for each in (*READMES, *ENGLISH) if python_of(each) and each != WHOLE],
    ids=under,
)
def test_the_python_of_a_page_runs(page, place, fashion_mnist):
    for block in python_of(page):
        done = python("-c", block, cwd=place, env={"PYTHONPATH": f"{ROOT}:{place}"})
        assert done.returncode == 0, f"{block}: {done.stderr}"


def test_both_languages_have_the_same_commands_and_python():
    pairs = [READMES, *((page, DOCS / "zh" / page.relative_to(DOCS / "en")) for page in ENGLISH)]
    for english, chinese in pairs:
        assert [*commands_of(english)] == [*commands_of(chinese)], english
        assert len(python_of(english)) == len(python_of(chinese)), english
    assert sum(len([*commands_of(page)]) for page, _ in pairs) > 50
    assert len(python_of(READMES[0])) == 1
