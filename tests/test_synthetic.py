"""The made data set: the same everywhere, of the right form, neither trivial nor hopeless."""

import numpy as np
import pytest

from lenet import data
from lenet.data import idx, synthetic


@pytest.fixture(scope="module")
def made() -> data.Data:
    return synthetic.make(3000, 1000)


def nearest_mean_accuracy(made: data.Data) -> float:
    """Classify by the nearest class mean of the training pixels."""
    train, test = (split.images.reshape(-1, 784) / 255.0 for split in (made.train, made.test))
    means = np.stack([train[made.train.labels == k].mean(0) for k in range(10)])
    distance = (means**2).sum(1) - 2 * test @ means.T  # [N,K], up to a term alike for all k
    return float((distance.argmin(1) == made.test.labels).mean())


def test_form(made: data.Data) -> None:
    assert made.train.images.shape == (3000, 28, 28, 1)
    assert made.train.images.dtype == np.uint8
    assert made.test.labels.shape == (1000,)
    assert made.test.labels.dtype == np.int32
    assert np.bincount(made.train.labels).tolist() == [300] * 10
    assert made.name == "synthetic"
    assert made.valid is None
    assert made.num_classes == 10


def test_same_on_every_machine_and_another_for_another_seed(made: data.Data) -> None:
    assert idx.digest(made.train.images)[:16] == "a568620e113f5c41"
    assert not np.array_equal(synthetic.make(3000, 10, seed=1).train.images, made.train.images)


def test_test_images_are_not_training_images(made: data.Data) -> None:
    assert not np.array_equal(made.train.images[:1000], made.test.images)
    seen = {image.tobytes() for image in made.train.images}
    assert not any(image.tobytes() in seen for image in made.test.images)


def test_fewer_test_images_do_not_change_the_training_images(made: data.Data) -> None:
    np.testing.assert_array_equal(synthetic.make(3000, 1).train.images, made.train.images)


def test_labels_tell_the_classes_apart_but_not_trivially(made: data.Data) -> None:
    assert 0.3 < nearest_mean_accuracy(made) < 0.95
