import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lenet import ops
from lenet.inspect.receptive_field import Window, influence, receptive_field

# A stride above the window's size would leave holes in the field; under as much padding as that
# size, a unit would see nothing of the layer below.
WINDOWS = st.integers(1, 3).flatmap(
    lambda k: st.builds(Window, st.just(k), st.integers(1, min(k, 2)), st.integers(0, k - 1))
)
N = 64  # pixels: room for a field of four such windows


def stack(windows):
    """Convolutions down an image [N] with weights of 1: every pixel seen has a derivative."""

    def apply(pixels):
        x = pixels[None, :, None, None]
        for size, stride, padding in windows:
            x = ops.conv2d(x, jnp.ones((size, 1, 1, 1)), stride=(stride, 1), padding=(padding, 0))
        return x[0, :, 0, 0]

    return apply


@given(st.lists(WINDOWS, min_size=1, max_size=4))
def test_the_arithmetic_is_what_gradients_see(windows):
    field = receptive_field(windows)
    inside = -(field.start // field.stride)  # the first unit that sees no padding
    assert field.pixels(inside)[0] in range(field.stride)
    measure = jax.jit(lambda image, unit: influence(stack(windows), image, (unit,)))
    for unit in {0, inside}:
        seen = np.flatnonzero(measure(jnp.ones(N), unit))
        assert seen.tolist() == [i for i in field.pixels(unit) if i >= 0]


def test_lenet_as_its_gradients_see_it():
    kernel = jnp.ones((5, 5, 1, 1))

    def maps(image):
        x = ops.avg_pool(ops.conv2d(image[None, ..., None], kernel, padding=2), 2)
        return ops.avg_pool(ops.conv2d(x, kernel), 2)[0, ..., 0]

    seen = influence(maps, jnp.ones((28, 28)), (2, 0))
    assert np.flatnonzero(seen.any(1)).tolist() == list(range(6, 22))
    assert np.flatnonzero(seen.any(0)).tolist() == list(range(14))  # two columns are padding
    assert seen.sum() == 16 * 14


@pytest.mark.parametrize("unit", [(0, 0), (1, 1)])
def test_influence_is_measured_and_not_counted(unit):
    seen = influence(lambda x: ops.max_pool(x[None, ..., None], 2)[0, ..., 0], jnp.eye(4), unit)
    assert seen.sum() == 1  # of the four pixels that the window covers, one decides
    assert seen[2 * unit[0], 2 * unit[1]]
