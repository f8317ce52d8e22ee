import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st

from lenet import ops
from lenet.reference import (
    corr2d,
    corr2d_backward,
    corr2d_grouped,
    corr2d_multi_in,
    corr2d_multi_in_out,
    corr2d_multi_in_out_1x1,
    dense2d,
    max_pool2d_backward,
    pool2d,
    tied_weight,
)

X = jnp.arange(9.0).reshape(3, 3)
K = jnp.arange(4.0).reshape(2, 2)


def test_the_edge_kernel_sees_vertical_edges_only():
    image = jnp.ones((6, 8)).at[:, 2:6].set(0)
    edge = jnp.array([[1.0, -1.0]])
    assert corr2d(image, edge).tolist() == [[0, 1, 0, 0, 0, -1, 0]] * 6
    assert not corr2d(image.T, edge).any()


def test_channels_in_and_out():
    x = jnp.stack([X, X + 1])
    k = jnp.stack([K, K + 1])
    assert corr2d_multi_in(x, k).tolist() == [[56, 72], [104, 120]]
    stacked = jnp.stack([k, k + 1, k + 2])
    assert stacked.shape == (3, 2, 2, 2)
    assert corr2d_multi_in_out(x, stacked).tolist() == [
        [[56, 72], [104, 120]],
        [[76, 100], [148, 172]],
        [[96, 128], [192, 224]],
    ]


def test_pooling():
    assert pool2d(X, (2, 2)).tolist() == [[4, 5], [7, 8]]
    assert pool2d(X, (2, 2), "avg").tolist() == [[2, 3], [5, 6]]


def test_a_dilated_and_a_depthwise_convolution():
    assert corr2d(jnp.arange(16.0).reshape(4, 4), K, dilation=2).tolist() == [[48, 54], [72, 78]]
    depthwise = corr2d_grouped(jnp.stack([X, X + 1]), jnp.stack([K, K + 1])[:, None], 2)
    assert depthwise.tolist() == [[[19, 25], [37, 43]], [[37, 47], [67, 77]]]


def test_backward_passes_by_hand():
    g = jnp.arange(1.0, 5).reshape(2, 2)
    dx, dk = corr2d_backward(X, K, g)
    assert dx.tolist() == [[0, 1, 2], [2, 10, 10], [6, 17, 12]]
    assert dk.tolist() == [[27, 37], [57, 67]]
    x = jnp.array([[1.0, 3, 2], [0, 1, 5], [4, 2, 1]])
    assert max_pool2d_backward(x, (2, 2), g).tolist() == [[0, 1, 0], [0, 0, 6], [3, 0, 0]]


@given(st.integers(0, 2**32 - 1))
def test_backward_passes_are_pytorchs(torch, seed):
    """Whole numbers, many of them equal."""
    rng = np.random.default_rng(seed)
    x, k, g, of_pool = (
        rng.integers(-2, 3, size).astype(np.float32) for size in ((4, 5), (2, 3), (3, 3), (3, 4))
    )
    tx, tk = (torch.tensor(a[None, None], requires_grad=True) for a in (x, k))
    torch.nn.functional.conv2d(tx, tk).backward(torch.tensor(g[None, None]))
    for ours, theirs in zip(_backward(x, k, g), (tx, tk), strict=True):
        np.testing.assert_array_equal(ours, theirs.grad[0, 0])
    tx.grad = None
    torch.nn.functional.max_pool2d(tx, 2, stride=1).backward(torch.tensor(of_pool[None, None]))
    np.testing.assert_array_equal(_pool_backward(x, (2, 2), of_pool), tx.grad[0, 0])


_backward = jax.jit(corr2d_backward)
_pool_backward = jax.jit(max_pool2d_backward, static_argnums=1)


@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4))
def test_a_1x1_convolution_is_a_matrix_product_over_channels(seed, ci, co, side):
    rng = np.random.default_rng(seed)
    x, k = rng.normal(size=(ci, side, side)), rng.normal(size=(co, ci, 1, 1))
    product, loop = corr2d_multi_in_out_1x1(x, k), jax.jit(corr2d_multi_in_out)(x, k)
    # Relative to the terms that were added: with cancellation an absolute bound fails.
    scale = np.einsum("oc,chw->ohw", np.abs(k[:, :, 0, 0]), np.abs(x)).max()
    assert np.abs(product - loop).max() <= 4 * np.finfo(np.float32).eps * scale


