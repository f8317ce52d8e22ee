import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lenet import config
from lenet.config import PRESETS, Config, written
from lenet.errors import UsageError
from lenet.model import ACTIVATIONS, BIAS_INITIALIZERS, FORMS, KERNEL_INITIALIZERS, PRECISIONS

CONFIGS = st.builds(
    Config,
    lr=st.floats(1e-6, 1e3),
    epochs=st.integers(1, 100),
    momentum=st.just(0.0) | st.floats(1e-6, 0.99),
    channels=st.lists(st.integers(1, 64), min_size=1, max_size=3).map(tuple),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    dataset=st.text().filter(str.isprintable),
)


@given(CONFIGS)
def test_it_survives_json(c):
    assert config.from_dict(json.loads(json.dumps(config.to_dict(c)))) == c


def test_the_default_is_the_book_s_run():
    c = Config(**PRESETS["book"])
    assert (c.lr, c.batch_size, c.epochs) == (0.9, 256, 10)
    assert (c.activation, c.pool, c.init) == ("sigmoid", "avg", "xavier_uniform")
    assert c.valid == 0
    english = Config(**PRESETS["book-en"])
    assert (english.lr, english.batch_size, english.epochs) == (0.1, 128, 10)
    modern = Config(**PRESETS["modern"])
    assert (modern.activation, modern.pool) == ("relu", "max")


def test_numpy_scalars_arrays_and_lists_are_the_numbers_they_stand_for():
    given = Config(
        lr=np.float32(0.5),
        epochs=np.int64(3),
        nesterov=np.bool_(True),
        momentum=np.float64(0.9),
        activation=np.str_("relu"),
        channels=[np.int32(6), 16],
        hidden=np.array([120, 84]),
    )
    plain = Config(
        lr=0.5, epochs=3, nesterov=True, momentum=0.9, activation="relu", channels=(6, 16)
    )
    assert config.check(given) == plain
    assert json.dumps(config.to_dict(given)) == json.dumps(config.to_dict(plain))
    assert hash(given) == hash(plain)
    for field in config.fields():
        assert type(getattr(given, field.name)) is type(field.default)


def test_arrays_of_the_values_of_many_runs_stay_arrays():
    rates = np.array([0.1, 0.9], np.float32)
    assert Config(lr=rates).lr is rates  # type: ignore[arg-type]


def test_every_preset_is_in_range_and_every_field_has_a_short_line_of_help():
    for preset in PRESETS.values():
        config.check(Config(**preset))
    for field in config.fields():
        assert field.metadata["doc"]
        assert "\n" not in field.metadata["doc"]
        assert len(field.metadata["doc"]) <= 80


def test_the_choices_are_those_the_model_has():
    among = {f.name: set(f.metadata["among"]) for f in config.fields("choice")}
    assert among["activation"] == set(ACTIVATIONS)
    assert among["init"] == set(KERNEL_INITIALIZERS)
    assert among["bias_init"] == set(BIAS_INITIALIZERS)
    assert among["conv"] == {"auto", *FORMS}
    assert among["precision"] == set(PRECISIONS)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"lr": 0}, "lr=0.0: must be above 0"),
        ({"lr": -1.0}, "lr=-1.0: must be above 0"),
        ({"lr": float("nan")}, "lr=nan: must be a finite number"),
        ({"lr": float("inf")}, "lr=inf: must be a finite number"),
        ({"epochs": 0}, "epochs=0: must be at least 1"),
        ({"batch_size": 0}, "batch_size=0: must be at least 1"),
        ({"momentum": 1.0}, "momentum=1.0: must be at least 0 and below 1"),
        ({"weight_decay": -0.1}, "weight_decay=-0.1: must be at least 0"),
        ({"seed": 2**31}, "seed=2147483648: must be at least 0 and below"),
        ({"channels": ()}, "channels=: must have at least one"),
        ({"channels": (6, 0)}, "channels=6,0: must be at least 1"),
        ({"hidden": (1 << 30,)}, "hidden=1073741824: must be at least 1 and at most"),
        ({"activation": "swish"}, "activation=swish: must be one of sigmoid"),
        ({"optimizer": "lion", "nesterov": True}, "nesterov=true: is of optimizer=sgd; lion has"),
        ({"nesterov": True}, "nesterov=true: needs momentum above 0"),
        ({"warmup": 10.0}, "warmup=10: must be below epochs=10"),
        ({"valid": -1}, "valid=-1: must be at least 0"),
        ({"lr": 10**400}, "lr=inf: must be a finite number"),
        ({"lr": True}, "lr=True: expected a value like 0.9"),
        ({"epochs": 1.5}, "epochs=1.5: expected a value like 10"),
        ({"channels": "a"}, "channels=a: expected a value like 6,16"),
        ({"channels": (6, 0.5)}, "channels=(6, 0.5): expected a value like 6,16"),
        ({"activation": "a\nb"}, "activation='a\\nb': must be one of sigmoid"),
    ],
)
def test_what_is_out_of_range_is_named_with_its_limit(change, said):
    with pytest.raises(UsageError) as error:
        config.check(dataclasses.replace(Config(), **change))
    assert str(error.value).startswith(said)


def test_an_unknown_setting_is_refused():
    with pytest.raises(UsageError, match=r"unknown setting: learning_rate\. Settings: .* lr,"):
        Config(learning_rate=0.1)
    with pytest.raises(UsageError, match="unknown setting: learning_rate"):
        config.from_dict({"learning_rate": 0.1})


@given(st.floats(allow_nan=False))
def test_a_number_is_written_exactly(value):
    assert float(written(value)) == value


@given(st.sampled_from(sorted(PRESETS)), st.floats(1e-6, 1), st.sampled_from([0, 3]))
def test_the_flags_of_a_config_are_what_differs_from_the_defaults(preset, lr, seed):
    made = Config(**{**PRESETS[preset], "lr": lr, "seed": seed})
    pairs = dict(flag.removeprefix("--").split("=") for flag in config.flags(made))
    assert pairs.pop("parts") == str(made.parts)  # whose default is the machine's
    assert pairs.pop("network", "lenet") == config.name_of(made.network)
    plain = Config(made.network)
    own = {name: getattr(made, name) for name in config.to_dict(plain) if name != "network"}
    differ = {name for name, value in own.items() if value != getattr(Config(), name, value)}
    assert pairs == {name: written(own[name]) for name in differ}
