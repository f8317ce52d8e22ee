"""A sweep as a person meets it: a process, its output, its exit status, what it leaves."""

import io
import json
import shlex
import shutil
import subprocess
from functools import partial
from pathlib import Path

import pytest
from commands import command
from PIL import Image

from experiments.cli import many
from experiments.cli.studies import STUDIES
from lenet import records
from lenet.engine import cores

SIZES = ("--channels=2,3", "--hidden=8", "--batch_size=64", "--epochs=2", "--preset=modern")
FOUR = (*SIZES, "--lr=0.05,0.1", "--seed=0:2", "--valid=50")


sweep = partial(command, "sweep", "--noreport")


def ledger(run_dir: Path) -> list[dict]:
    return [json.loads(line) for line in (run_dir / "runs.jsonl").read_text().splitlines()]


@pytest.fixture(scope="session")
def swept(once, tiny):
    """A finished sweep of four runs: its directory, which no test changes, and what it printed."""

    def make(path: Path) -> None:
        done = sweep(*FOUR, "--dataset=tiny", f"--data_dir={tiny}", "--run_dir=run", cwd=path)
        assert done.returncode == 0, done.stderr
        (path / "done.json").write_text(json.dumps(vars(done)))

    path = once("swept", make)
    return path / "run", subprocess.CompletedProcess(**json.loads((path / "done.json").read_text()))


def test_a_sweep_leaves_a_line_for_each_run_and_a_ranked_table(swept):
    run_dir, done = swept
    assert done.stderr == ""
    entries = ledger(run_dir)
    assert sorted(entry["run"] for entry in entries) == [0, 1, 2, 3]
    assert {(e["config"]["lr"], e["config"]["seed"]) for e in entries} == {
        *((0.05, 0), (0.05, 1), (0.1, 0), (0.1, 1))
    }
    assert all([row["epoch"] for row in entry["rows"]] == [1, 2] for entry in entries)
    lines = (run_dir / "summary.csv").read_text().splitlines()
    assert lines[0].startswith("rank,lr,n,diverged,collapsed,valid_accuracy_mean,")
    assert len(lines) == 3
    means = [float(line.split(",")[5]) for line in lines[1:]]
    assert means == sorted(means, reverse=True)
    assert "at chance level" in done.stdout
    assert "ranked on the test set" not in " ".join(done.stdout.split())
    assert "4/4 runs" in done.stdout
    for name in ("curves.png", "rates.png"):
        assert Image.open(io.BytesIO((run_dir / name).read_bytes())).size[0] > 600
    record = json.loads((run_dir / "sweep.json").read_text())
    assert record["axes"]["lr"] == [0.05, 0.1]
    assert record["environment"]["versions"]["jax"]
    assert record["seconds"] > 0


