"""The direct convolution: right to rounding, reproducible, and optional."""

import functools
import json
import shutil
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from commands import command
from hypothesis import given
from hypothesis import strategies as st
from jax import lax
from skipping import skip

from lenet import config as config_module
from lenet import records, runs, train
from lenet.config import Config
from lenet.data import synthetic
from lenet.engine import lanes, selfcheck
from lenet.errors import UsageError
from lenet.model import LeNet, network
from lenet.ops import blocks, native

NO_COMPILER = "/no/such/compiler"


@pytest.fixture(scope="module")
def kernel():
    """The compiled kernel, which all tests and later runs of them find in the cache."""
    if not any(map(shutil.which, native.COMPILERS)):
        skip("no C++ compiler")
    return native.library()


@pytest.fixture
def elsewhere(monkeypatch):
    """Nothing is known of the kernel yet, nor after the test."""
    for module, name in ((native, "library"), (native, "missing"), (selfcheck, "check_native")):
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


def test_a_wrong_kernel_is_refused_and_named(kernel, elsewhere, monkeypatch):
    right = selfcheck._native
    for wrong, named in enumerate(["convolution", "images'", "kernel's", "bias'"]):

        def broken(*arrays, wrong=wrong):
            found = list(right(*arrays))
            found[wrong] = found[wrong].at[(0,) * found[wrong].ndim].add(0.1)
            return found

        monkeypatch.setattr(selfcheck, "_native", broken)
        with pytest.raises(UsageError, match=named):
            selfcheck.check_native()
    monkeypatch.setattr(selfcheck, "_native", right)
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
    for cached in (native.library, native.missing):
        cached.cache_clear()
    monkeypatch.setenv("CXX", NO_COMPILER)
    with pytest.raises(UsageError, match=f"no C\\+\\+ compiler .{NO_COMPILER}"):
        runs.resume(tmp_path / "run", small)
    model, params = records.load(tmp_path / "run")
    assert model.conv == "matmul"
    assert model.apply({"params": params}, small.test.images[:2] / 255).shape == (2, 10)


def test_a_command_that_cannot_be_read_is_named(elsewhere, monkeypatch):
    monkeypatch.setenv("CXX", "g++ '")
    assert native.missing() == 'conv=native: CXX="g++ \'": No closing quotation'


def test_a_compiler_that_fails_is_named_with_its_reason(elsewhere, monkeypatch, tmp_path):
    monkeypatch.setattr(native.files, "cache_directory", lambda: tmp_path)
    broken = tmp_path / "broken.cc"
    broken.write_text("this is no C++")
    monkeypatch.setattr(native, "SOURCE", broken)
    assert "failed: <stdin>:1" in native.missing()
    assert not list(tmp_path.rglob("*.so"))


def test_nothing_is_loaded_that_somebody_else_could_have_written(elsewhere, monkeypatch, tmp_path):
    monkeypatch.setattr(native.files, "cache_directory", lambda: tmp_path)
    place = tmp_path / "programs" / "native"
    place.mkdir(parents=True)
    place.chmod(0o770)
    assert f"{tmp_path} has no directory for it that only you can write" in native.missing()


def test_a_library_has_a_name_of_its_own_for_each_source_and_compiler(elsewhere, monkeypatch):
    """Which programs that JAX keeps call by: another kernel is never taken for the one they had."""
    keys = []
    monkeypatch.setattr(native.ctypes, "CDLL", lambda path: keys.append(path) or Unloaded())
    monkeypatch.setattr(native.files, "write", lambda *_: None)
    monkeypatch.setattr(native, "_compiled", lambda *_: b"")
    monkeypatch.setattr(native.jax.ffi, "pycapsule", lambda function: function)
    monkeypatch.setattr(native.jax.ffi, "register_ffi_target", lambda *_, **__: None)
    said = {"about": b"one"}
    monkeypatch.setattr(native, "_run", lambda *_: said["about"])
    monkeypatch.setattr(native, "_compiler", lambda: ["c++"])
    found = {native.library.__wrapped__()}
    said["about"] = b"another processor"
    found.add(native.library.__wrapped__())
    monkeypatch.setattr(native, "FLAGS", (*native.FLAGS, "-O2"))
    found.add(native.library.__wrapped__())
    monkeypatch.setattr(native.Path, "read_bytes", lambda _: b"another source")
    found.add(native.library.__wrapped__())
    assert len(found) == len(set(keys)) == 4


class Unloaded:
    correlate = kernel_gradient = None


def test_on_other_hardware_there_is_none(elsewhere, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert native.missing().startswith("conv=native: computes on a CPU, not on a gpu")
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
