import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lenet.engine import metrics
from lenet.engine.metrics import Metrics


@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(2, 5))
def test_the_sums_are_those_of_numpy(seed, batch, classes):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(batch, classes)).astype(np.float32)
    labels = rng.integers(0, classes, batch).astype(np.int32)
    mask = rng.random(batch) < 0.7
    found = metrics.of_batch(jnp.asarray(logits), jnp.asarray(labels), jnp.asarray(mask))
    shifted = logits.astype(np.float64)
    chosen = shifted[np.arange(batch), labels]
    losses = np.log(np.exp(shifted).sum(1)) - chosen
    np.testing.assert_allclose(found.loss_sum, losses[mask].sum(), rtol=1e-5, atol=1e-5)
    assert int(found.correct) == ((logits.argmax(1) == labels) & mask).sum()
    assert int(found.count) == mask.sum()


def test_a_masked_nan_does_not_get_through():
    logits = jnp.array([[0.0, 0.0], [jnp.nan, 0.0]])
    found = metrics.of_batch(logits, jnp.zeros(2, jnp.int32), jnp.array([True, False]))
    np.testing.assert_allclose(found.loss_sum, np.log(2), rtol=1e-6)


def test_means_weigh_by_the_true_count():
    steps = Metrics(jnp.array([256.0, 0.0]), jnp.array([0, 96]), jnp.array([256, 96]))
    loss, accuracy = metrics.means(metrics.total(steps))
    assert (loss, accuracy) == (256 / 352, 96 / 352)
