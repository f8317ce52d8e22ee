"""The committed records of real runs, and that the READMEs say what they say."""

import json
import statistics
from pathlib import Path

import pytest
from commands import python

from lenet import config
from lenet.config import PRESETS, Config
from lenet.engine import chance

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def book() -> dict:
    return json.loads((ROOT / "results/book.json").read_text())


def test_the_book_runs_lie_where_the_published_ones_do(book):
    assert config.from_dict(book["config"]) == Config(**PRESETS["book"])
    assert [run["seed"] for run in book["runs"]] == list(range(32))
    assert all(len(run["rows"]) == 10 for run in book["runs"])
    assert all(row["count"] == 60_000 for run in book["runs"] for row in run["rows"])
    last = [run["rows"][-1] for run in book["runs"]]
    assert 0.460 < statistics.fmean(row["train_loss"] for row in last) < 0.480
    assert 0.818 < statistics.fmean(row["train_accuracy"] for row in last) < 0.829
    assert 0.795 < statistics.fmean(row["test_accuracy"] for row in last) < 0.825
    off = [not chance.at_level(run["rows"][1]["test_accuracy"], 10) for run in book["runs"]]
    assert statistics.fmean(off) >= 0.8


@pytest.mark.parametrize("script", ["readme", "studies", "pages", "translations"])
def test_what_is_written_from_records_and_code_says_what_they_say(script):
    """The READMEs, the pages of docs, and the Chinese catalogue."""
    done = python(f"scripts/{script}.py", "--check")
    assert done.returncode == 0, done.stderr
