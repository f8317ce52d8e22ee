import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lenet.chapter import edge
from lenet.reference import corr2d

STARTS = st.tuples(st.floats(-10, 10, width=32), st.floats(-10, 10, width=32))
EPSILON = float(np.finfo(np.float32).eps)


def learn(start, lr):
    return edge.learn(jnp.array(start, jnp.float32), float(lr))


def test_the_loss_is_the_quadratic_form_of_the_error():
    image, edges = edge.problem()
    for kernel, error in (([1, -1], [0, 0]), ([3, 2], [2, 3]), ([0, -1], [-1, 0])):
        residual = corr2d(image[0, :, :, 0], jnp.array([kernel])) - edges[0, :, :, 0]
        form = np.array(error) @ [[18, 12], [12, 18]] @ error
        assert (residual**2).sum() == form
        assert edge.predict(kernel, 0.01)[0][0] == form
    assert np.linalg.eigvalsh(2 * edge.M).tolist() == pytest.approx([12, 60])


@given(STARTS, st.floats(0.0001, 1 / 30, exclude_max=True))
def test_learning_is_the_closed_form(start, lr):
    """Compared by √loss, the length of the residual.

    The floor is what float32 leaves: kernels are of the size of the start and rounded at each step,
    and a residual is at most √30 times as long as the error of its kernel. Over 40,000 starts and
    rates no difference came above a quarter of it.
    """
    learned, (losses, kernels) = learn(start, lr), edge.predict(np.array(start), lr)
    floor = 2 * np.sqrt(30) * EPSILON * (1 + np.abs(start).max())
    np.testing.assert_allclose(np.sqrt(learned.losses), np.sqrt(losses), rtol=1e-4, atol=floor)
    np.testing.assert_allclose(learned.kernels, kernels, rtol=1e-4, atol=floor)


@given(st.floats(0.5, 10), st.floats(0.034, 0.1), st.floats(0.0001, 0.0333))
def test_above_a_thirtieth_it_diverges_and_below_it_converges(size, above, below):
    start = (1 + size, -1 + size)  # away from the edge kernel, in the steepest direction
    assert (np.diff(learn(start, above).losses) > 0).all()
    losses = learn(start, below).losses
    assert losses[-1] < losses[0]
    assert edge.LIMIT == 2 / 60


def test_a_thirty_sixth_is_the_best_for_the_worst_start():
    rates = np.append(np.linspace(0.001, 0.033, 65), edge.BEST)
    starts = jnp.array([[2.0, 0.0], [2.0, -2.0]])  # the two directions, as long as each other
    many = jax.vmap(jax.vmap(edge.learn, (0, None)), (None, 0))
    losses = many(starts, jnp.asarray(rates, jnp.float32)).losses  # [rates, starts, S]
    shrunk = np.asarray(losses[:, :, -1] / losses[:, :, 0])
    assert shrunk.max(axis=1).argmin() == len(rates) - 1
    np.testing.assert_allclose(shrunk[-1], (2 / 3) ** 18, rtol=1e-4)


def test_the_published_losses_follow_from_the_published_kernel():
    """Run the printed kernel of the book, after 10 steps at 0.03, backwards to its start.

    The kernel is printed to four decimals: it lies in a square with these corners, and each loss
    between its values there, to the three decimals it is printed with.
    """
    between = []
    for by in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        kernel = np.array([1.0637, -0.9139]) + 0.5e-4 * np.array(by)
        start = edge.start_of(kernel, 0.03)
        np.testing.assert_allclose(edge.predict(start, 0.03)[1][-1], kernel, rtol=1e-12)
        between.append(edge.predict(start, 0.03)[0][1::2])
    published = np.array([23.292, 8.424, 3.263, 1.305, 0.529])
    assert (published >= np.min(between, axis=0) - 0.5e-3).all()
    assert (published <= np.max(between, axis=0) + 0.5e-3).all()
    # The square is small: it would not hold another run's losses.
    assert (np.ptp(between, axis=0) < 0.01 * published).all()


def test_another_learning_rate_compiles_nothing(monkeypatch):
    traced = []
    problem = edge.problem
    monkeypatch.setattr(edge, "problem", lambda: traced.append(1) or problem())
    edge.learn.clear_cache()
    for lr in (0.001, 0.01, 0.03, 1 / 36, 0.1):
        learn((0, 0), lr)
    assert len(traced) == 1
    edge.learn.clear_cache()
