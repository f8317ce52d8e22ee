"""The direct convolution: right to rounding, reproducible, and optional."""

import functools
import json
import shutil
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import padded
import pytest
from commands import command
from flax import linen as nn
from hypothesis import example, given
from hypothesis import strategies as st
from jax import lax
from skipping import skip

from lenet import config as config_module
from lenet import ops, records, runs, train
from lenet.config import Config
from lenet.data import synthetic
from lenet.engine import convolutions, lanes, selfcheck
from lenet.errors import UsageError
from lenet.model import LeNet, network
from lenet.ops import blocks, compiled, native

NO_COMPILER = "/no/such/compiler"


@pytest.fixture(scope="module")
def kernel():
    """The compiled kernel, which all tests and later runs of them find in the cache."""
    if not any(map(shutil.which, compiled.COMPILERS)):
        skip("no C++ compiler")
    return compiled.library()


@pytest.fixture
def elsewhere(monkeypatch):
    """Nothing is known of the kernel yet, nor after the test."""
    known = (compiled, "library"), (compiled, "missing"), (selfcheck, "check_native")
    for module, name in (*known, (native, "_there")):
        again = functools.cache(getattr(module, name).__wrapped__)
        monkeypatch.setattr(module, name, again)


@pytest.fixture(scope="module")
def small():
    return synthetic.make(90, 30)


def of_small(**values):
    few = {"channels": (3, 4), "hidden": (8,), "batch_size": 40, "epochs": 2}
    return Config(dataset="synthetic", **few | values)


