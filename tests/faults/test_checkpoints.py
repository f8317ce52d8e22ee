"""A checkpoint that is not as it was written is never loaded, and the one before it is."""

import dataclasses
import io
import os
import pickle
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import idx_folder
import numpy as np
import pytest
from forged import forged
from harness import ROOT, check_recovers, lines, unfinish

from lenet.data import synthetic
from lenet.errors import RecordError
from lenet.records import checkpoint


@pytest.fixture
def unfinished(whole, tmp_path):
    """A run that has all its checkpoints and lacks its result."""
    return unfinish(whole, tmp_path / "run")


def cut(content: bytes, rng) -> bytes:
    """Leave any part of it, or all but the last byte."""
    return content[: rng.choice([0, 1, len(content) - 1, rng.randrange(len(content))])]


def flipped(content: bytes, rng) -> bytes:
    """Flip one bit."""
    damaged = bytearray(content)
    damaged[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(
            cut, marks=[pytest.mark.fault("the newest checkpoint cut off"), pytest.mark.slow]
        ),
        pytest.param(
            flipped, marks=[pytest.mark.fault("one bit flipped, then resumed"), pytest.mark.slow]
        ),
    ],
)
def test_the_one_before_a_damaged_checkpoint_is_used(fault, runner, whole, tmp_path, damage):
    for i in fault.times(1, 8):
        run_dir = unfinish(whole, tmp_path / str(i))
        newest = checkpoint.last(run_dir)
        damaged = damage(newest.read_bytes(), fault.random)
        newest.write_bytes(damaged)
        done = check_recovers(runner, run_dir, whole)
        assert f"{newest.name}: " in done.stdout
        assert "renamed it to 00006.npz.bad; using 00005.npz" in done.stdout
        assert newest.with_name("00006.npz.bad").read_bytes() == damaged
        fault.count("detected", "recovered", "bit-equal")


@pytest.mark.slow
@pytest.mark.fault("one bit of a checkpoint flipped")
def test_no_flipped_bit_is_loaded(fault, whole):
    content = checkpoint.last(whole).read_bytes()
    for _ in fault.times(40, 200):
        with pytest.raises(checkpoint.DamagedError):
            checkpoint.from_bytes(flipped(content, fault.random))
        fault.count("detected")
    assert checkpoint.from_bytes(content).epoch == 6


@pytest.mark.slow
@pytest.mark.fault("every checkpoint damaged")
def test_where_no_checkpoint_is_whole_nothing_is_touched(fault, runner, unfinished):
    paths = sorted((unfinished / "checkpoints").iterdir())
    assert len(paths) == checkpoint.KEPT
    for path in paths:
        path.write_bytes(path.read_bytes()[:-1])
    before = {path: path.read_bytes() for path in paths}
    done = runner.run(unfinished, "--resume")
    assert done.returncode == 4
    assert done.stderr.count("\n") == 1
    assert all(path.name in done.stderr for path in paths)
    assert {path: path.read_bytes() for path in paths} == before
    assert sorted((unfinished / "checkpoints").iterdir()) == paths
    fault.count("detected")


@pytest.mark.slow
@pytest.mark.fault("a checkpoint of another run")
@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("lr", 0.5, "lr=0.5, but config.json has 0.02"),
        ("seed", 7, "seed=7, but config.json has 0"),
        ("activation", "tanh", "activation=tanh, but config.json has relu"),
    ],
)
def test_another_config_is_named(fault, runner, unfinished, field, value, said):
    path = checkpoint.last(unfinished)
    saved = checkpoint.load(path)
    other = saved._replace(config=dataclasses.replace(saved.config, **{field: value}))
    path.write_bytes(checkpoint.to_bytes(other))
    done = runner.run(unfinished, "--resume")
    assert done.returncode == 4
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    fault.count("detected")


@pytest.mark.fault("a flag of another run")
def test_flags_that_disagree_with_the_run_are_named(fault, runner, unfinished):
    done = runner.run(unfinished, "--resume", "--lr=0.3", "--momentum=0.5")
    assert done.returncode == 4
    assert (
        "--lr=0.3, but config.json has 0.02; --momentum=0.5, but config.json has 0.9" in done.stderr
    )
    fault.count("detected")


@pytest.mark.fault("other data")
def test_other_data_are_refused(fault, runner, unfinished, tmp_path):
    folder = idx_folder.write(tmp_path / "other", synthetic.make(300, 60, seed=1))
    done = runner.run(unfinished, "--resume", f"--data_dir={folder}")
    assert done.returncode == 4
    assert "trained on different data" in done.stderr
    fault.count("detected")


