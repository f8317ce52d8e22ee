import pytest
from record_rows import ROW

from lenet.errors import RecordError
from lenet.records import ledger
from lenet.records.ledger import Entry


def entry(run: int) -> Entry:
    return Entry(run=run, config={"lr": 0.1}, rows=[ROW | {"test_loss": 0.1 + 0.2}], diverged=None)


def test_what_was_appended_is_read_in_the_order_of_the_sweep(tmp_path):
    path = tmp_path / "runs.jsonl"
    ledger.append(path, [entry(2), entry(0)])
    ledger.append(path, [entry(1)])
    assert ledger.read(path) == [entry(0), entry(1), entry(2)]


def test_a_torn_line_is_cut_off_and_written_anew(tmp_path):
    path = tmp_path / "runs.jsonl"
    ledger.append(path, [entry(0), entry(1)])
    whole = path.read_bytes()
    end = whole.index(b"\n") + 1
    for length in range(end, len(whole)):
        path.write_bytes(whole[:length])
        assert ledger.read(path) == [entry(0)]
        assert path.read_bytes() == whole[:length]
        ledger.repair(path)
        ledger.append(path, [entry(1)])
        assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("content", "said"),
    [("{}\n", "line 1: not a finished run"), ("nonsense\n", "line 1: not JSON")],
)
def test_what_is_no_ledger_is_refused_by_line(tmp_path, content, said):
    path = tmp_path / "runs.jsonl"
    path.write_text(content)
    with pytest.raises(RecordError, match=said):
        ledger.read(path)


def test_a_run_there_twice_is_refused(tmp_path):
    path = tmp_path / "runs.jsonl"
    ledger.append(path, [entry(0), entry(0)])
    with pytest.raises(RecordError, match="run 0 is there twice"):
        ledger.read(path)


def test_ledgers_of_several_processes_are_counted_and_gathered(tmp_path):
    path = tmp_path / "runs.jsonl"
    parts = [ledger.of_process(path, rank) for rank in range(3)]
    assert parts[0] == path
    for run in (4, 2, 0, 1, 3):
        ledger.append(parts[run % 3], [entry(run)])
    assert ledger.count(path) == 5
    ledger.append(parts[1], [entry(0)])  # moved, when the process died before it was unlinked
    expected = [entry(run) for run in range(5)]
    assert ledger.gather(path) == expected
    assert list(tmp_path.iterdir()) == [path]
    assert ledger.read(path) == ledger.gather(path) == expected
