"""The entry point as a person meets it: a process, its output, its exit status, what it leaves."""

import contextlib
import dataclasses
import io
import json
import shutil
import signal
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from absl import flags
from commands import command, start
from PIL import Image
from rich.console import Console

from experiments import cli
from experiments.cli import code, progress
from experiments.commands import COMMANDS
from lenet import config, data, records, stopping
from lenet.data import sources
from lenet.engine import cores
from lenet.engine.forward import logits
from lenet.engine.rows import Row
from lenet.errors import UsageError

train = partial(command, "train", "--noreport")


@pytest.mark.parametrize(
    ("optimizer", "again"),
    [("adam", ""), ("my_opt:make", " --optimizer=my_opt:make")],
)
def test_what_continues_a_directory_names_its_code_again(optimizer, again, monkeypatch):
    given = flags.FlagValues()
    for name in ("network", "optimizer", "cluster", "patience"):
        flags.DEFINE_string(name, None, name, flag_values=given)
    given(["train", "--network=my_net:Wide", f"--optimizer={optimizer}", "--patience=9"])
    monkeypatch.setattr(code, "FLAGS", given)
    said = code.to_resume(Path("a run"), "cluster", "patience")
    assert said == f"'--run_dir=a run' --resume --network=my_net:Wide{again} --patience=9"


