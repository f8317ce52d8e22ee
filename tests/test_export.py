"""What another program makes of an exported network: the same logits, at any batch size."""

import io
import json
from functools import partial

import jax
import numpy as np
import pytest
import torch_network
from commands import command, python
from hypothesis import given
from hypothesis import strategies as st
from skipping import skip

from lenet import data, export, records
from lenet.engine import forward
from lenet.errors import RecordError, UsageError
from lenet.model import FORMS, LeNet

NETWORKS = {
    "book": (LeNet(), (28, 28, 1)),
    "modern": (LeNet(activation="relu", pool="max"), (28, 28, 1)),
    "tanh, three colours": (LeNet(activation="tanh", channels=(4, 5), hidden=(7,)), (32, 30, 3)),
    "even window, no hidden layer": (LeNet(kernel_size=4, channels=(3,), hidden=()), (28, 28, 1)),
}


def drawn(model: LeNet, shape: tuple[int, ...]):
    """Parameters of its shapes, without compiling anything."""
    images = jax.ShapeDtypeStruct((1, *shape), np.float32)
    wanted = jax.eval_shape(model.init, jax.random.key(0), images)["params"]
    draws = np.random.default_rng(1)
    scale = lambda x: np.float32(1 / np.sqrt(max(1, np.prod(x.shape[:-1]))))  # noqa: E731
    return jax.tree.map(lambda x: draws.standard_normal(x.shape, np.float32) * scale(x), wanted)


def applied(model: LeNet, params, images):
    return jax.jit(model.apply)({"params": params}, images)


@pytest.fixture(scope="module", params=NETWORKS.values(), ids=NETWORKS)
def network(request):
    """A network with biases that count, and float images for it."""
    model, shape = request.param
    images = np.random.default_rng(0).random((37, *shape), np.float32)
    return model, drawn(model, shape), shape, images


@pytest.fixture(scope="module")
def onnxruntime():
    try:
        import onnxruntime
    except ImportError:
        skip("ONNX Runtime is not installed (scripts/setup dev)")
    return onnxruntime


def session(onnxruntime, content: bytes):
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


def nchw(images: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def test_onnx_runtime_gives_our_logits_at_any_batch_size(onnxruntime, network):
    model, params, shape, images = network
    started = session(onnxruntime, export.to_onnx(model, params, shape))
    expected = applied(model, params, images)
    for size in (37, 1, 5):
        (logits,) = started.run(None, {"images": nchw(images[:size])})
        np.testing.assert_allclose(logits, expected[:size], rtol=0, atol=2e-5)


@pytest.mark.slow
def test_pytorch_loads_the_state_dict_into_the_texts_network(torch, network):
    model, params, shape, images = network
    if model.kernel_size % 2 == 0:
        with pytest.raises(UsageError, match=r"layer 1, padding=\(\(2, 1\), .* Conv2d pads"):
            export.to_torch_file(model, params, shape)
        return
    content = export.to_torch_file(model, params, shape)
    net = torch_network.network(torch, model)
    net.load_state_dict(torch.load(io.BytesIO(content), weights_only=True))
    logits = net(torch.from_numpy(nchw(images))).detach().numpy()
    for form in FORMS:
        expected = applied(model.clone(conv=form), params, images)
        np.testing.assert_allclose(logits, expected, rtol=0, atol=2e-5)


def test_a_state_dict_of_another_network_is_refused(network):
    model, params, shape, _ = network
    state = export.to_torch(model, params, shape)
    with pytest.raises(RecordError, match=r"'0\.bias': missing"):
        export.from_torch(model, {k: v for k, v in state.items() if k != "0.bias"}, shape)
    with pytest.raises(RecordError, match=r"'x\\x1b': \(1,\), expected none"):
        export.from_torch(model, state | {"x\x1b": np.zeros(1)}, shape)
    with pytest.raises(RecordError, match=r"'0\.bias'.*expected"):
        export.from_torch(model, state | {"0.bias": np.zeros(99)}, shape)


def renamed(change):
    """The state dict of the book's nn.Sequential under other names."""
    return lambda torch, net: {change(name): x for name, x in net.state_dict().items()}


def numbered_from_one(torch, net):
    """The first edition's network begins with a Reshape, a layer without parameters."""
    return torch.nn.Sequential(torch.nn.Identity(), *net).state_dict()


def newer_edition(torch, net):
    class LeNet(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

    return LeNet().state_dict()


def dense_first(torch, net):
    """A class whose __init__ makes the dense layers first, and the biases first."""
    state = net.state_dict()
    return {name: state[name] for name in sorted(state, key=lambda x: (state[x].ndim % 4, x[-4:]))}


NAMED = {
    "a leading Reshape": numbered_from_one,
    "the newer edition": newer_edition,
    "parallel": renamed("module.{}".format),
    "compiled": renamed("_orig_mod.net.{}".format),
    "lightning": renamed("model.net.{}".format),
    "attributes": renamed(lambda name: name.translate(str.maketrans("0123456789", "abcdefghij"))),
    "dense layers first": dense_first,
    "parameters, which require gradients": lambda torch, net: dict(net.named_parameters()),
    "double": lambda torch, net: net.double().state_dict(),
}


@pytest.mark.parametrize("named", NAMED.values(), ids=NAMED)
def test_the_book_s_networks_are_read_whatever_their_layers_are_called(torch, named):
    model, shape = NETWORKS["book"]
    params = drawn(model, shape)
    state = named(torch, torch_network.network(torch, model, params))
    jax.tree.map(np.testing.assert_array_equal, export.from_torch(model, state, shape), params)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8", "int64", "uint8", "bool"])
def test_a_tensor_of_any_real_type_is_converted(torch, dtype):
    model, shape = NETWORKS["book"]
    state = export.to_torch(model, drawn(model, shape), shape)
    bias = torch.tensor([0, 1, 1, 0, 1, 0]).to(getattr(torch, dtype))
    params = export.from_torch(model, state | {"0.bias": bias}, shape)
    assert params["conv1"]["bias"].tolist() == [0, 1, 1, 0, 1, 0]
    assert params["conv1"]["bias"].dtype == np.float32


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (lambda torch: torch.tensor([0, 1, 2, 3, 4, torch.nan]), "1 of 6 values are NaN"),
        (lambda torch: torch.full((6,), -torch.inf), "6 of 6 values are NaN, infinite"),
        (lambda torch: torch.full((6,), 1e300, dtype=torch.float64), "too large for float32"),
        (lambda torch: np.full(6, 1e300), "too large for float32"),
        (lambda torch: torch.zeros(6, dtype=torch.complex64), "complex64, expected real"),
        (lambda torch: np.zeros(6, complex), "complex128, expected real"),
        (lambda torch: np.full(6, "x"), "cannot be read as float32"),
        (lambda torch: torch.zeros(6).to_sparse(), "cannot be read as float32"),
        (lambda torch: torch.zeros(6, device="meta"), "has no values yet"),
        (lambda torch: torch.zeros(1).expand(2**40), "values; the limit is 268,435,456"),
        (lambda torch: torch.nn.LazyLinear(6).bias, "has no values yet. Apply the network"),
    ],
)
def test_values_that_are_no_parameters_are_refused_by_name(torch, bad, said):
    model, shape = NETWORKS["book"]
    state = export.to_torch(model, drawn(model, shape), shape) | {"0.bias": bad(torch)}
    with pytest.raises(RecordError, match=rf"'0\.bias': .*{said}") as caught:
        export.from_torch(model, state, shape)
    assert "\n" not in str(caught.value)


