# ruff: noqa: PT017  an error is one of the two right answers here
"""Whatever is in a file or on a command line, nothing but the documented errors comes out."""

import contextlib
import io
import json

import numpy as np
import pytest
from forged import forged, sealed
from hypothesis import example, given
from hypothesis import strategies as st
from record_rows import ROW as WHOLE

from experiments.cli import axes
from lenet import config, files, records, train
from lenet.config import Config
from lenet.errors import RecordError, UsageError
from lenet.model import network
from lenet.records import checkpoint, directory, ledger

ROW = WHOLE.to_dict()
NAMES = [field.name for field in config.fields()]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def saved() -> bytes:
    """A checkpoint of a small network."""
    small = Config(channels=(2, 3), hidden=(8,))
    state = train.init(network(small, 10), small, (28, 28, 1))
    return checkpoint.to_bytes(checkpoint.Checkpoint(1, small, (28, 28, 1), 10, "", {}, state))


@given(st.binary(max_size=300))
def test_bytes_that_are_no_checkpoint_are_a_record_error(content):
    for attempt in (content, sealed(content + b"0" * checkpoint._DIGEST)):
        with pytest.raises(RecordError):
            checkpoint.from_bytes(attempt)


@given(st.data())
def test_a_checkpoint_changed_anywhere_is_a_record_error_even_if_it_is_sealed_again(saved, data):
    content = bytearray(saved)
    inside = st.integers(0, len(content) - checkpoint._DIGEST - 1)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(inside)] = data.draw(st.integers(0, 255))
    try:
        found = checkpoint.from_bytes(sealed(bytes(content)))
    except RecordError:
        return
    # A date or a number may have become another one: it is still a whole checkpoint.
    assert found.state.params["conv1"]["kernel"].shape == (5, 5, 1, 2)


@given(st.dictionaries(st.sampled_from(["config", "image_shape", "num_classes", "epoch"]), JSON))
@example({"config": {"channels": [[1]]}})
@example({"config": {"lr": "0.1"}})
@example({"config": {"epochs": True}})
@example({"config": {"kernel_size": 2.5}})
@example({"config": {"seed": 10**400}})
@example({"image_shape": [1 << 19, 1 << 19, 1 << 19]})
def test_a_header_of_anything_is_a_record_error(saved, changes):
    before = checkpoint.from_bytes(saved).config
    try:
        found = checkpoint.from_bytes(forged(saved, header=changes))
    except RecordError as error:
        assert "\n" not in str(error)
    else:
        assert found.config == config.from_dict(config.to_dict(before) | changes.get("config", {}))


@given(st.dictionaries(st.sampled_from(NAMES), JSON))
@example({"lr": "0.1"})
@example({"hidden": 5})
@example({"nesterov": 1})
@example({"batch_size": 1.5})
@example({"seed": 10**400})
def test_settings_of_anything_are_a_config_or_a_usage_error(values):
    try:
        found = config.from_dict(values)
    except UsageError as error:
        assert "\n" not in str(error)
    else:
        assert config.from_dict(config.to_dict(found)) == found


WORDS = st.sampled_from(["0:8", "..", ":log", ",", "/", "1e-3", "-", "inf", "nan", "1_0", "٣", "0"])


@given(st.sampled_from(NAMES), st.text(max_size=30) | st.lists(WORDS).map("".join))
@example("seed", "0:999999999999999999")
@example("seed", "nan..1:log3")
@example("lr", "1e-300..1e300:log99999999")
@example("lr", "5e-324..1e308:log9")
@example("lr", "1..inf:log3")
@example("lr", "9" * 5000)
@example("channels", ",,/,")
def test_the_text_of_an_axis_is_values_or_a_usage_error(name, text):
    try:
        found = axes.parse(name, text)
    except UsageError as error:
        assert f"--{name}" in str(error)
        return
    assert 1 <= len(found.values) <= axes.MOST
    assert len(set(found.values)) == len(found.values)
    with contextlib.suppress(UsageError):
        for setting in axes.settings([found]):
            config.from_dict(setting)


@given(st.binary(max_size=200) | st.lists(JSON).map(lambda x: json.dumps(x).encode()))
def test_rows_and_ledgers_of_anything_are_rows_or_a_record_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("fuzz") / "rows.jsonl"
    for read in (lambda path: [*records.read_lines(path)], ledger.read):
        path.write_bytes(content + b"\n")
        try:
            found = read(path)
        except RecordError as error:
            assert path.name in str(error)
        else:
            assert isinstance(found, list)


@given(st.dictionaries(st.sampled_from(list(ROW)), JSON))
@example({"running": [[1, 2]]})
@example({"test_loss": float("nan")})
@example({"seconds": 10**400})
@example({"count": True})
def test_a_row_is_numbers_where_they_belong_or_a_record_error(tmp_path_factory, changes):
    run_dir = tmp_path_factory.mktemp("fuzz")
    (run_dir / "metrics.jsonl").write_text(json.dumps(ROW | changes) + "\n")
    try:
        (row,) = records.epochs(run_dir, 1)
    except RecordError as error:
        assert "line 1" in str(error)
    else:
        numbers = row.to_dict()
        assert np.isfinite(numbers.pop("running")).all()
        assert np.isfinite([each for each in numbers.values() if each is not None]).all()
        assert row.epoch == 1


@given(JSON, JSON)
@example(0, {"conv1": {"mean": "0.5"}})
def test_statistics_of_anything_are_rows_or_a_record_error(tmp_path_factory, epoch, layers):
    run_dir = tmp_path_factory.mktemp("fuzz")
    path = run_dir / directory.STATISTICS
    path.write_text(json.dumps({"epoch": epoch, "layers": layers}) + "\n")
    try:
        (row,) = records.statistics(run_dir)
    except RecordError as error:
        assert "line 1" in str(error)
    else:
        assert type(row["epoch"]) is int
        assert all(isinstance(numbers, dict) for numbers in row["layers"].values())


@given(st.lists(st.integers(0, 9), min_size=1, unique=True), st.data())
def test_a_torn_tail_costs_the_last_row_alone(tmp_path_factory, numbers, data):
    path = tmp_path_factory.mktemp("fuzz") / "rows.jsonl"
    rows = [{"epoch": number} for number in numbers]
    files.write_rows(path, rows)
    content = path.read_bytes()
    last = content[:-1].rfind(b"\n") + 1
    path.write_bytes(content[: data.draw(st.integers(last, len(content) - 1))])
    assert [row for _, row in records.read_lines(path)] == rows[:-1]


def test_the_arrays_of_a_checkpoint_are_read_by_numpy_alone(saved):
    with np.load(io.BytesIO(saved), allow_pickle=False) as arrays:
        assert arrays["params/conv1/kernel"].shape == (5, 5, 1, 2)
        assert int(arrays["step"]) == 0
        assert json.loads(arrays["header.json"])["format"] == checkpoint.VERSION