def test_a_run_prints_the_book_s_lines_and_leaves_its_directory(trained):
    run_dir, done = trained
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    result = json.loads((run_dir / "result.json").read_text())
    last = rows[-1]
    assert lines[-3] == (
        f"loss {last['train_loss']:.3f}, train acc {last['train_accuracy']:.3f}, "
        f"valid acc {last['valid_accuracy']:.3f}, test acc {last['test_accuracy']:.3f}"
    )
    assert lines[-2].endswith(f"examples/sec on {result['environment']['device']}")
    assert any(line.startswith("tiny: 300 training and 60 test images from") for line in lines)
    assert sum(line.startswith("epoch ") for line in lines) == 3
    assert "61,706" in done.stdout
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert all(row["count"] == 250 for row in rows)
    assert {key: result[key] for key in last} == last | {"seal": result["seal"]}
    assert result["seconds_to_compile"] > 0
    assert result["environment"]["versions"]["jax"]
    assert result["dataset"] == "tiny"
    assert result["synthetic"] is False
    assert result["published"] is None  # another experiment than the published one
    assert sorted(path.name for path in run_dir.iterdir() if path.name[0] != ".") == [
        *("checkpoints", "config.json", "curves.png", "metrics.jsonl", "predictions.jsonl"),
        *("result.json", "statistics.jsonl"),
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


def test_the_trained_network_comes_back_as_it_was(trained, tiny):
    run_dir, _ = trained
    model, params = records.load(run_dir)
    assert (model.activation, model.pool) == ("relu", "max")
    assert sum(p.size for layer in params.values() for p in layer.values()) == 61_706
    test = data.load("tiny", data_dir=tiny).test
    hits = np.asarray(logits(model, params, test.images)).argmax(-1) == test.labels
    result = json.loads((run_dir / "result.json").read_text())
    assert hits.mean() == pytest.approx(result["test_accuracy"])


def test_a_second_run_in_the_same_directory_is_refused_and_changes_nothing(trained):
    run_dir, _ = trained
    before = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
    done = train(f"--run_dir={run_dir}", cwd=run_dir.parent)
    assert done.returncode == 2
    assert "created by experiments.train" in done.stderr
    assert {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_synthetic_data_is_named_as_such_everywhere(tmp_path):
    flags = ("--dataset=synthetic", "--epochs=1", "--channels=1,1", "--hidden=4")
    done = train(*flags, "--batch_size=10000", "--run_dir=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "(synthetic data)" in done.stdout.splitlines()[-3]
    assert json.loads((tmp_path / "run/config.json").read_text())["data"]["synthetic"] is True
    assert json.loads((tmp_path / "run/result.json").read_text())["synthetic"] is True
    assert json.loads((tmp_path / "run/metrics.jsonl").read_text())["synthetic"] is True


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--lrr=1"], "unknown flag --lrr, did you mean --lr?"),
        (["--" + "x" * 3000], "unknown flag --xxx"),
        (["--lr=ten"], "--lr=ten: expected a number"),
        (["--lr=1e400"], "--lr=inf: must be a finite number"),
        (["--epochs=1.5"], "--epochs=1.5: expected an integer"),
        (["--learning_rate=1"], "unknown flag --learning_rate, did you mean --lr?"),
        (["--activation=swish"], "sigmoid|relu|tanh"),
        (["--preset=bok"], "book|book-en|modern"),
        (["--channels=6,x"], "--channels=6,x"),
        (["--warmup=10"], "--warmup=10: must be below --epochs=10"),
        (["extra"], 'unexpected argument "extra". Write flags as --name=value: for example'),
        (["lr=0.5"], 'unexpected argument "lr=0.5". Write flags as --name=value: --lr=0.5'),
        (["--run_dir="], "--run_dir=: give it a value, or leave"),
        (["--run_dir=file"], "--run_dir=file: cannot be used: Not a directory"),
        (["--dataset=../x"], "dataset '../x'"),
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


def test_help_of_every_command_needs_no_jax(tmp_path):
    without = "import runpy, sys; sys.modules['jax'] = None; sys.argv[1:] = ['--help']; "
    asked = {
        name: start(
            "-Werror",
            "-c",
            f"{without}runpy.run_module('experiments.{name}', run_name='__main__', alter_sys=True)",
            cwd=tmp_path,
        )
        for name in COMMANDS
    }
    for name, process in asked.items():
        out, err = process.communicate()
        assert (process.returncode, err) == (0, ""), name
        assert f"python -m experiments.{name}" in out
        assert "Flags, with their defaults" in out


def test_help_teaches_every_flag_with_its_default(tmp_path):
    done = train("--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for field in config.fields():
        assert f"--{field.name}=" in done.stdout or f"--[no]{field.name}" in done.stdout
        assert field.metadata["doc"] in " ".join(done.stdout.split())
    assert "--lr=0.9" in done.stdout
    assert "--channels=6,16" in done.stdout
    assert "--run_dir=" in done.stdout


popen = partial(start, "-m", "experiments.train", "--noreport")


def test_a_signal_that_python_drops_is_still_heard(monkeypatch):
    """As when it arrives in a callback of the garbage collector."""
    monkeypatch.setattr(stopping, "_asked", [])
    stopping.stop_if_asked()
    with contextlib.suppress(stopping.Stopped):
        stopping.ask(signal.SIGTERM, None)
    with pytest.raises(stopping.Stopped):
        stopping.stop_if_asked()


@pytest.mark.slow
def test_a_full_disk_is_status_7_and_leaves_no_torn_file(tiny, tmp_path):
    # Not by preexec_fn: to fork a process that runs jax is asking for a deadlock.
    little_room = ("bash", "-c", 'ulimit -f 20; exec "$@"', "bash")  # KiB
    flags = ("--dataset=tiny", f"--data_dir={tiny}", "--batch_size=64", "--epochs=2")
    with popen(*flags, "--run_dir=run", cwd=tmp_path, before=little_room) as process:
        _, stderr = process.communicate()
    assert process.returncode == 7
    assert "checkpoints/00001.npz: cannot be written" in stderr
    assert sorted(path.name for path in (tmp_path / "run").rglob("*")) == [
        *(".lock", "checkpoints", "config.json", "metrics.jsonl", "statistics.jsonl")
    ]


def test_a_directory_in_use_is_status_6(tmp_path):
    with records.claim(tmp_path / "run"):
        done = train("--run_dir=run", cwd=tmp_path)
    assert done.returncode == 6
    assert "in use by another process" in done.stderr


def test_a_network_too_large_for_the_memory_is_one_line(monkeypatch, capsys):
    def too_large() -> None:
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 109951162777600 bytes.")

    monkeypatch.setattr("sys.argv", ["train"])
    monkeypatch.setattr("sys.stdout", sys.stdout)  # put back what `run` replaces
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        cli.run(too_large, "")
    assert ended.value.code == 2
    assert "out of memory" in capsys.readouterr().err
    with pytest.raises(RuntimeError, match="ours"):
        cli.run(lambda: (_ for _ in ()).throw(RuntimeError("ours")), "")


def row(epoch: int, loss: float, accuracy: float) -> Row:
    return Row(epoch, loss, accuracy, None, None, loss, accuracy, 100, 1.0, 100.0, [])


def test_the_plateau_is_told_and_whether_it_is_normal():
    assert "Normal this early" in str(progress.plateau(row(1, 2.31, 0.1), 10, published=True))
    assert "Unusual after epoch 2" in str(progress.plateau(row(3, 2.30, 0.1), 10, published=True))
    assert "178 of 199" in str(progress.plateau(row(3, 2.30, 0.1), 10, published=True))
    assert "ln(5) = 1.609" in str(progress.plateau(row(1, 1.61, 0.2), 5, published=False))
    assert progress.plateau(row(3, 0.9, 0.6), 10, published=True) is None
    assert progress.plateau(row(1, 2.25, 0.4), 10, published=True) is None


@pytest.mark.parametrize(("often", "said"), [(54, "test images: always"), (6, None)])
def test_the_accuracy_of_the_most_frequent_class_is_said_where_guessing_it_pays(often, said):
    labels = np.arange(60) % 10
    labels[:often] = 0 if often > 6 else labels[:often]
    made = data.synthetic.make(60, 60)
    uneven = dataclasses.replace(made, test=made.test._replace(labels=labels.astype(np.int32)))
    found = progress.majority(records.describe(config.Config(), uneven, "")["data"])
    assert (found is None) == (said is None)
    if said and found:
        assert said in found
        assert found.endswith("an accuracy of 0.900")


def test_progress_follows_the_language_of_the_locale(monkeypatch):
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    said = progress.line(row(1, 2.3, 0.1), 10)
    assert said == "第  1/10 轮  损失 2.300、训练精度 0.100、测试精度 0.100，100 样本/秒"
    assert "随机猜测" in str(progress.plateau(row(1, 2.3, 0.1), 10, published=True))


def test_a_terminal_gets_a_bar_and_the_lines(monkeypatch):
    screen = io.StringIO()
    terminal = partial(Console, force_terminal=True, width=80, color_system=None)
    monkeypatch.setattr(progress.command, "console", lambda: terminal(file=screen))
    with progress.Bar(2) as bar:
        bar.say(progress.line(row(1, 0.5, 0.8), 2))
        bar.advance(row(1, 0.5, 0.8), 2)
    shown = screen.getvalue()
    assert "epoch 1/2" in shown
    assert "loss 0.500, train acc 0.800" in shown
    assert "1/2 loss 0.500, test acc 0.800, 100 examples/s, 0:00:01 left" in " ".join(shown.split())


@pytest.mark.parametrize("terminal", [True, False])
def test_what_takes_long_is_said_and_stays_in_a_file_alone(monkeypatch, terminal):
    screen = io.StringIO()
    options = {"force_terminal": terminal, "width": 80, "color_system": None}
    monkeypatch.setattr(progress.command, "console", lambda: Console(file=screen, **options))
    with progress.command.waiting("writing report.html"):
        pass
    assert "writing report.html" in screen.getvalue()
    assert screen.getvalue().endswith("writing report.html ...\n") == (not terminal)


def test_a_run_keeps_the_parts_of_the_machine_where_it_began(tiny, tmp_path, monkeypatch):
    sizes = ("--channels=2,3", "--hidden=8", "--batch_size=64", "--noreport", "--run_dir=run")
    ends = []
    for parts, more in ((4, f"--data_dir={tiny}"), (8, "--resume")):
        monkeypatch.setattr(cores, "parts", lambda parts=parts: parts)
        epochs = f"--epochs={1 + len(ends)}"
        done = train(*sizes, "--dataset=tiny", more, epochs, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        ends.append(records.read_json(tmp_path / "run" / "config.json")["config"]["parts"])
    assert ends == [4, 4]


@pytest.mark.slow
def test_a_finished_run_whose_report_was_not_written_gets_it_by_resume(trained, tmp_path):
    run_dir, _ = trained
    shutil.copytree(run_dir, tmp_path / "run")
    done = train("--run_dir=run", "--resume", "--report", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "report.html").exists()


def test_an_error_writes_arguments_as_flags_and_leaves_code_alone(monkeypatch, capsys):
    def main():
        values = "lr=-1, data_dir='a b'"
        raise UsageError(f"{values}: Config(lr=1) or {sources.remedy('kmnist')}")

    monkeypatch.setattr(sys, "argv", ["train"])
    for name in ("lr", "data_dir"):
        flags.DEFINE_string(name, None, "")
    with pytest.raises(SystemExit, match="2"):
        cli.run(main, "")
    said = capsys.readouterr().err
    assert said.startswith("error: --lr=-1, --data_dir='a b': Config(lr=1) or run python -c ")
    code = said.partition('-c "')[2].partition('"')[0]
    compile(code, "remedy", "exec")
    assert said.endswith("set --data_dir=DIR to the directory 'prepared' it creates\n")


def test_progress_is_printed_after_half_a_minute_without_a_line(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with progress.Lines(total=10, text="") as lines:
        for seconds, say in ((1, True), (20, False), (32, False), (40, False), (63, False)):
            now[0] = seconds
            lines.show(seconds, f"after {seconds} s", say=say)
    assert capsys.readouterr().out.splitlines() == ["after 1 s", "after 32 s", "after 63 s"]
