"""Any network: the engine trains what it has never heard of as it trains LeNet."""

import dataclasses
import io
import json
import operator
import re
import shlex
import shutil
import socket
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from commands import ROOT, command, end, python, start
from flax import linen as nn
from flax import nnx
from PIL import Image

from experiments.cli import networks
from lenet import config, export, ops, records, runs, train
from lenet.config import Config, choice
from lenet.data import synthetic
from lenet.engine import cores, forward, lanes, sgd
from lenet.engine import sweep as engine
from lenet.errors import RecordError, UsageError
from lenet.inspect.activations import activations
from lenet.inspect.layers import _called, layers
from lenet.model import LeNet
from lenet.networks import BNLeNet
from lenet.report import examples, of_directory

DATA = synthetic.make(150, 40)
SMALL = {"dataset": "synthetic", "batch_size": 64, "epochs": 2, "lr": 0.1}


class Dense(nn.Module):
    """Two dense layers, which is all that the engine has to be told."""

    width: int = choice(8, "hidden units")
    num_classes: int = 10

    @nn.compact
    def __call__(self, images):
        x = nn.relu(nn.Dense(self.width)(images.reshape(images.shape[0], -1)))
        return nn.Dense(self.num_classes)(x)


class Normal(nn.Module):
    """Batch statistics and dropout."""

    dropout: float = choice(0.5, "share of units that are dropped")
    num_classes: int = 10

    @nn.compact
    def __call__(self, images, train=False):
        x = images[:, ::4, ::4].reshape(images.shape[0], -1)
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(nn.Dense(6)(x))
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.num_classes)(x)


@dataclasses.dataclass(frozen=True)
class Nnx:
    """The same dense network of NNX."""

    width: int = choice(8, "hidden units")

    def build(self, num_classes):
        return nnx.bridge.ToLinen(_Nnx, kwargs=nnx.bridge.module.FrozenDict({"n": num_classes}))


class _Nnx(nnx.Module):
    def __init__(self, n, rngs):
        self.first, self.last = nnx.Linear(784, 8, rngs=rngs), nnx.Linear(8, n, rngs=rngs)

    def __call__(self, images):
        return self.last(nnx.relu(self.first(images.reshape(images.shape[0], -1))))


def trained(settings: Config):
    """Rows and the state after each epoch of a run alone."""
    found = list(train.fit(train.start(settings, DATA)))
    return [dataclasses.replace(row, seconds=0, examples_per_second=0) for row, _ in found], found


# Without optimisation, as the fast tests compile, statistics round otherwise on two devices.
@pytest.mark.parametrize("network", [Dense(), pytest.param(Normal(), marks=pytest.mark.slow)])
def test_a_run_of_a_sweep_is_the_run_alone(network):
    configs = [Config(network, **SMALL, seed=seed) for seed in (3, 4)]
    ends = {}
    for epoch in train.sweep(configs, DATA):
        state = jax.device_get(epoch.state)
        for lane, run in enumerate(epoch.runs):
            ends[run] = epoch.rows[run], jax.tree.map(operator.itemgetter(lane), state)
    for run, settings in enumerate(configs):
        rows, found = trained(settings)
        row, state = ends[run]
        assert (row.train_loss, row.test_loss) == (rows[-1].train_loss, rows[-1].test_loss)
        jax.tree.map(np.testing.assert_array_equal, state, found[-1][1])


@pytest.mark.parametrize("network", [pytest.param(Dense(), marks=pytest.mark.slow), Normal()])
def test_a_run_resumes_to_the_same_bits_with_its_network(network, tmp_path):
    """Dropout and changes to images are drawn in the epochs that are left, too."""
    settings = Config(network, **SMALL, augment="shift:2,flip,erase:3")
    whole = runs.begin(tmp_path / "whole", settings, DATA)
    list(whole.epochs())
    run = runs.begin(tmp_path / "run", settings, DATA)
    next(iter(run.epochs()))
    list(runs.resume(tmp_path / "run", DATA, network=type(network)()).epochs())
    names = [tmp_path / name / "checkpoints/00002.npz" for name in ("whole", "run")]
    a, b = (np.load(name) for name in names)
    assert a.files == b.files
    for name in a.files:
        if name != "header.json":
            np.testing.assert_array_equal(a[name], b[name])
    model, params = records.load(tmp_path / "run", network=type(network)())
    loss = train.evaluate(model, params, DATA.test)[0].loss_sum / 40
    assert abs(float(loss) - whole.rows()[-1].test_loss) < 1e-5


