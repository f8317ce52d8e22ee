"""Optimizers of the user's: a function of the learning-rate schedule that returns an optax rule."""

import shutil

import chex
import jax
import numpy as np
import optax
import pytest
from commands import command

from lenet import config, records, runs, train
from lenet.config import Config, LeNet
from lenet.data import synthetic
from lenet.engine import lanes, sweep
from lenet.engine import sgd as step_of
from lenet.engine.stacking import groups
from lenet.errors import RecordError, UsageError

DATA = synthetic.make(100, 20)
SMALL = LeNet(channels=(2,), hidden=(4,), activation="relu")
SETTINGS = {"dataset": "synthetic", "batch_size": 50, "epochs": 2, "lr": 0.1}


def sgd(schedule):
    return optax.chain(optax.trace(0.9), optax.scale_by_learning_rate(schedule))


def adagrad(schedule):
    return optax.adagrad(schedule)


def number(schedule):
    return 0.1


def raises(schedule):
    raise ValueError("first line\nsecond line")


def grows(schedule):
    return optax.GradientTransformation(
        lambda params: params, lambda updates, state, params=None: (updates, (state, state))
    )


def losses(settings):
    return [row.train_loss for row, _ in train.fit(train.start(settings, DATA))]


@pytest.mark.slow
@pytest.mark.parametrize("schedule", ["constant", "linear"])
def test_the_same_rule_trains_to_the_same_losses(schedule):
    own = Config(SMALL, **SETTINGS, schedule=schedule, optimizer=sgd)
    ours = Config(SMALL, **SETTINGS, schedule=schedule, momentum=0.9)
    np.testing.assert_allclose(losses(own), losses(ours), rtol=1e-6)


@pytest.mark.parametrize(
    "optimizer",
    ["adam", *(pytest.param(rule, marks=pytest.mark.slow) for rule in ("adamw", "lion", adagrad))],
)
def test_each_optimizer_compiles_once_for_all_its_rates(optimizer, monkeypatch):
    sweep.epoch.clear_cache()
    chex.clear_trace_counter()
    monkeypatch.setattr(step_of, "step", chex.assert_max_traces(step_of.step, n=1))
    rates = [Config(SMALL, **SETTINGS | {"lr": lr}, optimizer=optimizer) for lr in (0.1, 0.2, 0.3)]
    assert groups(rates) == [[0, 1, 2]]
    ends = [losses(each)[-1] for each in rates]  # one after another
    assert len({*ends}) == 3
    with pytest.raises(AssertionError, match="traced"):
        losses(Config(SMALL, **SETTINGS | {"batch_size": 20}, optimizer=optimizer))


NUMBERS = {  # two values of each that are not what switches it off
    "lr": (0.1, 0.3),
    "momentum": (0.5, 0.9),
    "weight_decay": (0.0, 0.01),
    "average": (0.5, 0.9),
    "clip": (0.05, 0.1),
    "warmup": (0.0, 1.5),
    "seed": (0, 1),
    "order_seed": (-1, 1),
}


def test_every_number_is_an_input_of_one_program(monkeypatch):
    """Epochs are not: runs that train together end together."""
    assert {*NUMBERS, "epochs"} == {field.name for field in config.fields("number")}
    base = Config(SMALL, **SETTINGS | {name: values[0] for name, values in NUMBERS.items()})
    changed = [config.replace(base, **{name: values[1]}) for name, values in NUMBERS.items()]
    switched = [config.replace(base, **{name: 0}) for name in ("average", "clip")]
    configs = [base, *changed, *switched]
    together = range(len(NUMBERS) + 1)
    assert groups(configs) == [[*together], [len(together)], [len(together) + 1]]

    sweep.epoch.clear_cache()
    chex.clear_trace_counter()
    with monkeypatch.context() as patched:
        patched.setattr(step_of, "step", chex.assert_max_traces(step_of.step, n=1))
        found = {run: [] for run in together}
        placed = lanes.together(len(together), jax.local_devices(), vectorise=False)
        here = [configs[run] for run in together]
        for epoch in train.sweep(here, DATA, choose=lambda *_: placed):
            for run, row in epoch.rows.items():
                found[run].append((row.train_loss, row.averaged_loss))
        assert len({str(rows) for rows in found.values()}) == len(together)  # each number matters
        with pytest.raises(AssertionError, match="traced"):
            losses(switched[0])
    for run, rows in found.items():
        alone = [row for row, _ in train.fit(train.start(configs[run], DATA))]
        assert rows == [(row.train_loss, row.averaged_loss) for row in alone]


@pytest.mark.slow  # test_sweep holds the same of LeNet
def test_learning_rates_share_a_program():
    configs = [Config(SMALL, **SETTINGS | {"lr": lr}, optimizer=adagrad) for lr in (0.1, 0.2)]
    assert groups(configs) == [[0, 1]]
    ends = {}
    for epoch in train.sweep(configs, DATA):
        ends |= {run: row.train_loss for run, row in epoch.rows.items()}
    assert [ends[0], ends[1]] == [losses(each)[-1] for each in configs]
    assert ends[0] != ends[1]