@st.composite
def layers(draw):
    """images [B, H, W, Ci], kernel [kh, kw, Ci, Co], bias [Co], side of blocks before, after."""
    kh, kw = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    before, after = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    sides = [-(-(k + after - 1 + draw(st.integers(0, 5))) // before) * before for k in (kh, kw)]
    batch, ci, co = draw(st.integers(1, 37)), draw(st.integers(1, 4)), draw(st.integers(1, 13))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shapes = ((batch, *sides, ci), (kh, kw, ci, co), (co,))
    return *(rng.normal(size=shape).astype(np.float32) for shape in shapes), before, after


@given(layers())
def test_a_layer_and_its_gradients_are_xla_s_to_rounding(kernel, case):
    images, weights, bias, before, after = case
    size = [
        (side - k + 1) // after * after
        for side, k in zip(images.shape[1:3], weights.shape, strict=False)
    ]

    def plain(images, weights, bias):
        y = lax.conv_general_dilated(
            images, weights, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return (y + bias[None, None, None])[:, : size[0], : size[1]]

    def direct(images, weights, bias):
        y = native.conv2d(blocks.split(images, before), weights, bias, after)
        assert y.shape[:2] == (after, after)
        return blocks.merge(y, tuple(size))

    @partial(jax.jit, static_argnums=0)
    def both(layer, dy, *arrays):
        y, gradients = jax.vjp(layer, *arrays)
        return y, *gradients(dy)

    dy = np.cos(np.arange(len(images) * size[0] * size[1] * len(bias), dtype=np.float32))
    dy = dy.reshape(len(images), *size, len(bias))
    arrays = images, weights, bias
    whole = [side - k + 1 for side, k in zip(images.shape[1:3], weights.shape, strict=False)]
    padding = [(0, 0), *((0, a - b) for a, b in zip(whole, size, strict=True)), (0, 0)]
    bounds = selfcheck.rounding(*arrays, np.pad(dy, padding))
    bounds[0] = bounds[0][:, : size[0], : size[1]]
    for ours, theirs, bound in zip(
        both(direct, dy, *arrays), both(plain, dy, *arrays), bounds, strict=True
    ):
        assert ours.dtype == jnp.float32
        assert (np.abs(np.asarray(ours) - np.asarray(theirs)) <= 2 * bound).all()


@st.composite
def calls(draw):
    """images, a kernel and settings of a convolution, which the kernel computes or does not."""
    kh, kw = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    height, width = (k + draw(st.integers(0, 6)) for k in (kh, kw))
    ci, co = draw(st.integers(1, 9)), draw(st.sampled_from([1, 3, 8, 10, 32, 37, 70]))
    padding = tuple(
        (draw(st.integers(-1, k)), draw(st.integers(-1, k))) if draw(st.booleans()) else (0, 0)
        for k in (kh, kw)
    )
    settings = {"padding": draw(st.sampled_from([padding, "SAME", "VALID"]))}
    settings["window_strides"] = draw(st.sampled_from([(1, 1), (1, 1), (1, 1), (2, 1)]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    numbers = draw(st.sampled_from([("NHWC", "HWIO", "NHWC"), ("NCHW", "OIHW", "NHWC")]))
    sizes = {"N": draw(st.integers(1, 5)), "H": height, "W": width, "C": ci}
    window = {"H": kh, "W": kw, "I": ci, "O": co}
    shapes = [sizes[axis] for axis in numbers[0]], [window[axis] for axis in numbers[1]]
    arrays = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    return arrays, settings | {"dimension_numbers": numbers}


def some(images, kernel, padding):
    """A case of `calls` of these shapes."""
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape).astype(np.float32) for shape in (images, kernel)]
    numbers = ("NHWC", "HWIO", "NHWC")
    return arrays, {"padding": padding, "window_strides": (1, 1), "dimension_numbers": numbers}


@example(some((1, 2, 2, 1), (5, 5, 1, 1), "SAME"))
@example(some((3, 7, 6, 2), (3, 2, 2, 37), "VALID"))
@example(some((2, 5, 6, 3), (3, 3, 3, 64), ((2, 0), (1, 2))))
@example(some((1, 4, 5, 9), (2, 3, 9, 70), "SAME"))
@given(calls())
def test_the_drop_in_and_its_gradients_are_xla_s_to_rounding(kernel, case):
    arrays, settings = case

    @partial(jax.jit, static_argnums=0)
    def both(convolution, dy, *arrays):
        y, gradients = jax.vjp(partial(convolution, **settings), *arrays)
        return y, *gradients(dy)

    out = jax.eval_shape(partial(padded.conv_general_dilated, **settings), *arrays)
    dy = np.cos(np.arange(out.size, dtype=np.float32)).reshape(out.shape)
    ours = both(native.conv_general_dilated, dy, *arrays)
    xla = partial(both, padded.conv_general_dilated)
    given = [(dy, *arrays), (np.abs(x) for x in (dy, *arrays)), map(np.ones_like, (dy, *arrays))]
    for found, theirs, sums, n in zip(ours, *(xla(*each) for each in given), strict=True):
        assert (np.abs(found - theirs) <= 2.01 * n * 2.0**-24 * sums).all()


@pytest.mark.parametrize(
    ("settings", "direct"),
    [
        ({}, True),
        ({"padding": "VALID"}, True),
        ({"strides": 2}, False),
        ({"kernel_dilation": 2}, False),
        ({"feature_group_count": 2}, False),
        ({"dtype": jnp.bfloat16}, False),
        ({"padding": ((3, 0), (0, 0))}, False),
        ({"padding": ((-1, 1), (0, 0))}, False),
    ],
)
def test_flax_takes_the_drop_in_and_what_it_does_not_compute_others_do(kernel, settings, direct):
    layers = [
        nn.Conv(4, (3, 2), **settings, conv_general_dilated=convolution)
        for convolution in (native.conv_general_dilated, ops.conv_general_dilated)
    ]
    x = jax.random.normal(jax.random.key(0), (2, 7, 6, 2))
    params = jax.jit(layers[0].init)(jax.random.key(1), x)
    found = [jax.jit(layer.apply)(params, x) for layer in layers]
    np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-5)
    text = str(jax.make_jaxpr(layers[0].apply)(params, x))
    assert (f"correlate_last_{kernel}" in text) == direct


@pytest.mark.parametrize(
    "wrong",
    [
        {"feature_group_count": 2},
        {"window_strides": (1,)},
        {"rhs_dilation": (1, 1, 1)},
        {"padding": [(0, 0)]},
        {"dimension_numbers": ("NHWC", "OIHW", "NHWC")},
    ],
)
def test_what_xla_refuses_is_refused(kernel, wrong):
    x, weights = np.ones((2, 6, 6, 4), np.float32), np.ones((3, 3, 4, 6), np.float32)
    numbers = ("NHWC", "HWIO", "NHWC")
    settings = {"window_strides": (1, 1), "padding": "VALID", "dimension_numbers": numbers} | wrong
    for convolution in (lax.conv_general_dilated, native.conv_general_dilated):
        with pytest.raises((TypeError, ValueError)):
            convolution(x, weights, **settings)


def test_a_gradient_of_a_gradient_needs_the_products(kernel):
    images, weights = jnp.ones((1, 5, 5, 2)), jnp.ones((3, 3, 2, 3))

    def twice(convolution):
        numbers = ("NHWC", "HWIO", "NHWC")
        loss = lambda k: (convolution(images, k, (1, 1), "SAME", None, None, numbers) ** 3).sum()  # noqa: E731
        return jax.grad(lambda k: (jax.grad(loss)(k) ** 2).sum())(weights)

    assert twice(ops.conv_general_dilated).shape == weights.shape
    with pytest.raises(ValueError, match="differentiated"):
        twice(native.conv_general_dilated)


def test_kernels_mapped_over_are_each_its_own(kernel):
    """As the runs of a sweep are, which share a program."""
    x = jax.random.normal(jax.random.key(0), (3, 6, 6, 2))
    kernels = jax.random.normal(jax.random.key(1), (4, 3, 3, 2, 5))
    convolve = partial(
        native.conv_general_dilated,
        window_strides=(1, 1),
        padding="SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    gradient = jax.grad(lambda k, x: (convolve(x, k) ** 2).sum())
    for function in (lambda k, x: convolve(x, k), gradient):
        mapped = jax.vmap(function, (0, None))(kernels, x)
        for own, one in zip(mapped, kernels, strict=True):
            np.testing.assert_array_equal(own, function(one, x))


class Own(nn.Module):
    num_classes: int = 10

    @nn.compact
    def __call__(self, images):
        x = nn.Conv(3, (3, 3), conv_general_dilated=native.conv_general_dilated)(images)
        return nn.Dense(self.num_classes)(nn.relu(x).mean((1, 2)))


def test_a_run_of_an_own_network_records_the_kernel(kernel, small, tmp_path):
    config = Config(Own(), dataset="synthetic", batch_size=40, epochs=1)
    run = runs.begin(tmp_path / "run", config, small)
    assert run.environment["native"] == kernel
    assert not convolutions.slow(run.model, small.image_shape)
    with ops.of_xla():
        assert "ffi_call" not in str(jax.make_jaxpr(Own().init)(jax.random.key(0), XLA_S))


XLA_S = np.zeros((1, 28, 28, 1), np.float32)


def test_without_a_compiler_the_drop_in_is_the_other_one(elsewhere, monkeypatch, caplog):
    monkeypatch.setenv("CXX", NO_COMPILER)
    with caplog.at_level("WARNING", logger="lenet"):
        texts = [str(jax.make_jaxpr(Own().init)(jax.random.key(0), XLA_S)) for _ in range(2)]
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("warning: direct convolution: no C++ compiler")
    assert line.endswith("Using matrix products")
    assert all("dot_general" in text and "ffi_call" not in text for text in texts)


def test_whole_numbers_by_hand(kernel):
    """The book's example, and its gradients."""
    images = jnp.arange(9.0).reshape(1, 3, 3, 1)
    weights, bias = jnp.arange(4.0).reshape(2, 2, 1, 1), jnp.ones(1)
    x = blocks.split(images, 1)
    y, gradients = jax.vjp(lambda *given: native.conv2d(*given), x, weights, bias)
    assert y.ravel().tolist() == [20, 26, 38, 44]
    dx, dk, db = gradients(jnp.asarray([1.0, 2, 3, 4]).reshape(y.shape))
    assert dx.ravel().tolist() == [0, 1, 2, 2, 10, 10, 6, 17, 12]
    assert dk.ravel().tolist() == [27, 37, 57, 67]
    assert db.tolist() == [10]


@pytest.mark.parametrize("form", ["_in_blocks", "_channels_last"])
def test_a_wrong_kernel_is_refused_and_named(form, kernel, elsewhere, monkeypatch):
    right = selfcheck._computed_by
    for wrong, named in enumerate(["convolution", "images'", "kernel's", "bias'"]):

        def broken(layer, *arrays, wrong=wrong):
            found = list(right(layer, *arrays))
            if layer.__name__ == form:
                found[wrong] = found[wrong].at[(0,) * found[wrong].ndim].add(0.1)
            return found

        monkeypatch.setattr(selfcheck, "_computed_by", broken)
        with pytest.raises(UsageError, match=named):
            selfcheck.check_native()
    monkeypatch.setattr(selfcheck, "_computed_by", right)
    selfcheck.check_native()


@pytest.mark.parametrize("setting", [{}, {"channels": (2, 3, 2), "kernel_size": 3, "pool": "max"}])
def test_the_network_is_the_one_of_the_other_forms(kernel, setting):
    images = jax.random.uniform(jax.random.key(0), (5, 31, 29, 1))
    forms = {form: LeNet(conv=form, hidden=(7,), **setting) for form in ("lax", "native")}
    params = forms["lax"].init(jax.random.key(1), images)
    shapes = jax.eval_shape(forms["native"].init, jax.random.key(1), images)
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, shapes)
    found = [
        jax.jit(jax.value_and_grad(lambda p, m=model: (m.apply(p, images) ** 2).sum()))(params)
        for model in forms.values()
    ]
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4), *found)