def test_a_record_names_no_code(tmp_path):
    list(runs.begin(tmp_path / "run", Config(Dense(), **SMALL), DATA).epochs())
    with pytest.raises(UsageError, match="give the network again"):
        records.load(tmp_path / "run")
    with pytest.raises(RecordError, match="network=Normal: the record is of test_networks:Dense"):
        runs.resume(tmp_path / "run", network=Normal())
    about = json.loads((tmp_path / "run/config.json").read_text())["config"]
    assert about["network"] == "test_networks:Dense"
    read = config.from_dict(about)
    assert read.width == 8
    assert not config.different(read, Config(Dense(), **SMALL))
    assert config.different(read, Config(Dense(width=5), **SMALL)) == "width=8, not 5"
    other = config.different(read, Config(**SMALL))
    assert other == "network=Dense, not lenet"


@pytest.mark.slow
def test_statistics_are_those_of_the_whole_batch():
    """One step on each batch of an epoch, against the same network stepped by hand."""
    settings = Config(Normal(dropout=0.0), **SMALL)
    _, found = trained(settings)
    model = train.check(settings, DATA)
    params, kept = forward.init(model, sgd.keys(settings)[0], (28, 28, 1))
    rows, mask = sgd.order(settings, 0, 150)
    for row, there in zip(rows, mask, strict=True):
        images, labels = DATA.train.images[row[there]], DATA.train.labels[row[there]]

        def loss(params, kept=kept, images=images, labels=labels):
            known = {"params": params, **kept}
            logits, after = model.apply(known, images / 255, train=True, mutable=["batch_stats"])
            losses = optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels)
            return losses.mean(), after

        gradients, kept = jax.grad(loss, has_aux=True)(params)
        params = jax.tree.map(lambda p, g: p - 0.1 * g, params, gradients)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6)  # noqa: E731
    jax.tree.map(close, found[0][1].collections, dict(kept))
    jax.tree.map(close, found[0][1].params, params)


@pytest.mark.slow
@pytest.mark.skipif(
    cores.cores() < 2 or not shutil.which("taskset"), reason="needs two cores, and taskset"
)
def test_statistics_of_a_batch_have_the_same_bits_on_two_cores(folder):
    found = []
    for use in (cores.numbers()[:1], cores.numbers()[:2]):
        name = f"on-{len(use)}"
        flags = ("--network=bn_lenet", *MINE[1:], "--epochs=2", "--noreport", f"--run_dir={name}")
        before = ("taskset", "-c", ",".join(map(str, use)))
        done = python("-m", "experiments.train", *flags, cwd=folder, before=before)
        assert done.returncode == 0, done.stderr
        assert records.read_json(folder / name / "result.json")["environment"]["cores"] == len(use)
        found.append(records.load(folder / name)[1])
    assert "batch_stats" in found[0]
    jax.tree.map(np.testing.assert_array_equal, *found)


@pytest.mark.parametrize("network", [Dense(), Normal()])
def test_two_devices_give_the_bits_of_one(network):
    settings = Config(network, **SMALL)
    model, ends = train.check(settings, DATA), []
    for places in (
        lanes.spread(1, sgd.sharers(model, settings, DATA.image_shape)),
        lanes.together(1, jax.local_devices()[:1], vectorise=False),
    ):
        program = engine.compiled(model, settings, DATA, places)
        *_, last = engine.fit_chunk(program, {0: settings})
        ends.append(jax.device_get(last.state))
    jax.tree.map(np.testing.assert_array_equal, *ends)


def test_dropout_is_a_function_of_seed_and_step():
    ends = [trained(Config(Normal(), **SMALL, seed=1))[0][-1].train_loss for _ in range(2)]
    other = trained(Config(Normal(dropout=0.0), **SMALL, seed=1))[0][-1].train_loss
    assert ends[0] == ends[1] != other


class _Dropped(nnx.Module):
    def __init__(self, n: int, *, rngs: nnx.Rngs):
        self.dense = nnx.Linear(784, n, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, images, train=False):
        x = images.reshape(images.shape[0], -1)
        return self.dense(self.dropout(x, deterministic=not train))


def test_dropout_of_nnx_draws_anew_at_each_step_and_not_outside_training():
    model = nnx.bridge.ToLinen(_Dropped, kwargs=nnx.bridge.module.FrozenDict({"n": 10}))
    params, collections = forward.init(model, jax.random.key(0), (28, 28, 1))
    images = jnp.ones((3, 28, 28, 1), jnp.uint8)
    steps = [
        forward.train(model, params, collections, images, jax.random.key(step))[0]
        for step in (1, 1, 2)
    ]
    np.testing.assert_array_equal(steps[0], steps[1])
    assert not np.allclose(steps[0], steps[2])
    whole = forward.logits(model, forward.variables(params, collections), images)
    np.testing.assert_array_equal(whole[0], whole[1])