def test_stablehlo_is_a_program_without_this_project(network):
    model, params, shape, images = network
    loaded = jax.export.deserialize(bytearray(export.to_stablehlo(model, params, shape)))
    expected = applied(model, params, images)
    for size in (37, 1):
        logits = loaded.call(images[:size])
        np.testing.assert_allclose(logits, expected[:size], rtol=0, atol=2e-5)


def test_npz_has_every_parameter(network):
    _, params, _, _ = network
    with np.load(io.BytesIO(export.to_npz(params)), allow_pickle=False) as found:
        assert len(found) == len(jax.tree.leaves(params))
        for name in found:
            layer, which = name.split("/")
            assert (found[name] == params[layer][which]).all()


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=2),
    st.lists(st.integers(1, 9), max_size=3),
    st.integers(1, 6),
)
def test_every_shape_comes_back(channels, hidden, kernel_size):
    model = LeNet(channels=tuple(channels), hidden=tuple(hidden), kernel_size=kernel_size)
    shape = (33, 28, 2)
    params = drawn(model, shape)
    back = export.from_torch(model, export.to_torch(model, params, shape), shape)
    jax.tree.map(np.testing.assert_array_equal, back, params)


run_export = partial(python, "-m", "experiments.export")
run_import = partial(python, "-m", "experiments.import_torch")


def test_the_command_leaves_a_file_that_gives_the_run_s_logits(
    onnxruntime,
    trained,
    tiny,
    tmp_path,
):
    run_dir, _ = trained
    done = run_export(str(run_dir), "--to=lenet.onnx", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    images = data.load("tiny", data_dir=tiny).test.images
    started = session(onnxruntime, (tmp_path / "lenet.onnx").read_bytes())
    (logits,) = started.run(None, {"images": nchw(images.astype(np.float32) / 255)})
    expected = forward.logits(*records.load(run_dir), images)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_a_run_with_batch_normalisation_is_exported_with_its_statistics(
    onnxruntime, torch, tiny, tmp_path
):
    flags = ("--network=bn_lenet", "--epochs=2", "--batch_size=64", "--dataset=tiny")
    done = command("train", *flags, f"--data_dir={tiny}", "--run_dir=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    images = data.load("tiny", data_dir=tiny).test.images
    scaled = nchw(images.astype(np.float32) / 255)
    expected = forward.logits(*records.load(tmp_path / "run"), images)
    for format_ in ("onnx", "torch"):
        done = command("export", "run", f"--format={format_}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    (logits,) = session(onnxruntime, (tmp_path / "run" / "lenet.onnx").read_bytes()).run(
        None, {"images": scaled}
    )
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)
    net = eval(done.stdout.splitlines()[-1], {"nn": torch.nn})
    net.load_state_dict(torch.load(tmp_path / "run" / "lenet.pt", weights_only=True))
    logits = net(torch.from_numpy(scaled)).detach().numpy()
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)


