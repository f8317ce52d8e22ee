"""What is wrong around a run: flags, directories, caches, clocks, terminals, other processes."""

import json
import os
import shutil
import signal
import time

import pytest
from commands import python
from harness import ROOT, Runner, lines, outcome

from lenet import records

SMALL = ("--channels=2,3", "--hidden=8", "--batch_size=64", "--preset=modern", "--epochs=6")


def one_line(done, status: int, *said: str) -> None:
    assert done.returncode == status, (done.returncode, done.stderr)
    assert done.stderr.count("\n") == 1, done.stderr
    for words in said:
        assert words in done.stderr, done.stderr


@pytest.mark.slow
@pytest.mark.fault("a directory that cannot be one")
@pytest.mark.parametrize("what", ["file", "loop", "unwritable"])
def test_a_directory_that_cannot_be_written_is_refused_at_once(fault, runner, tmp_path, what):
    run_dir = tmp_path / "run"
    if what == "file":
        run_dir.write_text("mine")
    elif what == "loop":
        run_dir.symlink_to(tmp_path / "other")
        (tmp_path / "other").symlink_to(run_dir)
    else:
        run_dir = tmp_path.__class__("/proc/lenet")
    done = runner.run(run_dir)
    one_line(done, 2, "run_dir")
    assert "compiling" not in done.stdout
    assert what != "file" or run_dir.read_text() == "mine"
    fault.count("detected")


@pytest.mark.slow
@pytest.mark.fault("a name that no directory can have")
@pytest.mark.parametrize("name", ["x" * 300, "", "-x/../\udcff", "-rf", "a\nb", "\x1b]0;x\x07"])
def test_a_name_that_cannot_be_is_refused(fault, runner, tmp_path, name):
    done = runner.run(name, cwd=tmp_path)
    one_line(done, 2, "--run_dir")
    assert (done.stdout + done.stderr).replace("\n", "").isprintable()
    assert not list(tmp_path.iterdir())
    fault.count("detected")


@pytest.mark.slow
@pytest.mark.fault("names that would do something")
def test_a_folder_s_name_does_nothing_to_the_terminal(fault, runner, whole, tiny, tmp_path):
    folder = tmp_path / "data\x1b[31m\x07"
    shutil.copytree(tiny, folder)
    done = runner.run(tmp_path / "run", f"--data_dir={folder}")
    assert done.returncode == 0, done.stderr
    assert (done.stdout + done.stderr).replace("\n", "").isprintable()
    assert outcome(tmp_path / "run") == outcome(whole)
    fault.count("recovered", "bit-equal")


@pytest.mark.slow
@pytest.mark.fault("names that would do something")
def test_a_directory_s_name_does_nothing_in_the_report(fault, whole, tmp_path):
    """<script> in a name and =cmd() in a note: text, under a policy that runs nothing else."""
    run_dir = tmp_path / '"><img src=x onerror=alert(1)><script>alert(2)<'
    shutil.copytree(whole, run_dir)
    about = records.read_json(run_dir / "config.json")
    about["command"] = "=cmd() </script><script>alert(3)</script>"
    records.write_json(run_dir / "config.json", about)
    done = python("-P", "-m", "experiments.report", str(run_dir))
    assert done.returncode == 0, done.stderr
    content = (run_dir / "report.html").read_text()
    assert content.count("<script") == 3
    assert "<img src=x" not in content
    assert "Content-Security-Policy" in content
    assert "&lt;script&gt;alert(3)" in content
    fault.count("detected")


