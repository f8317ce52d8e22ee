"""A comparison as a person meets it."""

import json
import shutil
from functools import partial

import pytest
from commands import command

from lenet import records
from lenet.records import ledger

FEW = ("--seeds=2", "--tuning_seeds=1", "--refining_seeds=1", "--lr=0.05,0.2", "--epochs=1")
FEW += ("--bridge_seeds=0", "--neighbour_seeds=0", "--valid=50", "--batch_size=64")

compare = partial(command, "compare", "--noreport")


def outcome(run_dir) -> tuple[list, list, str]:
    """All runs but for their times, what they predicted, and what was concluded."""
    entries = [entry.to_dict() for entry in ledger.read(run_dir / "runs.jsonl")]
    for entry in entries:
        for row in entry["rows"]:
            row["seconds"] = row["examples_per_second"] = 0
    found = records.predictions(run_dir)
    concluded = records.read_json(run_dir / "compare.json")["comparison"]
    return entries, [found[run].tolist() for run in sorted(found)], json.dumps(concluded)


@pytest.mark.slow
def test_it_trains_stage_by_stage_and_a_resumed_one_is_an_undisturbed_one(tiny, tmp_path):
    flags = (*FEW, "--dataset=tiny", f"--data_dir={tiny}", "--run_dir=run")
    done = compare(*flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "not the registered design" in done.stdout
    run_dir = tmp_path / "run"
    record = records.read_json(run_dir / "compare.json")
    stages = [run["stage"] for run in record["comparison"]["runs"]]
    assert stages == ["tuning"] * 8 + ["refining"] * 8 + ["final"] * 8 + ["book"] * 2
    assert record["registered"] is None
    assert len(record["sessions"]) == 1
    report = (run_dir / "report.md").read_text()
    assert report.strip() in done.stdout
    whole = outcome(run_dir)
    for kept in (3, 11, 21):  # killed in each of the stages
        again = shutil.copytree(run_dir, tmp_path / str(kept))
        path = again / "runs.jsonl"
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[:kept]) + b'{"torn": ')
        resumed = compare(f"--run_dir={again}", "--resume", cwd=tmp_path)
        assert resumed.returncode == 0, resumed.stderr
        assert f"Resuming: {kept} of" in resumed.stdout
        assert outcome(again) == whole
        assert (again / "report.md").read_text() == report
    other = compare(*flags, "--resume", "--epochs=2", cwd=tmp_path)
    assert other.returncode == 4
    assert "contains another comparison" in other.stderr


@pytest.mark.slow
def test_on_another_machine_it_goes_on_only_if_the_first_run_repeats(tiny, tmp_path):
    flags = (*FEW, "--dataset=tiny", f"--data_dir={tiny}", "--run_dir=run")
    assert compare(*flags, cwd=tmp_path).returncode == 0
    run_dir = tmp_path / "run"
    path = run_dir / "runs.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    record = records.read_json(run_dir / "compare.json")
    record["sessions"][0]["environment"]["processor"] = "another processor"
    records.write_json(run_dir / "compare.json", record)
    moved = shutil.copytree(run_dir, tmp_path / "moved")
    done = compare("--run_dir=run", "--resume", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "run 0 was repeated bit by bit" in done.stdout
    sessions = records.read_json(run_dir / "compare.json")["sessions"]
    assert [each["finished_before"] for each in sessions] == [0, len(lines) - 1]
    first, *rest = ledger.read(moved / "runs.jsonl")
    first.rows[0].__dict__["test_loss"] += 1e-7
    (moved / "runs.jsonl").unlink()
    ledger.append(moved / "runs.jsonl", [first, *rest])
    refused = compare("--run_dir=moved", "--resume", cwd=tmp_path)
    assert refused.returncode == 4
    assert "does not repeat run 0 bit by bit" in refused.stderr
    assert len(ledger.read(moved / "runs.jsonl")) == len(lines) - 1


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--seeds=1",), "--seeds=1: must be at least 2"),
        (("--tuning_seeds=0",), "--tuning_seeds=0: must be at least 1"),
        (("--seeds=4", "--bridge_seeds=5"), "--bridge_seeds=5: must be at most 4"),
        (("--valid=0",), "--valid=0: must be at least 1"),
        (("--lr=0.1,0.1",), "--lr=0.1,0.1: duplicate value 0.1"),
        (("--resume",), "--resume: name the directory with --run_dir"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_line(tmp_path, flags, said):
    done = compare(*flags, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
