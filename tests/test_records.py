import errno
import os
import subprocess
import sys
from pathlib import Path

import filelock
import numpy as np
import pytest

from lenet import files, records
from lenet.data import idx
from lenet.errors import DiskError, InUseError, RecordError, UsageError
from lenet.records import checkpoint, directory


def test_a_claimed_directory_is_in_use_for_another_process(tmp_path):
    run_dir = tmp_path / "run"
    script = (
        "import sys; from pathlib import Path; from lenet import records\n"
        "from lenet.errors import InUseError\n"
        "try:\n"
        "    with records.claim(Path(sys.argv[1])): print('claimed')\n"
        "except InUseError as error: print(error)\n"
    )
    command = [sys.executable, "-c", script, str(run_dir)]
    with records.claim(run_dir):
        inside = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    after = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "in use by another process" in inside
    assert after == "claimed\n"


def test_a_run_under_way_is_in_use_and_not_just_another_run(tmp_path):
    with records.claim(tmp_path / "run") as run_dir:
        files.write_json(run_dir / "config.json", {})
        for attempt in (records.check_free, lambda path: records.claim(path).__enter__()):
            with pytest.raises(InUseError, match="in use by another process"):
                attempt(run_dir)
    with pytest.raises(UsageError, match=r"created by experiments\.train"):
        records.check_free(run_dir)


@pytest.mark.parametrize("described", directory.DESCRIPTIONS)
def test_who_resumes_the_work_of_another_command_is_told_whose_it_is(described, tmp_path):
    files.write_json(tmp_path / described, {})
    records.check_begun(tmp_path, described)
    said = f"created by experiments.{directory.DESCRIPTIONS[described]}. To continue: python -m"
    for other in directory.DESCRIPTIONS.keys() - {described}:
        with pytest.raises(RecordError, match=said):
            records.check_begun(tmp_path, other)
    (tmp_path / described).unlink()
    with pytest.raises(RecordError, match="contains nothing to resume"):
        records.check_begun(tmp_path, described)


READERS = {
    "config.json": lambda run_dir: records.read_json(run_dir / "config.json"),
    "metrics.jsonl": records.epochs,
    "checkpoints/1.npz": checkpoint.newest,
}


@pytest.mark.parametrize("name", READERS)
def test_a_pipe_in_place_of_a_record_is_refused_and_not_waited_for(tmp_path, name):
    (tmp_path / "checkpoints").mkdir()
    os.mkfifo(tmp_path / name)
    read = READERS[name]
    with pytest.raises(RecordError, match="not a regular file"):
        read(tmp_path)


def test_no_more_is_read_than_the_limit(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert files.read(path, 5) == b"12345"
    with pytest.raises(OSError, match="more than 4 bytes"):
        files.read(path, 4)
    with pytest.raises(OSError, match="more than 4 bytes"):
        files.read(Path("/proc/self/status"), 4)  # which claims to be empty


def test_a_run_that_leaves_nothing_leaves_no_directory(tmp_path):
    with pytest.raises(KeyError), records.claim(tmp_path / "run"):
        raise KeyError
    assert not any(tmp_path.iterdir())
    (tmp_path / "mine").mkdir()
    with pytest.raises(KeyError), records.claim(tmp_path / "mine"):
        raise KeyError
    assert (tmp_path / "mine").is_dir()


def test_a_directory_that_holds_something_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"contains 'notes.txt'"), records.claim(tmp_path):
        pass
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match=r"created by experiments\.train"), records.claim(tmp_path):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "notes.txt"]


@pytest.mark.parametrize("name", ["file", "file/below", "loop", "x" * 300, "nul\0", "\udcff"])
def test_a_path_that_cannot_be_a_directory_is_a_usage_error(tmp_path, name):
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UsageError, match=r"^run_dir="), records.claim(tmp_path / name):
        pass


@pytest.mark.parametrize(
    "write",
    [
        lambda path, number: files.write_json(path, {"epoch": number}),
        lambda path, number: idx.write(path, np.full(3, number, np.uint8)),
    ],
)
def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch, write):
    path = tmp_path / "file"
    write(path, 1)
    before = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises((DiskError, OSError), match="No space left on device"):
        write(path, 2)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_rows_survive_and_a_bad_line_is_named(tmp_path):
    path = tmp_path / "metrics.jsonl"
    rows = [{"epoch": 1, "test_accuracy": 0.1}, {"epoch": 2, "test_accuracy": 0.5}]
    files.write_rows(path, rows)
    assert [row for _, row in records.read_lines(path)] == rows
    path.write_text('{"epoch": 1}\n{"epoch"\n{"epoch": 3}\n')
    with pytest.raises(RecordError, match=r"metrics\.jsonl: line 2"):
        [*records.read_lines(path)]


def test_what_is_not_a_record_is_a_record_error(tmp_path):
    for content in ("", "{", "[1]"):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(RecordError, match=r"config\.json"):
            records.read_json(tmp_path / "config.json")
    with pytest.raises(RecordError, match="No such file"):
        records.read_json(tmp_path / "absent.json")


def test_a_disk_that_is_full_at_once_is_a_disk_error_and_gives_the_lock_back(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "old").mkdir()
    with monkeypatch.context() as patched:
        patched.setattr(filelock.FileLock, "acquire", full)
        for hold in (records.claim(tmp_path / "new"), records.reclaim(tmp_path / "old")):
            with pytest.raises(DiskError, match="free some space"), hold:
                pass
    assert not (tmp_path / "new").exists()
    with records.reclaim(tmp_path / "old"):
        pass
