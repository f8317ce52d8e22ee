"""Snapshots of a network while it learns."""

import dataclasses
import json

import jax
import numpy as np
import pytest
import report_pages
from flax import linen as nn

from lenet import inspect, train
from lenet.config import Config
from lenet.inspect import snapshot
from lenet.model import network


@pytest.fixture(scope="module")
def taken():
    """A network of the book's size, its parameters, images, and its snapshot."""
    of = report_pages.data()
    model = network(Config(), of.num_classes)
    params = jax.device_get(train.init(model, Config(), of.image_shape).params)
    predicted = inspect.logits(model, params, of.test.images).argmax(1)
    return model, params, of, predicted, snapshot.take(model, params, of.test, 4, predicted)


def test_it_holds_what_the_network_is_and_says(taken):
    model, params, of, predicted, found = taken
    assert list(found.kernels) == ["conv1", "conv2"]
    for name, (scale, weights) in found.kernels.items():
        kernel = params[name]["kernel"]
        assert weights.shape == kernel.shape
        np.testing.assert_allclose(scale * weights / 127, kernel, atol=scale / 250)
    shares = inspect.probabilities(model, params, of.test.images[found.images])
    np.testing.assert_allclose(found.answers / 255, shares, atol=0.5 / 255 + 1e-6)
    pairs = np.stack([of.test.labels, predicted], 1)
    for truth, seen in np.ndindex(4, 4):
        assert found.confusion[truth, seen] == (pairs == (truth, seen)).all(1).sum()


def test_eleven_of_the_books_network_take_no_more_than_60_kb(taken):
    """With the confusion matrix of ten classes and 10,000 images."""
    found = taken[-1]._replace(
        images=list(range(30)),
        answers=np.full((30, 10), 255, np.uint8),
        confusion=np.full((10, 10), 1000),
    )
    assert 11 * len(json.dumps(snapshot.to_dict(found))) < 60_000


def test_the_kernels_of_any_network_have_the_names_of_their_modules():
    model, images = nn.remat(Deep)(), np.zeros((1, 8, 8, 1))
    variables = jax.device_get(model.init(jax.random.key(0), images))
    of = report_pages.data((8, 8, 1))
    found = snapshot.take(model, variables, of.test, 4)
    assert list(found.kernels) == ["stem", "trunk/conv"]  # no dense one, and no scale
    kernel = variables["params"]["trunk"]["conv"]["kernel"]
    assert found.kernels["trunk/conv"][1].shape == kernel.shape == (3, 2, 2, 4)


class Trunk(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Conv(4, (3, 2), name="conv")(x)


class Deep(nn.Module):
    @nn.compact
    def __call__(self, images):
        x = nn.BatchNorm(True)(nn.Conv(2, (3, 3), name="stem")(images))
        return nn.Dense(4)(Trunk(name="trunk")(x).mean((1, 2)))


def test_large_kernels_and_many_classes_are_left_out():
    of = report_pages.data()
    config = dataclasses.replace(report_pages.SMALL, channels=(20, 30))
    model = network(config, 31)
    params = jax.device_get(train.init(model, config, of.image_shape).params)
    found = snapshot.take(model, params, of.test, 31, of.test.labels)
    assert found.kernels == {}
    assert found.confusion is None
    assert len(found.images) <= snapshot.MOST_IMAGES


def test_a_diverged_network_has_one_too(taken):
    model, params, of, _, _ = taken
    broken = jax.tree.map(lambda x: np.full_like(x, np.nan), params)
    found = snapshot.take(model, broken, of.test, 4)
    assert snapshot.is_one(json.loads(json.dumps(snapshot.to_dict(found))))
    assert not found.answers.any()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("images", x) for x in (None, [0.5], [-1], [True], {"0": 0})),
        *(("answers", x) for x in (None, "", "!", "A", [0])),
        *(("kernels", {"conv1": x}) for x in (None, [1.0], [1, "AA=="], [1.0, "A"], [1.0, 0])),
        *(("confusion", x) for x in (0, [0], [[-1]], [["1"]], {})),
        ("new", 0),
    ],
)
def test_what_is_none_is_told_apart(taken, name, value):
    values = snapshot.to_dict(taken[-1])
    assert snapshot.is_one(values)
    assert not snapshot.is_one(values | {name: value})
    del values["images"]
    assert not snapshot.is_one(values)
