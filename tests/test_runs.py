"""A run in the library: what a notebook or a script does with it, and what its directory holds."""

import asyncio
import base64
import dataclasses
from pathlib import Path

import numpy as np
import pytest
from commands import python
from record_rows import timeless

from lenet import inspect, records, runs
from lenet.config import Config
from lenet.data import Data, synthetic
from lenet.errors import InUseError, RecordError, UsageError
from lenet.records import checkpoint

ROOT = Path(__file__).parent.parent
TINY = Config(dataset="synthetic", channels=(2, 3), hidden=(8,), batch_size=64, epochs=4, lr=0.5)


@pytest.fixture(scope="module")
def few() -> Data:
    return synthetic.make(200, 50)


@pytest.fixture(scope="module")
def whole(few, tmp_path_factory) -> Path:
    """The directory of a run that nothing interrupted."""
    run = runs.begin(tmp_path_factory.mktemp("whole") / "run", TINY, few)
    assert [row.epoch for row in run.epochs()] == [1, 2, 3, 4]
    return run.directory


def outcome(run_dir: Path) -> tuple:
    """The rows but for their times, the statistics, and the parameters of the last checkpoint."""
    rows = timeless(runs.Run(run_dir, TINY, None).rows())
    _, params = records.load(run_dir)
    arrays = {(a, b): np.asarray(x).tobytes() for a, d in params.items() for b, x in d.items()}
    return rows, records.statistics(run_dir), arrays


def test_a_run_leaves_its_records_and_a_finished_one_yields_nothing(whole):
    assert {path.name for path in whole.iterdir() if path.name[0] != "."} == {
        *("config.json", "metrics.jsonl", "statistics.jsonl", "predictions.jsonl"),
        *("result.json", "checkpoints"),
    }
    assert list(runs.resume(whole).epochs()) == []
    result = records.read_json(whole / "result.json")
    rows = runs.resume(whole).rows()
    assert result["test_accuracy"] == rows[-1].test_accuracy
    assert result["examples"] == 4 * 200


def test_each_epoch_leaves_a_snapshot_of_the_network(whole, few):
    """Its confusion matrix has the accuracy of the epoch; the last answers are the network's."""
    seen = {row["epoch"]: row["snapshot"] for row in records.statistics(whole)}
    assert list(seen) == [0, 1, 2, 3, 4]
    assert seen[0]["confusion"] is None
    for row in runs.resume(whole).rows():
        matrix = np.array(seen[row.epoch]["confusion"])
        assert matrix.sum() == len(few.test.labels)
        assert matrix.trace() / matrix.sum() == row.test_accuracy
    model, params = records.load(whole)
    shares = inspect.probabilities(model, params, few.test.images[seen[4]["images"]])
    answers = np.frombuffer(base64.b64decode(seen[4]["answers"]), np.uint8)
    np.testing.assert_allclose(answers / 255, shares.ravel(), atol=0.002)
    assert list(records.predictions(whole)) == [0]


@pytest.mark.parametrize("every", [1, 3])
def test_a_loop_that_is_left_goes_on_to_the_same_bits(whole, few, tmp_path, every):
    run = runs.begin(tmp_path / "run", TINY, few, checkpoint_every=every)
    for row in run.epochs():
        if row.epoch == 2:
            break
    assert [row.epoch for row in run.epochs()] == [3, 4]
    assert outcome(tmp_path / "run") == outcome(whole)


def test_an_interrupted_cell_can_be_run_again(whole, few, tmp_path):
    """The interrupted loop stays alive, as a notebook keeps the traceback it shows."""
    run = runs.begin(tmp_path / "run", TINY, few)
    left = run.epochs()
    next(left)
    again = runs.resume(tmp_path / "run", few)  # the cell names its run anew
    assert [row.epoch for row in again.epochs()] == [2, 3, 4]
    with pytest.raises(InUseError, match="began later"):
        next(left)
    assert outcome(tmp_path / "run") == outcome(whole)


def test_two_runs_of_one_process_do_not_meet(whole, few, tmp_path):
    pair = [runs.begin(tmp_path / name, TINY, few) for name in ("a", "b")]
    assert [x.epoch for x, _ in zip(*(run.epochs() for run in pair), strict=True)] == [1, 2, 3, 4]
    assert outcome(tmp_path / "a") == outcome(tmp_path / "b") == outcome(whole)


def test_a_run_trains_where_an_event_loop_runs(whole, few, tmp_path):
    async def cell() -> list[int]:
        return [row.epoch for row in runs.begin(tmp_path / "run", TINY, few).epochs()]

    assert asyncio.run(cell()) == [1, 2, 3, 4]
    assert outcome(tmp_path / "run") == outcome(whole)


