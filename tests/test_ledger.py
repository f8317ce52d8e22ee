import dataclasses
import json

import numpy as np
import pytest
import record_rows

from lenet.errors import RecordError
from lenet.records import ledger, predicted, reading
from lenet.records.ledger import Entry


def entry(run: int) -> Entry:
    return record_rows.entry(run, [record_rows.row(test_loss=0.1 + 0.2)], lr=0.1, channels=(2, 3))


def test_a_line_is_plain_json_and_settings_that_it_lacks_are_the_defaults(tmp_path):
    """As ledgers of earlier versions were written: the fields of a row in any order."""
    path = tmp_path / "runs.jsonl"
    ledger.append(path, [entry(0)])
    line = json.loads(path.read_text())
    assert line["config"]["channels"] == [2, 3]
    assert line["rows"][0]["running"] == [[0.5, 1.5, 0.25], [1.0, 1.0, 0.5]]
    assert line["diverged"] is None
    old = {"run": 0, "config": {"lr": 0.1}, "diverged": "at step 1", "rows": []}
    path.write_text(json.dumps(old) + "\n")
    assert ledger.read(path) == [record_rows.entry(0, [], "at step 1", lr=0.1)]


def test_what_was_appended_is_read_in_the_order_of_the_sweep(tmp_path):
    path = tmp_path / "runs.jsonl"
    ledger.append(path, [entry(2), entry(0)])
    ledger.append(path, [entry(1)])
    assert ledger.read(path) == [entry(0), entry(1), entry(2)]


@pytest.mark.slow
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


def test_what_a_run_predicted_that_is_not_in_the_ledger_goes(tmp_path):
    """Its process died between the two lines; it is trained again, and predicts the same again."""
    path, row = tmp_path / "runs.jsonl", record_rows.row(1)
    row = dataclasses.replace(row, classes=np.array([3, 1], np.uint8))
    predictions = predicted.beside(path)
    reading.append(predictions, predicted.lines([(0, row)]))
    assert ledger.repair(path) == []
    assert predictions.read_bytes() == b""
    ledger.append(path, [entry(0)._replace(rows=[row])])
    whole = predictions.read_bytes()
    reading.append(predictions, predicted.lines([(1, row)]))
    assert [each.run for each in ledger.repair(path)] == [0]
    assert predictions.read_bytes() == whole


def changed(**values) -> str:
    return json.dumps(entry(0).to_dict() | values) + "\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{}\n", "line 1: not a finished run: expected an object with run, config"),
        ("nonsense\n", "line 1: not JSON"),
        (changed(run=-1), "line 1: not a finished run: run: expected a whole number"),
        (changed(config={"speed": 1}), "line 1: not a finished run: config: unknown setting"),
        (changed(rows=[{}]), "line 1: not a finished run: epoch: expected a finite number"),
        (changed(rows=[record_rows.row(2).to_dict()]), "line 1: .*: epoch: expected 1, found 2"),
        (changed(rows=[]), "line 1: not a finished run: neither epochs nor a reason"),
    ],
)
def test_what_is_no_ledger_is_refused_by_line(tmp_path, content, said):
    path = tmp_path / "runs.jsonl"
    path.write_text(content)
    with pytest.raises(RecordError, match=said):
        ledger.read(path)


def test_a_run_there_twice_is_refused(tmp_path):
    path = tmp_path / "runs.jsonl"
    ledger.append(path, [entry(0), entry(0)])
    with pytest.raises(RecordError, match="run 0 is a duplicate"):
        ledger.read(path)
