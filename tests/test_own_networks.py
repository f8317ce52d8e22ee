"""The project's further networks: with batch normalisation, and the one of 1998."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from commands import command

from experiments.within import ladder
from lenet import networks, records, train
from lenet.config import BNLeNet, Config, LeNet5, from_dict, to_dict
from lenet.data import synthetic
from lenet.engine import convolutions, forward
from lenet.errors import UsageError
from lenet.inspect.modules import recorded
from lenet.model import network
from lenet.networks import lenet5_1998
from lenet.networks.layers import plain

DATA = synthetic.make(100, 20)
SETTINGS = {"dataset": "synthetic", "batch_size": 50, "epochs": 1, "lr": 0.1}
IMAGES = jax.random.uniform(jax.random.key(0), (8, 28, 28, 1))


@pytest.mark.parametrize(
    ("pool", "side"),
    [
        ("max", 28),
        pytest.param("avg", 28, marks=pytest.mark.slow),
        pytest.param("max", 30, marks=pytest.mark.slow),
    ],
)
def test_the_forms_of_batch_normalised_lenet_agree(pool, side):
    """Of 30×30 pixels blocks would not be whole: the form is the other one then."""
    images = jax.random.uniform(jax.random.key(2), (8, side, side, 1))
    direct, products = networks.BNLeNet(pool), networks.BNLeNet(pool, conv="matmul")
    variables = jax.jit(direct.init)(jax.random.key(1), images)
    shapes = jax.eval_shape(products.init, jax.random.key(1), images)
    assert jax.tree.map(jnp.shape, shapes) == jax.tree.map(jnp.shape, variables)

    def loss(params, model):
        given = {**variables, "params": params}
        logits, after = model.apply(given, images, train=True, mutable=["batch_stats"])
        return -jax.nn.log_softmax(logits)[:, 3].mean(), after

    of_loss = jax.jit(jax.value_and_grad(loss, has_aux=True), static_argnums=1)
    found = [of_loss(variables["params"], model) for model in (direct, products)]
    close = functools.partial(np.testing.assert_allclose, rtol=2e-3, atol=2e-5)
    jax.tree.map(close, *found)
    assert plain(products) == direct


@pytest.mark.parametrize(
    "name",
    ["1998", *(pytest.param(x, marks=pytest.mark.slow) for x in [*ladder.CHANGES][1:])],
)
def test_the_forms_of_the_network_of_1998_agree(name):
    """With each change up to `name`: the same parameters, and logits and gradients to rounding."""
    products = network(Config(ladder.network(name)), 10)
    direct = plain(products)
    assert (direct.conv, products.conv) == ("lax", "matmul")

    def of(model):
        def loss(params):
            logits = model.apply(params, IMAGES)
            return -jax.nn.log_softmax(logits)[:, 3].mean(), logits

        params = model.init(jax.random.key(1), IMAGES)
        return params, jax.value_and_grad(loss, has_aux=True)(params)

    (params, found), (others, expected) = (
        jax.jit(of, static_argnums=0)(x) for x in (products, direct)
    )
    jax.tree.map(np.testing.assert_array_equal, params, others)
    close = functools.partial(np.testing.assert_allclose, rtol=2e-4, atol=2e-5)
    jax.tree.map(close, found, expected)


@pytest.mark.slow
@pytest.mark.parametrize("pool", ["avg", "max"])
def test_batch_normalisation_is_pytorchs(pool, torch):
    """Logits, gradients and statistics of a step, and the logits with those statistics after it."""
    from torch import nn

    pooled = {"avg": nn.AvgPool2d, "max": nn.MaxPool2d}[pool]
    net = nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.BatchNorm2d(6), nn.Sigmoid(), pooled(2)),
        *(nn.Conv2d(6, 16, 5), nn.BatchNorm2d(16), nn.Sigmoid(), pooled(2)),
        nn.Flatten(),
        *(nn.Linear(256, 120), nn.BatchNorm1d(120), nn.Sigmoid()),
        *(nn.Linear(120, 84), nn.BatchNorm1d(84), nn.Sigmoid(), nn.Linear(84, 10)),
    )
    model = network(Config(BNLeNet(pool)), 10)
    variables = model.init(jax.random.key(1), IMAGES)
    params = variables["params"]
    assert sum(x.size for x in jax.tree.leaves(params)) == sum(p.numel() for p in net.parameters())
    layers = [layer for layer in net if list(layer.parameters())]
    names = ["conv1", "bn_conv1", "conv2", "bn_conv2", "dense1", "bn_dense1", "dense2"]
    names += ["bn_dense2", "dense3"]

    def as_torch(name, leaf, x):  # kernels outputs first; the features of dense1 channel by channel
        if leaf == "kernel":
            if name == "dense1":
                x = x.reshape(4, 4, 16, -1).transpose(2, 0, 1, 3).reshape(256, -1)
            x = x.transpose(3, 2, 0, 1) if x.ndim == 4 else x.T
        return torch.from_numpy(np.array(x))

    of_torch = {"kernel": "weight", "scale": "weight", "bias": "bias"}
    for name, layer in zip(names, layers, strict=True):
        for leaf, x in params[name].items():
            getattr(layer, of_torch[leaf]).data = as_torch(name, leaf, x)
    labels = jnp.arange(8)

    def loss(params):
        given = {**variables, "params": params}
        logits, after = model.apply(given, IMAGES, train=True, mutable=["batch_stats"])
        return -jax.nn.log_softmax(logits)[labels, labels].mean(), (logits, after)

    (_, (logits, after)), gradients = jax.value_and_grad(loss, has_aux=True)(params)
    images = torch.from_numpy(np.array(IMAGES).transpose(0, 3, 1, 2))
    found = net(images)
    nn.functional.cross_entropy(found, torch.arange(8)).backward()
    np.testing.assert_allclose(logits, found.detach(), atol=2e-4)
    for name, layer in zip(names, layers, strict=True):
        for leaf, x in gradients[name].items():
            expected = getattr(layer, of_torch[leaf]).grad
            np.testing.assert_allclose(as_torch(name, leaf, x), expected, atol=2e-4)
        if name.startswith("bn"):
            kept, n = after["batch_stats"][name], 8 * {"bn_conv1": 576, "bn_conv2": 64}.get(name, 1)
            np.testing.assert_allclose(kept["mean"], layer.running_mean, atol=1e-5)
            # PyTorch keeps the unbiased variance, n / (n − 1) times that of the batch.
            new = (layer.running_var - 0.9) * (n - 1) / n + 0.9
            np.testing.assert_allclose(kept["var"], new, atol=1e-5)
            layer.running_var.copy_(torch.from_numpy(np.array(kept["var"])))
    net.eval()
    logits = model.apply({"params": params, **after}, IMAGES)
    np.testing.assert_allclose(logits, net(images).detach(), atol=2e-4)


def test_the_network_of_1998_has_the_papers_parameters_and_connections():
    """With weights, biases and inputs of 1 a unit adds up how many connections it has."""
    model = plain(network(Config(LeNet5()), 10))
    params = jax.eval_shape(model.init, jax.random.key(0), IMAGES)["params"]
    sizes = {name: sum(x.size for x in jax.tree.leaves(p)) for name, p in params.items()}
    assert sizes == {"c1": 156, "s2": 12, "c3": 1516, "s4": 32, "c5": 48120, "f6": 10164}
    assert sum(sizes.values()) == 60_000
    inputs = {"c1": (32, 32, 1), "s2": (14, 14, 6), "c3": (14, 14, 6), "s4": (5, 5, 16)}
    inputs |= {"c5": (5, 5, 16), "f6": (120,)}  # s2 and s4 get means of four

    @jax.jit
    def counts():
        bound = model.bind({"params": jax.tree.map(lambda x: jnp.ones(x.shape), params)})
        return {name: getattr(bound, name)(jnp.ones((1, *x))).sum() for name, x in inputs.items()}

    counted = {name: int(count) for name, count in counts().items()}
    papers = {"c1": 122_304, "s2": 5_880, "c3": 151_600, "s4": 2_000, "c5": 48_120, "f6": 10_164}
    assert counted == papers
    assert sum(counted.values()) + lenet5_1998.bitmaps().size == 340_908


def test_the_network_of_1998_with_every_change_is_the_book_s_lenet():
    model = network(Config(ladder.network("weights")), 10)
    assert len({ladder.network(name) for name in ladder.CHANGES}) == len(ladder.CHANGES)
    assert ladder.network("1998") == LeNet5()
    images = jnp.asarray(IMAGES)
    book = train.init(network(Config(), 10), Config(), (28, 28, 1)).params
    names = {"c1": "conv1", "c3": "conv2", "c5": "dense1", "f6": "dense2", "last": "dense3"}
    own = jax.jit(model.init)(jax.random.key(0), images)["params"]
    assert own.keys() == names.keys()
    theirs = {
        name: jax.tree.map(lambda x, y: y.reshape(x.shape), own[name], book[other])
        for name, other in names.items()
    }
    expected = jax.jit(network(Config(), 10).apply)({"params": book}, images)
    found = jax.jit(model.apply)({"params": theirs}, images)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    for name, other in names.items():  # drawn from the same distributions
        for part in ("kernel", "bias"):
            widths = [float(jnp.abs(x[part]).max()) for x in (own[name], book[other])]
            assert widths[0] == pytest.approx(widths[1], rel=0.3)


@pytest.mark.slow
def test_the_network_of_1998_is_its_formulas_in_numpy():
    model = network(Config(LeNet5()), 10)
    variables = model.init(jax.random.key(0), IMAGES)
    p = jax.tree.map(lambda x: np.asarray(x, np.float64), variables["params"])
    x = np.full((2, 32, 32, 1), -0.1)
    x[:, 2:30, 2:30] += 1.275 * np.asarray(IMAGES[:2])

    def squash(a):
        return 1.7159 * np.tanh(2 * a / 3)

    def windows(x, map_, kernel):  # [B, n, n] of a map
        n = x.shape[1] - 4
        return sum(
            kernel[u, v] * x[:, u : u + n, v : v + n, map_] for u in range(5) for v in range(5)
        )

    def convolved(x, layer):
        kernel = layer["kernel"]
        maps = [
            sum(windows(x, i, kernel[:, :, i, o]) for i in range(x.shape[3])) + layer["bias"][o]
            for o in range(kernel.shape[3])
        ]
        return squash(np.stack(maps, -1))

    def subsampled(x, layer):
        total = sum(x[:, i::2, j::2] for i in (0, 1) for j in (0, 1))
        return squash(layer["coefficient"] * total + layer["bias"])

    x = subsampled(convolved(x, p["c1"]), p["s2"])
    # Table I of the paper, a row for each map of S2 and a column for each of C3.
    table = ["X...XXX..XXXX.XX", "XX...XXX..XXXX.X", "XXX...XXX..X.XXX"]
    table += [".XXX..XXXX..X.XX", "..XXX..XXXX.XX.X", "...XXX..XXXX.XXX"]
    pairs = [(i, o) for o in range(16) for i in range(6) if table[i][o] == "X"]
    c3 = np.zeros((2, 10, 10, 16)) + p["c3"]["bias"]
    for pair, (i, o) in enumerate(pairs):
        c3[..., o] += windows(x, i, p["c3"]["kernel"][:, :, pair])
    x = convolved(subsampled(squash(c3), p["s4"]), p["c5"]).reshape(2, 120)
    x = squash(x @ p["f6"]["kernel"] + p["f6"]["bias"])
    expected = [[-sum((a - w) ** 2) for w in lenet5_1998.bitmaps()] for a in x]
    np.testing.assert_allclose(model.apply(variables, IMAGES[:2]), expected, rtol=1e-4)


def test_the_bitmaps_are_ten_digits_of_seven_by_twelve():
    found = lenet5_1998.bitmaps()
    assert found.shape == (10, 84)
    assert set(found.ravel()) == {-1, 1}
    apart = [int((a != b).sum()) for i, a in enumerate(found) for b in found[:i]]
    assert min(apart) >= 8


def test_what_the_network_of_1998_cannot_see_is_one_line():
    with pytest.raises(ValueError, match="at most 32×32 to 10 classes, not 40×28×1 to 10"):
        lenet5_1998.padded(jnp.ones((1, 40, 28, 1)))
    with pytest.raises(ValueError, match="not 28×28×3 to 10"):
        lenet5_1998.padded(jnp.ones((1, 28, 28, 3)))


@pytest.mark.slow
@pytest.mark.parametrize("own", [BNLeNet("max"), LeNet5()])
def test_an_own_network_learns_and_a_record_names_it(own):
    lr, least = (1.0, 0.9) if isinstance(own, BNLeNet) else (3e-3, 0.25)
    settings = Config(own, **SETTINGS | {"lr": lr, "epochs": 12, "batch_size": 10})
    assert from_dict(to_dict(settings)) == settings
    assert ":" not in to_dict(settings)["network"]
    assert Config(to_dict(settings)["network"]).network == type(own)()
    model = train.check(settings, DATA)
    assert not convolutions.slow(model, DATA.image_shape)
    row, variables = train.run(settings, DATA)
    assert row.train_accuracy > least
    logits = forward.logits(model, variables, DATA.test.images)
    assert logits.shape == (20, 10)


@pytest.mark.slow
def test_commands_take_own_networks_by_name_and_by_preset(tiny, tmp_path):
    short = ("--dataset=tiny", f"--data_dir={tiny}", "--batch_size=100", "--epochs=1")
    done = command("train", "--preset=book-bn", "--pool=max", *short, "--run_dir=bn", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "bn_conv1" in done.stdout
    about = records.read_json(tmp_path / "bn/config.json")["config"]
    assert (about["network"], about["pool"], about["lr"]) == ("bn_lenet", "max", 1.0)
    more = command("train", "--run_dir=bn", "--resume", "--epochs=2", cwd=tmp_path)
    assert more.returncode == 0, more.stderr
    assert command("report", "bn", cwd=tmp_path).returncode == 0
    old = ("--network=lenet5_1998", "--lr=0.0001,0.001", *short, "--noreport", "--run_dir=old")
    swept = command("sweep", *old, cwd=tmp_path)
    assert swept.returncode == 0, swept.stderr
    again = command("sweep", "--run_dir=old", "--resume", cwd=tmp_path)  # the record names it
    assert "2 of 2 runs already finished" in again.stdout, again.stderr


@pytest.mark.slow
def test_the_statistics_of_a_layer_are_before_its_sigmoid():
    model = plain(network(Config(BNLeNet()), 10))
    with recorded() as outputs:
        model.init(jax.random.key(0), IMAGES)
    assert outputs["bn_conv1"].shape == (8, 24, 24, 6)
    assert float(outputs["bn_conv1"].min()) < 0


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    done = command("train", "--network=resnet", "--run_dir=run", cwd=tmp_path)
    assert done.returncode == UsageError.exit_status
    assert "expected lenet, bn_lenet, lenet5_1998 or MODULE:CLASS" in done.stderr