@pytest.mark.slow
def test_the_bits_do_not_depend_on_devices_or_on_other_runs(kernel, small):
    """A run alone, whose batches two devices share, and lanes of a sweep, on one device each."""
    configs = [of_small(conv="native", seed=seed) for seed in range(3)]
    alone = [train.run(config, small) for config in configs]
    one = jax.local_devices()[:1]
    choose = lambda *_: lanes.together(3, one, vectorise=False)  # noqa: E731
    *_, last = train.sweep(configs, small, choose=choose)
    for lane, (row, params) in enumerate(alone):
        assert last.rows[lane].train_loss == row.train_loss
        own = jax.tree.map(lambda x, lane=lane: x[lane], jax.device_get(last.state.params))
        jax.tree.map(np.testing.assert_array_equal, own, params)


@pytest.mark.slow
def test_a_resumed_run_keeps_its_form_and_its_bits(kernel, small, tmp_path):
    config = of_small(conv="native")
    whole = list(runs.begin(tmp_path / "whole", config, small).epochs())
    rows = runs.begin(tmp_path / "cut", config, small).epochs()
    next(rows)
    rows.close()
    again = runs.resume(tmp_path / "cut", small)
    assert again.config.conv == "native"
    assert again.environment["native"] == kernel
    (row,) = again.epochs()
    assert row.train_loss == whole[1].train_loss
    params = [records.load(tmp_path / name)[1] for name in ("whole", "cut")]
    jax.tree.map(np.testing.assert_array_equal, *params)