@pytest.mark.slow
def test_what_pytorch_saved_becomes_a_run_with_the_same_logits(
    torch,
    tiny,
    tmp_path,
):
    model = LeNet(activation="relu", pool="max", channels=(3, 5), hidden=(9, 8), kernel_size=3)
    net = torch_network.network(torch, model)
    images = data.load("tiny", data_dir=tiny).test.images
    scaled = torch.from_numpy(nchw(images.astype(np.float32) / 255))
    expected = net(scaled).detach().numpy()
    torch.save(net.state_dict(), tmp_path / "lenet.pt")
    where = ("--dataset=tiny", f"--data_dir={tiny}", "--run_dir=theirs")
    done = run_import("lenet.pt", "--preset=modern", *where, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "test accuracy" in done.stdout
    back, params = records.load(tmp_path / "theirs")
    assert back.clone(kernel_init=model.kernel_init, conv=model.conv) == model
    np.testing.assert_allclose(forward.logits(back, params, images), expected, rtol=0, atol=1e-5)
    again = run_import("lenet.pt", "--preset=modern", *where, cwd=tmp_path)
    assert again.returncode == 2
    assert "theirs" in again.stderr


def test_the_newer_edition_s_parameters_become_a_run_that_knows_its_data(torch, tiny, tmp_path):
    model = LeNet(channels=(3,), hidden=(), kernel_size=3)
    net = torch_network.network(torch, model)
    net(torch.zeros(1, 1, 28, 28))
    state = {f"net.{name}": x for name, x in net.named_parameters()}
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "lenet.pt")
    (tmp_path / "data").symlink_to(tiny)
    flags = ("--dataset=tiny", "--data_dir=data", "--run_dir=theirs")
    done = command("import_torch", "lenet.pt", *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    _, params = records.load(tmp_path / "theirs")
    np.testing.assert_array_equal(params["conv1"]["bias"], net[0].bias.detach())
    about = json.loads((tmp_path / "theirs/config.json").read_text())
    assert about["data_dir"] == str(tmp_path / "data")


@pytest.mark.parametrize(
    "what", ["missing", "text", "pickle", "tensor", "another", "lazy", "module", "diverged"]
)
def test_what_is_no_state_dict_of_the_texts_network_is_one_line(torch, tmp_path, what):
    path = tmp_path / "lenet.pt"
    if what == "text":
        path.write_text("text")
    elif what == "pickle":
        harm = f"import os; open({str(tmp_path / 'harm')!r}, 'w')"
        path.write_bytes(b"cbuiltins\nexec\n(S" + repr(harm).encode() + b"\ntR.")
    elif what == "tensor":
        torch.save(torch.zeros(3), path)
    elif what == "another":
        torch.save(torch.nn.Linear(3, 4).state_dict(), path)
    elif what == "lazy":
        torch.save(torch.nn.Sequential(torch.nn.LazyLinear(3)).state_dict(), path)
    elif what == "module":
        torch.save(torch.nn.Linear(3, 4), path)
    elif what == "diverged":
        net = torch.nn.Conv2d(1, 3, 3)
        net.weight.data[0, 0, 0, 0] = torch.nan
        torch.save(net.state_dict(), path)
    done = command("import_torch", "lenet.pt", "--run_dir=theirs", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (4, 1), done.stderr
    assert "lenet.pt" in done.stderr
    said = {"lazy": "Apply the network", "module": "torch.save(net.state_dict()", "diverged": "NaN"}
    assert said.get(what, "") in done.stderr
    assert not (tmp_path / "theirs").exists()
    assert not (tmp_path / "harm").exists()


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["book", "modern"])
def test_on_a_thousand_real_images_all_agree(onnxruntime, torch, fashion_mnist, preset, tmp_path):
    """Trained for two epochs, so that the logits are far from nothing."""
    from lenet import train
    from lenet.config import PRESETS, Config

    config = Config(**PRESETS[preset], epochs=2)
    run = train.start(config, fashion_mnist)
    *_, (_, state) = train.fit(run)
    model = train.check(config, fashion_mnist)
    shape, images = fashion_mnist.image_shape, fashion_mnist.test.images[:1000]
    scaled = images.astype(np.float32) / 255
    expected = forward.logits(model, state.params, images)
    (logits,) = session(onnxruntime, export.to_onnx(model, state.params, shape)).run(
        None, {"images": nchw(scaled)}
    )
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)
    net = torch_network.network(torch, model, state.params)
    theirs = net(torch.from_numpy(nchw(scaled))).detach().numpy()
    np.testing.assert_allclose(theirs, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ((), 2, "give one run directory"),
        (("nowhere",), 2, "nowhere: no such directory"),
        ((".",), 4, "no checkpoint yet"),
        ((".", "--format=pickle"), 2, "pickle"),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path, arguments, status, said):
    done = run_export(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (status, 1), done.stderr
    assert said in done.stderr
