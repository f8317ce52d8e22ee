"""Predictions: those that the accuracy counted, of every finished run, whatever happened to it."""

import dataclasses
import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import record_rows
from commands import command

from lenet import data, records, runs
from lenet.config import Config
from lenet.data import synthetic
from lenet.errors import RecordError
from lenet.records import ledger, predicted

SMALL = Config(
    dataset="synthetic", channels=(2, 3), hidden=(8,), batch_size=64, epochs=2, activation="relu"
)


@pytest.fixture(scope="module")
def small() -> data.Data:
    return synthetic.make(300, 60)


@pytest.fixture(scope="module")
def finished(small, tmp_path_factory) -> Path:
    """A finished run."""
    run_dir = tmp_path_factory.mktemp("runs") / "run"
    assert [row.epoch for row in runs.begin(run_dir, SMALL, small).epochs()] == [1, 2]
    return run_dir


def accuracy(classes: np.ndarray, small: data.Data) -> float:
    return float((classes == small.test.labels).mean())


def test_the_predictions_of_a_run_are_those_that_its_accuracy_counted(finished, small):
    found = records.predictions(finished)
    assert list(found) == [0]
    assert found[0].dtype == np.uint8
    assert accuracy(found[0], small) == records.epochs(finished)[-1].test_accuracy


def test_they_are_the_same_after_an_interruption_and_of_the_new_end_after_more_epochs(
    finished, small, tmp_path
):
    for kept in (1, 0):  # killed before the last checkpoint, or before the first
        again = shutil.copytree(finished, tmp_path / str(kept))
        (again / "result.json").unlink()
        (again / "predictions.jsonl").write_bytes(b'{"torn')
        for path in list((again / "checkpoints").iterdir())[kept:]:
            path.unlink()
        (again / "checkpoints/00002.npz").unlink(missing_ok=True)
        list(runs.resume(again, small).epochs())
        np.testing.assert_array_equal(
            records.predictions(again)[0], records.predictions(finished)[0]
        )
    more = shutil.copytree(finished, tmp_path / "more")
    (last,) = list(runs.resume(more, small, epochs=3).epochs())
    assert accuracy(records.predictions(more)[0], small) == last.test_accuracy


def of_sweep(small, path: Path, configs: list[Config]) -> dict[int, np.ndarray]:
    done = {entry.run for entry in runs.finished(path, configs)}
    todo = {run: config for run, config in enumerate(configs) if run not in done}
    for _ in runs.many(todo, {("synthetic", 0): small}, path):
        pass
    return records.predictions(path.parent)


@pytest.mark.slow
def test_a_sweep_keeps_a_line_for_each_run_that_did_not_diverge_and_resumes(small, tmp_path):
    configs = [dataclasses.replace(SMALL, lr=lr, seed=s) for s, lr in enumerate((0.1, 1e6, 0.3))]
    path = tmp_path / "runs.jsonl"
    whole = of_sweep(small, path, configs)
    assert list(whole) == [0, 2]
    ends = {entry.run: entry.rows[-1].test_accuracy for entry in ledger.read(path) if entry.rows}
    assert {run: accuracy(each, small) for run, each in whole.items()} == {
        run: ends[run] for run in whole
    }
    # Killed between the predictions of a run and its line in the ledger, or in the middle of both.
    predictions = predicted.beside(path)
    for ledger_kept, tail in ((1, b""), (0, b""), (2, b'{"run": 2, "cla')):
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[:ledger_kept]) + lines[-1][:40])
        predictions.write_bytes(predictions.read_bytes() + tail)
        again = of_sweep(small, path, configs)
        assert again.keys() == whole.keys()
        for run, classes in whole.items():
            np.testing.assert_array_equal(again[run], classes)


def test_more_than_256_classes_are_kept(tmp_path):
    classes = np.array([0, 256, 999], np.uint16)
    row = record_rows.row(classes=classes)
    ledger.append(tmp_path / "runs.jsonl", [record_rows.entry(0, [row])])
    found = records.predictions(tmp_path)[0]
    assert found.dtype == np.uint16
    assert found.tolist() == classes.tolist()


def test_a_flipped_bit_is_named(finished, tmp_path):
    run_dir = shutil.copytree(finished, tmp_path / "run")
    path = run_dir / "predictions.jsonl"
    content = bytearray(path.read_bytes())
    content[content.index(b'"classes"') + 30] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(RecordError, match=r"predictions\.jsonl: line 1: "):
        records.predictions(run_dir)


@pytest.mark.parametrize(
    "change",
    [{"dtype": "float64"}, {"count": 4}, {"classes": "AAAA"}, {"run": "0"}, {"count": None}],
)
def test_what_are_no_predictions_is_named(tmp_path, change):
    row = record_rows.row(classes=np.zeros(5, np.uint8))
    ledger.append(tmp_path / "runs.jsonl", [record_rows.entry(0, [row])])
    path = tmp_path / "predictions.jsonl"
    path.write_text(json.dumps(json.loads(path.read_text()) | change) + "\n")
    with pytest.raises(RecordError, match="line 1: not the predictions of a run"):
        records.predictions(tmp_path)


def test_a_directory_of_an_earlier_version_has_none(tmp_path):
    assert records.predictions(tmp_path) == {}


@pytest.mark.slow
def test_a_run_of_a_sweep_is_repeated_to_the_bit_and_a_changed_one_is_not(small, tmp_path):
    (entry,) = (
        found
        for news in runs.many({0: SMALL}, {("synthetic", 0): small}, tmp_path / "runs.jsonl")
        for found in news.ended
    )
    assert runs.repeats(entry, small)
    rows = [dataclasses.replace(row, seconds=row.seconds + 1) for row in entry.rows]
    assert runs.repeats(entry._replace(rows=rows), small)
    nearly = dataclasses.replace(rows[-1], test_loss=np.nextafter(rows[-1].test_loss, 9).item())
    assert not runs.repeats(entry._replace(rows=[rows[0], nearly]), small)


compare = partial(command, "compare", "--noreport")


@pytest.mark.slow
def test_a_comparison_keeps_those_of_all_stages(tiny, tmp_path):
    done = compare(
        "--quick",
        "--seeds=2",
        "--epochs=1",
        "--valid=50",
        "--dataset=tiny",
        f"--data_dir={tiny}",
        "--batch_size=64",
        "--run_dir=run",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    entries = ledger.read(tmp_path / "run" / "runs.jsonl")
    assert records.predictions(tmp_path / "run").keys() == {
        e.run for e in entries if e.diverged is None
    }