def test_nnx_and_linen_train_from_the_same_parameters_to_the_same_losses():
    losses = []
    for network in (Dense(), Nnx()):
        settings = Config(network, **SMALL)
        program = train.start(settings, DATA)
        states = program.init(engine.numbers([settings], program.lanes))
        state = jax.device_get(jax.tree.map(operator.itemgetter(0), states))
        leaves = [np.random.default_rng(0).normal(0, 0.05, (784, 8)), np.zeros(8)]
        leaves += [np.random.default_rng(1).normal(0, 0.3, (8, 10)), np.zeros(10)]
        leaves = [leaf.astype(np.float32) for leaf in leaves]
        names = sorted(state.params)
        params = {
            name: {"kernel": leaves[2 * i], "bias": leaves[2 * i + 1]}
            for i, name in enumerate(names)
        }
        assert jax.tree.map(np.shape, params) == jax.tree.map(np.shape, state.params)
        start = 0, state._replace(params=params)
        losses.append([row.train_loss for row, _ in train.fit(program, start)])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


class Looped(nn.Module):
    """A product of no module, one inside a loop, and one of parameters alone."""

    @nn.compact
    def __call__(self, images):
        x = images.reshape(images.shape[0], -1) @ jnp.ones((64, 5))
        w = self.param("w", nn.initializers.ones, (5, 5))
        x, _ = jax.lax.scan(lambda x, _: (jnp.tanh(x @ (w @ w)), None), x, length=3)
        return nn.Dense(2, name="last")(x)


