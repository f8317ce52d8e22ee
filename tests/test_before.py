"""Directories that the version before wrote still load, report and resume."""

import shutil
from pathlib import Path

import idx_folder
import pytest
from commands import command

from lenet import data, records, runs
from lenet.data import synthetic
from lenet.records import checkpoint, ledger
from lenet.report import of_directory, page

BEFORE = Path(__file__).parent / "before"


@pytest.fixture
def place(tmp_path) -> Path:
    """A copy of the directories, beside the data that they name."""
    shutil.copytree(BEFORE, tmp_path, dirs_exist_ok=True)
    idx_folder.write(tmp_path / "data", synthetic.make(300, 50))
    return tmp_path


@pytest.mark.slow
def test_a_finished_run_loads_and_reports(place):
    model, params = records.load(place / "run")
    assert model.channels == (2, 3)
    assert params["conv1"]["kernel"].shape == (5, 5, 1, 2)
    assert [row.epoch for row in runs.resume(place / "run").rows()] == [1, 2, 3, 4]
    assert list(runs.resume(place / "run").epochs()) == []
    tiny = data.load("tiny", data_dir=place / "data")
    assert b"2.3121" in page.render(of_directory.report(place / "run", tiny))


def test_a_stopped_run_resumes_and_keeps_its_rows(place):
    (place / "run/result.json").unlink()
    checkpoint.path_of(place / "run", 4).unlink()
    before = (place / "run/metrics.jsonl").read_bytes().splitlines()
    run = runs.resume(place / "run", data_dir=place / "data")
    assert [row.epoch for row in run.epochs()] == [4]
    assert (place / "run/metrics.jsonl").read_bytes().splitlines()[:3] == before[:3]
    assert (place / "run/result.json").exists()


def test_a_sweep_reads_and_reports(place):
    assert len(ledger.read(place / "sweep/runs.jsonl")) == 4
    assert b"sweep" in page.render(of_directory.report(place / "sweep"))


@pytest.mark.slow
def test_a_stopped_sweep_resumes(place):
    path = place / "sweep/runs.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]))
    data_dir = f"--data_dir={place / 'data'}"
    done = command("sweep", "--run_dir=sweep", "--resume", "--noreport", data_dir, cwd=place)
    assert done.returncode == 0, done.stderr
    assert "Resuming: 2 of 4 runs already finished" in done.stdout
    assert path.read_bytes().splitlines(keepends=True)[:2] == lines[:2]
    assert len(ledger.read(path)) == 4