@pytest.mark.slow
def test_a_record_names_the_word_and_resumes_with_the_function(tmp_path):
    settings = Config(SMALL, **SETTINGS, optimizer=adagrad)
    assert config.to_dict(settings)["optimizer"] == "test_optimizers:adagrad"
    read = config.from_dict(config.to_dict(settings))
    assert read.optimizer == "test_optimizers:adagrad"
    assert not config.different(read, settings)
    whole = runs.begin(tmp_path / "whole", settings, DATA)
    list(whole.epochs())
    run = runs.begin(tmp_path / "run", settings, DATA)
    next(iter(run.epochs()))
    with pytest.raises(UsageError, match="adagrad: give the optimizer again"):
        runs.resume(tmp_path / "run", DATA)
    with pytest.raises(RecordError, match="sgd: the record is of test_optimizers:adagrad"):
        runs.resume(tmp_path / "run", DATA, optimizer=sgd)
    list(runs.resume(tmp_path / "run", DATA, optimizer=adagrad).epochs())
    a, b = (np.load(tmp_path / name / "checkpoints/00002.npz") for name in ("whole", "run"))
    assert a.files == b.files
    assert any(name.startswith("optimizer/") for name in a.files)
    for name in a.files:
        np.testing.assert_array_equal(a[name], b[name])
    model, params = records.load(tmp_path / "run")  # whose optimizer does not matter any more
    loss = train.evaluate(model, params, DATA.test)[0].loss_sum / 20
    assert abs(float(loss) - whole.rows()[-1].test_loss) < 1e-5


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"optimizer": number}, "optimizer=.*:number: returned float, expected an optax transf"),
        ({"optimizer": raises}, "optimizer=.*:raises: .* ValueError: first line$"),
        ({"optimizer": grows}, "optimizer=.*:grows: cannot update the parameters"),
        ({"optimizer": sgd, "momentum": 0.5}, "momentum=0.5: is of optimizer=sgd; test_optimizers"),
        ({"optimizer": sgd, "weight_decay": 0.5}, "weight_decay=0.5: optimizer=.*:sgd makes the"),
        ({"optimizer": "rmsprop"}, "optimizer=rmsprop: must be one of .*, lion or MODULE:NAME"),
    ],
)
def test_what_is_no_optimizer_is_one_line(settings, said):
    with pytest.raises(UsageError, match=said) as error:
        train.check(Config(SMALL, **SETTINGS, **settings), DATA)
    assert "\n" not in str(error.value)


MINE = """
import optax

three = 3

def make(schedule):
    return optax.rmsprop(schedule)

def nothing(schedule):
    return None
"""


@pytest.fixture
def folder(tmp_path, tiny):
    (tmp_path / "an_optimizer_of_mine.py").write_text(MINE)
    shutil.copytree(tiny, tmp_path / "tiny")
    return tmp_path


SHORT = ("--dataset=tiny", "--data_dir=tiny", "--batch_size=100", "--epochs=1", "--noreport")
SHORT += ("--channels=2", "--hidden=4", "--lr=0.01")


@pytest.mark.slow
def test_a_function_in_a_file_trains_sweeps_and_resumes(folder):
    mine = "--optimizer=an_optimizer_of_mine:make"
    done = command("train", *SHORT, mine, "--run_dir=run", cwd=folder)
    assert done.returncode == 0, done.stderr
    more = command("train", "--run_dir=run", "--resume", "--epochs=2", cwd=folder)
    assert (more.returncode, more.stderr.count("\n")) == (2, 1)
    assert "an_optimizer_of_mine:make: give the optimizer again (--optimizer=" in more.stderr
    more = command("train", mine, "--run_dir=run", "--resume", "--epochs=2", cwd=folder)
    assert more.returncode == 0, more.stderr
    swept = command("sweep", *SHORT[:-3], mine + ",adam", "--run_dir=many", cwd=folder)
    assert swept.returncode == 0, swept.stderr
    assert mine in swept.stdout
    again = command("sweep", "--run_dir=many", "--resume", cwd=folder)
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert f"Give {mine},adam again" in again.stderr
    again = command("sweep", "--run_dir=many", "--resume", mine + ",adam", cwd=folder)
    assert "2 of 2 runs already finished" in again.stdout, again.stderr


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "no_such_module:make",
            "no module no_such_module here. Start in the directory of no_such_module.py, or",
        ),
        ("an_optimizer_of_mine:other", "an_optimizer_of_mine has no function other"),
        ("an_optimizer_of_mine:three", "an_optimizer_of_mine has no function three"),
        ("an_optimizer_of_mine:nothing", "nothing: returned NoneType, expected an optax transf"),
        ("rmsprop", "--optimizer=rmsprop: must be one of sgd"),
    ],
)
@pytest.mark.parametrize("entry", ["train", "sweep"])
def test_an_optimizer_that_is_not_there_is_one_line(folder, entry, name, said):
    done = command(entry, *SHORT, f"--optimizer={name}", "--run_dir=run", cwd=folder)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert said in done.stderr
    assert not (folder / "run").exists()
