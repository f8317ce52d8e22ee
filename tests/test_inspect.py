"""What a trained network makes of images, against sums by hand and another library."""

import re

import numpy as np
import pytest
import scipy.special

from lenet import inspect, train
from lenet.config import Config
from lenet.data import synthetic
from lenet.engine import forward
from lenet.errors import UsageError

SMALL = Config(dataset="synthetic", channels=(2, 3), hidden=(8,))


@pytest.fixture(scope="module")
def network():
    data = synthetic.make(600, 50)
    model = train.check(SMALL, data)
    return model, train.init(model, SMALL, data.image_shape).params, data


def test_probabilities_are_the_softmax_of_the_logits_in_batches_of_any_size(network):
    model, params, data = network
    found = inspect.probabilities(model, params, data.train.images)  # more than one batch
    logits = forward.logits(model, params, data.train.images)
    np.testing.assert_allclose(found, scipy.special.softmax(logits, axis=1), rtol=2e-5)
    assert found.shape == (600, 10)


@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 1)])
def test_one_image_alone_is_refused(network, shape, unchecked):
    with pytest.raises(UsageError, match=re.escape(f"images: shape {shape}")):
        inspect.logits(*network[:2], np.zeros(shape, np.uint8))


def test_the_surest_mistakes_come_first():
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])
    labels = np.array([1, 1, 0, 0])  # wrong, right, wrong, wrong
    assert inspect.worst(labels, probabilities, 2).tolist() == [0, 2]
    assert inspect.worst(labels, probabilities, 9).tolist() == [0, 2, 3]


def test_calibration_of_four_predictions_by_hand():
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.65, 0.35], [0.35, 0.65]])
    found = inspect.calibration(np.array([0, 1, 0, 1]), probabilities)
    assert found.counts.tolist() == [0, 0, 0, 0, 0, 0, 2, 0, 0, 2]
    assert found.accuracy[[6, 9]].tolist() == [1.0, 0.5]
    # half of the examples are 0.35 too unsure, half 0.45 too sure
    assert found.error == pytest.approx(0.5 * 0.35 + 0.5 * 0.45)


def test_one_that_says_what_it_is_worth_is_calibrated():
    probabilities = np.tile([0.75, 0.25], (400, 1))
    labels = np.repeat([0, 0, 0, 1], 100)
    assert inspect.calibration(labels, probabilities).error == pytest.approx(0, abs=1e-12)


def test_noise_has_its_deviation_and_its_seed():
    images = np.full((20, 28, 28, 1), 128, np.uint8)
    found = inspect.add_noise(images, 0.1)
    assert (found == inspect.add_noise(images, 0.1)).all()
    assert found.std() == pytest.approx(25.5, rel=0.02)
    assert (inspect.add_noise(images, 0.0) == images).all()


def test_robustness_starts_from_the_plain_accuracy(network):
    model, params, data = network
    found = inspect.robustness(model, params, data.test)
    plain, _ = train.evaluate(model, params, data.test)
    for name in ("shift", "noise"):
        assert found[name][0] == pytest.approx(float(plain.correct) / 50)
