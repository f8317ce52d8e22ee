import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lenet.inspect.layers import layers, table
from lenet.model import BIAS_INITIALIZERS, KERNEL_INITIALIZERS, Conv2D, LeNet


def test_the_table_has_the_texts_numbers():
    rows = layers(LeNet(), (28, 28, 1))
    assert [row.output_shape for row in rows] == [
        *((28, 28, 6), (14, 14, 6), (10, 10, 16), (5, 5, 16)),
        *((400,), (120,), (84,), (10,)),
    ]
    assert sum(row.parameters for row in rows) == 61_706
    multiply_adds = [row.multiply_adds for row in rows if row.multiply_adds]
    assert multiply_adds == [117_600, 240_000, 48_000, 10_080, 840]
    assert sum(multiply_adds) == 416_520
    seen = [(row.receptive_field[0], row.stride) for row in rows if row.stride]
    assert seen == [(5, 1), (6, 2), (14, 2), (16, 4)]
    assert "61,706" in table(rows)
    assert "416,520" in table(rows)


# Settings, not networks: the annotations' checker samples at random, which a strategy may not.
NETWORKS = st.builds(
    dict,
    activation=st.sampled_from(["sigmoid", "relu", "tanh"]),
    pool=st.sampled_from(["avg", "max"]),
    channels=st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple),
    kernel_size=st.integers(1, 5),
    hidden=st.sampled_from([(), (5,), (6, 5)]),
    num_classes=st.integers(2, 4),
    bias_init=st.sampled_from(sorted(BIAS_INITIALIZERS)),
)


@pytest.mark.slow
@given(NETWORKS, st.integers(8, 50), st.integers(8, 50), st.integers(1, 3))
@example({}, 28, 28, 1)
@example({"pool": "max", "activation": "relu", "hidden": ()}, 31, 30, 3)
@example({"channels": (2,), "kernel_size": 3}, 30, 30, 1)
@example({"channels": (2, 3, 2), "kernel_size": 4}, 45, 46, 1)
def test_both_forms_and_the_table_agree_for_any_network_and_image(
    settings, height, width, channels
):
    """Both give the same logits and gradients, and the table counts the parameters."""
    model, shape = LeNet(**settings), (height, width, channels)
    try:
        rows = layers(model, shape)
    except ValueError:
        with pytest.raises(ValueError, match="too small for conv"):
            jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *shape)))
        return
    images = jax.random.uniform(jax.random.key(1), (2, *shape))
    params = jax.jit(model.init)(jax.random.key(0), images)

    def loss(params, form):
        logits = model.clone(conv=form).apply(params, images)
        return (logits**2).sum(), logits

    both = jax.jit(jax.grad(loss, has_aux=True), static_argnums=1)
    pairs = zip(
        jax.tree.leaves(both(params, "matmul")), jax.tree.leaves(both(params, "lax")), strict=True
    )
    for matmul, lax in pairs:
        np.testing.assert_allclose(matmul, lax, rtol=1e-3, atol=1e-4 * (1 + np.abs(lax).max()))
    assert sum(row.parameters for row in rows) == sum(p.size for p in jax.tree.leaves(params))
    assert rows[-1].output_shape == (model.num_classes,)


FAN_IN, FAN_OUT = 25 * 6, 25 * 16


@pytest.mark.parametrize(
    ("name", "variance"),
    [
        ("xavier_uniform", 2 / (FAN_IN + FAN_OUT)),
        ("xavier_normal", 2 / (FAN_IN + FAN_OUT)),
        ("he_uniform", 2 / FAN_IN),
        ("he_normal", 2 / FAN_IN),
        ("lecun_uniform", 1 / FAN_IN),
        ("lecun_normal", 1 / FAN_IN),
        ("normal", 0.01**2),
        ("pytorch", 1 / (3 * FAN_IN)),
    ],
)
def test_initial_weights_have_the_variance_of_their_name(name, variance):
    kernels = jax.vmap(lambda key: KERNEL_INITIALIZERS[name](key, (5, 5, 6, 16)))(
        jax.random.split(jax.random.key(0), 40)
    )
    assert float(kernels.var()) == pytest.approx(variance, rel=0.03)
    assert abs(float(kernels.mean())) < 0.01 * variance**0.5
    if name == "pytorch":
        assert float(jnp.abs(kernels).max()) <= 1 / FAN_IN**0.5


