import contextlib
import os
import stat
import subprocess
import sys
import warnings
from pathlib import Path

import filelock
import pytest

from lenet.engine import cores, programs

ROOT = Path(__file__).parent.parent


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A user whose cache is empty, and whose environment says nothing of programs."""
    for name in list(os.environ):
        if name.startswith(("JAX_COMPILATION_CACHE", "JAX_PERSISTENT_CACHE", "TF_CPP")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(programs.files, "cache_directory", lambda: tmp_path / "cache")
    monkeypatch.setattr(os, "environ", dict(os.environ))
    return tmp_path


def test_the_directory_is_the_user_s_alone(home):
    path = programs.keep()
    assert path is not None
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == str(path)


def test_no_program_is_run_that_somebody_else_could_have_written(home):
    path = programs.keep()
    path.chmod(0o770)
    del os.environ["JAX_COMPILATION_CACHE_DIR"]
    assert programs.keep() is None
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ


def test_a_program_that_a_kill_tore_is_removed_unless_another_process_writes(home):
    path = programs.keep()
    for name in ("torn-cache", "whole-cache", "whole-atime"):
        (path / name).touch()
    for held in (True, False):
        del os.environ["JAX_COMPILATION_CACHE_DIR"]
        with filelock.FileLock(path / ".lockfile") if held else contextlib.nullcontext():
            programs.keep()
        assert (path / "torn-cache").exists() is held
    assert (path / "whole-cache").exists()


def test_the_user_s_own_directory_wins(home, monkeypatch):
    monkeypatch.setitem(os.environ, "JAX_COMPILATION_CACHE_DIR", "/elsewhere")
    assert programs.keep() is None
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "/elsewhere"


def test_each_core_is_a_device_unless_a_number_was_asked_for(home, monkeypatch):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    for asked in (None, "3"):
        monkeypatch.delenv("JAX_NUM_CPU_DEVICES", raising=False)
        if asked:
            monkeypatch.setenv("JAX_NUM_CPU_DEVICES", asked)
        cores.as_devices()
        assert os.environ["JAX_NUM_CPU_DEVICES"] == (asked or str(cores.cores()))
    monkeypatch.delenv("JAX_NUM_CPU_DEVICES")
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=8")
    cores.as_devices()
    assert "JAX_NUM_CPU_DEVICES" not in os.environ


def test_where_nothing_can_be_written_nothing_is_kept(home):
    (home / "cache").write_text("a file where the directory should be")
    assert programs.keep() is None


def test_another_jaxlib_or_another_processor_has_another_directory(home, monkeypatch):
    paths = {programs.keep()}
    del os.environ["JAX_COMPILATION_CACHE_DIR"]
    monkeypatch.setattr(programs.importlib.metadata, "version", lambda name: "9.9.9")
    paths.add(programs.keep())
    del os.environ["JAX_COMPILATION_CACHE_DIR"]
    monkeypatch.setattr(programs.Path, "read_text", lambda *_, **__: "model name: another")
    paths.add(programs.keep())
    assert len(paths) == 3


def test_a_program_that_another_process_was_killed_over_is_no_warning(home):
    torn = (
        "Error writing persistent compilation cache entry for 'jit_a': FileNotFoundError: a-atime"
    )
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert programs.keep() is not None
        for text in (torn, "Error writing persistent compilation cache entry: disk full"):
            warnings.warn(text, UserWarning, stacklevel=1)
    assert [str(each.message)[-9:] for each in seen] == ["disk full"]


@pytest.mark.slow
def test_a_second_process_finds_what_the_first_compiled_and_says_nothing(tmp_path):
    programs_dir = tmp_path / "home" / "lenet" / "programs"
    plain = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    flags = ["--dataset=synthetic", "--channels=2,3", "--hidden=8", "--epochs=1", "--noreport"]

    def run(name: str) -> set[str]:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "experiments.train", *flags, f"--run_dir={name}"],
            cwd=tmp_path,
            env={**plain, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path / "home")},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == ""
        # What compiles in a moment is kept or not, as the machine is busy or not.
        return {path.name for path in programs_dir.rglob("jit_epoch-*-cache")}

    first = run("a")
    assert first
    assert run("b") == first
    rows = [(tmp_path / name / "metrics.jsonl").read_text().split('"seconds"')[0] for name in "ab"]
    assert rows[0] == rows[1]
