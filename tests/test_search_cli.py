"""A search as a person meets it: a process, its output, its exit status, what it leaves."""

import csv
import io
import json
import re
import shlex
import shutil
import subprocess
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest
from commands import ROOT, command, python
from PIL import Image
from postgres import PASSWORD, server

from lenet import records
from lenet.config import Config
from lenet.engine import cores
from lenet.search import ledger, storage

SIZES = ("--channels=2,3", "--hidden=8", "--batch_size=64", "--epochs=2", "--preset=modern")
SOME = (*SIZES, "--lr=0.01..0.3:log", "--momentum=0,0.5", "--valid=50", "--trials=4")
HALVED = (*SOME, "--halving=2", "--rule=halving", "--final_seeds=2", "--sampler=random")
search = partial(command, "search", "--noreport")


@pytest.fixture(scope="session")
def searched(once, tiny):
    """A finished search of four settings: its directory, and what it printed."""

    def make(path: Path) -> None:
        flags = (*HALVED, "--dataset=tiny", f"--data_dir={tiny}", "--run_dir=run")
        done = command("search", *flags, cwd=path)
        assert done.returncode == 0, done.stderr
        (path / "done.json").write_text(json.dumps(vars(done)))

    path = once("searched", make)
    done = json.loads((path / "done.json").read_text())
    return path / "run", subprocess.CompletedProcess(**done)


def test_a_search_leaves_its_ledgers_figures_and_sentences(searched):
    import optuna

    run_dir, done = searched
    assert done.stderr == ""
    trials = ledger.read(run_dir / "trials.jsonl")
    assert sorted(trial.epochs for trial in trials) == [1, 1, 2, 2]
    entries = [json.loads(line) for line in (run_dir / "runs.jsonl").read_text().splitlines()]
    assert sorted(entry["config"]["seed"] for entry in entries) == [4, 5]  # none of the search's
    assert len((run_dir / "trials.csv").read_text().splitlines()) == 5
    (final,) = csv.DictReader((run_dir / "summary.csv").read_text().splitlines())
    last = [entry["rows"][-1]["test_accuracy"] for entry in entries]
    assert final["n"] == "2"
    assert float(final["test_accuracy_mean"]) == pytest.approx(sum(last) / 2, rel=1e-5)
    assert float(final["lr"]) == pytest.approx(entries[0]["config"]["lr"], rel=1e-3)
    for name in ("history.png", "rungs.png"):
        assert Image.open(io.BytesIO((run_dir / name).read_bytes())).size[0] > 600
    said = " ".join(done.stdout.split())
    assert re.search(r"Best of 4 settings: learning rate 0\.\d+, momentum", said)
    assert "Early stopping trained 6 of 8 epochs (75%): 2 of 4 settings were stopped" in said
    assert "the order of the best settings is not known" in said
    database = storage.of_run(None, run_dir)
    (study,) = optuna.get_all_study_summaries(database)
    shown = optuna.load_study(study_name=study.study_name, storage=database)
    assert {trial.state.name for trial in shown.get_trials()} == {"COMPLETE", "PRUNED"}
    page = (run_dir / "report.html").read_text()
    assert "Optimisation history" in page
    assert "新种子的平均测试精度" in page


@pytest.mark.parametrize(
    ("flags", "early"),
    [
        (["--activation=relu,sigmoid", "--halving=2"], True),
        (["--activation=relu,sigmoid", "--halving=2", "--min_epochs=3"], False),
        (["--activation=relu", "--halving=2"], False),
        ([], False),
    ],
)
def test_a_sigmoid_that_is_compared_on_its_plateau_gets_a_note(flags, early):
    code = "import sys; from absl import flags; from experiments import search; "
    code += "flags.FLAGS(sys.argv); print(search._early(search._plan()))"
    done = python("-c", code, "--lr=0.01..1:log", "--trials=4", *flags)
    assert done.stdout == f"{early}\n", done.stderr


def test_no_file_of_a_search_has_a_test_result_but_those_of_the_winner(searched):
    run_dir, _ = searched
    assert "test" not in (run_dir / "trials.jsonl").read_text()


