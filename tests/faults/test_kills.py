"""A run that is killed, stopped or started twice ends with the bits of one that was not."""

import inspect
import os
import re
import shutil
import signal
import sys
import time

import pytest
from flax import linen as nn
from harness import ROOT, Runner, check_recovers, outcome, wait_for_epoch

from lenet.records import checkpoint


@pytest.mark.slow
@pytest.mark.fault("kill -9 at a random time")
def test_a_run_killed_at_any_time_ends_with_the_same_bits(fault, runner, whole, tmp_path):
    for i in fault.times(1, 20):
        run_dir = tmp_path / str(i)
        runner.kill(run_dir, delay=fault.random.uniform(0.5, 5))
        resume_whatever_is_there(runner, run_dir)
        assert outcome(run_dir) == outcome(whole)
        fault.count("recovered", "bit-equal")


def resume_whatever_is_there(runner, run_dir) -> None:
    """Resume a run; where it died before there was one, begin it."""
    began = (run_dir / "config.json").exists()
    done = runner.run(run_dir, *(["--resume"] if began else []))
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.fault("kill -9 in an epoch")
def test_at_most_an_epoch_is_lost(fault, runner, whole, tmp_path):
    for i in fault.times(1, 10):
        run_dir = tmp_path / str(i)
        epoch = fault.random.randint(1, 4)
        runner.kill(run_dir, after_epoch=epoch, delay=fault.random.uniform(0, 0.3))
        finished = (run_dir / "result.json").exists()  # before the signal came
        done = check_recovers(runner, run_dir, whole)
        behind = re.search(r"resuming after epoch (\d+)", done.stdout)
        # The row is there a moment before the checkpoint is.
        assert finished or int(behind[1] if behind else 0) >= epoch - 1
        fault.count("recovered", "bit-equal")


class Mine(nn.Module):
    """Statistics and dropout."""

    num_classes: int = 10

    @nn.compact
    def __call__(self, images, train=False):
        x = nn.Conv(4, (3, 3), strides=2)(images)
        x = nn.relu(nn.BatchNorm(use_running_average=not train)(x))
        x = nn.Dropout(0.25, deterministic=not train)(x.reshape(x.shape[0], -1))
        return nn.Dense(self.num_classes)(x)


