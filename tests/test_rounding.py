import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lenet.chapter.rounding import tolerance

DRAWS = 200


def products(seed, terms, dtype):
    """Draw factors of 1 to 2 with random signs; return their products [DRAWS, terms], rounded."""
    rng = np.random.default_rng(seed)
    factors = rng.uniform(1, 2, (2, DRAWS, terms)) * rng.choice([-1, 1], (2, DRAWS, terms))
    return factors.astype(dtype).prod(axis=0, dtype=dtype)


def in_order(values):
    """Add one after another, rounding each time."""
    return np.cumsum(values, axis=1, dtype=values.dtype)[:, -1]


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@given(st.integers(0, 2**32 - 1), st.integers(1, 100))
def test_two_orders_of_one_sum_lie_within_it(dtype, seed, terms):
    values = products(seed, terms, dtype)
    other = np.random.default_rng(seed).permuted(values, axis=1)
    bound = tolerance(terms, jnp.asarray(in_order(abs(values))))
    assert bound.dtype == dtype
    assert (abs(in_order(values) - in_order(other)) <= np.asarray(bound)).all()
    assert (abs(in_order(values) - np.sort(values, axis=1).sum(axis=1)) <= np.asarray(bound)).all()


@given(st.integers(0, 2**32 - 1), st.integers(1, 300))
def test_a_sum_that_lacks_a_term_does_not(seed, terms):
    values = products(seed, terms, np.float32)
    bound = tolerance(terms, jnp.asarray(in_order(abs(values))))
    wrong = in_order(values) - values[:, 0]
    assert (abs(in_order(values) - wrong) > np.asarray(bound)).all()


def test_it_is_not_much_wider_than_what_happens():
    """One long sum of equal terms: the rounding is of the order of the bound, not far below it."""
    values = np.full((1, 10_000), 0.1, np.float32)
    exact = values.sum(dtype=np.float64)
    bound = float(tolerance(values.size, jnp.asarray(values.sum()))[...])
    assert bound / 1000 < abs(float(in_order(values)[0]) - exact) < bound


def test_by_hand():
    # 2nu/(1 − 2nu) with n = 3 and u = 2⁻²⁴
    assert float(tolerance(3, jnp.float32(1))) == pytest.approx(6 * 2.0**-24, rel=1e-6)
    assert float(tolerance(512, jnp.float16(1))) == 1  # u = 2⁻¹¹: 2nu is a half


def test_so_many_terms_that_there_is_no_bound():
    with pytest.raises(ValueError, match="1024 terms have no bound in float16"):
        tolerance(1024, jnp.float16(1))