class Inner(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(4)(x)

    @nn.compact
    def other(self, x):
        return nn.Dense(3)(x)


class Outer(nn.Module):
    """A method from outside, a module whose program is its own, and a state that is carried."""

    @nn.compact
    def __call__(self, images):
        x = Inner(name="a").other(images.reshape(images.shape[0], -1))
        x = nn.remat(Inner)(name="b")(x)
        cell = nn.SimpleCell(5, name="c")
        x = nn.RNN(cell)(jnp.stack([x] * 6, 1))[:, -1]
        return nn.Dense(2, name="last")(x)


def test_evaluation_has_the_convolution_that_training_has_not():
    """Differentiated in a loop it is slow on a CPU; otherwise products are."""

    class Net(nn.Module):
        @nn.compact
        def __call__(self, images):
            x = nn.Conv(4, (3, 3), conv_general_dilated=ops.conv_general_dilated)(images)
            return nn.Dense(10)(x.reshape(x.shape[0], -1))

    program = train.start(Config(Net(), **SMALL), DATA)
    assert " convolution(" not in program.epoch.as_text()
    state = program.init(engine.numbers([program.config], program.lanes))
    evaluate = engine.evaluate.lower(Net(), program.lanes, state.variables, program.data.test)
    assert " convolution(" in evaluate.compile().as_text()


class Named(nn.Module):
    """A field of the user's that is called like one of LeNet's."""

    conv: str = "matmul"
    num_classes: int = 10

    @nn.compact
    def __call__(self, images):
        x = images.reshape(images.shape[0], -1)
        return nn.Dense(self.num_classes, name=self.conv)(x)


def test_a_field_called_conv_is_the_user_s_own():
    model, images = Named(), np.ones((2, 4, 4, 1), np.float32)
    params = model.init(jax.random.key(0), images)["params"]
    assert [*activations(model, params, images)] == ["matmul", ""]
    assert [row.name for row in layers(model, (4, 4, 1))] == ["matmul"]


class Coarse(nn.Module):
    precision: str = "bfloat16"

    @nn.compact
    def __call__(self, x):
        return nn.Dense(10)(x.reshape(x.shape[0], -1))


def test_a_field_called_precision_is_the_user_s_own():
    with sgd.products(Coarse()):
        assert jax.config.jax_default_matmul_precision == "highest"
    with sgd.products(
        train.check(Config(precision="bfloat16", dataset=DATA.name, batch_size=64), DATA)
    ):
        assert jax.config.jax_default_matmul_precision == "tensorfloat32"


class Left(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3, name="left")(x)


class Right(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3, name="right")(x)


class Branching(nn.Module):
    """One of two modules, by what an image is."""

    num_classes: int = 10

    @nn.compact
    def __call__(self, images):
        x = images.reshape(images.shape[0], -1)
        modules = Left(name="l"), Right(name="r")
        branches = [lambda _, x, each=each: each(x) for each in modules]
        if self.is_initializing():
            for branch in branches:
                branch(self, x)
        x = nn.cond(x.sum() > 0, *branches, self, x)
        return nn.Dense(self.num_classes)(x)


class Odd(nn.Module):
    """A number, whole numbers, a row, and patches of the images, each of a module's own."""

    num_classes: int = 10

    @nn.compact
    def __call__(self, images):
        x = images.reshape(-1, 49)
        x = nn.Dense(4, name="patches")(x).reshape(images.shape[0], -1)
        scale = Parts(name="parts")(x)
        return nn.Dense(self.num_classes, name="last")(x * scale)


class Scale(nn.Module):
    @nn.compact
    def __call__(self):
        return self.param("scale", nn.initializers.ones, ())


class Whole(nn.Module):
    def __call__(self, x):
        return jnp.round(x).astype(int)


class Row(nn.Module):
    def __call__(self, x):
        return x.sum(1)


class Parts(nn.Module):
    @nn.compact
    def __call__(self, x):
        row, whole = Row(name="row")(x), Whole(name="whole")(x)
        return Scale(name="scale")() + 0 * (row[:, None] + whole)


class Shared(nn.Module):
    """A module that a loop of JAX calls, which Flax does not see into."""

    num_classes: int = 10

    def setup(self):
        self.cell, self.last = nn.Dense(4), nn.Dense(self.num_classes)

    def __call__(self, images):
        x = self.cell(images.reshape(images.shape[0], -1)[:, :4])
        x, _ = jax.lax.scan(lambda x, _: (jnp.tanh(self.cell(x)), None), x, length=2)
        return self.last(x)


class _Rows(nnx.Module):
    def __init__(self, *, rngs: nnx.Rngs):
        self.rows = nnx.Sequential(nnx.Linear(784, 4, rngs=rngs), nnx.Linear(4, 10, rngs=rngs))

    def __call__(self, images):
        return self.rows(images.reshape(images.shape[0], -1))


@dataclasses.dataclass(frozen=True)
class Rows:
    def build(self, num_classes):
        return nnx.bridge.ToLinen(_Rows)


@dataclasses.dataclass(frozen=True)
class Parted:
    """Parameters in boxes, of a module with another function at each call."""

    def build(self, num_classes):
        kernel = nn.with_partitioning(nn.initializers.lecun_normal(), (None, None))
        flat = lambda x: x.reshape(x.shape[0], -1)  # noqa: E731
        return nn.Sequential((flat, nn.Dense(num_classes, kernel_init=kernel)))


@pytest.mark.parametrize(
    ("network", "named"),
    [
        pytest.param(Branching(), ["Dense_0"], marks=pytest.mark.slow),
        (Odd(), ["last"]),
        pytest.param(Shared(), ["last"], marks=pytest.mark.slow),
        pytest.param(Rows(), ["ToLinen"], marks=pytest.mark.slow),
        pytest.param(Parted(), ["layers_1"], marks=pytest.mark.slow),
    ],
)
def test_whatever_trains_has_a_record_and_a_table(network, named, tmp_path):
    run = runs.begin(tmp_path / "run", Config(network, **SMALL), DATA)
    assert len([*run.epochs()]) == 2
    seen = records.statistics(tmp_path / "run")
    assert [row["epoch"] for row in seen] == [0, 1, 2]
    assert [*seen[-1]["layers"]] == named
    assert sum(np.ravel(seen[-1]["snapshot"]["confusion"])) == len(DATA.test.labels)
    rows = layers(run.model, DATA.image_shape)
    assert sum(row.parameters for row in rows) > 40
    of_directory.report(tmp_path / "run", DATA, network=network)


class Seeing(nn.Module):
    """A skip connection, dilation, a ReLU that is a choice, the mean of maps."""

    @nn.compact
    def __call__(self, images):
        x = nn.Conv(2, (3, 5), padding="VALID", kernel_dilation=(2, 1), name="a")(images)
        x = jnp.where(x > 0, x, 0)
        y = nn.Conv(2, (3, 3), strides=2, name="b")(x)
        y = nn.Conv(2, (1, 1), name="c")(y + x[:, ::2, ::2])
        y = nn.max_pool(y, (2, 2), (1, 2))
        y = nn.Conv(2, (2, 2), padding="VALID", name="d")(y)
        return nn.Dense(2, name="e")(y.mean((1, 2)))


def test_receptive_fields_are_measured_whatever_a_network_does():
    rows = {row.name: (row.receptive_field, row.stride) for row in _called(Seeing(), (24, 28, 1))}
    assert rows == {
        "a": ((5, 5), 1),
        "b": ((7, 7), 2),  # a window of 3 over neighbours 1 apart
        "c": ((7, 7), 2),  # its 1×1 and the skip connection add nothing
        "d": ((11, 13), None),  # 2 × 2 apart down, 2 × 4 across after the pooling
        "e": ((24, 28), None),
    }


def test_products_are_those_of_the_module_that_they_are_in():
    found = {row.name: row.multiply_adds for row in _called(Outer(), (4, 2, 1))}
    of = {name.partition("/")[0]: 0 for name in found}
    for name, count in found.items():
        of[name.partition("/")[0]] += count
    assert of == {"a": 8 * 3, "b": 3 * 4, "c": 6 * (4 * 5 + 5 * 5), "last": 5 * 2} | {
        name: 0 for name in of if name not in ("a", "b", "c", "last")
    }


@pytest.mark.parametrize(
    ("model", "shape", "expected"),
    [
        (LeNet(), (28, 28, 1), [117_600, 240_000, 48_000, 10_080, 840]),
        (
            BNLeNet(conv="matmul"),
            (28, 28, 1),
            [24 * 24 * 6 * 25, 8 * 8 * 16 * 150, 256 * 120, 120 * 84, 84 * 10],
        ),
        (Looped(), (8, 8, 1), [5 * 2, 64 * 5 + 3 * 5 * 5]),
    ],
)
def test_the_multiply_adds_of_a_module_are_those_of_its_products(model, shape, expected):
    found = [row.multiply_adds for row in _called(model, shape)]
    assert [count for count in found if count] == expected


def test_activations_have_what_a_program_of_its_own_returns_and_not_what_a_scan_repeats():
    model = Outer()
    images = np.ones((2, 4, 2, 1), np.float32)
    params = model.init(jax.random.key(0), images)["params"]
    found = activations(model, params, images)
    assert [name for name in found if name] == ["a/Dense_0", "b/Dense_0", "RNN_0", "last"]
    assert {len(x) for x in found.values()} == {2}


def test_the_layers_of_any_network_are_its_modules():
    found = layers(Normal(), (28, 28, 1))
    assert [(row.name, row.output_shape, row.parameters) for row in found] == [
        ("Dense_0", (6,), 49 * 6 + 6),
        ("BatchNorm_0", (6,), 12),
        ("Dropout_0", (6,), 0),
        ("Dense_1", (10,), 70),
    ]


def test_stablehlo_has_the_logits_of_any_network():
    settings = Config(Normal(), **SMALL)
    model = train.check(settings, DATA)
    _, found = trained(settings)
    variables = found[-1][1].variables
    images = DATA.test.images[:3]
    program = jax.export.deserialize(bytearray(export.to_stablehlo(model, variables, (28, 28, 1))))
    expected = forward.logits(model, variables, images)
    np.testing.assert_allclose(program.call(jnp.float32(images) / 255), expected, atol=1e-5)


class Two(nn.Module):
    num_classes: int = 10

    @nn.compact
    def __call__(self, images):
        return nn.Dense(2)(images.reshape(images.shape[0], -1))


class Still(nn.Module):
    """Statistics of the batch outside training, too, which are then written nowhere."""

    @nn.compact
    def __call__(self, images):
        x = nn.BatchNorm(use_running_average=False)(images.reshape(images.shape[0], -1))
        return nn.Dense(10)(x)


class Wider(nn.Module):
    """Other logits when it does not train."""

    @nn.compact
    def __call__(self, images, train=False):
        x = nn.Dense(10)(images.reshape(images.shape[0], -1))
        return x if train else jnp.concatenate([x, x], 1)


class Raises(nn.Module):
    def __call__(self, images):
        raise ValueError("first line\nsecond line")


class Listed(nn.Module):
    sizes: object = None

    def __call__(self, images):
        return images


class Clash(Dense):
    momentum: float = 1.0


@dataclasses.dataclass(frozen=True)
class Strange:
    def build(self, num_classes):
        return num_classes


@dataclasses.dataclass(frozen=True)
class Builds:
    """Builds what it is told to."""

    what: str = "raises"

    def build(self, num_classes):
        if self.what == "raises":
            return {}["width"]
        return nnx.bridge.ToLinen(_Nnx, kwargs={"n": num_classes})


@dataclasses.dataclass
class Changes:
    width: int = 3

    def build(self, num_classes):
        return Dense(num_classes=num_classes)


class Half(nn.Module):
    """Parts of the class are no settings, as the page has it."""

    dtype = jnp.bfloat16
    activation = staticmethod(nn.tanh)

    @nn.compact
    def __call__(self, images):
        layer = partial(nn.Dense, param_dtype=self.dtype)
        x = self.activation(layer(4)(images.reshape(images.shape[0], -1)))
        return layer(10)(x).astype(jnp.float32)


def test_parameters_keep_their_type_with_clipping_and_averaging():
    def make(schedule):
        return optax.scale_by_learning_rate(schedule)

    config = Config(Half(), **SMALL, optimizer=make, clip=0.01, average=0.9)
    *_, (_, state) = train.fit(train.start(config, DATA))
    for tree in (state.params, state.average):
        assert {leaf.dtype for leaf in jax.tree.leaves(tree)} == {jnp.dtype(jnp.bfloat16)}


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (lambda: Builds(), r"Builds: build\(10\) failed: KeyError: 'width'$"),
        (lambda: Builds(what="dict"), "Builds: cannot be hashed, .*FrozenDict in place of dicts$"),
        (lambda: Changes(), r"Changes: its fields may change .*dataclass\(frozen=True\)$"),
        (lambda: Two(), r"Two: returns float32\[2, 2\] for 2 images, expected float32\[2, 10\]"),
        (lambda: Wider(), r"Wider: returns float32\[2, 20\] for 2 images outside training, exp"),
        (lambda: Still(), r"Still: cannot be applied to .*ModifyScopeVariableError"),
        (lambda: Raises(), r"Raises: cannot be applied to .*: ValueError: first line$"),
        (lambda: Listed(), "Listed.sizes=None: a setting is a number, a word, true or false, or a"),
        (lambda: Clash(), "Clash.momentum: training has a setting of this name"),
        (lambda: Strange(), "build.. returned int, expected a Flax module"),
        (lambda: Dense(width=0), "width=0: must be at least 1"),
    ],
)
def test_a_network_that_cannot_be_trained_is_one_line(network, said):
    with pytest.raises(UsageError, match=said) as error:
        train.check(Config(network(), **SMALL), DATA)
    assert "\n" not in str(error.value)


