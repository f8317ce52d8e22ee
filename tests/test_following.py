"""The commands that follow a sweep give its settings back, as `experiments.train` parses them."""

import json
import shlex

import pytest
import record_rows
from commands import python

from lenet import config as config_module
from lenet import records
from lenet.analysis import following
from lenet.analysis.summary import Sweep
from lenet.config import Config


def parsed(line: str) -> dict:
    """The settings that experiments.train reads from a command line."""
    words = shlex.split(line)
    assert words[:3] == ["python", "-m", "experiments.train"]
    code = (
        "import json, sys; from absl import flags; from experiments import cli, train;"
        "from lenet import config; flags.FLAGS(sys.argv);"
        "print(json.dumps([config.to_dict(cli.config()), flags.FLAGS.data_dir]))"
    )
    done = python("-c", code, *words[3:])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "config",
    [
        Config(lr=0.1234567890123, momentum=0.9, nesterov=True, seed=3, order_seed=0, hidden=()),
        Config(parts=1),
        Config(parts=4),
        Config("bn_lenet", lr=1.0, pool="max", augment="shift:2,flip", valid=7, clip=1e-30),
    ],
)
def test_a_command_gives_the_settings_back(config):
    where = "/tmp/with space/'quote"
    found, data_dir = parsed(records.command("train", config, {"data_dir": where}))
    assert found == config_module.to_dict(config)
    assert data_dir == where


def test_a_network_that_a_record_names_is_given_whole():
    made = config_module.from_dict(
        {"network": "my_net:Wide", "width": 64, "deep": False, "lr": 0.5}
    )
    assert config_module.flags(made) == [
        *("--network=my_net:Wide", "--width=64", "--deep=false", "--lr=0.5", "--parts=2")
    ]


def entries(**held_out):
    cells = [(lr, seed) for lr in (0.1, 0.9) for seed in (4, 5)]
    return [
        record_rows.entry(
            run,
            [record_rows.row(1, train_loss=1.0, test_accuracy=0.5 + lr / 10, **held_out)],
            lr=lr,
            seed=seed,
            epochs=1,
        )
        for run, (lr, seed) in enumerate(cells)
    ]


def test_fresh_seeds_are_offered_where_test_images_have_not_selected():
    base = Config(epochs=1)
    on_test = following.of_sweep(Sweep(entries(), ["lr"], base), {})
    held_out = following.of_sweep(
        Sweep(entries(valid_accuracy=0.5, valid_loss=1.0), ["lr"], base), {}
    )
    assert [each.line for each in on_test] == [
        "python -m experiments.train --epochs=1 --parts=2 --seed=4"
    ]
    assert [each.line.split()[2:] for each in held_out][1:] == [
        ["experiments.sweep", "--lr=0.1", "--epochs=1", "--parts=2", "--seed=6:14"]
    ]
