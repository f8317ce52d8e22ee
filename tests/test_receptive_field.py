import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lenet import ops
from lenet.inspect.receptive_field import (
    Window,
    effective_size,
    influence,
    measured,
    paths,
    receptive_field,
)

# A dilation, or a stride above the window's size, would leave holes in the field; under as much
# padding as that size, a unit would see nothing of the layer below.
WINDOWS = st.integers(1, 3).flatmap(
    lambda k: st.builds(
        Window, st.just(k), st.integers(1, min(k, 2)), st.integers(0, k - 1), st.just(1)
    )
)
N = 64  # pixels: room for a field of four such windows


def stack(windows):
    """Convolutions down an image [N] with weights of 1: every pixel seen has a derivative."""

    def apply(pixels):
        x = pixels[None, :, None, None]
        for size, stride, padding, dilation in windows:
            ones = jnp.ones((size, 1, 1, 1))
            spread = {"padding": (padding, 0), "dilation": (dilation, 1)}
            x = ops.conv2d(x, ones, stride=(stride, 1), **spread)
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


@given(st.lists(WINDOWS, min_size=1, max_size=4))
def test_what_is_measured_is_the_arithmetic(windows):
    """Down the image; across it, a unit sees one pixel."""

    def maps(images):
        return {"maps": jax.vmap(jax.vmap(stack(windows), 1, 1))(images[..., 0])[..., None]}

    field = receptive_field(windows)
    found = measured(maps, (N, 3, 1))["maps"]
    assert found[0] == (field.size, 1)
    assert found[1] == (field.stride if field.stride == 1 else None)


def test_what_moves_by_rounding_alone_is_not_seen():
    """As of a product whose order depends on the place in a batch."""

    def function(images):
        places = jnp.arange(len(images))[:, None, None, None]
        return {"kept": images[:, :2] * (1 + 1e-6 * places), "lost": images * jnp.nan}

    assert measured(function, (6, 6, 1)) == {"kept": ((1, 1), 1)}


def test_lenet_as_its_gradients_see_it():
    kernel = jnp.ones((5, 5, 1, 1))

    def maps(image):
        x = ops.avg_pool(ops.conv2d(image[None, ..., None], kernel, padding=2), 2)
        return ops.avg_pool(ops.conv2d(x, kernel), 2)[0, ..., 0]

    seen = influence(maps, jnp.ones((28, 28)), (2, 0))
    assert np.flatnonzero(seen.any(1)).tolist() == list(range(6, 22))
    assert np.flatnonzero(seen.any(0)).tolist() == list(range(14))  # two columns are padding
    assert seen.sum() == 16 * 14


@given(
    st.lists(
        st.builds(Window, st.integers(1, 3), st.integers(1, 2), st.just(0), st.integers(1, 3)),
        min_size=1,
        max_size=3,
    )
)
def test_paths_are_the_gradient_under_weights_of_one(windows):
    count = paths(windows)
    assert len(count) == receptive_field(windows).size
    gradient = jax.jit(jax.grad(lambda pixels: stack(windows)(pixels)[0]))(jnp.ones(N))
    assert gradient.tolist() == [*count, *[0] * (N - len(count))]


def test_the_effective_size_is_the_least_with_its_share():
    count = np.array([1, 3, 6, 7, 6, 3, 1])
    assert [effective_size(count, share) for share in (0.2, 19 / 27, 25 / 27, 1)] == [1, 3, 5, 7]


@pytest.mark.parametrize("unit", [(0, 0), (1, 1)])
def test_influence_is_measured_and_not_counted(unit):
    seen = influence(lambda x: ops.max_pool(x[None, ..., None], 2)[0, ..., 0], jnp.eye(4), unit)
    assert seen.sum() == 1  # of the four pixels that the window covers, one decides
    assert seen[2 * unit[0], 2 * unit[1]]