@pytest.mark.slow
def test_without_a_compiler_a_new_run_takes_products_and_says_so(
    elsewhere, monkeypatch, small, tmp_path, caplog
):
    monkeypatch.setenv("CXX", NO_COMPILER)
    with caplog.at_level("WARNING", logger="lenet"):
        run = runs.begin(tmp_path / "run", of_small(conv="native"), small)
    (line,) = [record.getMessage() for record in caplog.records]
    assert NO_COMPILER in line
    assert "g++" in line
    assert line.endswith("Using conv=matmul")
    assert "\n" not in line
    assert run.config.conv == "matmul"
    assert json.loads((tmp_path / "run" / "config.json").read_text())["config"]["conv"] == "matmul"


@pytest.mark.slow
def test_without_a_compiler_a_run_is_not_resumed_and_its_network_is_used(
    kernel, elsewhere, monkeypatch, small, tmp_path
):
    rows = runs.begin(tmp_path / "run", of_small(conv="native"), small).epochs()
    next(rows)
    rows.close()
    for cached in (compiled.library, compiled.missing):
        cached.cache_clear()
    monkeypatch.setenv("CXX", NO_COMPILER)
    with pytest.raises(UsageError, match=f"no C\\+\\+ compiler .{NO_COMPILER}"):
        runs.resume(tmp_path / "run", small)
    model, params = records.load(tmp_path / "run")
    assert model.conv == "matmul"
    assert model.apply({"params": params}, small.test.images[:2] / 255).shape == (2, 10)