def test_what_came_after_the_last_checkpoint_is_cut_off_and_trained_again(whole, few, tmp_path):
    run = runs.begin(tmp_path / "run", TINY, few)
    for row in run.epochs():
        if row.epoch == 3:
            break
    checkpoint.path_of(tmp_path / "run", 3).unlink()
    with open(tmp_path / "run/metrics.jsonl", "a") as file:
        file.write('{"epoch": 4, "torn')
    assert [row.epoch for row in runs.resume(tmp_path / "run", few).epochs()] == [3, 4]
    assert outcome(tmp_path / "run") == outcome(whole)


@pytest.mark.parametrize("stopped", [False, True])
def test_a_run_that_gets_more_epochs_is_the_run_that_had_them(whole, few, tmp_path, stopped):
    run = runs.begin(tmp_path / "run", dataclasses.replace(TINY, epochs=3), few)
    for row in run.epochs():
        if stopped and row.epoch == 2:
            break
    longer = runs.resume(tmp_path / "run", few, epochs=4)
    assert [row.epoch for row in longer.epochs()] == ([3, 4] if stopped else [4])
    assert outcome(tmp_path / "run") == outcome(whole)
    assert records.read_json(tmp_path / "run/result.json")["epoch"] == 4
    assert list(runs.resume(tmp_path / "run", few, epochs=4).epochs()) == []
    with pytest.raises(RecordError, match=r"epochs=2, but config\.json has 4; .* more epochs, not"):
        runs.resume(tmp_path / "run", few, epochs=2)


def test_a_schedule_that_depends_on_the_number_of_epochs_cannot_get_more(few, tmp_path):
    config = dataclasses.replace(TINY, schedule="cosine", epochs=2)
    list(runs.begin(tmp_path / "run", config, few).epochs())
    with pytest.raises(RecordError, match="with schedule=cosine the learning rate"):
        runs.resume(tmp_path / "run", few, epochs=4)
    assert list(runs.resume(tmp_path / "run", few).epochs()) == []


def test_mistakes_are_said_in_the_words_of_the_call(whole, few, tmp_path):
    with pytest.raises(UsageError, match=r"created by experiments\.train"):
        runs.begin(whole, TINY, few)
    with pytest.raises(UsageError, match=r"^checkpoint_every=0: must be at least 1"):
        runs.begin(tmp_path / "run", TINY, few, checkpoint_every=0)
    with pytest.raises(UsageError, match=r"^batch_size=999: must be at most the 200"):
        runs.begin(tmp_path / "run", dataclasses.replace(TINY, batch_size=999), few)
    with pytest.raises(RecordError, match="no such directory: give that of a run"):
        records.load(tmp_path / "run")
    with pytest.raises(RecordError, match="no such directory to resume"):
        runs.resume(tmp_path / "run")
    assert not any(tmp_path.iterdir())
    run = runs.begin(tmp_path / "run", TINY, few)
    with pytest.raises(RecordError, match="trained on different data"):
        runs.resume(tmp_path / "run", synthetic.make(199, 50))
    with records.reclaim(tmp_path / "run"), pytest.raises(InUseError):
        next(iter(run.epochs()))
    run.discard()
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_an_epoch_writes_as_many_bytes_late_as_early(few, tmp_path):
    """Rows are appended: a file written anew each epoch would grow with their number."""
    io = Path("/proc/self/io")
    if not io.exists():
        pytest.skip("this system does not count what a process writes")

    def written() -> int:
        return int(io.read_text().split("wchar: ")[1].split()[0])

    config = dataclasses.replace(TINY, batch_size=200, epochs=1000)
    totals = [written() for _ in runs.begin(tmp_path / "run", config, few).epochs()]
    each = np.diff(totals)
    early, late = each[:100].mean(), each[-100:].mean()
    assert len(each) == 999
    assert abs(late - early) < 0.01 * early


@pytest.mark.slow
def test_the_command_can_be_run_twice_in_one_process(tmp_path):
    """As `%run -m experiments.train` in a notebook: flags, signals and streams are put back."""
    code = (
        "import runpy, signal, sys\n"
        "before = signal.getsignal(signal.SIGINT), sys.stdout\n"
        "sys.argv = ['train', '--dataset=synthetic', '--channels=1,1', '--hidden=4',"
        " '--batch_size=10000', '--epochs=1', '--noreport']\n"
        "for name in 'ab':\n"
        "    sys.argv[7:] = [f'--run_dir={name}']\n"
        "    runpy.run_module('experiments.train', run_name='__main__')\n"
        "assert (signal.getsignal(signal.SIGINT), sys.stdout) == before\n"
    )
    done = python("-W", "error", "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert all((tmp_path / name / "result.json").exists() for name in "ab")