@pytest.mark.slow
@pytest.mark.fault("a learning rate that cannot be or diverges")
def test_divergence_names_the_step_and_the_last_good_checkpoint(fault, runner, tmp_path):
    done = runner.run(tmp_path / "run", "--lr=1e6")
    one_line(done, 5, "diverged", "epoch 1", "Lower the learning rate")
    assert not (tmp_path / "run" / "result.json").exists()
    fault.count("detected")
    # The penalty alone makes every weight larger by the step, with changing signs.
    done = runner.run(tmp_path / "late", "--weight_decay=110", "--momentum=0")
    one_line(done, 5, "in epoch 2", "The last good checkpoint is", "00001.npz")
    assert len(lines(tmp_path / "late")) == 1
    fault.count("detected")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flag", "said"),
    [
        *(
            pytest.param(
                f"--dataset={name}",
                "letters, digits",
                marks=pytest.mark.fault("names that would do something"),
            )
            for name in ("<script>alert(1)</script>", '"><img onerror=x>', "=cmd()")
        ),
        *(
            pytest.param(
                f"--lr={lr}",
                "lr",
                marks=pytest.mark.fault("a learning rate that cannot be or diverges"),
            )
            for lr in ("nan", "-1", "1e400", "ten", "0")
        ),
        *(
            pytest.param(flag, said, marks=pytest.mark.fault("flags that are wrong"))
            for flag, said in (
                ("--epochs=0", "--epochs=0: must be at least 1"),
                ("--batch_size=0", "--batch_size=0"),
                ("--learning_rate=1", "did you mean --lr"),
                ("--checkpoint_every=0", "--checkpoint_every=0: must be at least 1"),
                ("--activation=swish", "swish"),
            )
        ),
    ],
)
def test_a_wrong_flag_is_one_line_and_nothing_is_written(fault, runner, tmp_path, flag, said):
    one_line(runner.run(tmp_path / "run", flag), 2, said)
    assert not (tmp_path / "run").exists()
    fault.count("detected")


@pytest.mark.slow
@pytest.mark.fault("a cache of programs that is of no use")
def test_a_useless_cache_costs_time_alone(fault, runner, whole, tmp_path):
    env = {"XDG_CACHE_HOME": str(tmp_path / "home")}
    assert runner.run(tmp_path / "first", env=env).returncode == 0
    found = list((tmp_path / "home").rglob("*-cache"))
    assert found
    for path in found:
        path.write_bytes(b"garbage")
    done = runner.run(tmp_path / "run", env=env)
    assert done.returncode == 0, done.stderr
    assert outcome(tmp_path / "run") == outcome(whole)
    fault.count("recovered", "bit-equal")


@pytest.mark.slow
@pytest.mark.parametrize(
    "env",
    [
        *(
            pytest.param(env, marks=pytest.mark.fault("another language, another place"))
            for env in (
                {"LANG": "C", "LC_ALL": "C"},
                {"LC_ALL": "de_DE.UTF-8"},
                {"PYTHONUTF8": "0"},
            )
        ),
        pytest.param(
            {"XDG_CACHE_HOME": __file__},
            marks=pytest.mark.fault("a cache of programs that is of no use"),
        ),
        pytest.param(
            {"HOME": "", "XDG_CACHE_HOME": ""}, marks=pytest.mark.fault("nobody listens, no home")
        ),
    ],
)
def test_a_run_has_the_same_bits_wherever_it_runs(fault, runner, whole, tmp_path, env):
    run_dir = tmp_path / "训练 für émile"
    done = runner.run(run_dir, env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert outcome(run_dir) == outcome(whole)
    fault.count("recovered", "bit-equal")


@pytest.mark.slow
@pytest.mark.fault("one core instead of two")
def test_one_core_gives_the_bits_of_two(fault, runner, whole, tmp_path):
    core = str(min(os.sched_getaffinity(0)))
    done = runner.run(tmp_path / "run", before=("taskset", "-c", core))
    assert done.returncode == 0, done.stderr
    assert outcome(tmp_path / "run") == outcome(whole)
    fault.count("recovered", "bit-equal")


@pytest.mark.slow
@pytest.mark.fault("the clock set back")
def test_a_clock_that_runs_backwards_changes_nothing(fault, runner, whole, tmp_path):
    # Python imports this before anything else; every look at the clock is an hour earlier.
    (tmp_path / "sitecustomize.py").write_text(
        "import itertools, time\n"
        "hours = itertools.count()\n"
        "time.time = lambda: 1.8e9 - 3600 * next(hours)\n"
    )
    path = os.pathsep.join((str(tmp_path), str(ROOT)))
    done = runner.run(tmp_path / "run", env={"PYTHONPATH": path})
    assert done.returncode == 0, done.stderr
    assert outcome(tmp_path / "run") == outcome(whole)
    for line in lines(tmp_path / "run"):
        assert 0 < json.loads(line)["seconds"] < 60
    fault.count("recovered", "bit-equal")


@pytest.mark.slow
@pytest.mark.fault("a device that is absent")
def test_an_absent_device_is_one_line(fault, runner, tmp_path):
    done = runner.run(tmp_path / "run", env={"JAX_PLATFORMS": "tpu"})
    one_line(done, 2, "tpu")
    fault.count("detected")


@pytest.mark.slow
@pytest.mark.fault("nobody listens, no home")
def test_it_trains_to_the_end_when_nobody_reads_any_more(fault, runner, whole, tmp_path):
    with runner.start(tmp_path / "run") as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=120) == 0
    assert outcome(tmp_path / "run") == outcome(whole)
    fault.count("recovered", "bit-equal")