def test_orthogonal_weights_are_orthogonal():
    kernel = KERNEL_INITIALIZERS["orthogonal"](jax.random.key(0), (5, 5, 6, 16)).reshape(150, 16)
    np.testing.assert_allclose(kernel.T @ kernel, np.eye(16), atol=1e-5)


def test_initial_biases_are_zero_or_pytorchs():
    images = jnp.zeros((1, 28, 28, 1))
    zeros, drawn = (
        jax.jit(LeNet(bias_init=name).init)(jax.random.key(0), images)["params"]
        for name in ("zeros", "pytorch")
    )
    assert not any(layer["bias"].any() for layer in zeros.values())
    fans_in = {"conv1": 25, "conv2": 150, "dense1": 400, "dense2": 120, "dense3": 84}
    for name, fan_in in fans_in.items():
        assert 0.5 < float(jnp.abs(drawn[name]["bias"]).max()) * fan_in**0.5 <= 1


def test_conv2d_is_a_layer_of_its_own():
    x = jnp.ones((1, 6, 8, 1)).at[:, :, 2:6].set(0)
    layer = Conv2D(features=1, kernel_size=(1, 2), use_bias=False)
    params = {"kernel": jnp.array([[1.0, -1.0]]).reshape(1, 2, 1, 1)}
    assert jax.tree.map(jnp.shape, layer.init(jax.random.key(0), x)["params"]) == {
        "kernel": (1, 2, 1, 1)
    }
    edges = layer.apply({"params": params}, x)
    assert edges[0, ..., 0].tolist() == [[0, 1, 0, 0, 0, -1, 0]] * 6
    strided = Conv2D(features=4, kernel_size=3, padding=1, stride=2)
    assert strided.init_with_output(jax.random.key(0), x)[0].shape == (1, 3, 4, 4)


@pytest.mark.parametrize(
    ("model", "shape", "said"),
    [
        (LeNet(), (1, 8, 8, 1), "8x8 are too small for conv2"),
        (LeNet(kernel_size=7), (1, 14, 14, 1), "14x14 are too small for conv2"),
        (LeNet(), (28, 28, 1), r"B H W C.*\(28, 28, 1\)"),
    ],
)
def test_images_that_do_not_fit_are_an_error_that_says_where(unchecked, model, shape, said):
    with pytest.raises(ValueError, match=said):
        model.init(jax.random.key(0), jnp.zeros(shape))


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"pool": "average"}, "pool='average': must be one of avg, max"),
        ({"conv": "xla"}, "conv='xla': must be one of matmul, lax"),
        ({"activation": "swish"}, "activation='swish'"),
        ({"kernel_init": "glorot"}, "kernel_init='glorot'"),
        ({"bias_init": "one"}, "bias_init='one'"),
        ({"channels": ()}, "at least one convolution"),
        ({"num_classes": 0}, "at least 1"),
        ({"kernel_size": 0}, "at least 1"),
    ],
)
def test_a_setting_that_is_not_there_is_named(setting, said):
    with pytest.raises(ValueError, match=said):
        LeNet(**setting).init(jax.random.key(0), jnp.zeros((1, 28, 28, 1)))


def test_the_matmul_form_of_a_layer_refuses_what_it_would_ignore():
    with pytest.raises(ValueError, match="padding=1"):
        Conv2D(1, 3, padding=1, form="matmul").init(
            jax.random.key(0), jnp.zeros((1, 1, 1, 9, 9, 2))
        )


def test_the_lax_form_can_be_differentiated_forwards():
    model = LeNet(pool="max", channels=(1, 1), hidden=(2,), conv="lax")
    images = jax.random.normal(jax.random.key(0), (1, 28, 28, 1))
    variables = model.init(jax.random.key(1), images)
    call = jax.jit(lambda x: model.apply(variables, x)[0, 0])
    _, forward = jax.jvp(call, (images,), (images,))
    np.testing.assert_allclose(forward, (jax.grad(call)(images) * images).sum(), rtol=1e-4)
