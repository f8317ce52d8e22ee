"""What layers do and what gradient they get, against values worked out by other means."""

import json
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from lenet import train
from lenet.config import Config
from lenet.data import Split
from lenet.engine import forward
from lenet.inspect import activations, diagnostics
from lenet.inspect.activations import Statistics
from lenet.model import LeNet, network

SHAPE = (12, 12, 1)


@pytest.fixture(scope="module")
def split() -> Split:
    rng = np.random.default_rng(0)
    return Split(rng.integers(0, 256, (20, *SHAPE), np.uint8), np.arange(20, dtype=np.int32) % 3)


@pytest.fixture(scope="module")
def model() -> LeNet:
    return LeNet(channels=(2,), kernel_size=3, hidden=(4,), num_classes=3)


@pytest.fixture(scope="module")
def params(model):
    return jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, *SHAPE)))["params"]


def test_the_gradient_is_that_of_the_mean_loss_of_a_training_step(model, params, split):
    def loss(params):
        logits = forward.logits(model, params, jnp.asarray(split.images))
        return optax.losses.softmax_cross_entropy_with_integer_labels(logits, split.labels).mean()

    found = diagnostics.diagnose(model, params, split)
    assert list(found) == ["conv1", "pool1", "dense1", "dense2"]
    for name, of_layer in jax.jit(jax.grad(loss))(params).items():
        root = math.sqrt(float((of_layer["kernel"] ** 2).mean()))
        assert found[name].gradient == pytest.approx(root, rel=1e-4)
        root = math.sqrt(float((params[name]["kernel"] ** 2).mean()))
        assert found[name].weight == pytest.approx(root, rel=1e-6)
    assert found["pool1"].gradient is None


class Block(nn.Module):
    """Nothing of it but its sum with what it takes."""

    @nn.compact
    def __call__(self, x):
        return x + nn.relu(nn.Conv(2, (3, 3), name="conv")(x))


class Residual(nn.Module):
    """Modules within modules, one a program of its own; statistics, dropout, a last product."""

    num_classes: int = 3

    @nn.compact
    def __call__(self, images, train=False):
        x = nn.remat(Block)(name="block")(images)
        x = nn.BatchNorm(not train, name="bn")(x)
        x = nn.Dropout(0.5, deterministic=not train)(x.mean((1, 2)))
        return 2 * nn.Dense(self.num_classes, name="zz")(x)


def test_the_modules_of_any_network_have_statistics_and_its_kernels_a_gradient(split):
    model, images = Residual(), jnp.asarray(split.images / 255, jnp.float32)
    variables = dict(model.init(jax.random.key(0), images))
    variables["batch_stats"]["bn"]["mean"] = jnp.array([0.5, -0.5])

    def loss(params):
        logits = model.apply(variables | {"params": params}, images)
        return optax.losses.softmax_cross_entropy_with_integer_labels(logits, split.labels).mean()

    found = diagnostics.diagnose(model, variables, split)
    assert list(found) == ["block/conv", "bn", "Dropout_0", "zz", "Residual"]
    gradients, params = jax.grad(loss)(variables["params"]), variables["params"]
    for name, of, weights in (
        ("block/conv", gradients["block"]["conv"], params["block"]["conv"]),
        ("zz", gradients["zz"], params["zz"]),
    ):
        root = math.sqrt(float((of["kernel"] ** 2).mean()))
        assert found[name].gradient == pytest.approx(root, rel=1e-4)
        root = math.sqrt(float((weights["kernel"] ** 2).mean()))
        assert found[name].weight == pytest.approx(root, rel=1e-6)
    assert found["bn"].gradient is None
    logits = model.apply(variables, images)
    assert found["Residual"].mean == pytest.approx(float(logits.mean()), rel=1e-5)
    assert found["zz"].deviation == pytest.approx(float(logits.std()) / 2, rel=1e-5)
    assert {(each.saturated, each.dead) for each in found.values()} == {(None, None)}


def test_the_last_module_is_the_logits_where_it_returns_them(split):
    model = nn.Sequential((lambda x: x.mean((1, 2)), nn.Dense(3)))
    params = model.init(jax.random.key(0), jnp.zeros((1, *SHAPE)))["params"]
    assert list(diagnostics.diagnose(model, params, split)) == ["layers_1"]


def test_of_a_very_large_network_there_are_none(monkeypatch, model, params, split):
    numbers = 12 * 12 * 2 + 6 * 6 * 2 + 4 + 3
    monkeypatch.setattr(diagnostics, "MOST_OUTPUTS", 20 * numbers)
    assert len(diagnostics.diagnose(model, params, split)) == 4
    monkeypatch.setattr(diagnostics, "MOST_OUTPUTS", 20 * numbers - 1)
    assert diagnostics.diagnose(model, params, split) == {}


def test_a_network_of_zeros_gives_the_same_for_every_image(model, params, split):
    zeros = jax.tree.map(jnp.zeros_like, params)
    found = diagnostics.diagnose(model, zeros, split)
    for name in ("conv1", "dense1"):  # sigmoid(0) everywhere
        assert (found[name].mean, found[name].across, found[name].dead) == (0.5, 0, 1)
    assert found["dense2"].weight == 0
    assert found["dense1"].gradient == 0  # nothing comes back through a kernel of zeros


def test_across_is_the_deviation_over_examples_and_not_over_units(model, params, split):
    """Biases far apart: units differ widely among themselves, each the same for all images."""
    biases = jnp.array([-3.0, -1, 1, 3])
    apart = {**params, "dense1": {"kernel": params["dense1"]["kernel"] * 0, "bias": biases}}
    found = diagnostics.diagnose(model, apart, split)["dense1"]
    assert found.deviation == pytest.approx(float(jax.nn.sigmoid(biases).std()), rel=1e-5)
    assert found.across == pytest.approx(0, abs=1e-6)
    assert found.saturated == 0.5  # sigmoid(3) = 0.953


def test_numbers_of_half_precision_are_added_up_in_a_longer_one(params, split):
    model = LeNet(channels=(2,), kernel_size=3, hidden=(4,), num_classes=3, precision="bfloat16")
    many = Split(np.tile(split.images, (20, 1, 1, 1)), np.tile(split.labels, 20))
    # Compiled, as `diagnose` has it: by itself, each operation would round to half precision.
    values = jax.jit(partial(activations.activations, model))(params, many.images)
    found = diagnostics.diagnose(model, params, many)
    for name, value in values.items():
        exact = np.asarray(value).astype(np.float64).var(0).mean() ** 0.5
        assert found[name].across == pytest.approx(exact, rel=1e-4)


def test_a_row_has_no_number_that_json_cannot_hold():
    found = {"conv1": Statistics(0.5, math.inf, 0.1, 0, 0, math.nan, None)}
    row = diagnostics.to_dict(3, found)
    json.dumps(row, allow_nan=False)
    assert row["epoch"] == 3
    assert row["layers"]["conv1"]["deviation"] is None
    assert row["layers"]["conv1"]["gradient"] is None
    assert row["layers"]["conv1"]["mean"] == 0.5


@pytest.mark.slow
def test_on_the_plateau_the_last_hidden_layer_tells_images_apart_by_next_to_nothing(fashion_mnist):
    """What the chapter's network looks like before its first step."""
    config = Config()
    model = network(config, 10)
    params = train.init(model, config, (28, 28, 1)).params
    sample = Split(*(x[: diagnostics.SAMPLE] for x in fashion_mnist.train))
    found = diagnostics.diagnose(model, params, sample)
    assert found["dense2"].across < found["conv1"].across / 20
    assert found["conv1"].gradient < found["dense3"].gradient / 10