@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_corr2d_is_scipys(seed, kernel, more):
    rng = np.random.default_rng(seed)
    k = rng.integers(-9, 10, kernel)
    x = rng.integers(-9, 10, (kernel[0] + more[0], kernel[1] + more[1]))
    assert (jax.jit(corr2d)(x, k) == scipy.signal.correlate2d(x, k, mode="valid")).all()


def test_the_loops_can_be_differentiated_jitted_and_mapped():
    # The gradient with respect to the kernel is a cross-correlation with the output's gradient.
    gradient = jax.jit(jax.grad(lambda k: corr2d(X, k).sum()))(K)
    assert gradient.tolist() == corr2d(X, jnp.ones((2, 2))).tolist()
    many = jax.vmap(corr2d, (0, None))(jnp.stack([X, 2 * X]), K)
    assert many.tolist() == [[[19, 25], [37, 43]], [[38, 50], [74, 86]]]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: corr2d(X, jnp.ones((4, 1))), r"\(4, 1\).*\(3, 3\)"),
        (lambda: corr2d(X[0], K), r"\(3,\).*\(2, 2\)"),
        (lambda: corr2d_multi_in(X[None], jnp.ones((2, 2, 2))), r"\(1, 3, 3\).*\(2, 2, 2\)"),
        (lambda: corr2d_multi_in_out(X[None], K[None]), r"\(1, 2, 2\).*\(1, 3, 3\)"),
        (lambda: corr2d_multi_in_out_1x1(X[None], K[None, None]), r"\(1, 1, 2, 2\).*\(1, 3, 3\)"),
        (lambda: pool2d(X, (4, 4)), r"\(4, 4\).*\(3, 3\)"),
        (lambda: pool2d(X, (2, 2), "min"), "min"),
        (lambda: tied_weight(jnp.ones((2, 3)), (4, 4)), r"odd.*\(2, 3\)"),
        (lambda: tied_weight(jnp.ones((3, 4)), (4, 4)), r"odd.*\(3, 4\)"),
        (lambda: tied_weight(jnp.ones(3), (4, 4)), r"\(3,\).*\(4, 4\)"),
        (lambda: dense2d(jnp.ones((2, 3, 3)), X), r"\(2, 3, 3\).*\(3, 3\)"),
        (lambda: dense2d(jnp.ones((1, 1, 3, 3)), X[0]), r"\(3,\).*\(1, 1, 3, 3\)"),
    ],
)
def test_shapes_and_options_that_cannot_be_are_named(unchecked, call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_a_fully_connected_layer_by_hand():
    weight = jnp.array([[[[1, 2], [3, 4]]], [[[0, 0], [0, 1]]]])  # 2×1 outputs of 2×2 pixels
    assert dense2d(weight, [[5, 6], [7, 8]]).tolist() == [[5 + 12 + 21 + 32], [8]]


def test_a_tied_weight_by_hand():
    weight = tied_weight(jnp.arange(1, 10).reshape(3, 3), (2, 2))
    assert weight[0].tolist() == [[[5, 6], [8, 9]], [[4, 5], [7, 8]]]
    assert weight[1].tolist() == [[[2, 3], [5, 6]], [[1, 2], [4, 5]]]


@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.tuples(st.integers(0, 5), st.integers(0, 5)),
)
def test_a_tied_fully_connected_layer_is_a_padded_convolution(seed, size, reach):
    """With windows of up to 11×11, larger than the image, too."""
    rng = np.random.default_rng(seed)
    v = rng.integers(-9, 10, [2 * r + 1 for r in reach]).astype(np.float32)
    x = rng.integers(-9, 10, size).astype(np.float32)

    @jax.jit
    def both(v, x):
        convolved = ops.conv2d(x[None, ..., None], v[..., None, None], padding=reach)
        return dense2d(tied_weight(v, size), x), convolved[0, ..., 0]

    dense, convolved = both(v, x)
    assert dense.shape == size
    assert (dense == convolved).all()
