"""The study of a search in a database: what the ledger has, for whoever looks on."""

import logging

import pytest
from postgres import server

from lenet.config import Config
from lenet.errors import UsageError
from lenet.search import Leg, Mark, Plan, Range, Rule, Trial, ledger, storage

optuna = pytest.importorskip("optuna")
RUNNING, COMPLETE, PRUNED, FAIL = (
    getattr(optuna.trial.TrialState, name) for name in ("RUNNING", "COMPLETE", "PRUNED", "FAIL")
)
SPACE = {"lr": Range(0.01, 1.0, True, False), "channels": ((2, 3), (6, 16))}
PLAN = Plan(Config(epochs=2), SPACE, 4, 1, Rule("asha", 2, 1, 2), "random", 0, 0.1)


def trials(*epochs):
    """Trials that were trained for so many epochs."""
    found = []
    for number, count in enumerate(epochs):
        found = ledger.with_line(found, Trial(number, {"lr": 0.1, "channels": [6, 16]}))
        marks = tuple(Mark(n, 1.0, 1.0, n / 10, 50, 1.0) for n in range(1, count + 1))
        found = ledger.with_line(found, Leg(number, 0, marks, None))
    return found


def states(study):
    return [trial.state for trial in study.get_trials()]


def follow(url):
    """Show a search to its end; return the study as another process reads it."""
    shown = storage.Shown(storage.open_storage(url), "one", PLAN, [])
    study = optuna.load_study(study_name="one", storage=storage.open_storage(url))
    for now, changed in ((trials(0), [0]), (trials(1, 0), [0, 1]), (trials(2, 1), [0, 1])):
        shown.update(now, changed)
    assert states(study) == [COMPLETE, RUNNING]
    assert study.get_trials()[0].intermediate_values == {1: 0.1, 2: 0.2}
    assert study.best_value == 0.2
    assert study.best_params == {"lr": 0.1, "channels": "6,16"}
    shown.end(finished=True)
    assert states(study) == [COMPLETE, PRUNED]
    return study


def test_a_search_is_shown_in_sqlite(tmp_path):
    follow(f"sqlite:///{tmp_path}/study.db")


def test_what_runs_when_a_search_stops_has_failed_and_is_made_anew(tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    storage.Shown(storage.open_storage(url), "one", PLAN, trials(2, 1)).end(finished=False)
    assert states(optuna.load_study(study_name="one", storage=storage.open_storage(url))) == [
        COMPLETE,
        FAIL,
    ]
    storage.Shown(storage.open_storage(url), "one", PLAN, trials(2, 1, 0))
    study = optuna.load_study(study_name="one", storage=storage.open_storage(url))
    assert states(study) == [COMPLETE, RUNNING, RUNNING]


def test_a_damaged_file_is_made_anew(tmp_path):
    (tmp_path / storage.DATABASE).write_bytes(b"no database" * 1000)
    storage.of_run(None, tmp_path)


def test_a_search_is_shown_in_postgresql_and_does_without_once_it_fails(caplog):
    with server() as (url, process):
        follow(url)
        shown = storage.Shown(storage.open_storage(url), "two", PLAN, trials(1))
        process.kill()
        process.wait()
        with caplog.at_level(logging.WARNING):
            for _ in range(2):
                shown.update(trials(2, 1), [0, 1])
            shown.end(finished=True)
    assert [record.message.count("is now off") for record in caplog.records] == [1]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nowhere", "this database cannot be used"),
        ("sqlite:////no/such/directory/study.db", "unable to open"),
        ("postgresql+psycopg://me:secret@127.0.0.1:1/db", "127.0.0.1"),
        ("oracle9://x/y", "cannot be used"),
    ],
)
def test_a_database_that_cannot_be_reached_is_one_line(url, said):
    with pytest.raises(UsageError) as raised:
        storage.open_storage(url)
    assert said in str(raised.value)
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)