class _Bomb:
    """Leaves a file where it is unpickled."""

    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def npy(shape: str, descr: str = "'<f4'", values: bytes = b"") -> bytes:
    """A .npy file that claims whatever it is told to."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + values


def object_array(path) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([_Bomb(path)], object), allow_pickle=True)
    return buffer.getvalue()


def test_the_bomb_goes_off_where_pickles_are_loaded(tmp_path):
    """Or the tests below could not fail."""
    np.load(io.BytesIO(object_array(tmp_path / "here")), allow_pickle=True)[0].close()
    assert (tmp_path / "here").exists()


KERNEL = "params/conv1/kernel.npy"
BOMB = Path(tempfile.gettempdir()) / f"lenet-bomb-{os.getpid()}"
FORGERIES = {
    "another format version": {"header": {"format": 2}},
    "no config": {"header": {"config": None}},
    "an unknown setting": {"header": {"config": {"depth": 3}}},
    "a setting out of range": {"header": {"config": {"lr": -1}}},
    "an absurd network": {"header": {"config": {"channels": [1 << 19], "hidden": [1 << 19]}}},
    "an absurd image": {"header": {"image_shape": [1 << 40, 28, 1]}},
    "an epoch that is none": {"header": {"epoch": "3"}},
    "an array that is missing": {"arrays": {KERNEL: None}},
    "an array too many": {"arrays": {"params/conv9/kernel.npy": npy("(1,)", values=b"0000")}},
    "a member that would leave the directory": {"arrays": {"../../x.npy": b"boo"}},
    "an array of objects": {"arrays": {KERNEL: object_array(BOMB)}},
    "4 GB declared": {"arrays": {KERNEL: npy("(1073741824,)")}},
    "a shape that is none": {"arrays": {KERNEL: npy("(-1,)")}},
    "code for a shape": {"arrays": {KERNEL: npy("__import__('os').abort()")}},
    "code for a type": {"arrays": {KERNEL: npy("(5, 5, 1, 2)", "'O'")}},
    "a header that does not end": {"arrays": {KERNEL: npy("(5, 5,\0")}},
    "an array cut off": {"arrays": {KERNEL: npy("(5, 5, 1, 2)", values=b"0" * 7)}},
    "a member twice": {"twice": KERNEL},
    "compressed members": {"compress": zipfile.ZIP_DEFLATED},
}


@pytest.mark.fault("a forged checkpoint")
@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_checkpoint_is_refused_and_runs_nothing(fault, whole, name):
    content = checkpoint.last(whole).read_bytes()
    with pytest.raises(RecordError) as error:
        checkpoint.from_bytes(forged(content, **FORGERIES[name]))
    assert "\n" not in str(error.value)
    assert not BOMB.exists()
    fault.count("detected")


@pytest.mark.slow
@pytest.mark.fault("a pickle in place of a checkpoint")
def test_a_pickle_is_refused_in_bounded_memory(fault, runner, unfinished):
    content = checkpoint.last(unfinished).read_bytes()
    for path in (unfinished / "checkpoints").iterdir():
        path.unlink()
    bomb = unfinished / "checkpoints" / "00006.npz"
    bomb.write_bytes(pickle.dumps([_Bomb(BOMB), bytes(1000)]))
    done = runner.run(unfinished, "--resume")
    assert not BOMB.exists()
    assert done.returncode == 4
    assert "checksum" in done.stderr
    fault.count("detected")
    bomb.write_bytes(forged(content, **FORGERIES["4 GB declared"]))
    code = (
        "import resource; from pathlib import Path\n"
        "from lenet import errors; from lenet.records import checkpoint\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"try: checkpoint.load(Path({str(bomb)!r}))\n"
        "except errors.RecordError: pass\n"
        "after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "assert after - before < 100_000, (before, after)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    fault.count("detected")


@pytest.mark.slow
@pytest.mark.fault("no room on the disk")
def test_a_full_disk_is_said_and_what_was_written_stays(fault, runner, whole, tmp_path):
    """The limit on the size of files fails a write as a full disk does."""
    for i in fault.times(1, 3):
        run_dir = tmp_path / str(i)
        runner.kill(run_dir, after_epoch=2)
        before = checkpoint.load(checkpoint.last(run_dir)).epoch
        little = f'ulimit -f {fault.random.randint(1, 20)}; exec "$@"'  # KiB
        done = runner.run(run_dir, "--resume", before=("bash", "-c", little, "bash"))
        assert done.returncode == 7, done.stderr
        assert done.stderr.count("\n") == 1
        assert checkpoint.load(checkpoint.last(run_dir)).epoch >= before
        check_recovers(runner, run_dir, whole)
        fault.count("detected", "recovered", "bit-equal")


@pytest.mark.slow
@pytest.mark.fault("metrics.jsonl torn at its end")
def test_a_torn_row_is_dropped(fault, runner, whole, tmp_path):
    for i in fault.times(1, 5):
        run_dir = unfinish(whole, tmp_path / str(i))
        checkpoint.last(run_dir).unlink()
        path = run_dir / "metrics.jsonl"
        content = path.read_bytes()
        last = content.rstrip(b"\n").rfind(b"\n") + 1
        path.write_bytes(content[: fault.random.randrange(last, len(content))])
        check_recovers(runner, run_dir, whole)
        fault.count("detected", "recovered", "bit-equal")


@pytest.mark.slow
@pytest.mark.fault("a bad row in the middle of metrics.jsonl")
@pytest.mark.parametrize("bad", ['{"epoch": 2', "null", "\x00\x01", '{"epoch": 17}'])
def test_a_bad_row_is_named(fault, runner, unfinished, bad):
    rows = lines(unfinished)
    rows[1] = bad
    (unfinished / "metrics.jsonl").write_text("\n".join(rows) + "\n")
    done = runner.run(unfinished, "--resume")
    assert done.returncode == 4
    assert "line 2" in done.stderr
    assert done.stderr.count("\n") == 1
    fault.count("detected")
