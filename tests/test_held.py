"""What a process holds is the directory, not its name; what it did not write stays as it is."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from lenet import files, records, runs
from lenet.config import Config
from lenet.data import Data, synthetic
from lenet.errors import InUseError, RecordError, UsageError
from lenet.records import checkpoint

TINY = Config(dataset="synthetic", channels=(1, 2), hidden=(4,), batch_size=64, epochs=5)


@pytest.fixture(scope="module")
def few() -> Data:
    return synthetic.make(200, 50)


def tree(directory: Path) -> dict[str, str]:
    """Every file and link below a directory, and what it holds."""
    return {
        str(path.relative_to(directory)): os.readlink(path)
        if path.is_symlink()
        else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


@pytest.mark.slow
@pytest.mark.parametrize("what", ["moved", "another run", "removed"])
def test_a_run_whose_directory_is_not_its_own_any_more_writes_nothing(few, tmp_path, what):
    run_dir, moved = tmp_path / "run", tmp_path / "moved"
    other = runs.begin(tmp_path / "other", TINY, few).directory
    epochs = runs.begin(run_dir, TINY, few).epochs()
    next(epochs)
    run_dir.rename(moved)
    if what == "another run":
        other.rename(run_dir)
    if what == "removed":
        shutil.rmtree(moved)
    before = tree(tmp_path)
    with pytest.raises(InUseError, match="was moved or replaced"):
        next(epochs)
    assert tree(tmp_path) == before
    if what == "moved":
        assert [row.epoch for row in runs.resume(moved, few).epochs()] == [2, 3, 4, 5]


@pytest.mark.parametrize("name", ["metrics.jsonl", "checkpoints", ".lock"])
def test_nothing_is_written_through_a_link(few, tmp_path, name):
    run = runs.begin(tmp_path / "run", TINY, few)
    outside = tmp_path / "outside"
    if name == "checkpoints":
        outside.mkdir()
        (outside / "00001.npz").write_bytes(b"foreign")
    else:
        outside.write_bytes(b"foreign")
    (run.directory / name).unlink(missing_ok=True)
    (run.directory / name).symlink_to(outside)
    before = tree(outside) if outside.is_dir() else outside.read_bytes()
    with pytest.raises((UsageError, RecordError)):
        list(run.epochs())
    assert (tree(outside) if outside.is_dir() else outside.read_bytes()) == before


def test_only_what_this_run_wrote_is_removed(few, tmp_path):
    run = runs.begin(tmp_path / "run", TINY, few)
    other = runs.begin(tmp_path / "other", Config(**{**vars(TINY), "lr": 0.5}), few)
    next(other.epochs())
    next(run.epochs())
    folder = run.directory / "checkpoints"
    shutil.copy(checkpoint.path_of(other.directory, 1), folder / "00000.npz")
    (folder / ".notes-20251231").write_text("mine")
    (run.directory / ".notes-20251231").write_text("mine")
    (run.directory / ".notes.part").write_text("mine")
    name = records.read_json(run.directory / "config.json")["run"]
    (folder / f".00001.npz.{name}.part").write_text("of this run, and unfinished")
    foreign = {key: value for key, value in tree(run.directory).items() if "notes" in key}
    foreign["checkpoints/00000.npz"] = tree(folder)["00000.npz"]
    assert len(list(run.epochs())) == 4
    after = tree(run.directory)
    assert foreign.items() <= after.items()
    assert {key for key in after if key.startswith("checkpoints")} - foreign.keys() == {
        f"checkpoints/0000{epoch}.npz" for epoch in (3, 4, 5)
    }


def test_a_working_directory_may_change_while_a_run_goes_on(few, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    epochs = runs.begin("run", TINY, few).epochs()
    next(epochs)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert [row.epoch for row in epochs] == [2, 3, 4, 5]
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert len(records.epochs(str(tmp_path / "run"))) == 5


def test_foreign_checkpoints_of_later_epochs_do_not_displace_the_run_s(few, tmp_path):
    epochs = runs.begin(tmp_path / "run", TINY, few).epochs()
    next(epochs)
    folder = tmp_path / "run/checkpoints"
    for number in (97, 98, 99):
        (folder / f"000{number}.npz").write_bytes(b"foreign")
    assert len(list(epochs)) == 4
    assert {path.name for path in folder.iterdir()} == {
        f"000{number:02d}.npz" for number in (3, 4, 5, 97, 98, 99)
    }


def test_no_line_is_written_without_the_seal_that_is_due(few, tmp_path):
    epochs = runs.begin(tmp_path / "run", TINY, few).epochs()
    next(epochs)
    (tmp_path / "run/config.json").unlink()
    next(epochs)
    assert (tmp_path / "run/metrics.jsonl").read_text().count("seal") == 2


def test_a_new_run_removes_nothing_of_a_directory_that_is_not_empty(few, tmp_path):
    (tmp_path / ".2025-12-31").write_text("mine")
    with pytest.raises(UsageError, match=r"not empty \(contains '\.2025-12-31'\)"):
        runs.begin(tmp_path, TINY, few)
    assert (tmp_path / ".2025-12-31").read_text() == "mine"


def test_a_start_that_was_killed_does_not_stop_the_next(few, tmp_path):
    (tmp_path / f".config.json.{'0' * 32}.part").write_text("{")
    (tmp_path / ".lock").touch()
    assert len(list(runs.begin(tmp_path, TINY, few).epochs())) == 5


def test_a_checkpoint_that_cannot_be_read_is_as_a_damaged_one(few, tmp_path):
    run = runs.begin(tmp_path / "run", TINY, few)
    for row in run.epochs():
        if row.epoch == 4:
            break
    newest, second = (checkpoint.path_of(run.directory, epoch) for epoch in (4, 3))
    newest.unlink()
    newest.mkdir()
    second.unlink()
    second.symlink_to("nowhere")
    assert [row.epoch for row in runs.resume(run.directory, few).epochs()] == [3, 4, 5]


def test_a_held_directory_is_let_go(tmp_path):
    with files.hold(tmp_path):
        pass
    tmp_path.rename(tmp_path.with_name("moved"))
    files.write(tmp_path / "new", b"")
    assert (tmp_path / "new").exists()


@pytest.mark.parametrize("token", ["a" * 32, None])
def test_what_a_process_is_writing_stays_until_it_is_dead(tmp_path, token):
    left = tmp_path / f".report.html.{token or files._token('report.html')}.part"
    handle = files._begin(str(left), None)
    with files.hold(tmp_path, "a" * 32):
        assert left.exists()
    if token is None:
        with pytest.raises(InUseError, match="another process is writing it"):
            files.write(tmp_path / "report.html", b"")
    os.close(handle)  # as the end of its process does
    with files.hold(tmp_path, "a" * 32):
        assert not left.exists()


def test_a_file_and_a_directory_have_their_names_on_the_disk_once_they_are_there(
    tmp_path, monkeypatch
):
    flushed = []
    monkeypatch.setattr(files.os, "fsync", lambda handle: flushed.append(os.fstat(handle).st_ino))
    files.make(tmp_path / "a/b")
    assert flushed == [tmp_path.stat().st_ino, (tmp_path / "a").stat().st_ino]
    files.append(tmp_path / "a/rows", [{"epoch": 1}])
    files.append(tmp_path / "a/rows", [{"epoch": 2}])
    rows, folder = ((tmp_path / "a" / name).stat().st_ino for name in ("rows", "."))
    assert flushed[2:] == [rows, folder, rows]


def test_a_loop_in_this_process_writes_nothing_into_the_directory_that_got_its_name(few, tmp_path):
    run_dir = tmp_path / "run"
    epochs = runs.begin(run_dir, TINY, few, checkpoint_every=3).epochs()
    next(epochs)
    run_dir.rename(tmp_path / "moved")
    other = runs.begin(run_dir, Config(**{**vars(TINY), "lr": 0.5}), few)
    before = tree(run_dir)
    with pytest.raises(InUseError, match="began later"):
        next(epochs)
    assert tree(run_dir) == before
    assert len(list(other.epochs())) == 5