NET = """
from flax import linen as nn
from lenet.config import choice

class Mine(nn.Module):
    width: int = choice(4, "hidden units")
    num_classes: int = 10

    @nn.compact
    def __call__(self, images):
        x = nn.relu(nn.Dense(self.width)(images.reshape(images.shape[0], -1)))
        return nn.Dense(self.num_classes)(x)
"""


@pytest.fixture
def folder(tmp_path, tiny):
    (tmp_path / "a_net_of_mine.py").write_text(NET)
    shutil.copytree(tiny, tmp_path / "tiny")
    return tmp_path


@pytest.mark.slow
def test_workers_train_a_network_from_a_file(folder):
    flags = (*MINE, "--epochs=1", "--lr=0.05,0.1", "--noreport")
    tables = []
    for where in ("--run_dir=here", "--run_dir=there"):
        more = ("--cluster=local",) if "there" in where else ()
        done = command("sweep", *flags, where, *more, cwd=folder)
        assert done.returncode == 0, done.stderr
        found = records.read_lines(folder / where.partition("=")[2] / "runs.jsonl")
        tables.append([entry["rows"][-1]["test_loss"] for _, entry in found])
    assert sorted(tables[0]) == sorted(tables[1])


@pytest.mark.slow
def test_a_scheduler_need_not_have_the_file_of_a_network(folder, tmp_path_factory):
    flags = (*MINE, "--epochs=1", "--lr=0.05,0.1", "--noreport")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    to = f"--cluster=tcp://127.0.0.1:{port}"
    elsewhere, listen = tmp_path_factory.mktemp("elsewhere"), ("--host", "127.0.0.1", "--port")
    scheduler = ("-m", "distributed.cli.dask_scheduler", *listen, str(port), "--no-dashboard")
    worker = ("-m", "experiments.cluster", "worker", to, "--workers=1")
    with start(*scheduler, cwd=elsewhere) as one, start(*worker, cwd=folder) as other:
        try:
            done = command("sweep", *flags, "--run_dir=there", to, cwd=folder)
        finally:
            end(one.pid)
            end(other.pid)
    assert done.returncode == 0, done.stderr
    assert len([*records.read_lines(folder / "there" / "runs.jsonl")]) == 2


