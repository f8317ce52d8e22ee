"""The drop-in for XLA's general convolution agrees with it, gradients included."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import padded
import pytest
from flax import linen as nn
from hypothesis import given
from hypothesis import strategies as st

from lenet import ops


@st.composite
def cases(draw):
    """Shapes and settings of a convolution over one to three spatial dimensions."""
    rank = draw(st.integers(1, 3))

    def each(strategy):
        return tuple(draw(strategy) for _ in range(rank))

    groups, per_group, multiple = (draw(st.integers(1, 3)) for _ in range(3))
    window, apart = each(st.integers(1, 3)), each(st.integers(1, 3))
    own = each(st.integers(1, 3))
    padding = each(st.tuples(st.integers(-1, 3), st.integers(-1, 3)))
    if own == (1,) * rank and draw(st.booleans()):
        padding = draw(st.sampled_from(["SAME", "VALID", "SAME_LOWER"]))
    sizes = tuple(draw(st.integers((k - 1) * d + 3, 9)) for k, d in zip(window, apart, strict=True))
    last = ("NHC", "HIO", "NHC"), ("NHWC", "HWIO", "NHWC"), ("NHWDC", "HWDIO", "NHWDC")
    first = ("NCH", "OIH", "NCH"), ("NCHW", "OIHW", "NHWC"), ("NCHWD", "OIHWD", "NCHWD")
    numbers = draw(st.sampled_from([last, first]))[rank - 1]
    of = {"N": draw(st.integers(1, 2)), "C": groups * per_group, "I": per_group}
    of["O"] = groups * multiple
    shape = tuple((of | dict(zip("HWD", sizes, strict=False)))[axis] for axis in numbers[0])
    kernel = tuple((of | dict(zip("HWD", window, strict=False)))[axis] for axis in numbers[1])
    return (shape, kernel), {
        "window_strides": each(st.integers(1, 3)),
        "padding": padding,
        "lhs_dilation": own,
        "rhs_dilation": apart,
        "dimension_numbers": numbers,
        "feature_group_count": groups,
    }


def both(function, *arguments):
    """What a function of a convolution returns of XLA's and of ours."""
    return [jax.jit(functools.partial(function, conv))(*arguments) for conv in CONVOLUTIONS]


CONVOLUTIONS = (padded.conv_general_dilated, ops.conv_general_dilated)


@given(cases(), st.integers(0, 99))
def test_value_and_gradients_are_those_of_xla(case, seed):
    shapes, settings = case
    random = np.random.default_rng(seed)
    x, kernel = (jnp.float32(random.normal(size=shape)) for shape in shapes)
    try:
        out = jax.eval_shape(functools.partial(CONVOLUTIONS[0], **settings), x, kernel)
    except (TypeError, ValueError) as error:  # the padding crops more than there is
        with pytest.raises(type(error)):
            CONVOLUTIONS[1](x, kernel, **settings)
        return
    weights = jnp.float32(random.normal(size=out.shape))

    def all_of(conv, x, kernel):
        value, gradients = jax.vjp(functools.partial(conv, **settings), x, kernel)
        return value, gradients(weights)

    for ours, xla in zip(*map(jax.tree.leaves, both(all_of, x, kernel)), strict=True):
        np.testing.assert_allclose(ours, xla, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        {"strides": 2, "padding": "SAME", "kernel_dilation": 2},
        {"padding": "CIRCULAR", "feature_group_count": 2},
        {"padding": ((1, 0), (2, 1)), "input_dilation": 2, "use_bias": False},
        {"feature_group_count": 4},
    ],
)
def test_flax_takes_it(settings):
    x = jax.random.normal(jax.random.key(0), (2, 8, 7, 4))
    layers = [nn.Conv(8, (3, 2), **settings, conv_general_dilated=each) for each in CONVOLUTIONS]
    params = layers[0].init(jax.random.key(1), x)
    found = [layer.apply(params, x) for layer in layers]
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-5)


def test_neither_the_value_nor_a_gradient_is_a_convolution():
    x, kernel = jnp.ones((2, 8, 8, 4)), jnp.ones((3, 3, 2, 6))

    def loss(conv, x, kernel):
        numbers = ("NHWC", "HWIO", "NHWC")
        options = {"dimension_numbers": numbers, "feature_group_count": 2}
        return conv(x, kernel, (2, 1), "SAME", **options).sum()

    texts = [
        jax.jit(jax.grad(functools.partial(loss, conv), (0, 1))).lower(x, kernel).as_text()
        for conv in CONVOLUTIONS
    ]
    assert ["stablehlo.convolution" in text for text in texts] == [True, False]
    assert "stablehlo.dot_general" in texts[1]


def test_batches_of_kernels_and_forward_derivatives_agree():
    x, kernels = (jax.random.normal(jax.random.key(i), s) for i, s in enumerate(SHAPES))
    along = jnp.cos(x), jnp.sin(kernels)

    def moved(conv, x, kernels):
        own = functools.partial(conv, window_strides=(1, 2), padding="SAME")
        return jax.jvp(jax.vmap(own, (None, 0)), (x, kernels), along)

    for ours, xla in zip(*both(moved, x, kernels), strict=True):
        np.testing.assert_allclose(ours, xla, rtol=1e-4, atol=1e-4)


SHAPES = ((2, 3, 6, 6), (2, 4, 3, 3, 3))


def test_what_xla_refuses_is_refused():
    with pytest.raises(ValueError, match="feature dimension size"):
        ops.conv_general_dilated(jnp.ones((1, 3, 4, 4)), jnp.ones((2, 2, 3, 3)), (1, 1), "SAME")
