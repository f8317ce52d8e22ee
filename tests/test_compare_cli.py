"""A comparison as a person meets it."""

import json
from functools import partial

import pytest
from commands import command

from lenet import records

FEW = ("--seeds=2", "--tuning_seeds=1", "--lr=0.05,0.2", "--epochs=1", "--valid=50")


compare = partial(command, "compare", "--noreport")


@pytest.mark.slow
def test_it_tunes_trains_reports_and_can_go_on(tiny, tmp_path):
    flags = (*FEW, "--dataset=tiny", f"--data_dir={tiny}", "--batch_size=64", "--run_dir=run")
    done = compare(*flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    run_dir = tmp_path / "run"
    record = json.loads((run_dir / "compare.json").read_text())["comparison"]
    assert [len(record[part]) for part in ("tuning", "final", "texts")] == [8, 8, 2]
    assert {run["seed"] for run in record["tuning"]} == {1_000_000}
    assert {run["seed"] for run in record["final"]} == {0, 1}
    assert {run["lr"] for run in record["texts"]} == {0.9}
    report = (run_dir / "report.md").read_text()
    assert report.strip() in done.stdout
    ledger = run_dir / "final.jsonl"
    whole = ledger.read_text()
    kept = whole.splitlines(keepends=True)[:7]
    ledger.write_text("".join(kept) + '{"torn": ')
    settings = records.read_json(run_dir / "compare.json")
    settings["data"][0]["source"] = "where it was found before"
    records.write_json(run_dir / "compare.json", settings)
    again = compare("--run_dir=run", "--resume", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "7 of 10 runs already finished" in again.stdout
    assert (run_dir / "report.md").read_text() == report
    assert json.loads((run_dir / "compare.json").read_text())["seconds"] is not None
    other = compare(*flags, "--resume", "--epochs=2", cwd=tmp_path)
    assert other.returncode == 4
    assert "contains another comparison" in other.stderr


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--seeds=1", "--seeds=1: must be at least 2"),
        ("--tuning_seeds=0", "--tuning_seeds=0: must be at least 1"),
        ("--valid=0", "--valid=0: must be at least 1"),
        ("--lr=0.1,0.1", "--lr=0.1,0.1: duplicate value 0.1"),
        ("--resume", "--resume: name the directory with --run_dir"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_line(tmp_path, flag, said):
    done = compare(flag, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
