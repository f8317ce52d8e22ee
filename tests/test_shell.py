"""What a shell, a notebook or a container does to a command, and a foreign folder beside it."""

import os
import subprocess
import sys
from functools import partial

import jax
import pytest
from commands import ROOT, command, python

from experiments.cli.language import t
from lenet import config, records
from lenet.engine import container, cores
from lenet.errors import UsageError
from lenet.language import listed, message, printable
from lenet.records import trackers

SMALL = ("--channels=1,2", "--hidden=4", "--batch_size=100", "--epochs=1", "--noreport")
train = partial(python, "-m", "experiments.train", *SMALL)


@pytest.fixture
def few(tiny) -> tuple[str, ...]:
    return ("--dataset=tiny", f"--data_dir={tiny}", "--run_dir=run")


@pytest.mark.slow
@pytest.mark.parametrize(
    "env",
    [
        {"MPLBACKEND": "module://no_such_backend"},  # as the kernel of a notebook exports it
        {"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1"},
    ],
)
def test_a_variable_that_a_library_obeys_changes_nothing(few, tmp_path, env):
    done = train(*few, cwd=tmp_path, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isprintable() or "\x1b" not in done.stdout
    assert (tmp_path / "run/curves.png").exists()


@pytest.mark.slow
def test_it_trains_with_every_stream_closed(few, tmp_path):
    quoted = " ".join([sys.executable, "-m", "experiments.train", *SMALL, *few])
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    closed = f"{quoted} <&- >&- 2>&-"
    done = subprocess.run(closed, shell=True, cwd=tmp_path, env=env, check=False)
    assert done.returncode == 0
    assert (tmp_path / "run/result.json").exists()
    assert records.epochs(tmp_path / "run")[0].count == 300


@pytest.mark.parametrize("setting", ["JAX_DISABLE_JIT=1", "JAX_NUMPY_DTYPE_PROMOTION=strict"])
def test_a_setting_of_jax_with_which_nothing_runs_is_one_line(few, tmp_path, setting):
    name, _, value = setting.partition("=")
    done = command("train", *SMALL, *few, cwd=tmp_path, env={name: value})
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {setting}: ")
    assert f"Unset {name}" in done.stderr
    assert not (tmp_path / "run").exists()


def test_nothing_in_the_working_directory_is_imported(tmp_path):
    for name in ("absl", "jax", "wandb", "rich"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("open('imported', 'w')")
    done = python("-m", "experiments.train", "--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "imported").exists()


def test_a_folder_is_no_package(tmp_path, monkeypatch):
    (tmp_path / "swanlab").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="pip install swanlab"):
        trackers.check("swanlab")


def test_a_home_is_not_a_folder_named_tilde(trained, tmp_path):
    home = {"HOME": str(tmp_path / "home")}
    done = command("report", str(trained[0]), "--to=~/page.html", cwd=tmp_path, env=home)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "home/page.html").exists()
    assert not (tmp_path / "~").exists()


def test_what_a_file_says_does_not_act_on_the_terminal():
    assert printable("a\x1b[31m\n\x9b é 训") == r"a\x1b[31m\n\x9b é 训"
    hostile = "x\x1b[31m"
    for value in (hostile, message("in {path}", path=hostile), listed([1, hostile])):
        assert "\x1b" not in t("saved to {path}", path=value)
    with pytest.raises(UsageError, match="expected a value like"):
        config.from_dict({"dataset": hostile})


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, (None, None)),
        ({"cpu.max": "max 100000", "memory.max": "max"}, (None, None)),
        ({"cpu.max": "200000 100000", "memory.max": "1000000"}, (2.0, 1_000_000)),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, (None, None)),
        (
            {
                "cpu/cpu.cfs_quota_us": "150000",
                "cpu/cpu.cfs_period_us": "100000",
                "memory/memory.limit_in_bytes": "77",
            },
            (1.5, 77),
        ),
    ],
)
def test_the_limits_of_a_container_are_seen(tmp_path, files, expected):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{content}\n")
    assert (container.cores(tmp_path), container.memory(tmp_path)) == expected


def test_a_quota_counts_as_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    for quota, expected in ((None, 64), (2.0, 2), (1.5, 1), (0.5, 1), (100.0, 64)):
        monkeypatch.setattr(container, "cores", lambda quota=quota: quota)
        assert cores.cores() == expected


@pytest.mark.parametrize("setting", ["lr=1e-50", "weight_decay=1e-46", "lr=1e39"])
def test_a_number_that_float32_has_not_is_refused(setting):
    name, _, value = setting.partition("=")
    with pytest.raises(UsageError, match=rf"^{name}=.*float32"):
        config.check(config.Config(**{name: float(value)}))


def test_what_changes_the_bits_is_recorded_and_its_difference_said(monkeypatch):
    before = records.environment()
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/harmless")
    with jax.threefry_partitionable(False):
        after = records.environment() | {"sources": "edited"}
    assert after["XLA_FLAGS"] == "--xla_cpu_enable_fast_math=true"
    assert "JAX_COMPILATION_CACHE_DIR" not in after
    said = records.differences(before, after)
    assert "jax_threefry_partitionable None, now False" in said
    assert f"sources {before['sources']}, now edited" in said
    old = {name: value for name, value in before.items() if name != "sources"}
    assert records.differences(old, before) == ""


def test_a_record_says_where_it_was_resumed_elsewhere():
    record, there, third = {"environment": {"cores": 2}}, {"cores": 16}, {"cores": 8}
    assert records.resumed(record, 0, {"cores": 2}) == record
    once = records.resumed(record, 5, there)
    assert records.changes(once) == [(5, "cores 2, now 16")]
    assert records.resumed(once, 7, there) == once
    assert records.resumed(once, 5, {"cores": 2}) == record  # nothing finished there
    twice = records.resumed(once, 7, third)
    assert records.changes(twice) == [(5, "cores 2, now 16"), (7, "cores 16, now 8")]
    assert records.changes(records.resumed(once, 5, third)) == [(5, "cores 2, now 8")]
