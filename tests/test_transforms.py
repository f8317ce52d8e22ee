import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lenet.inspect.transforms import permute_pixels, shift

SIZES = st.tuples(st.integers(1, 5), st.integers(1, 5))
SHIFTS = st.integers(-7, 7)


def images(height, width):
    """Two images of two channels, every number another, none of them 0."""
    return np.arange(1, 1 + 2 * height * width * 2, dtype=np.int32).reshape(2, height, width, 2)


@given(SIZES, SHIFTS, SHIFTS)
def test_a_shift_is_a_roll_with_zeros_for_what_comes_round(size, down, right):
    x = images(*size)
    rolled = np.roll(x, (down, right), (1, 2))
    rows, columns = (np.arange(n) - by for n, by in zip(size, (down, right), strict=True))
    row_stays, column_stays = (
        (at >= 0) & (at < n) for at, n in zip((rows, columns), size, strict=True)
    )
    rolled *= (row_stays[:, None] & column_stays)[None, :, :, None]
    found = shift(x, down, right)
    assert found.dtype == x.dtype
    assert (found == rolled).all()


def test_a_permutation_moves_whole_pixels_alike_in_every_image():
    x = images(28, 28)
    found = permute_pixels(x, jax.random.key(0))
    assert found.shape == x.shape
    assert found.dtype == x.dtype
    assert sorted(found[0].ravel().tolist()) == sorted(x[0].ravel().tolist())  # nothing is lost
    assert (found[..., 1] - found[..., 0] == 1).all()  # the channels of a pixel stay together
    assert (found[1] - found[0] == x[1] - x[0]).all()  # the same order for both images
    assert (found != x).any()


def test_the_order_is_that_of_the_key():
    x = images(28, 28)
    first, again, other = (permute_pixels(x, jax.random.key(seed)) for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()
    assert (permute_pixels(jnp.asarray(x[1:]), jax.random.key(0)) == first[1:]).all()
