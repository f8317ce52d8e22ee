import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lenet.analysis import ensemble, neighbours

CLASSES = np.array([[0, 0, 1], [2, 2, 2], [1, 0, 0], [1, 1, 1]], np.uint8)
LABELS = np.array([0, 2, 1, 0])


def test_the_vote_the_agreement_and_the_doubt_by_hand():
    found = ensemble.vote(CLASSES, LABELS, 3)
    assert found.accuracy == 0.5  # images 0 and 1
    assert found.agreement == pytest.approx((1 / 3 + 1 + 1 / 3 + 1) / 4)
    doubted = ensemble.doubted(CLASSES, LABELS, 3, 0.6)
    assert doubted == [(3, 0, 1, 1.0), (2, 1, 0, pytest.approx(2 / 3))]
    assert [each.image for each in ensemble.doubted(CLASSES, LABELS, 3, 0.9)] == [3]


@given(st.integers(0, 999), st.integers(1, 20), st.integers(2, 6))
def test_agreement_is_the_mean_over_all_pairs_of_runs(seed, images, runs):
    classes = np.random.default_rng(seed).integers(0, 4, (images, runs))
    pairs = [(classes[:, a] == classes[:, b]).mean() for a in range(runs) for b in range(a)]
    found = ensemble.vote(classes, classes[:, 0], 4)
    assert found.agreement == pytest.approx(np.mean(pairs))
    assert ensemble.counts(classes, 4).sum(1).tolist() == [runs] * images


@given(st.integers(0, 99), st.integers(1, 30), st.integers(1, 9))
def test_the_nearest_image_is_that_of_all_distances(seed, count, others):
    rng = np.random.default_rng(seed)
    images, asked = (rng.integers(0, 256, (n, 3, 2, 1)).astype(np.uint8) for n in (count, others))
    apart = (images[None].astype(float) - asked[:, None]).reshape(others, count, -1) / 255
    distances = np.sqrt((apart**2).mean(-1))
    found, index = neighbours.nearest(images, asked)
    np.testing.assert_allclose(found, distances.min(1), rtol=1e-5)
    np.testing.assert_allclose(distances[np.arange(others), index], distances.min(1), rtol=1e-5)
