from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lenet import ops
from lenet.ops import blocks


@st.composite
def layers(draw):
    """images [B, H, W, Ci], kernel [kh, kw, Ci, Co], bias [Co], block and padding."""
    kh, kw = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    height, width = kh + draw(st.integers(0, 6)), kw + draw(st.integers(0, 6))
    batch, ci, co = (draw(st.integers(1, 3)) for _ in range(3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shapes = ((batch, height, width, ci), (kh, kw, ci, co), (co,))
    arrays = (rng.normal(size=shape).astype(np.float32) for shape in shapes)
    sides = st.tuples(st.integers(0, 2), st.integers(0, 2))
    return *arrays, draw(st.sampled_from([1, 2, 3, 4])), draw(st.tuples(sides, sides))


@pytest.mark.slow
@given(layers())
def test_a_layer_and_its_gradients_are_those_of_ops(case):
    images, kernel, bias, block, padding = case

    size = ops.output_shape(images.shape[1:3], kernel.shape[:2], padding=padding)

    def plain(images, kernel, bias):
        return ops.conv2d(images, kernel, padding=padding) + bias.reshape(1, 1, 1, -1)

    def blocked(images, kernel, bias):
        y = blocks.conv2d(blocks.split(images, block, padding), kernel, bias)
        return blocks.merge(y, size)

    @partial(jax.jit, static_argnums=0)
    def both(layer, *arrays):
        y, gradients = jax.vjp(layer, *arrays)
        return y, *gradients(jnp.cos(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape))

    for ours, theirs in zip(
        both(blocked, images, kernel, bias), both(plain, images, kernel, bias), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kernel", "block"),
    [
        ((5, 5), 2),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in (((5, 3), 4), ((2, 4), 1))),
    ],
)
def test_a_gpus_form_of_the_patches_and_of_their_gradient_is_a_cpus(kernel, block, monkeypatch):
    keys = jax.random.split(jax.random.key(0), 2)
    x = jax.random.normal(keys[0], (block, block, 2, 6, 7, 3))
    weights, bias = jax.random.normal(keys[1], (*kernel, 2, 3)), jnp.arange(3.0)

    def layer(*given):
        return (blocks.conv2d(*given) ** 3).sum()

    def both():
        return jax.value_and_grad(layer, (0, 1, 2))(x, weights, bias)

    on_cpu, text = both(), str(jax.make_jaxpr(both)())
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    jax.clear_caches()
    on_gpu, joined = both(), str(jax.make_jaxpr(both)())
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-3), on_gpu, on_cpu)
    assert "dynamic_update_slice" in text
    assert "dynamic_update_slice" not in joined  # no loop, which would be many kernels a round


@given(
    st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.integers(1, 2), st.integers(1, 4)
)
def test_merge_undoes_split(batch, height, width, channels, block):
    images = jnp.arange(batch * height * width * channels).reshape(batch, height, width, channels)
    split = jax.jit(blocks.split, static_argnums=1)(images, block)
    assert (blocks.merge(split, (height, width)) == images).all()


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 4))
def test_the_matrix_is_the_convolution_as_a_fully_connected_layer(kh, kw, block):
    """A row for each input of a window, a column for each output of a block."""
    rng = np.random.default_rng(kh * 10 + kw)
    kernel = rng.normal(size=(kh, kw, 1, 1)).astype(np.float32)
    bias = rng.normal(size=1).astype(np.float32)
    matrix = np.asarray(blocks.toeplitz(jnp.asarray(kernel), jnp.asarray(bias), block))
    q, r = 1 + -(-(kh - 1) // block), 1 + -(-(kw - 1) // block)
    window = rng.normal(size=(q * block, r * block)).astype(np.float32)
    rows = window.reshape(q, block, r, block).transpose(0, 2, 1, 3).ravel()
    outputs = ops.conv2d(window[None, ..., None], kernel)[0, :block, :block, 0] + bias[0]
    np.testing.assert_allclose(np.append(rows, 1) @ matrix, outputs.ravel(), rtol=1e-4, atol=1e-5)
    # Weights are shared: every column holds the kernel's numbers, the bias and otherwise zeros.
    assert np.count_nonzero(matrix) == block * block * (kernel.size + 1)


@pytest.mark.parametrize("mode", ["avg", "max"])
def test_pooling_activates_and_reduces_within_blocks(mode):
    images = jax.random.normal(jax.random.key(0), (2, 8, 12, 3))
    pool = {"avg": ops.avg_pool, "max": ops.max_pool}[mode]
    for block in (2, 4):
        pooled = blocks.activate_and_pool(blocks.split(images, block), jnp.tanh, 2, mode)
        assert pooled.shape[0] == block // 2
        expected = pool(jnp.tanh(images), 2)
        np.testing.assert_allclose(blocks.merge(pooled, (4, 6)), expected, rtol=1e-5, atol=1e-6)