def test_the_command_for_the_best_setting_repeats_a_run_of_it(tmp_path):
    sizes = ("--channels=2,3", "--hidden=8", "--preset=modern")
    data = ("--dataset=synthetic", "--valid=1000")
    done = sweep(*sizes, *data, "--epochs=1", "--lr=0.001,0.1", "--run_dir=swept", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rest = done.stdout.partition("run with seed 0 again and save its network:\n")[2]
    said = shlex.split(rest.splitlines()[0])
    assert said == [
        *("python", "-m", "experiments.train", "--activation=relu", "--pool=max"),
        *("--channels=2,3", "--hidden=8", "--lr=0.1", "--epochs=1"),
        *(f"--parts={cores.parts()}", *data),
    ]
    alone = command("train", *said[3:], "--noreport", "--run_dir=run", cwd=tmp_path)
    assert alone.returncode == 0, alone.stderr
    (row,) = records.epochs(tmp_path / "run")
    (told,) = next(e["rows"] for e in ledger(tmp_path / "swept") if e["config"]["lr"] == 0.1)
    for name in ("train_loss", "train_accuracy", "test_loss", "test_accuracy"):
        assert getattr(row, name) == told[name]
    fresh = shlex.split(rest.splitlines()[2])
    assert fresh[2:] == ["experiments.sweep", *said[3:], "--seed=1:9"]


def test_where_no_run_learned_there_is_no_best_setting_to_train(swept):
    assert "save its network" not in swept[1].stdout


def test_another_sweep_is_not_resumed(swept, tiny):
    run_dir, _ = swept
    where = ("--dataset=tiny", f"--data_dir={tiny}", "--run_dir=run")
    done = sweep(*FOUR, "--momentum=0.5", *where, "--resume", cwd=run_dir.parent)
    assert done.returncode == 4
    assert "contains another sweep (--momentum=0.5, not its default)" in done.stderr
    done = sweep(*FOUR, *where, cwd=run_dir.parent)
    assert done.returncode == 2
    assert "To continue: python -m experiments.sweep --run_dir=" in done.stderr


def test_back_in_the_first_environment_before_a_run_ended_nothing_is_said(tmp_path, capsys):
    path, here = tmp_path / "sweep.json", records.environment()
    elsewhere = [{"finished_before": 5, "environment": here | {"cores": 999}}]
    records.write_json(path, {"environment": here, "resumed": elsewhere})
    many.resumed(path, records.read_json(path), 5, records.environment())
    assert "resumed" not in records.read_json(path)
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_a_finished_sweep_gets_more_seeds(swept, tiny, tmp_path, monkeypatch):
    run = tmp_path / "run"
    shutil.copytree(swept[0], run)
    elsewhere = records.read_json(run / "sweep.json")
    here = elsewhere["environment"]
    elsewhere["environment"] = here | {"processor": "another", "cores": 999}
    records.write_json(run / "sweep.json", elsewhere)
    before = (run / "runs.jsonl").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(cores, "parts", lambda: 16)
        more = sweep("--run_dir=run", "--resume", "--seed=0:3", cwd=tmp_path)
    assert more.returncode == 0, more.stderr
    assert "4 of 6 runs already finished" in more.stdout
    assert "6/6 runs" in more.stdout
    changed = f"cores 999, now {here['cores']}; processor another, now {here['processor']}"
    assert f"warning: the environment has changed ({changed})" in more.stdout
    noted = records.read_json(run / "sweep.json")
    assert "seconds" not in noted  # what there was is of the first four
    assert noted["resumed"] == [{"finished_before": 4, "environment": here}]
    assert records.changes(noted) == [(4, changed)]
    assert (run / "runs.jsonl").read_bytes().startswith(before)
    entries = ledger(run)
    assert [entry["run"] for entry in entries] == [0, 1, 2, 3, 4, 5]
    assert {e["config"]["parts"] for e in entries} == {cores.parts()}
    assert [(e["config"]["lr"], e["config"]["seed"]) for e in entries[4:]] == [(0.05, 2), (0.1, 2)]
    three = [flag.replace("0:2", "0:3") for flag in FOUR]
    whole = sweep(*three, "--dataset=tiny", f"--data_dir={tiny}", "--run_dir=whole", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr

    def ends(found: list[dict]) -> dict:
        rows = {(e["config"]["lr"], e["config"]["seed"]): e["rows"][-1] for e in found}
        return {run: (row["train_loss"], row["test_accuracy"]) for run, row in rows.items()}

    assert ends(entries) == ends(ledger(tmp_path / "whole"))
    again = sweep("--run_dir=run", "--resume", cwd=tmp_path)  # the flags are recorded
    assert "6 of 6 runs already finished" in again.stdout, again.stderr
    assert "the environment has changed" not in again.stdout
    assert records.read_json(run / "sweep.json") == noted
    fewer = sweep("--run_dir=run", "--resume", "--seed=0:2", cwd=tmp_path)
    assert fewer.returncode == 4
    assert "a sweep can get more seeds, not fewer" in fewer.stderr


@pytest.mark.slow
def test_a_run_that_diverges_is_counted(tiny, tmp_path):
    where = ("--dataset=tiny", f"--data_dir={tiny}", "--run_dir=run")
    done = sweep(*SIZES, "--lr=1e30,0.1", "--pool=max,avg", *where, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "diverged: the loss was" in done.stdout
    assert "settings were ranked on the test set" in " ".join(done.stdout.split())
    assert sum(entry["diverged"] is not None for entry in ledger(tmp_path / "run")) == 2
    assert (tmp_path / "run" / "map.png").exists()
    last = (tmp_path / "run" / "summary.csv").read_text().splitlines()[-1]
    assert last.startswith(("4,max,1e+30,1,1,0,", "4,avg,1e+30,1,1,0,"))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--seed=5:5"], "--seed=5:5: empty range"),
        (["--lr=0.1,0.3", "--epochs=1:4", "--zip"], "--epochs has 3 values"),
        (["--lr=0.1,0.1", "--epochs=3,3", "--zip"], "is given 2 times. Give each pair once"),
        (["--lr=0.1", "--lr=0.3"], "--lr=0.3: given twice"),
        pytest.param(
            ["--seed=0:1000000"], "1,000,000 runs would take about", marks=pytest.mark.slow
        ),
        (["--lr=0.1,-1"], "--lr=-1.0: must be above 0"),
        (["--random=3"], "--random=3: must be at least 1 and at most 1, the number"),
        (["--zip", "--random=1"], "--zip and --random exclude each other"),
        (["--resume"], "--resume: name the directory with --run_dir"),
        (["--lrs=0.1"], "did you mean --lr?"),
        (["--study=depth"], "window"),
        (["--dataset=synthetic", "--batch_size=70000"], "--batch_size=70000: must be at most"),
    ],
)
def test_bad_input_is_one_line_that_names_it(flags, said, tmp_path):
    done = sweep(*flags, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert not list(tmp_path.iterdir())


def test_nothing_to_resume_is_said(tmp_path):
    done = sweep("--run_dir=none", "--resume", "--dataset=synthetic", cwd=tmp_path)
    assert done.returncode == 4
    assert "no such directory to resume" in done.stderr


def test_help_shows_examples_and_defaults(tmp_path):
    done = sweep("--help", cwd=tmp_path)
    assert done.returncode == 0
    for said in ("--seed=0:8", "log9", "6,16/12,32", "--zip", "--lr=0.9", "--channels=6,16"):
        assert said in done.stdout


@pytest.mark.slow
def test_a_study_is_a_sweep_with_a_name_and_flags_beside_it_win(tiny, tmp_path):
    flags = ("--study=variance", "--seed=0:2", "--order_seed=0:2", *SIZES)
    done = sweep(*flags, "--dataset=tiny", f"--data_dir={tiny}", "--run_dir=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert said.startswith(STUDIES["variance"].question)
    assert "Variance of test accuracy over 2 × 2 runs: " in said
    assert len(ledger(tmp_path / "run")) == 4
    assert (tmp_path / "run" / "seeds.png").exists()
    again = sweep("--run_dir=run", "--resume", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "4 of 4 runs" in again.stdout


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--cluster=tcp://192.0.2.1:8786"], "--cluster=tcp://192.0.2.1:8786: without TLS only"),
        (
            ["--cluster=none.json"],
            "--cluster=none.json: no address, such as tls://HOST:8786, and no such file after 1 s",
        ),
        (
            ["--cluster=tls://127.0.0.1:1", "--certificates=none"],
            "--certificates=none: there",
        ),
        (["--cluster=127.0.0.1:1"], "--cluster=127.0.0.1:1: no answer in 1 s"),
    ],
)
def test_a_cluster_that_cannot_be_used_is_one_line(flags, said, tmp_path):
    done = sweep(*flags, "--patience=1", "--run_dir=run", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr
    assert not list(tmp_path.iterdir())