def test_a_command_that_cannot_be_read_is_named(elsewhere, monkeypatch):
    monkeypatch.setenv("CXX", "g++ '")
    assert compiled.missing() == 'CXX="g++ \'": No closing quotation'


def test_a_compiler_that_fails_is_named_with_its_reason(elsewhere, monkeypatch, tmp_path):
    monkeypatch.setattr(compiled.files, "cache_directory", lambda: tmp_path)
    broken = tmp_path / "broken.cc"
    broken.write_text("this is no C++")
    monkeypatch.setattr(compiled, "SOURCE", broken)
    assert "failed: <stdin>:1" in compiled.missing()
    assert not list(tmp_path.rglob("*.so"))


def test_nothing_is_loaded_that_somebody_else_could_have_written(elsewhere, monkeypatch, tmp_path):
    monkeypatch.setattr(compiled.files, "cache_directory", lambda: tmp_path)
    place = tmp_path / "programs" / "native"
    place.mkdir(parents=True)
    place.chmod(0o770)
    assert f"{tmp_path} has no directory for it that only you can write" in compiled.missing()


def test_a_library_has_a_name_of_its_own_for_each_source_and_compiler(elsewhere, monkeypatch):
    """Which programs that JAX keeps call by: another kernel is never taken for the one they had."""
    keys = []
    monkeypatch.setattr(compiled.ctypes, "CDLL", lambda path: keys.append(path) or Unloaded())
    monkeypatch.setattr(compiled.files, "write", lambda *_: None)
    monkeypatch.setattr(compiled, "_compiled", lambda *_: b"")
    monkeypatch.setattr(compiled.jax.ffi, "pycapsule", lambda function: function)
    monkeypatch.setattr(compiled.jax.ffi, "register_ffi_target", lambda *_, **__: None)
    said = {"about": b"one"}
    monkeypatch.setattr(compiled, "_run", lambda *_: said["about"])
    monkeypatch.setattr(compiled, "_compiler", lambda: ["c++"])
    found = {compiled.library.__wrapped__()}
    said["about"] = b"another processor"
    found.add(compiled.library.__wrapped__())
    monkeypatch.setattr(compiled, "FLAGS", (*compiled.FLAGS, "-O2"))
    found.add(compiled.library.__wrapped__())
    monkeypatch.setattr(compiled.Path, "read_bytes", lambda _: b"another source")
    found.add(compiled.library.__wrapped__())
    assert len(found) == len(set(keys)) == 4


class Unloaded:
    correlate = kernel_gradient = correlate_last = kernel_gradient_last = None


def test_on_other_hardware_there_is_none(elsewhere, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert compiled.missing().startswith("computes on a CPU, not on a gpu")
    assert network(Config(conv="native"), 10).conv == "matmul"


def test_it_computes_in_float32_alone():
    with pytest.raises(UsageError, match=r"precision=bfloat16: conv=native computes in float32"):
        config_module.check(Config(conv="native", precision="bfloat16"))


@pytest.mark.slow
def test_the_command_trains_with_it(kernel, tiny, tmp_path):
    flags = ["--dataset=tiny", f"--data_dir={tiny}", "--epochs=1", "--batch_size=100", "--noreport"]
    done = command("train", *flags, "--conv=native", "--run_dir=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run" / "config.json").read_text())["config"]["conv"] == "native"