@pytest.mark.slow
@pytest.mark.fault("kill -9 of an own network")
def test_statistics_dropout_augmentation_and_averages_survive(fault, tiny, tmp_path):
    text = inspect.getsource(Mine)
    (tmp_path / "test_kills.py").write_text(f"from flax import linen as nn\n\n\n{text}")
    network = "--network=test_kills:Mine"
    flags = ("--optimizer=adam", "--lr=0.01", "--augment=shift:2,flip,erase:8", "--average=0.9")
    runner = Runner(tiny, network, *flags, "--batch_size=64", "--epochs=5")
    done = runner.run(tmp_path / "whole", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for i in fault.times(1, 10):
        run_dir = tmp_path / str(i)
        late = fault.random.uniform(0, 0.3)
        runner.kill(run_dir, after_epoch=fault.random.randint(1, 4), delay=late, cwd=tmp_path)
        done = runner.run(run_dir, "--resume", network, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert outcome(run_dir, Mine()) == outcome(tmp_path / "whole", Mine())
        fault.count("recovered", "bit-equal")


@pytest.mark.slow
@pytest.mark.fault("a lock whose process is dead")
def test_the_lock_of_a_dead_process_is_taken_over(fault, runner, whole, tmp_path):
    for i in fault.times(1, 2):
        run_dir = tmp_path / str(i)
        runner.kill(run_dir, after_epoch=2)
        check_recovers(runner, run_dir, whole)
        fault.count("detected", "recovered", "bit-equal")


# Python imports this before anything else: the process kills itself where it flushes its Nth
# checkpoint, with a part of it on the disk, or where it is about to give it its name.
KILLER = """
import os, signal
number, share, at = os.environ["LENET_KILL"].split()
flush, name, seen = os.fsync, os.replace, 0

def die(handle, size):
    os.ftruncate(handle, int(float(share) * size))
    os.kill(os.getpid(), signal.SIGKILL)

def fsync(handle):
    global seen
    if "/checkpoints/." in os.readlink(f"/proc/self/fd/{handle}"):
        seen += 1
        if seen == int(number) and at == "flush":
            die(handle, os.fstat(handle).st_size)
    return flush(handle)

def replace(source, target, **places):
    if seen == int(number) and at == "rename":  # the first rename after the flush is its own
        os.kill(os.getpid(), signal.SIGKILL)
    return name(source, target, **places)

os.fsync, os.replace = fsync, replace
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds what is written in /proc")
@pytest.mark.fault("kill -9 while a checkpoint is written")
def test_half_a_checkpoint_is_ignored_and_removed(fault, runner, whole, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(KILLER)
    path = os.pathsep.join((str(tmp_path), str(ROOT)))
    for i in fault.times(1, 10):
        run_dir = tmp_path / str(i)
        number, at = fault.random.randint(1, 6), fault.random.choice(["flush", "rename"])
        env = {"LENET_KILL": f"{number} {fault.random.random()} {at}", "PYTHONPATH": path}
        assert runner.run(run_dir, env=env).returncode == -signal.SIGKILL
        left = list((run_dir / "checkpoints").glob(".*"))
        assert len(left) == 1
        done = check_recovers(runner, run_dir, whole)
        assert number == 1 or f"resuming after epoch {number - 1}" in done.stdout
        assert not left[0].exists()
        fault.count("detected", "recovered", "bit-equal")


@pytest.mark.slow
@pytest.mark.fault("kill -9 again and again")
def test_five_kills_in_one_run(fault, runner, whole, tmp_path):
    for i in fault.times(1, 2):
        run_dir = tmp_path / str(i)
        runner.kill(run_dir, after_epoch=1)
        for epoch in range(2, 6 if fault.times(0, 1) else 3):
            runner.kill(run_dir, "--resume", after_epoch=epoch)
            fault.count()
        check_recovers(runner, run_dir, whole)
        fault.count("recovered", "bit-equal")


@pytest.mark.slow
@pytest.mark.fault("SIGTERM and SIGINT in an epoch")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_leaves_a_checkpoint(fault, runner, whole, tmp_path, number, status):
    for i in fault.times(1, 8):
        run_dir = tmp_path / str(i)
        epoch = fault.random.randint(1, 4)
        done = runner.interrupt(run_dir, number, "--checkpoint_every=100", after_epoch=epoch)
        assert done.returncode == status
        assert done.stderr in ("error: terminated\n", "error: interrupted\n")
        kept = checkpoint.load(checkpoint.last(run_dir)).epoch
        assert kept >= epoch
        assert f"stopped; {kept} epochs are saved" in done.stdout
        check_recovers(runner, run_dir, whole)
        fault.count("detected", "recovered", "bit-equal")


@pytest.mark.slow
@pytest.mark.fault("SIGINT twice")
def test_asked_twice_it_stops_at_once(fault, runner, whole, tmp_path):
    for i in fault.times(1, 4):
        run_dir = tmp_path / str(i)
        with runner.start(run_dir) as process:
            wait_for_epoch(process, run_dir, 2)
            process.send_signal(signal.SIGINT)
            time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert err == "error: interrupted\n"
        assert checkpoint.load(checkpoint.last(run_dir)).epoch >= 1
        check_recovers(runner, run_dir, whole)
        fault.count("detected", "recovered", "bit-equal")


@pytest.mark.slow
@pytest.mark.fault("SIGTERM before the first step")
def test_a_signal_before_the_first_step_leaves_nothing_half_made(fault, runner, whole, tmp_path):
    for i in fault.times(1, 8):
        run_dir = tmp_path / str(i)
        done = runner.interrupt(run_dir, signal.SIGTERM, delay=fault.random.uniform(0.8, 1.8))
        assert done.returncode in (143, -15)  # before Python has our handler, it is the system's
        began = (run_dir / "config.json").exists()
        done = runner.run(run_dir, *(["--resume"] if began else []))
        assert done.returncode == 0, done.stderr
        assert outcome(run_dir) == outcome(whole)
        fault.count("detected", "recovered", "bit-equal")


@pytest.mark.fault("resume of a finished run")
def test_a_finished_run_is_finished(fault, runner, whole, tmp_path):
    run_dir = tmp_path / "run"
    shutil.copytree(whole, run_dir)
    before = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
    done = runner.run(run_dir, "--resume")
    assert done.returncode == 0, done.stderr
    assert "compiling" not in done.stdout
    assert "test acc" in done.stdout
    assert {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()} == before
    fault.count("detected", "recovered", "bit-equal")


@pytest.mark.slow
@pytest.mark.fault("two processes in one directory")
@pytest.mark.parametrize("resumed", [False, True])
def test_one_of_two_processes_trains(fault, runner, whole, tmp_path, resumed):
    for i in fault.times(1, 2):
        run_dir = tmp_path / str(i)
        flags = []
        if resumed:
            runner.kill(run_dir, after_epoch=1)
            flags = ["--resume"]
        with runner.start(run_dir, *flags) as first, runner.start(run_dir, *flags) as second:
            ended = [(p.communicate(timeout=120), p.returncode) for p in (first, second)]
        statuses = sorted(status for _, status in ended)
        # The second may come when the first is done, and find its run there.
        assert statuses[0] == 0
        assert statuses[1] == 6, ended
        assert outcome(run_dir) == outcome(whole)
        fault.count("detected", "recovered", "bit-equal")
