"""Records are sealed: no flipped bit is silent, and a line of another run is none of this one."""

import contextlib
import random
import shutil
from pathlib import Path

import pytest
import record_rows
from hypothesis import given
from hypothesis import strategies as st

from lenet import records, runs
from lenet.config import Config
from lenet.data import synthetic
from lenet.errors import RecordError
from lenet.records import ledger, seals

TINY = Config(dataset="synthetic", channels=(1, 2), hidden=(4,), batch_size=64, epochs=3)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda each: st.lists(each) | st.dictionaries(st.text(), each),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The directory of a finished run, and in it one of a sweep."""
    run_dir = tmp_path_factory.mktemp("sealed") / "run"
    assert len([*runs.begin(run_dir, TINY, synthetic.make(200, 50)).epochs()]) == 3
    (run_dir / "sweep").mkdir()
    records.write_json(run_dir / "sweep/sweep.json", {"command": "a sweep"})
    rows = [record_rows.row(epoch) for epoch in (1, 2)]
    for run in range(4):
        ledger.append(run_dir / "sweep/runs.jsonl", [record_rows.entry(run, rows, lr=0.5)])
    return run_dir


def read(run_dir: Path) -> list:
    """All that the records of a directory say."""
    jsons = ("config.json", "result.json", "sweep/sweep.json")
    return [
        *(records.read_json(run_dir / name) for name in jsons),
        *(records.epochs(run_dir), records.statistics(run_dir)),
        ledger.read(run_dir / "sweep/runs.jsonl"),
    ]


@given(
    st.dictionaries(st.text().filter(lambda name: name != seals.SEAL), JSON), st.text(min_size=1)
)
def test_what_is_sealed_comes_back_and_nothing_else_does(values, run):
    sealed = seals.seal(values, run)
    assert seals.unseal(sealed, run) == values
    for changed in (values, sealed | {"new": 1}, sealed | {seals.SEAL: "0"}):
        with pytest.raises(ValueError, match="seal"):
            seals.unseal(changed, run)
    with pytest.raises(ValueError, match="seal"):
        seals.unseal(sealed, f"{run}.")
    with pytest.raises(ValueError, match="seal"):
        seals.unseal(sealed, None)


@pytest.mark.parametrize(
    "name",
    ["metrics.jsonl", "statistics.jsonl", "result.json", "config.json", "sweep/runs.jsonl"],
)
def test_no_flipped_bit_is_silent(whole, tmp_path, name):
    run_dir = shutil.copytree(whole, tmp_path / "run")
    said, content = read(whole), (whole / name).read_bytes()
    draws = random.Random(name)
    # The last bytes too: a line whose end is damaged is no torn one.
    places = [*range(len(content) - 20, len(content)), *draws.sample(range(len(content)), 100)]
    for place in places:
        flipped = bytearray(content)
        flipped[place] ^= 1 << draws.randrange(8)
        (run_dir / name).write_bytes(flipped)
        with contextlib.suppress(RecordError):
            assert read(run_dir) == said, (place, bytes(flipped[place - 20 : place + 20]))


def test_a_line_of_another_run_is_refused_and_one_written_twice_is_one(whole, tmp_path):
    run_dir = shutil.copytree(whole, tmp_path / "run")
    path = run_dir / "metrics.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], lines[1], lines[1], lines[2]]))
    assert read(run_dir) == read(whole)
    other = runs.begin(tmp_path / "other", TINY, synthetic.make(200, 50)).directory
    shutil.copy(path, other)
    with pytest.raises(RecordError, match=r"line 1: its seal does not match: .* of another run"):
        records.epochs(other)
