"""What trackers are told, read back by their own readers; nothing leaves this machine."""

import contextlib
import importlib.util
import json
import logging
import struct
import sys
from collections.abc import Iterator

import pytest
import record_rows
from commands import python
from skipping import skip

from lenet.config import Config, to_dict
from lenet.errors import UsageError
from lenet.records import trackers

ROWS = [
    record_rows.row(1, train_loss=2.25, test_loss=2.0, test_accuracy=0.25),
    record_rows.row(2, train_loss=1.5, test_loss=1.25, test_accuracy=0.5),
]
SEEN = [
    {"epoch": epoch, "layers": {"conv1": {"across": 0.5 * epoch, "gradient": None}}}
    for epoch in range(3)
]


def tell_all(name: str, directory, **options) -> None:
    with trackers.tracking(name, directory, "a run", to_dict(Config()), **options) as tell:
        for epoch, numbers in trackers.epochs(ROWS, SEEN):
            tell(epoch, numbers)


def read_events(folder) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def test_what_is_told_is_every_number_of_every_epoch():
    told = trackers.epochs(ROWS, SEEN)
    assert [epoch for epoch, _ in told] == [0, 1, 2]
    assert told[0][1] == {"across/conv1": 0.0}
    assert told[1][1] == {
        "loss/train": 2.25,
        "loss/test": 2.0,
        "accuracy/train": 0.5,
        "accuracy/test": 0.25,
        "examples_per_second": 3.0,
        "across/conv1": 0.5,
    }


@pytest.mark.filterwarnings("ignore")  # of TensorBoard's own imports
def test_tensorboard_reads_what_it_was_told(tmp_path):
    tell_all("tensorboard", tmp_path)
    found = read_events(tmp_path / "tensorboard")
    assert found["loss/train"] == [(1, 2.25), (2, 1.5)]
    assert found["across/conv1"] == [(0, 0.0), (1, 0.5), (2, 1.0)]
    tell_all("tensorboard", tmp_path)  # as after a resume: instead of the first, not beside it
    assert read_events(tmp_path / "tensorboard") == found
    assert "tensorflow" not in sys.modules


@pytest.mark.filterwarnings("ignore")
def test_tensorboard_knows_the_settings_of_a_run(tmp_path):
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.plugins.hparams.metadata import parse_session_start_info_plugin_data

    tell_all("tensorboard", tmp_path)
    (path,) = (tmp_path / "tensorboard").iterdir()
    (start,) = (
        value
        for event in EventFileLoader(str(path)).Load()
        for value in event.summary.value
        if "session_start" in value.tag
    )
    settings = parse_session_start_info_plugin_data(start.metadata.plugin_data.content).hparams
    assert settings["lr"].number_value == 0.9
    assert settings["channels"].string_value == "6,16"


def read_wandb(content: bytes) -> Iterator:
    """The records of a .wandb file: a LevelDB log behind a header of seven bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    assert content[:4] == b":W&B"
    at, parts = 7, b""
    while at + 7 <= len(content):
        if 32768 - at % 32768 < 7:  # too little of the block is left for a header
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + 7])
        parts += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield Record.FromString(parts)
            parts = b""


@pytest.mark.slow
def test_weights_and_biases_keeps_what_it_was_told_without_a_network(tmp_path):
    if importlib.util.find_spec("wandb") is None:
        skip("Weights & Biases is not installed (scripts/setup wandb)")
    code = (
        "import test_trackers as t; from pathlib import Path\n"
        "for name in 'ab': Path(name).mkdir(); t.tell_all('wandb', Path.cwd() / name)"
    )
    env = {"WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    done = python("-c", code, cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    for name in "ab":  # each run has its own place
        (path,) = tmp_path.glob(f"{name}/wandb/offline-run-*/run-*.wandb")
    history, settings = [], {}
    for record in read_wandb(path.read_bytes()):
        if record.WhichOneof("record_type") == "history":
            history.append(
                {
                    item.key or "/".join(item.nested_key): json.loads(item.value_json)
                    for item in record.history.item
                }
            )
        if record.WhichOneof("record_type") == "run":
            settings |= {u.key: json.loads(u.value_json) for u in record.run.config.update}
    assert [row["_step"] for row in history] == [0, 1, 2]
    assert [row.get("loss/train") for row in history] == [None, 2.25, 1.5]
    assert [row["across/conv1"] for row in history] == [0.0, 0.5, 1.0]
    assert settings["lr"] == 0.9


@pytest.fixture
def flaky(monkeypatch) -> list[int]:
    """A tracker by the name of a module that is there, which fails in epoch 1; what it logged."""
    logged = []

    def log(epoch, numbers):
        logged.append(epoch)
        if epoch == 1:
            raise ConnectionError("gone")

    monkeypatch.setitem(trackers.TRACKERS, "json", lambda *_: contextlib.nullcontext(log))
    return logged


def test_a_tracker_that_fails_is_said_once_and_ends_nothing(flaky, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        tell_all("json", tmp_path)
    assert flaky == [0, 1]
    assert [record.message for record in caplog.records] == [
        "logging to json failed and is now off (ConnectionError('gone')); training continues"
    ]


def test_without_patience_a_tracker_that_fails_is_an_error(flaky, tmp_path):
    with pytest.raises(UsageError, match="tracker=json: logging failed: ConnectionError"):
        tell_all("json", tmp_path, patient=False)


def test_one_that_cannot_begin_is_one_line(tmp_path, monkeypatch):
    def locked(directory, title, config):
        (directory / "json").mkdir()
        raise RuntimeError("not logged in")

    monkeypatch.setitem(trackers.TRACKERS, "json", locked)
    with pytest.raises(UsageError, match="tracker=json: could not start: not logged in"):
        tell_all("json", tmp_path)
    assert not list(tmp_path.iterdir())  # so that the run can be begun again


@pytest.mark.usefixtures("flaky")
def test_what_goes_wrong_in_the_run_is_not_taken_for_the_tracker_s_fault(tmp_path):
    with pytest.raises(ZeroDivisionError), trackers.tracking("json", tmp_path, "a run", {}):
        _ = 1 / 0


def test_a_package_that_is_not_there_is_said_before_anything_begins(monkeypatch):
    monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pip install wandb"):
        trackers.check("wandb")
    trackers.check(None)


@pytest.mark.filterwarnings("ignore")
def test_a_finished_run_is_told_from_its_records(trained, tmp_path):
    run_dir, _ = trained
    done = python("-m", "experiments.track", str(run_dir), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"logged 3 epochs of run to tensorboard ({run_dir})\n"
    rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    found = read_events(run_dir / "tensorboard")
    assert found["loss/test"] == [(r["epoch"], pytest.approx(r["test_loss"])) for r in rows]
    assert [epoch for epoch, _ in found["gradient/conv1"]] == [0, 1, 2, 3]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_resumed_run_has_told_every_epoch_once(tiny, tmp_path):
    from faults.harness import Runner

    runner = Runner(tiny, "--channels=2,3", "--hidden=8", "--epochs=4", "--tracker=tensorboard")
    run_dir = tmp_path / "run"
    runner.kill(run_dir, after_epoch=2)
    assert runner.run(run_dir, "--resume", "--tracker=tensorboard").returncode == 0
    found = read_events(run_dir / "tensorboard")
    assert [epoch for epoch, _ in found["loss/train"]] == [1, 2, 3, 4]
    assert [epoch for epoch, _ in found["across/conv1"]] == [0, 1, 2, 3, 4]