STRANGE = """
import dataclasses
import io
from typing import Any, Callable
import jax.numpy as jnp
from flax import linen as nn

class Raises(nn.Module):
    width: int = 4

    def __post_init__(self):
        raise ValueError("first line\\nsecond line")

class Named(nn.Module):
    report: int = 4

class Logged(nn.Module):
    verbosity: int = 4

class Infinite(nn.Module):
    scale: float = float("inf")

class Exits(nn.Module):
    width: int = 4

    def __post_init__(self):
        raise SystemExit(3)

class Listed(nn.Module):
    sizes: list = dataclasses.field(default_factory=list)

class Active(nn.Module):
    act: Callable = nn.relu

class Typed(nn.Module):
    dtype: Any = jnp.float32

class Lines:
    def __repr__(self):
        return "first\\nsecond"

class Lined(nn.Module):
    lines: Any = Lines()

class Rated(nn.Module):
    rates: tuple = (0.25, 0.5)

@dataclasses.dataclass
class Changes:
    width: int = 4
"""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Raises", "a_strange_net:Raises: cannot be made: ValueError: first line"),
        ("Named", "report: a flag of the commands has this name. Rename it"),
        ("Logged", "verbosity: a flag of the commands has this name. Rename it"),
        ("Infinite", "--scale=inf: must be a finite number"),
        ("Exits", "a_strange_net:Exits: cannot be made: SystemExit: 3"),
        ("Listed", "Listed.sizes: has a default_factory, whose value a record cannot hold"),
        ("Active", "Active.act=relu: a setting is a number, a word, true or false, or a tuple"),
        ("Active", "make it a part of the class: act = staticmethod(...)"),
        ("Typed", "Typed.dtype=float32: a setting is a number"),
        ("Lined", "Lined.lines=first second: a setting is a number, a word, true or false, or a"),
        ("Rated", "Rated.rates=(0.25, 0.5): a setting is a number, a word, true or false, or a"),
        ("Changes", "Declare it with @dataclasses.dataclass(frozen=True)"),
    ],
)
@pytest.mark.parametrize("what", ["train", pytest.param("sweep", marks=pytest.mark.slow)])
def test_a_class_that_is_no_network_is_one_line(what, name, said, folder):
    (folder / "a_strange_net.py").write_text(STRANGE)
    done = command(what, f"--network=a_strange_net:{name}", *MINE[1:], cwd=folder)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert said in done.stderr


