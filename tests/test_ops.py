import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
from hypothesis import assume, given
from hypothesis import strategies as st
from jax.test_util import check_grads

from lenet import ops, reference
from lenet.ops.shapes import explicit_padding

SIDES = st.tuples(st.integers(0, 2), st.integers(0, 2))
PADDINGS = st.one_of(
    st.integers(0, 2), SIDES, st.tuples(SIDES, SIDES), st.sampled_from(["SAME", "VALID"])
)


@st.composite
def convolutions(draw):
    """x [B, H, W, Ci], kernel [kh, kw, Ci, Co], stride and padding that go together."""
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    size = tuple(k + draw(st.integers(0, 3)) for k in kernel)
    ci, co, batch = (draw(st.integers(1, 2)) for _ in range(3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    stride = draw(st.one_of(st.integers(1, 3), st.tuples(st.integers(1, 3), st.integers(1, 3))))
    x = rng.normal(size=(batch, *size, ci)).astype(np.float32)
    k = rng.normal(size=(*kernel, ci, co)).astype(np.float32)
    return x, k, stride, draw(PADDINGS)


def by_the_definition(x, k, stride, padding):
    """Pad by hand, run the text's loops, keep what the stride visits."""
    stride = (stride, stride) if isinstance(stride, int) else stride
    sides = explicit_padding(x.shape[1:3], k.shape[:2], stride=stride, padding=padding)
    padded = np.pad(x, ((0, 0), *sides, (0, 0)))
    # Compiled as one program: each slice of the loops would otherwise be compiled by itself.
    loops = jax.jit(jax.vmap(reference.corr2d_multi_in_out, (0, None)))
    maps = loops(padded.transpose(0, 3, 1, 2), k.transpose(3, 2, 0, 1))
    return np.asarray(maps).transpose(0, 2, 3, 1)[:, :: stride[0], :: stride[1]]


@given(convolutions())
def test_conv2d_is_the_definition_and_strict_convolution_turns_the_kernel(case):
    x, k, stride, padding = case

    @jax.jit
    def both(x, k):
        turned = ops.convolve2d(x, k[::-1, ::-1], stride=stride, padding=padding)
        return ops.conv2d(x, k, stride=stride, padding=padding), turned

    found, turned = both(x, k)
    np.testing.assert_allclose(found, by_the_definition(*case), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(turned, found, rtol=1e-5, atol=1e-6)
    size = ops.output_shape(x.shape[1:3], k.shape[:2], stride=stride, padding=padding)
    assert found.shape == (len(x), *size, k.shape[3])


@given(convolutions())
def test_conv2d_and_its_gradients_are_pytorchs(torch, case):
    x, k, stride, padding = case
    sides = explicit_padding(x.shape[1:3], k.shape[:2], stride=stride, padding=padding)
    g = np.cos(np.arange(1000, dtype=np.float32))

    @jax.jit
    def both(x, k):
        y, gradients = jax.vjp(lambda x, k: ops.conv2d(x, k, stride=stride, padding=padding), x, k)
        return y, gradients(jnp.resize(g, y.shape))

    y, (dx, dk) = both(x, k)
    tx = torch.tensor(np.ascontiguousarray(x.transpose(0, 3, 1, 2)), requires_grad=True)
    tk = torch.tensor(np.ascontiguousarray(k.transpose(3, 2, 0, 1)), requires_grad=True)
    padded = torch.nn.functional.pad(tx, (*sides[1], *sides[0]))
    ty = torch.nn.functional.conv2d(padded, tk, stride=stride)
    np.testing.assert_allclose(y, ty.detach().numpy().transpose(0, 2, 3, 1), rtol=1e-4, atol=1e-5)
    ty.backward(torch.tensor(np.resize(g, y.shape).transpose(0, 3, 1, 2).copy()))
    np.testing.assert_allclose(dx, tx.grad.numpy().transpose(0, 2, 3, 1), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(dk, tk.grad.numpy().transpose(2, 3, 1, 0), rtol=1e-4, atol=1e-4)


@st.composite
def spread_convolutions(draw):
    """x [B, H, W, Ci], kernel [kh, kw, Ci / groups, Co], stride, padding, dilation and groups."""
    kernel, dilation, stride, padding = (
        (draw(st.integers(low, high)), draw(st.integers(low, high)))
        for low, high in ((1, 3), (1, 3), (1, 2), (0, 3))
    )
    size = (
        d * (k - 1) + 1 + draw(st.integers(0, 3)) for k, d in zip(kernel, dilation, strict=True)
    )
    groups, each, out = (draw(st.integers(1, high)) for high in (3, 2, 2))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = rng.integers(-9, 10, (2, *size, groups * each)).astype(np.float32)
    k = rng.integers(-9, 10, (*kernel, each, groups * out)).astype(np.float32)
    return x, k, {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}


@given(spread_convolutions())
def test_dilation_groups_and_their_gradients_are_pytorchs(torch, case):
    """Whole numbers, so nothing is rounded; a padding above the window included."""
    x, k, options = case
    tx = torch.tensor(x.transpose(0, 3, 1, 2).copy(), requires_grad=True)
    tk = torch.tensor(k.transpose(3, 2, 0, 1).copy(), requires_grad=True)
    ty = torch.nn.functional.conv2d(tx, tk, **options)
    ty.backward(torch.ones_like(ty))

    @jax.jit
    def both(x, k):
        y, gradients = jax.vjp(lambda x, k: ops.conv2d(x, k, **options), x, k)
        return y, gradients(jnp.ones_like(y))

    y, (dx, dk) = both(x, k)
    np.testing.assert_array_equal(y, ty.detach().numpy().transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(dx, tx.grad.numpy().transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(dk, tk.grad.numpy().transpose(2, 3, 1, 0))


@pytest.mark.parametrize(("channels", "kernel", "groups"), [(6, 2, 3), (6, 2, 2), (6, 3, 4)])
def test_groups_that_do_not_divide_the_channels_are_an_error(channels, kernel, groups):
    x, k = jnp.ones((1, 4, 4, channels)), jnp.ones((2, 2, kernel, 8))
    with pytest.raises(ValueError, match=rf"{groups} groups: .* shape \(1, 4, 4, 6\)"):
        ops.conv2d(x, k, groups=groups)


@given(st.integers(0, 2**32 - 1), st.sampled_from([(1, 1), (1, 2, 1), (1, 4, 6, 4, 1)]))
def test_blur_pool_keeps_the_mean_of_an_image_that_moves(seed, taps):
    image = np.random.default_rng(seed).integers(0, 9, (1, 8, 8, 2)).astype(np.float32)
    means = []
    for moved in (image, np.roll(image, 1, 1), np.roll(image, (1, 1), (1, 2))):
        around = np.pad(
            moved, ((0, 0), *[((len(taps) - 1) // 2, len(taps) // 2)] * 2, (0, 0)), "wrap"
        )
        pooled = ops.blur_pool(around, taps)
        assert pooled.shape == (1, 4, 4, 2)
        means.append(pooled.mean((0, 1, 2)).tolist())
    assert means == [image.mean((0, 1, 2)).tolist()] * 3  # powers of two divide: nothing is rounded


def test_the_gradient_under_more_padding_than_kernel_stays_within_its_buffers():
    """openxla/xla#48713: the last row came out with what lies behind it, or as 1e29."""
    x, k = jnp.ones((2, 3, 2, 1)), jnp.ones((2, 2, 1, 2))

    @jax.jit
    def gradient(x, g):
        return jax.vjp(lambda x: ops.conv2d(x, k, padding=((2, 0), (2, 2))), x)[1](g)[0]

    assert gradient(x, jnp.ones((2, 4, 5, 2))).ravel().tolist() == [8, 8, 8, 8, 4, 4] * 2


def test_strict_convolution_is_scipys():
    rng = np.random.default_rng(0)
    x, k = rng.normal(size=(5, 6)).astype(np.float32), rng.normal(size=(3, 2)).astype(np.float32)
    found = ops.convolve2d(x[None, ..., None], k[..., None, None])[0, ..., 0]
    expected = scipy.signal.convolve2d(x, k, mode="valid")
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


X = jnp.arange(16.0).reshape(1, 4, 4, 1)


def test_the_pooling_examples_of_the_text():
    assert ops.max_pool(X, 3).ravel().tolist() == [10]
    assert ops.max_pool(X, 3, padding=1, stride=2)[0, ..., 0].tolist() == [[5, 7], [13, 15]]
    strided = ops.max_pool(X, (2, 3), stride=(2, 3), padding=(0, 1))
    assert strided[0, ..., 0].tolist() == [[5, 7], [13, 15]]
    two = ops.max_pool(jnp.concatenate([X, X + 1], 3), 3, padding=1, stride=2)
    assert two[0, ..., 0].tolist() == [[5, 7], [13, 15]]
    assert two[0, ..., 1].tolist() == [[6, 8], [14, 16]]


def test_max_pool_pads_with_minus_infinity_and_not_with_zero():
    assert ops.max_pool(-X - 1, 3, padding=1, stride=2)[0, ..., 0].tolist() == [[-1, -2], [-5, -6]]
    assert ops.max_pool(X.astype(jnp.int32) - 20, 3, padding=1, stride=2).max() == -5


@st.composite
def poolings(draw):
    """x [B, H, W, C], whole numbers with many ties, and a window, a stride and a padding."""
    window = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    size = tuple(w + draw(st.integers(0, 4)) for w in window)
    # PyTorch allows at most half a window of padding.
    padding = tuple(draw(st.integers(0, w // 2)) for w in window)
    stride = draw(st.one_of(st.none(), st.tuples(st.integers(1, 3), st.integers(1, 3))))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = rng.integers(-2, 3, (draw(st.integers(1, 2)), *size, 2)).astype(np.float32)
    return x, window, stride, padding


@pytest.mark.parametrize("mode", ["max", "avg", "avg without padding"])
@given(case=poolings())
def test_pooling_and_its_gradient_are_pytorchs_ties_included(torch, mode, case):
    x, window, stride, padding = case
    g = np.arange(1, 1000, dtype=np.float32)
    kwargs = {"stride": stride, "padding": padding}
    include = mode != "avg without padding"

    def ours(x):
        if mode == "max":
            return ops.max_pool(x, window, **kwargs)
        return ops.avg_pool(x, window, count_include_pad=include, **kwargs)

    @jax.jit
    def both(x):
        y, gradient = jax.vjp(ours, x)
        return y, *gradient(jnp.resize(g, y.shape))

    y, dx = both(x)
    tx = torch.tensor(np.ascontiguousarray(x.transpose(0, 3, 1, 2)), requires_grad=True)
    if mode == "max":
        ty = torch.nn.functional.max_pool2d(tx, window, **kwargs)
    else:
        ty = torch.nn.functional.avg_pool2d(tx, window, count_include_pad=include, **kwargs)
    np.testing.assert_allclose(y, ty.detach().numpy().transpose(0, 2, 3, 1), rtol=1e-6, atol=1e-6)
    ty.backward(torch.tensor(np.resize(g, y.shape).transpose(0, 3, 1, 2).copy()))
    np.testing.assert_allclose(dx, tx.grad.numpy().transpose(0, 2, 3, 1), rtol=1e-5, atol=1e-5)


def test_stride_one_pooling_is_the_text_s_loop():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(5, 6)), jnp.float32)
    for mode, pool in (("max", ops.max_pool), ("avg", ops.avg_pool)):
        found = pool(x[None, ..., None], (2, 3), stride=1)[0, ..., 0]
        np.testing.assert_allclose(found, reference.pool2d(x, (2, 3), mode), rtol=1e-5, atol=1e-6)


def test_every_operation_can_be_differentiated_jitted_and_mapped():
    """Derivatives both ways are those of finite differences; mapped and jitted it is the same."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, 1, 4, 5, 2)), jnp.float32)
    k = jnp.asarray(rng.normal(size=(2, 2, 2, 3)), jnp.float32)
    for op in (
        lambda x: ops.conv2d(x, k, stride=2, padding=((0, 1), (1, 0))),
        lambda x: ops.convolve2d(x, k),
        lambda x: ops.max_pool(x, 2),
        lambda x: ops.max_pool(x, 3, stride=1, padding=1),
        lambda x: ops.avg_pool(x, 2),
        lambda x: ops.avg_pool(x, 3, stride=2, padding=1),
        lambda x: ops.conv_transpose2d(x, k.swapaxes(2, 3), stride=2, padding=((0, 1), (1, 0))),
        lambda x: ops.patches(x, (2, 3), stride=2, padding="SAME"),
    ):
        check_grads(jax.jit(op), (x[0],), order=1, modes=["fwd", "rev"], atol=1e-2, rtol=1e-2)
        alone = jnp.stack([op(x[0]), op(x[1])])
        np.testing.assert_allclose(jax.jit(jax.vmap(op))(x), alone, rtol=1e-5, atol=1e-5)


def test_the_mean_of_whole_numbers_does_not_wrap():
    x = jnp.full((1, 3, 3, 1), 200, jnp.uint8)
    for stride in (1, 3):
        assert (ops.avg_pool(x, 3, stride=stride) == 200).all()


def test_numbers_of_numpy_will_do(unchecked):
    y = ops.conv2d(X, K, stride=np.array([2, 2]), padding=np.int64(1))
    assert (y == ops.conv2d(X, K, stride=2, padding=1)).all()


K = jnp.ones((3, 3, 1, 2))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: ops.conv2d(X[0], K), r"\(4, 4, 1\).*\(3, 3, 1, 2\)"),
        (lambda: ops.conv2d(X, K[0]), r"\(3, 1, 2\).*\(1, 4, 4, 1\)"),
        (lambda: ops.convolve2d(X, K[0]), r"\(3, 1, 2\).*\(1, 4, 4, 1\)"),
        (lambda: ops.conv2d(X, jnp.ones((3, 3, 2, 2))), r"\(1, 4, 4, 1\).*\(3, 3, 2, 2\)"),
        (lambda: ops.conv2d(X, jnp.ones((5, 5, 1, 1))), r"\(1, 4, 4, 1\).*\(5, 5, 1, 1\)"),
        (lambda: ops.conv2d(X, K, stride=0), r"stride.*0.*\(1, 4, 4, 1\).*\(3, 3, 1, 2\)"),
        (lambda: ops.conv2d(X, K, padding=1.5), r"padding.*1.5.*\(1, 4, 4, 1\)"),
        (lambda: ops.conv2d(X, K, padding=None), r"padding.*None.*\(1, 4, 4, 1\)"),
        (lambda: ops.max_pool(X, 5), r"\(5, 5\).*\(4, 4\)"),
        (lambda: ops.max_pool(X, 2, stride=0), r"stride.*0.*\(1, 4, 4, 1\)"),
        (lambda: ops.avg_pool(X[0], 2), r"\(4, 4, 1\).*\(2, 2\)"),
        (lambda: ops.max_pool(X, 2, padding=2), r"\(2, 2\).*\(1, 4, 4, 1\)"),
        (lambda: ops.conv_transpose2d(X, K), r"\(1, 4, 4, 1\).*\(3, 3, 1, 2\)"),
        (lambda: ops.conv_transpose2d(X[0], K), r"\(4, 4, 1\).*\(3, 3, 1, 2\)"),
        (lambda: ops.conv_transpose2d(X, K[0]), r"\(3, 1, 2\).*\(1, 4, 4, 1\)"),
        (lambda: ops.conv_transpose2d(X, K[..., :1], stride=0), "stride.*0"),
        (lambda: ops.conv_transpose2d(X, K[..., :1], padding=(3, 0)), r"nothing.*\(1, 4, 4, 1\)"),
        (lambda: ops.conv_transpose2d(X, K[..., :1], padding=(0, 3)), r"nothing.*\(1, 4, 4, 1\)"),
        (lambda: ops.conv_transpose2d(X, K[..., :1], padding=-1), "padding.*-1"),
        (lambda: ops.patches(X, 5), r"\(5, 5\).*\(4, 4\)"),
        (lambda: ops.patches(X, 0), "^window must.*0"),
        (lambda: ops.patches(X, 2, stride=0), r"stride.*0.*\(1, 4, 4, 1\)"),
        (lambda: ops.patches(X[0], 2), r"\(4, 4, 1\).*\(2, 2\)"),
    ],
)
def test_shapes_and_options_that_cannot_be_are_named(unchecked, call, said):
    with pytest.raises(ValueError, match=said):
        call()


@st.composite
def transposed(draw):
    """y [B, H', W', Co], kernel, stride and padding for conv_transpose2d: whole numbers, exact."""
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    size = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    stride = draw(st.one_of(st.integers(1, 3), st.tuples(st.integers(1, 3), st.integers(1, 3))))
    padding = draw(st.one_of(st.integers(0, 2), SIDES, st.tuples(SIDES, SIDES)))
    steps = (stride, stride) if isinstance(stride, int) else stride
    sides = explicit_padding(size, kernel, padding=padding)
    whole = [(n - 1) * s + k for n, s, k in zip(size, steps, kernel, strict=True)]
    assume(all(sum(cut) < n for cut, n in zip(sides, whole, strict=True)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    batch, ci, co = (draw(st.integers(1, 2)) for _ in range(3))
    y = rng.integers(-9, 10, (batch, *size, co)).astype(np.float32)
    k = rng.integers(-9, 10, (*kernel, ci, co)).astype(np.float32)
    return y, k, stride, padding


@given(transposed())
def test_conv_transpose2d_is_pytorchs(torch, case):
    y, k, stride, padding = case
    call = jax.jit(lambda y, k: ops.conv_transpose2d(y, k, stride=stride, padding=padding))
    ty, tk = (torch.tensor(a.transpose(0, 3, 1, 2).copy()) for a in (y, k.transpose(3, 0, 1, 2)))
    whole = torch.nn.functional.conv_transpose2d(ty, tk, stride=stride)
    (top, bottom), (left, right) = explicit_padding(y.shape[1:3], k.shape[:2], padding=padding)
    height, width = whole.shape[2:]
    expected = whole[:, :, top : height - bottom, left : width - right]
    assert (np.asarray(call(y, k)) == expected.numpy().transpose(0, 2, 3, 1)).all()
    if (top, left) == (bottom, right):
        cut = torch.nn.functional.conv_transpose2d(ty, tk, stride=stride, padding=(top, left))
        assert (cut == expected).all()


@given(transposed())
def test_conv_transpose2d_is_the_transpose_of_conv2d(case):
    """⟨conv2d(x), y⟩ = ⟨x, conv_transpose2d(y)⟩, in whole numbers."""
    y, k, stride, padding = case
    spread = ops.conv_transpose2d(y, k, stride=stride, padding=padding)
    x = np.random.default_rng(y.size).integers(-9, 10, spread.shape).astype(np.float32)
    convolved = ops.conv2d(x, k, stride=stride, padding=padding)
    assert convolved.shape == y.shape
    assert np.vdot(convolved, y) == np.vdot(x, spread)


def test_the_transpose_of_a_stride_of_two_by_hand():
    y, k = jnp.array([[1.0, 10.0]]).reshape(1, 1, 2, 1), jnp.array([1.0, 2.0, 3.0])
    spread = ops.conv_transpose2d(y, k.reshape(1, 3, 1, 1), stride=2)
    assert spread.ravel().tolist() == [1, 2, 3 + 10, 20, 30]
    cut = ops.conv_transpose2d(y, k.reshape(1, 3, 1, 1), stride=2, padding=((0, 0), (1, 2)))
    assert cut.ravel().tolist() == [2, 13]


@given(convolutions())
def test_patches_times_the_kernel_is_conv2d(case):
    x, k, stride, padding = case
    x, k = np.round(3 * x), np.round(3 * k)  # whole numbers: exact in any order

    @jax.jit
    def both(x, k):
        rows = ops.patches(x, k.shape[:2], stride=stride, padding=padding)
        return rows @ k.reshape(-1, k.shape[3]), ops.conv2d(x, k, stride=stride, padding=padding)

    product, expected = both(x, k)
    assert (product == expected).all()


def test_patches_are_in_the_order_of_a_kernels_axes():
    x = jnp.arange(18.0).reshape(1, 3, 3, 2)
    assert ops.patches(x, (1, 2))[0, 0, 1].tolist() == [2, 3, 4, 5]
    assert ops.patches(x, (2, 1), stride=2)[0, 0, 1].tolist() == [4, 5, 10, 11]
