import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lenet import train
from lenet.config import Config
from lenet.engine import forward
from lenet.inspect.activations import Statistics, activations, statistics
from lenet.model import LeNet, network

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1)).astype(np.uint8)


@functools.cache
def made(**settings):
    config = Config(channels=(2, 3), hidden=(8, 7), **settings)
    model = network(config, 10)
    return model, train.init(model, config, (28, 28, 1)).params


@pytest.mark.parametrize("form", ["matmul", "lax"])
def test_every_layer_is_there_in_order_and_the_last_is_the_logits(form):
    model, params = made(conv=form)
    values = activations(model, params, IMAGES)
    assert {name: value.shape for name, value in values.items()} == {
        "conv1": (3, 28, 28, 2),
        "pool1": (3, 14, 14, 2),
        "conv2": (3, 10, 10, 3),
        "pool2": (3, 5, 5, 3),
        "dense1": (3, 8),
        "dense2": (3, 7),
        "dense3": (3, 10),
    }
    assert list(values)[-1] == "dense3"
    expected = jax.jit(forward.logits, static_argnums=0)(model, params, IMAGES)
    np.testing.assert_allclose(values["dense3"], expected, rtol=0, atol=1e-5)


def test_bytes_are_scaled_and_floats_are_not():
    model, params = made()
    scaled = activations(model, params, IMAGES)
    floats = activations(model, params, IMAGES.astype(np.float32) / 255)
    unscaled = activations(model, params, IMAGES.astype(np.float32))
    for name, value in scaled.items():
        np.testing.assert_allclose(value, floats[name], rtol=0, atol=1e-5)
    assert not np.allclose(scaled["conv1"], unscaled["conv1"], rtol=0, atol=1e-2)


def test_activations_are_those_of_the_layers():
    model, params = made(activation="relu", pool="max")
    values = activations(model, params, IMAGES)
    assert values["conv1"].min() == 0
    windows = np.asarray(values["conv1"]).reshape(3, 14, 2, 14, 2, 2)
    assert (values["pool1"] == windows.max((2, 4))).all()
    logits = values["dense2"] @ params["dense3"]["kernel"] + params["dense3"]["bias"][None]
    np.testing.assert_allclose(values["dense3"], logits, rtol=0, atol=1e-5)


@pytest.mark.parametrize("form", ["matmul", "native"])
@pytest.mark.parametrize(("activation", "pool"), [("sigmoid", "avg"), ("relu", "max")])
def test_layers_are_images_in_every_form(form, activation, pool):
    """Blocks that do not fill a map's last rows are cut."""
    images = IMAGES[:, :27, :25]
    model = LeNet(activation, pool, channels=(2, 3), hidden=(8,), conv="lax")
    params, _ = forward.init(model, jax.random.key(0), images.shape[1:])
    found = activations(model.clone(conv=form), params, images)
    for name, value in activations(model, params, images).items():
        np.testing.assert_allclose(found[name], value, atol=2e-6)


LOGITS = jnp.array([[0.0, 1.0], [2.0, 3.0]])


@pytest.mark.parametrize(
    ("activation", "values", "saturated"),
    [
        ("sigmoid", [[0.01, 0.5], [0.99, 0.5]], 1 / 2),
        ("sigmoid", [[0.06, 0.5], [0.94, 0.5]], 0),
        ("tanh", [[-0.96, 0.5], [0.96, 0.5]], 1 / 2),
        ("tanh", [[-0.94, 0.0], [0.94, 0.0]], 0),
        ("relu", [[0.0, 0.0], [3.0, 0.0]], 3 / 4),
        ("relu", [[0.01, 0.5], [-0.01, 0.5]], 0),
    ],
)
def test_statistics_by_hand(activation, values, saturated):
    """Two images, two units; the second gives one value for both: dead."""
    found = statistics(
        LeNet(activation=activation, hidden=(2,)), {"dense1": jnp.array(values), "dense2": LOGITS}
    )
    assert found["dense1"].saturated == saturated
    assert found["dense1"].dead == 1 / 2
    assert found["dense1"].mean == pytest.approx(np.mean(values), abs=1e-7)
    assert found["dense1"].deviation == pytest.approx(np.std(values), abs=1e-7)
    assert found["dense2"] == Statistics(1.5, pytest.approx(1.25**0.5), 1.0, 0.0, 0.0)


@given(seed=st.integers(0, 2**32 - 1), offset=st.sampled_from([0.0, 1.0, -300.0]))
def test_a_unit_that_tells_images_apart_by_little_keeps_its_digits(seed, offset):
    rng = np.random.default_rng(seed)
    shape = (*rng.integers(2, 6, size=3), 2)
    values = (offset + rng.normal(size=shape) * rng.choice([1e-3, 1, 10], 2)).astype(np.float32)
    found = statistics(LeNet(channels=(2,)), {"conv1": values})["conv1"]
    exact = values.astype(np.float64)
    assert found.mean == pytest.approx(exact.mean(), rel=1e-6, abs=1e-6)
    assert found.deviation == pytest.approx(exact.std(), rel=1e-4)
    assert found.across == pytest.approx(exact.var(0).mean() ** 0.5, rel=1e-4)


def test_a_channel_is_dead_if_it_is_the_same_at_every_place_of_every_image():
    maps = jnp.zeros((2, 3, 3, 4)).at[1, 2, 0, 1].set(1).at[:, 0, 0, 2].set(1)
    found = statistics(LeNet(activation="relu", hidden=()), {"conv1": maps, "dense1": LOGITS})[
        "conv1"
    ]
    assert found.dead == 2 / 4  # one place of one image, or one place of all, is enough to live
    assert found.saturated == pytest.approx(1 - 3 / 72)