@pytest.fixture(scope="session")
def sweeper(tiny) -> Runner:
    return Runner(tiny, *SMALL, "--lr=0.02,0.01", "--seed=0:4", module="experiments.sweep")


@pytest.fixture(scope="session")
def swept(sweeper, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("swept") / "run"
    done = sweeper.run(run_dir)
    assert done.returncode == 0, done.stderr
    return run_dir


def table(run_dir) -> tuple[str, list[dict]]:
    """summary.csv, and the ledger but for its times."""
    entries = [json.loads(line) for line in lines(run_dir, "runs.jsonl")]
    for entry in entries:
        entry.pop("seal", None)  # of this directory
        for row in entry["rows"]:
            row["seconds"] = row["examples_per_second"] = 0
    return (run_dir / "summary.csv").read_text(), sorted(entries, key=lambda e: e["run"])


@pytest.mark.slow
@pytest.mark.fault("kill -9 in a sweep")
def test_a_killed_sweep_repeats_no_finished_run(fault, sweeper, swept, tmp_path):
    for i in fault.times(1, 8):
        run_dir = tmp_path / str(i)
        after = fault.random.choice([1, 3, 5])
        with sweeper.start(run_dir) as process:
            while process.poll() is None and len(lines(run_dir, "runs.jsonl")) < after:
                time.sleep(0.005)
            time.sleep(fault.random.uniform(0, 0.3))
            process.kill()
        before = lines(run_dir, "runs.jsonl")
        done = sweeper.run(run_dir, "--resume")
        assert done.returncode == 0, done.stderr
        assert all(line in lines(run_dir, "runs.jsonl") for line in before if line.endswith("}"))
        assert table(run_dir) == table(swept)
        fault.count("recovered", "bit-equal")


@pytest.mark.slow
@pytest.mark.fault("SIGTERM in a sweep")
def test_a_stopped_sweep_goes_on(fault, sweeper, swept, tmp_path):
    for i in fault.times(1, 4):
        run_dir = tmp_path / str(i)
        with sweeper.start(run_dir) as process:
            while process.poll() is None and not lines(run_dir, "runs.jsonl"):
                time.sleep(0.005)
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=60)
        assert process.returncode == 143, err
        assert "To continue: --run_dir=" in out
        assert sweeper.run(run_dir, "--resume").returncode == 0
        assert table(run_dir) == table(swept)
        fault.count("detected", "recovered", "bit-equal")


@pytest.mark.slow
@pytest.mark.fault("one run of a sweep that diverges")
def test_the_other_63_runs_of_a_sweep_are_as_without_it(fault, tiny, tmp_path):
    """64 rates; then the same without the one that diverges."""
    rates = [0.01 + i / 10_000 for i in range(64)]
    rates[fault.random.randrange(64)] = 1e30

    def sweep(name: str, rates: list[float]) -> dict[float, dict]:
        given = ",".join(f"{rate:g}" for rate in rates)
        runner = Runner(tiny, *SMALL, f"--lr={given}", module="experiments.sweep")
        done = runner.run(tmp_path / name)
        assert done.returncode == 0, done.stderr
        _, entries = table(tmp_path / name)
        return {entry["config"]["lr"]: entry for entry in entries}

    every, others = sweep("with", rates), sweep("without", [x for x in rates if x < 1])
    assert [rate for rate, entry in every.items() if entry["diverged"]] == [1e30]
    assert "lr=1e+30" in every[1e30]["diverged"]
    assert len(others) == 63
    for rate, entry in others.items():
        assert entry["rows"] == every[rate]["rows"]
        assert entry["diverged"] is None
    fault.count("detected", "recovered", "bit-equal")


@pytest.mark.slow
@pytest.mark.fault("a run too large for the memory")
def test_what_does_not_fit_is_refused_before_compiling(fault, runner, tmp_path):
    done = runner.run(tmp_path / "run", "--channels=30000,30000", "--batch_size=300")
    one_line(done, 2, "GB")
    assert not (tmp_path / "run").exists()
    fault.count("detected")