def test_a_search_continues_and_a_finished_one_says_the_same(searched, tmp_path, monkeypatch):
    run = tmp_path / "run"
    monkeypatch.setattr(cores, "parts", lambda: 16)  # of another machine
    shutil.copytree(searched[0], run)
    before = (run / "trials.jsonl").read_bytes()
    record = records.read_json(run / "search.json")
    if record["parts"] == Config.parts:  # as of a search of before there were parts
        del record["parts"], record["plan"]["base"]["parts"]
        records.write_json(run / "search.json", record)
    done = command("search", "--run_dir=run", "--resume", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "4 settings proposed, 6 epochs trained" in done.stdout
    assert (run / "trials.jsonl").read_bytes() == before
    assert done.stdout.split("trial  ")[-1][:400] == searched[1].stdout.split("trial  ")[-1][:400]


@pytest.mark.slow
def test_nothing_depends_on_what_the_database_holds(searched, tmp_path):
    """An unfinished search that has lost it, or has another file there, ends as it would have."""

    def trials(run_dir: Path) -> list[dict]:
        found = [json.loads(line) for line in (run_dir / "trials.jsonl").read_text().splitlines()]
        for each in found:
            del each["seal"]
            for mark in each.get("marks", ()):
                del mark["seconds"]
        return sorted(found, key=str)

    run = tmp_path / "run"
    shutil.copytree(searched[0], run)
    kept = (run / "trials.jsonl").read_bytes().splitlines(keepends=True)[:2]  # two settings
    (run / "trials.jsonl").write_bytes(b"".join(kept))
    (run / "runs.jsonl").unlink()
    (run / storage.DATABASE).write_bytes(b"no database" * 1000)
    done = command("search", "--run_dir=run", "--resume", "--noreport", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert trials(run) == trials(searched[0])


def test_another_space_is_refused(searched, tiny):
    run_dir, _ = searched
    here = ("--run_dir=run", f"--data_dir={tiny}")
    done = search("--lr=0.01..0.4:log", *here, "--resume", cwd=run_dir.parent)
    assert (done.returncode, done.stderr.count("\n")) == (4, 1)
    assert "contains another search (--lr=0.01..0.4:log, not 0.01..0.3:log)" in done.stderr
    done = search(*HALVED, "--dataset=tiny", *here, cwd=run_dir.parent)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "To continue: python -m experiments.search --run_dir=" in done.stderr


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((), "nothing to search: give ranges or lists"),
        (("--lr=0.1",), "nothing to search"),
        (("--lr=1..0.1",), "--lr=1..0.1: the lower end comes first"),
        (("--lr=0..1:log",), "--lr=0..1:log: a log range starts above 0"),
        (("--lr=-1..1",), "--lr=-1.0: must be above 0"),
        (("--optimizer=sgd..adam",), "--optimizer=sgd..adam: only numbers have ranges. Give"),
        (("--hidden=8..16",), "--hidden=8..16: only numbers have ranges. Give"),
        (("--lr=0.1..1", "--trials=0"), "--trials=0: must be from 1 to 1,000,000"),
        (("--lr=0.1..1", "--seeds=99999999999999999999"), "--seeds=99999999999999999999: must be"),
        (("--lr=0.1..1", "--trials=10001"), "10,001 runs would take about"),
        (
            ("--lr=0.1..1", "--seed=2147483640"),
            "the last seed, 2147483651, must be below 2147483648",
        ),
        (("--lr=0.1..1", "--storage="), "--storage=: give it a value, or leave the flag out"),
        (("--batch_size=0..64:log",), "such as 1..64:log"),
        (("--lr=0.1..1", "--epochs=0"), "--epochs=0: must be at least 1"),
        (("--lr=0.1..1", "--epochs=1,2"), "--epochs=1,2: one value only"),
        (("--lr=0.1..1", "--valid=0"), "selects on held-out images"),
        (("--lr=0.1..1", "--halving=1"), "--halving=1: must be at least 2"),
        (("--lr=0.1..1", "--halving=2", "--rule=none"), "--rule=none stops nothing"),
        (
            ("--lr=0.1..1", "--batch_size=64", "--storage=nowhere"),
            "--storage=nowhere: this database cannot be used",
        ),
        (("--pool=avg,max", "--trials=3"), "--trials=3: there are only 2 settings"),
        (("--lr=0.1..1", "--batch_size=64..999"), "--batch_size=999: must be at most the 250"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(flags, said, tiny, tmp_path):
    where = ("--dataset=tiny", f"--data_dir={tiny}", "--run_dir=run")
    held = () if any("valid" in flag for flag in flags) else ("--valid=50",)
    done = search(*held, *flags, *where, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "host",
    ["me:secret@127.0.0.1:1/db", "me:s/secret@x@127.0.0.1:1/db", "127.0.0.1:1/db?password=secret"],
)
def test_an_error_tells_no_password(host, tiny, tmp_path):
    where = ("--dataset=tiny", f"--data_dir={tiny}", "--valid=50", "--batch_size=64")
    done = search("--lr=0.1..1", *where, f"--storage=postgresql+psycopg://{host}", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "secret" not in done.stderr
    assert "***" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_search_in_postgresql_is_resumed_and_its_password_is_in_no_file(tiny, tmp_path):
    optuna = pytest.importorskip("optuna")
    flags = (*HALVED, "--dataset=tiny", f"--data_dir={tiny}")
    with server() as (url, _):
        done = search(*flags, f"--storage={url}", "--run_dir=run", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        secrets = PASSWORD.encode(), quote(PASSWORD).encode()
        for path in filter(Path.is_file, (tmp_path / "run").rglob("*")):
            assert not any(secret in path.read_bytes() for secret in secrets), path
        assert not (tmp_path / "run" / storage.DATABASE).exists()
        ledger_of = tmp_path / "run" / "trials.jsonl"
        whole = ledger_of.read_bytes().splitlines(keepends=True)
        ledger_of.write_bytes(b"".join(whole[:2]))
        refused = search("--run_dir=run", "--resume", cwd=tmp_path)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        assert "give it again: a record holds no password" in refused.stderr
        again = search("--run_dir=run", "--resume", f"--storage={url}", cwd=tmp_path)
        assert again.returncode == 0, again.stderr
        assert len(ledger.read(ledger_of)) == 4
        (study,) = optuna.get_all_study_summaries(storage.open_storage(url))
        assert study.n_trials == 4


OPTIMIZER = """
import optax

def make(schedule):
    return optax.chain(optax.trace(0.5), optax.scale_by_learning_rate(schedule))
"""


@pytest.mark.slow
def test_an_optimizer_of_the_user_s_is_an_axis_of_a_search_that_is_resumed(tiny, tmp_path):
    (tmp_path / "a_rule_of_mine.py").write_text(OPTIMIZER)
    axes = ("--optimizer=sgd,a_rule_of_mine:make", "--lr=0.05..0.1")
    flags = (*SIZES, *axes, "--valid=50", "--trials=4", "--halving=2", "--final_seeds=2")
    where = ("--dataset=tiny", f"--data_dir={tiny}", "--run_dir=run", "--sampler=random")
    done = search(*flags, *where, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    path = tmp_path / "run" / "trials.jsonl"
    words = {trial.setting["optimizer"] for trial in ledger.read(path)}
    assert words == {"sgd", "a_rule_of_mine:make"}
    refused = search("--run_dir=run", "--resume", cwd=tmp_path)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert f"Give {axes[0]} again" in refused.stderr
    again = search("--run_dir=run", "--resume", axes[0], cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert again.stdout.split("trial  ")[-1] == done.stdout.split("trial  ")[-1]


def test_the_report_is_made_from_the_records(searched, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(searched[0], run)
    done = command("report", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    described = records.read_json(run / "search.json")
    assert described["plan"]["space"]["lr"] == {
        "low": 0.01,
        "high": 0.3,
        "log": True,
        "whole": False,
    }


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_block_of_the_page_runs_in_an_empty_folder(language, tmp_path, fashion_mnist):
    text = (ROOT / "docs" / language / "search.md").read_text(encoding="utf-8")
    block, *_ = re.findall(r"^```bash\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    for line in block.splitlines():
        assert line.startswith("python -m experiments.search ")
        done = python(*shlex.split(line)[1:], cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert "Best of 8 settings" in done.stdout
