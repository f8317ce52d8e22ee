"""The entry point as a person meets it: a process, its output, its exit status, what it leaves."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments import progress
from lenet import checkpoint, config, idx, synthetic
from lenet.train import Row

ROOT = Path(__file__).parent.parent


def train(*flags: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "experiments.train", *flags],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """A folder of IDX files that trains in no time."""
    folder = tmp_path_factory.mktemp("tiny")
    data = synthetic.make(300, 60)
    for part, split in (("train", data.train), ("t10k", data.test)):
        idx.write(folder / f"{part}-images-idx3-ubyte", split.images[..., 0])
        idx.write(folder / f"{part}-labels-idx1-ubyte", split.labels.astype(np.uint8))
    return folder


@pytest.fixture(scope="session")
def trained(tiny, tmp_path_factory):
    """A finished run of three epochs: its directory and what it printed."""
    cwd = tmp_path_factory.mktemp("runs")
    flags = ("--dataset=tiny", f"--data_dir={tiny}", "--batch_size=64", "--epochs=3", "--valid=50")
    done = train(*flags, "--preset=modern", "--lr=0.05", "--run_dir=run", cwd=cwd)
    assert done.returncode == 0, done.stderr
    return cwd / "run", done


def test_a_run_prints_the_book_s_lines_and_leaves_its_directory(trained):
    run_dir, done = trained
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    result = json.loads((run_dir / "result.json").read_text())
    last = rows[-1]
    assert lines[-3] == (
        f"loss {last['train_loss']:.3f}, train acc {last['train_accuracy']:.3f}, "
        f"test acc {last['test_accuracy']:.3f}"
    )
    assert lines[-2].endswith(f"examples/sec on {result['environment']['device']}")
    assert any(line.startswith("tiny: 300 training and 60 test images from") for line in lines)
    assert sum(line.startswith("epoch ") for line in lines) == 3
    assert "61,706" in done.stdout
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert all(row["count"] == 250 for row in rows)
    assert {key: result[key] for key in last} == last
    assert result["seconds_to_compile"] > 0
    assert result["environment"]["versions"]["jax"]
    assert sorted(path.name for path in run_dir.iterdir()) == [
        *("checkpoints", "config.json", "curves.png", "metrics.jsonl", "result.json")
    ]
    assert Image.open(io.BytesIO((run_dir / "curves.png").read_bytes())).size[0] > 600


def test_a_flag_beside_a_preset_wins_and_the_config_is_recorded(trained):
    run_dir, _ = trained
    record = json.loads((run_dir / "config.json").read_text())
    recorded = config.from_dict(record["config"])
    assert (recorded.activation, recorded.pool, recorded.lr) == ("relu", "max", 0.05)
    assert record["data"]["name"] == "tiny"
    assert record["data"]["synthetic"] is False
    assert record["data"]["valid"] == 50
    assert "--preset=modern" in record["command"]


def test_the_final_parameters_are_left(trained):
    params = checkpoint.load(trained[0] / "checkpoints" / "00003.npz")
    assert sum(p.size for layer in params.values() for p in layer.values()) == 61_706


def test_a_second_run_in_the_same_directory_is_refused_and_changes_nothing(trained):
    run_dir, _ = trained
    before = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
    done = train(f"--run_dir={run_dir}", cwd=run_dir.parent)
    assert done.returncode == 2
    assert "holds another run" in done.stderr
    assert {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()} == before


def test_synthetic_data_is_named_as_such_everywhere(tmp_path):
    flags = ("--dataset=synthetic", "--epochs=1", "--channels=1,1", "--hidden=4")
    done = train(*flags, "--batch_size=10000", "--run_dir=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "(synthetic data)" in done.stdout.splitlines()[-3]
    assert json.loads((tmp_path / "run/config.json").read_text())["data"]["synthetic"] is True


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--lrr=1"], "unknown flag --lrr, did you mean --lr?"),
        (["--lr=ten"], "--lr=ten"),
        (["--lr=-1"], "--lr=-1.0: must be above 0"),
        (["--lr=nan"], "--lr=nan: must be a finite number"),
        (["--lr=1e400"], "--lr=inf: must be a finite number"),
        (["--epochs=0"], "--epochs=0: must be at least 1"),
        (["--epochs=1.5"], "--epochs=1.5"),
        (["--batch_size=0"], "--batch_size=0: must be at least 1"),
        (["--activation=swish"], "sigmoid|relu|tanh"),
        (["--preset=bok"], "book|book-en|modern"),
        (["--channels=6,x"], "--channels=6,x"),
        (["--seed=-1"], "--seed=-1: must be at least 0"),
        (["extra"], "unexpected argument 'extra'"),
        (["--run_dir=file"], "--run_dir=file: cannot be used: Not a directory"),
        (["--dataset=../x"], "data set '../x'"),
    ],
)
def test_bad_input_is_one_line_and_status_2_and_leaves_nothing(tmp_path, flags, said):
    (tmp_path / "file").write_text("mine")
    done = train(*flags, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_batch_larger_than_the_data_and_a_missing_data_dir(tiny, tmp_path):
    flags = ("--dataset=tiny", f"--data_dir={tiny}", "--run_dir=run")
    done = train(*flags, "--batch_size=301", cwd=tmp_path)
    assert done.returncode == 2
    assert "--batch_size=301: must be at most the 300 training examples" in done.stderr
    assert not any(tmp_path.iterdir())
    done = train("--data_dir=absent", cwd=tmp_path)
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_a_run_that_diverges_leaves_with_status_5(tiny, tmp_path):
    flags = ("--dataset=tiny", f"--data_dir={tiny}", "--batch_size=64", "--preset=modern")
    done = train(*flags, "--valid=50", "--lr=1e6", "--run_dir=run", cwd=tmp_path)
    assert done.returncode == 5
    assert done.stderr.startswith("error: diverged")
    assert done.stderr.count("\n") == 1


def test_help_teaches_every_flag_with_its_default_and_needs_no_jax(tmp_path):
    (tmp_path / "jax").mkdir()
    (tmp_path / "jax/__init__.py").write_text("raise SystemExit('jax was imported')")
    done = train("--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for field in config.fields():
        assert f"--{field.name}=" in done.stdout or f"--[no]{field.name}" in done.stdout
        assert field.metadata["doc"].split()[0] in done.stdout
    assert "--lr=0.9" in done.stdout
    assert "--channels=6,16" in done.stdout
    assert "--run_dir=" in done.stdout


def row(epoch: int, loss: float, accuracy: float) -> Row:
    return Row(epoch, loss, accuracy, None, None, loss, accuracy, 100, 1.0, 100.0, [])


def test_the_plateau_is_told_and_whether_it_is_normal():
    assert "normal so far" in str(progress.plateau(row(1, 2.31, 0.1), 10, published=True))
    assert "unusual after epoch 2" in str(progress.plateau(row(3, 2.30, 0.1), 10, published=True))
    assert "178 of 199" in str(progress.plateau(row(3, 2.30, 0.1), 10, published=True))
    assert "ln(5) = 1.609" in str(progress.plateau(row(1, 1.61, 0.2), 5, published=False))
    assert progress.plateau(row(3, 0.9, 0.6), 10, published=True) is None
    assert progress.plateau(row(1, 2.25, 0.4), 10, published=True) is None