def test_the_flags_of_the_commands_are_reserved():
    code = "from experiments.cli import completion\n"
    code += "for _, defined in completion.entry_points(): print(*(flag.name for flag in defined))"
    names = set(python("-c", code).stdout.split())
    own = {field.name for field in config.fields()}
    code = "import absl.app, absl.logging; from absl import flags; print(*list(flags.FLAGS))"
    built_in = {
        *python("-c", code).stdout.split(),
        *["flagfile", "undefok", "help", "helpfull", "helpshort", "helpxml"],
    }
    assert {"v", "verbosity", "pdb"} < built_in
    assert (names - own) | built_in == networks.RESERVED


class Shrinks(nn.Module):
    """Convolves and pools until nothing is left of 28 x 28, then averages or connects it."""

    averages: bool = False

    @nn.compact
    def __call__(self, images):
        x = images
        for _ in range(4):
            x = nn.max_pool(nn.Conv(2, (3, 3), padding="VALID")(x), (2, 2), (2, 2))
        return nn.Dense(10)(x.mean((1, 2)) if self.averages else x.reshape(x.shape[0], -1))


class Pools(nn.Module):
    """Has no module that would see that nothing is left."""

    @nn.compact
    def __call__(self, images):
        return nn.Dense(10)(nn.max_pool(images, (29, 29)).mean((1, 2)))


@pytest.mark.parametrize("network", [Shrinks(), Shrinks(averages=True), Pools()])
def test_a_network_that_leaves_nothing_of_the_image_is_one_line(network):
    with pytest.raises(UsageError, match="nothing is left of the image") as caught:
        train.check(Config(network, **SMALL), DATA)
    assert "\n" not in str(caught.value)


class Plain(nn.Module):
    """Without a module inside."""

    num_classes: int = 10

    @nn.compact
    def __call__(self, images):
        x = images.reshape(images.shape[0], -1)
        kernel = self.param("kernel", nn.initializers.zeros, (x.shape[1], self.num_classes))
        return x @ kernel


@pytest.mark.parametrize("network", [Plain(), Nnx(), Normal()])
def test_every_network_has_a_map_of_images_and_an_npz_file(network):
    settings = Config(network, **SMALL)
    model = train.check(settings, DATA)
    parameters, kept = forward.init(model, jax.random.key(0), DATA.image_shape)
    variables = forward.variables(parameters, kept)
    hidden = examples._hidden(model, variables, DATA.test.images[:3])
    assert (len(hidden), hidden.ndim) == (3, 2)
    read = np.load(io.BytesIO(export.to_npz(variables)))
    leaves = jax.tree.leaves(variables)
    assert len(read.files) == len(leaves)
    assert sum(read[name].size for name in read.files) == sum(leaf.size for leaf in leaves)


MINE = ("--network=a_net_of_mine:Mine", "--dataset=tiny", "--data_dir=tiny", "--batch_size=64")


def test_a_file_in_the_working_directory_is_trained_swept_and_reported(folder):
    helped = command("train", MINE[0], "--help", cwd=folder)
    assert "--width=4\n        hidden units" in helped.stdout
    assert "--channels" not in helped.stdout
    short = ("--epochs=1", "--lr=0.1")
    done = command("train", *MINE, *short, "--width=3", "--run_dir=run", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "Dense_0  3" in done.stdout
    assert (folder / "run/report.html").exists()
    again = command("report", "run", cwd=folder)
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert "give the network again (--network=a_net_of_mine:Mine; in Python" in again.stderr
    assert '"network=..."' in again.stderr
    swept = command("sweep", *MINE, *short, "--width=2,3", "--run_dir=many", cwd=folder)
    assert swept.returncode == 0, swept.stderr
    assert "width 3" in swept.stdout
    more = command("sweep", "--run_dir=many", "--resume", cwd=folder)
    assert more.returncode == 2
    assert "Give --network=a_net_of_mine:Mine again" in more.stderr
    more = command("sweep", "--run_dir=many", "--resume", MINE[0], cwd=folder)
    assert "2 of 2 runs already finished" in more.stdout, more.stderr
    assert command("report", "many", cwd=folder).returncode == 0


CONVOLVES = """
from flax import linen as nn
from lenet import ops

class Slow(nn.Module):
    num_classes: int = 10
    conv = None

    @nn.compact
    def __call__(self, images):
        x = nn.Conv(2, (3, 3), strides=4, conv_general_dilated=self.conv)(images)
        return nn.Dense(self.num_classes)(x.reshape(x.shape[0], -1))

class Fast(Slow):
    conv = staticmethod(ops.conv_general_dilated)
"""


@pytest.mark.slow
@pytest.mark.parametrize("entry", ["train", "sweep"])
def test_a_convolution_that_is_slow_on_a_cpu_is_one_line_with_its_remedy(folder, entry):
    (folder / "convolves.py").write_text(CONVOLVES)
    said = []
    for name in ("Slow", "Fast"):
        network, seeds = f"--network=convolves:{name}", "--seed=0"
        flags = (*MINE[1:], network, seeds, "--epochs=1", "--noreport", f"--run_dir={name}")
        done = command(entry, *flags, cwd=folder)
        assert done.returncode == 0, done.stderr
        said.append([line for line in done.stdout.splitlines() if "warning" in line])
    assert [len(lines) for lines in said] == [1, 0]
    assert "Write nn.Conv(..., conv_general_dilated=lenet.ops.conv_general_dilated)" in said[0][0]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "no_such_module:Net",
            "no module no_such_module here. Start in the directory of no_such_module.py, or",
        ),
        ("a_net_of_mine:Other", "a_net_of_mine has no class Other"),
        ("a_net_of_mine", "expected lenet, bn_lenet, lenet5_1998 or MODULE:CLASS"),
    ],
)
def test_a_network_that_is_not_there_is_one_line(folder, name, said):
    done = command("train", f"--network={name}", "--run_dir=run", cwd=folder)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert said in done.stderr
    assert not (folder / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_block_of_the_page_runs_in_an_empty_folder(language, tmp_path, fashion_mnist):
    text = (ROOT / "docs" / language / "networks.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(python|bash)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    kinds = ["python", "bash", "python", "python", "python", "python", "bash"]
    assert [kind for kind, _ in blocks] == kinds
    assert "\n    " not in re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    (tmp_path / "my_net.py").write_text(blocks[0][1])
    (tmp_path / "my_opt.py").write_text(blocks[3][1])
    Image.new("L", (28, 28), 40).save(tmp_path / "shirt.png")
    for line in blocks[1][1].splitlines():
        assert line.startswith("python -m experiments.")
        done = python(*shlex.split(line)[1:], cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    run = "--network=my_net:Wide --optimizer=my_opt:make --lr=0.001 --epochs=1 --run_dir=runs/own"
    done = python("-m", "experiments.train", *run.split(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for place in (2, 4, 5):
        (tmp_path / "use.py").write_text(blocks[place][1])
        done = python("use.py", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
