import dataclasses
import json
import math
import re
from collections.abc import Iterator
from functools import partial

import chex
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
import torch_network
from hypothesis import given, settings
from hypothesis import strategies as st
from record_rows import timeless

from lenet import train
from lenet.config import PRESETS, Config, check
from lenet.data import Data, Split, hold_out, synthetic
from lenet.engine import forward, lanes, metrics, sgd, sharding, sweep
from lenet.engine.optimizer import learning_rate, optimizer
from lenet.engine.rows import Row
from lenet.engine.stacking import stack
from lenet.errors import DataError, DivergedError, UsageError
from lenet.model import FORMS, PRECISIONS, network

of_small = partial(Config, dataset="synthetic")
"""Settings of a run on the data of `small`."""


@pytest.fixture(scope="session")
def small() -> Data:
    return synthetic.make(700, 130)


@pytest.fixture
def fresh() -> Iterator[None]:
    """What a test changes in the module is in no program of another: jit does not know of it."""
    _forget()
    yield
    _forget()


def _forget() -> None:
    for function in (train.evaluate, sweep.epoch, sweep.evaluate):
        function.clear_cache()


LITTLE: dict = {"channels": (2, 3), "hidden": (8,)}
"""A network that compiles in no time."""
MOMENTUM = {"momentum": 0.9, "weight_decay": 1e-3}
RELU = partial(
    of_small, channels=(2, 3), hidden=(8,), batch_size=64, activation="relu", pool="max", epochs=2
)
"""Runs of one program."""


def fit(config: Config, data: Data) -> list[Row]:
    return [row for row, _ in train.fit(train.start(config, data))]


@given(st.integers(1, 300), st.integers(1, 64), st.integers(0, 9), st.integers(0, 5))
def test_an_epoch_sees_every_example_once_in_an_order_of_seed_and_epoch(count, batch, seed, epoch):
    config = Config(batch_size=min(batch, count), seed=seed)
    order = jax.jit(sgd.order, static_argnums=2)
    rows, mask = order(config, epoch, count)
    assert rows.shape == (math.ceil(count / config.batch_size), config.batch_size)
    assert sorted(np.asarray(rows)[np.asarray(mask)]) == list(range(count))
    assert mask[:-1].all()
    assert (rows == order(config, epoch, count)[0]).all()
    if count > 20:
        assert (rows != order(config, epoch + 1, count)[0]).any()
        assert (rows != order(dataclasses.replace(config, seed=seed + 1), epoch, count)[0]).any()


@given(st.integers(2, 300), st.integers(1, 64), st.integers(0, 5))
@settings(max_examples=3)
def test_a_short_batch_is_last_or_first_or_dropped(count, batch, epoch):
    size = min(batch, count)
    order = jax.jit(sgd.order, static_argnums=2)
    last, first, drop, scale = (
        order(Config(batch_size=size, short_batch=place), epoch, count)
        for place in ("last", "first", "drop", "scale")
    )
    chex.assert_trees_all_equal(scale, last)
    short = count % size
    for found, theirs, ours in zip(first, last, drop, strict=True):
        chex.assert_trees_all_equal(found, jnp.roll(theirs, 1 if short else 0, 0))
        chex.assert_trees_all_equal(ours, theirs[: count // size])
    for found, place in ((last, "last"), (first, "first"), (drop, "drop"), (scale, "scale")):
        steps = sgd.steps_per_epoch(Config(batch_size=size, short_batch=place), count)
        assert len(found[0]) == steps


@pytest.mark.slow
def test_a_short_batch_that_is_scaled_takes_a_step_of_its_share(small):
    """5 examples of 8: as the mean over 5 with 5/8 of the learning rate."""
    images, labels = map(jnp.asarray, (small.train.images[:8], small.train.labels[:8]))
    mask, count = jnp.arange(8) < 5, jnp.int32(5)

    def after(place: str, lr: float) -> sgd.State:
        config = of_small(batch_size=8, short_batch=place, lr=lr, **LITTLE)
        model = network(config, 10)
        step = jax.jit(partial(sgd.step, model, config, 1))
        state = train.init(model, config, small.image_shape)
        return step(state, images, labels, mask, count)[0]

    scaled, usual = after("scale", 0.8), after("last", 0.5)
    chex.assert_trees_all_close(scaled.params, usual.params, rtol=1e-6, atol=1e-7)


@pytest.mark.slow
def test_an_epoch_counts_what_it_drops_as_not_seen(small):
    rows = fit(of_small(batch_size=64, epochs=1, short_batch="drop", **LITTLE), small)
    assert rows[0].count == 640 == len(small.train.labels) - 60


def test_a_short_batch_is_placed_only_where_it_can_be(small):
    with pytest.raises(UsageError, match="short_batch=first: order=batches puts it anywhere"):
        check(Config(short_batch="first", order="batches"))
    for name, value in (("short_batch", "first"), ("order", "batches")):
        kept = of_small(network="bn_lenet", batch_size=64, **{name: value})
        with pytest.raises(UsageError, match=f"{name}={value}: bn_lenet keeps statistics, .* 60 e"):
            train.check(kept, small)
    train.check(of_small(network="bn_lenet", batch_size=64, short_batch="drop"), small)


def test_fixed_batches_are_shuffled_and_their_examples_stay_together():
    config = Config(batch_size=32, order="batches", seed=1)
    epochs = [sgd.order(config, epoch, 100) for epoch in range(3)]
    sets = [
        [
            frozenset(np.asarray(row)[np.asarray(kept)].tolist())
            for row, kept in zip(*one, strict=True)
        ]
        for one in epochs
    ]
    assert set(sets[0]) == {frozenset(range(i, min(i + 32, 100))) for i in range(0, 100, 32)}
    assert all(set(one) == set(sets[0]) for one in sets)
    assert any(one != sets[0] for one in sets)


def test_weights_and_order_have_a_seed_each_where_two_are_given(small):
    both, weights, order = (
        of_small(batch_size=64, epochs=1, seed=seed, order_seed=order_seed)
        for seed, order_seed in ((3, -1), (3, 5), (4, 3))
    )
    model = network(both, 10)
    init = [
        train.init(model, config, small.image_shape).params for config in (both, weights, order)
    ]
    chex.assert_trees_all_equal(init[0], init[1])
    assert any((a != b).any() for a, b in zip(*map(jax.tree.leaves, init[1:]), strict=True))
    rows = [np.asarray(sgd.order(config, 0, 700)[0]) for config in (both, weights, order)]
    assert (rows[0] == rows[2]).all()
    assert (rows[0] != rows[1]).any()


def test_the_book_s_epoch_has_235_steps_and_the_last_has_96_examples():
    rows, mask = sgd.order(Config(), 0, 60_000)
    assert rows.shape == (235, 256)
    assert mask.sum(1).tolist() == [256] * 234 + [96]


def test_evaluation_counts_every_example_whatever_the_batch(small, fresh, monkeypatch):
    config = of_small(channels=(2, 3), hidden=(8,))
    model = network(config, 10)
    params = train.init(model, config, small.image_shape).params
    split = jax.device_put(small.train)
    all_logits = jax.jit(forward.logits, static_argnums=0)(model, params, split.images)
    whole = metrics.of_batch(all_logits, split.labels, jnp.ones(700, bool))
    found, classes = train.evaluate(model, params, split)
    assert int(found.count) == 700
    assert int(found.correct) == int(whole.correct)
    np.testing.assert_array_equal(classes, all_logits.argmax(-1))
    np.testing.assert_allclose(found.loss_sum, whole.loss_sum, rtol=1e-6)
    monkeypatch.setattr(sgd, "EVALUATION_BATCH", 99)
    train.evaluate.clear_cache()
    again, classes_again = train.evaluate(model, params, split)
    assert (int(again.count), int(again.correct)) == (700, int(whole.correct))
    np.testing.assert_array_equal(classes_again, classes)


@pytest.mark.slow
def test_the_padding_of_a_short_batch_changes_nothing(small):
    config = of_small(channels=(2, 3), hidden=(8,))
    model = network(config, 10)
    images, labels = (jnp.asarray(x[:8]) for x in small.train)

    @jax.jit
    def after(images, labels, mask):
        state = train.init(model, config, small.image_shape)
        return sgd.step(model, config, 1, state, images, labels, mask, mask.sum())

    short = after(images[:5], labels[:5], jnp.ones(5, bool))
    padded = after(images, labels, jnp.arange(8) < 5)
    for a, b in zip(jax.tree.leaves(short), jax.tree.leaves(padded), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    assert int(padded[1].count) == 5


def test_another_number_traces_nothing_and_another_choice_does(small, fresh, monkeypatch):
    """Counted where jax traces: a call that finds its compiled program does not come by."""
    monkeypatch.setattr(sgd, "step", chex.assert_max_traces(sgd.step, n=2))
    base = of_small(channels=(2, 3), hidden=(8,), batch_size=100, epochs=1)
    for change in (
        {},
        {"lr": 1},  # whole, as from JSON
        {"lr": 0.1},
        {"momentum": 0.9, "weight_decay": 1e-4},
        {"seed": 7, "epochs": 2, "warmup": 0.5},
    ):
        fit(dataclasses.replace(base, **change), small)
    fit(dataclasses.replace(base, activation="relu"), small)
    with pytest.raises(AssertionError, match="traced"):
        fit(dataclasses.replace(base, activation="tanh"), small)


def test_a_program_is_traced_once(small, fresh, monkeypatch):
    """For the estimate of memory, to compile and to run; evaluation once for each of its splits."""
    data = hold_out(small, 50)
    monkeypatch.setattr(sgd, "step", chex.assert_max_traces(sgd.step, n=1))
    monkeypatch.setattr(sgd, "init", chex.assert_max_traces(sgd.init, n=1))
    monkeypatch.setattr(sgd, "evaluate", chex.assert_max_traces(sgd.evaluate, n=2))
    config = of_small(channels=(2, 3), hidden=(8,), batch_size=100, epochs=2, valid=50)
    run = train.start(config, data)
    for _ in range(2):
        assert len(list(train.fit(run))) == 2


@pytest.mark.parametrize(
    ("labels", "mask", "images"),
    [((4, 1), (4,), 4), ((4,), (1,), 4), ((1,), (4,), 4), ((4,), (4,), 5)],
    ids=["labels in a column", "one mask", "one label", "an image more"],
)
def test_a_shape_that_would_broadcast_is_an_error(unchecked, labels, mask, images):
    """Of a batch; and of a split, where an index beyond the labels would take the last of them."""
    logits = jnp.zeros((images, 10))
    with pytest.raises(AssertionError, match="shape"):
        metrics.of_batch(logits, jnp.zeros(labels, int), jnp.ones(mask, bool))


def test_a_split_with_fewer_labels_than_images_is_an_error(unchecked, small):
    config = of_small(channels=(2, 3), hidden=(8,))
    model = network(config, 10)
    params = train.init(model, config, small.image_shape).params
    short = Split(small.test.images, small.test.labels[:-1])
    with pytest.raises(AssertionError, match="shape"):
        train.evaluate(model, params, short)


def test_as_many_settings_as_lanes_are_needed(unchecked, small):
    config = of_small(channels=(2, 3), hidden=(8,))
    two = lanes.together(2, jax.local_devices(), vectorise=False)
    stacked = stack([config] * (two.size + jax.local_device_count()))
    with pytest.raises(AssertionError, match="prefix"):
        sweep.init.eval_shape(network(config, 10), two, stacked, small.image_shape)


def test_a_wrong_shape_raises_at_the_edge(small):
    """In a test by the annotation; before training by the check of the data."""
    with pytest.raises(jaxtyping.TypeCheckError, match="mask"):
        metrics.of_batch(jnp.zeros((4, 10)), jnp.zeros(4, int), jnp.ones(3, bool))
    flat = Split(small.train.images[..., 0], small.train.labels)
    with pytest.raises(DataError, match=r"images: expected shape \[N, H, W, C\]"):
        train.start(of_small(), dataclasses.replace(small, train=flat))


@pytest.mark.slow
def test_training_runs_in_float32_where_jax_defaults_to_float64(small):
    for form in ("matmul", "lax"):
        config = of_small(channels=(2, 3), hidden=(8,), batch_size=100, epochs=1, conv=form)
        expected = fit(config, small)[0].train_loss
        with jax.enable_x64(True):
            run = train.start(config, small)
            ((row, state),) = train.fit(run)
        assert all(p.dtype == jnp.float32 for p in jax.tree.leaves(state.params))
        assert row.train_loss == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("preset", ["book", "modern"])
def test_the_program_has_no_convolution_no_float64_and_no_callback(small, preset):
    """The facts that make it quick on a CPU, and exact: asserted instead of a clock's reading."""
    config = of_small(**(PRESETS[preset] | {"batch_size": 100}))
    run = train.start(config, small)
    compiled = run.epoch.as_text()
    assert len(re.findall(r" all-(reduce|gather)(-start)?\(", compiled)) == 1  # a step's only wait
    assert " dot(" in compiled
    assert " while(" in compiled
    for unwanted in (" convolution(", "f64[", "python_cpu_callback", "select-and-scatter"):
        assert unwanted not in compiled


def test_the_form_of_convolution_is_chosen_for_the_device(monkeypatch):
    assert network(Config(), 10).conv == "matmul"
    assert network(Config(conv="lax"), 10).conv == "lax"
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    assert network(Config(), 10).conv == "lax"
    assert network(Config(conv="matmul"), 10).conv == "matmul"


@pytest.mark.slow
def test_the_quickly_compiled_initial_state_is_the_same(small):
    config = of_small()
    model = network(config, 10)
    plain = jax.jit(lambda key: model.init(key, jnp.zeros((1, *small.image_shape))))
    expected = plain(sgd.keys(config)[0])["params"]
    program = train.start(config, small)
    found = program.init(sweep.numbers([config], program.lanes)).params
    chex.assert_trees_all_equal(jax.tree.map(lambda x: x[0], found), expected)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["matmul", "lax"])
def test_bfloat16_rounds_what_is_computed_and_not_what_is_learned(small, form):
    configs = [of_small(batch_size=64, epochs=1, conv=form, precision=p) for p in PRECISIONS]
    runs = [train.run(config, small) for config in configs]
    for _, params in runs:
        assert all(p.dtype == jnp.float32 for p in jax.tree.leaves(params))
    exact, tensorfloat, rounded = (row.train_loss for row, _ in runs)
    assert tensorfloat == exact or jax.default_backend() == "gpu"
    assert rounded != exact
    assert rounded == pytest.approx(exact, rel=1e-2)
    text = jax.jit(forward.logits, static_argnums=0).lower(
        network(configs[2], 10), runs[2][1], small.test.images
    )
    assert "bf16" in text.as_text()


@pytest.mark.parametrize(
    ("preset", "batch"),
    [
        ("book", 63),
        *(pytest.param(*x, marks=pytest.mark.slow) for x in (("book", 64), ("modern", 63))),
        pytest.param("modern", 64, marks=pytest.mark.slow),
    ],
)
def test_two_devices_give_the_bits_of_one(small, fresh, monkeypatch, preset, batch):
    """Whatever is left over: of a batch, of the last batch, of the batches of an evaluation."""
    monkeypatch.setattr(sgd, "EVALUATION_BATCH", 45)
    config = of_small(**(PRESETS[preset] | {"batch_size": batch, "epochs": 2}))
    two, one = (
        lanes.together(1, jax.local_devices()[:n], vectorise=False, split=n) for n in (2, 1)
    )
    assert lanes.spread(1, sharding.parts(config)) == two
    runs = (
        train.sweep([config], small, choose=lambda *_, chosen=chosen: chosen)
        for chosen in (two, one)
    )
    for epoch, other in zip(*runs, strict=True):
        assert timeless([epoch.rows[0]]) == timeless([other.rows[0]])
        chex.assert_trees_all_equal(*map(jax.device_get, (epoch.state, other.state)))


@pytest.mark.slow
def test_the_parts_of_a_batch_add_up_to_the_batch(small):
    whole, *cut = (
        fit(of_small(batch_size=64, epochs=1, parts=parts), small)[0] for parts in (1, 2, 4)
    )
    for row in cut:
        assert row.train_loss == pytest.approx(whole.train_loss, rel=1e-5)
        assert row.test_loss == pytest.approx(whole.test_loss, rel=1e-5)
        assert row.count == whole.count == 700


def test_a_run_is_determined_by_its_seed_however_it_is_started(small):
    config = RELU(lr=0.1)
    row, params = train.run(config, small)
    start = train.start(config, small)
    for _ in range(2):  # a start can be fitted again
        *_, (again, state) = train.fit(start)
        assert again.epoch == 2
        assert timeless([again]) == timeless([row])
        chex.assert_trees_all_equal(jax.device_get(state.params), jax.device_get(params))
    other, _ = train.run(dataclasses.replace(config, seed=1), small)
    assert other.train_loss != row.train_loss


@pytest.mark.slow
def test_both_forms_of_convolution_train_alike(small):
    losses = [fit(RELU(epochs=1, lr=0.1, conv=form), small)[0].train_loss for form in FORMS]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_a_row_is_the_sums_divided_once(small):
    data = hold_out(small, 50)
    (row,) = fit(of_small(batch_size=64, epochs=1, channels=(2, 3), hidden=(8,), valid=50), data)
    assert row.count == 650
    assert row.train_accuracy * 650 == pytest.approx(round(row.train_accuracy * 650))
    assert row.valid_accuracy * 50 == pytest.approx(round(row.valid_accuracy * 50))
    assert row.test_accuracy * 130 == pytest.approx(round(row.test_accuracy * 130))
    assert row.running[-1] == (1.0, row.train_loss, row.train_accuracy)
    assert len(row.running) in (5, 6)


@pytest.mark.slow
def test_it_can_overfit_32_images(small):
    few = Split(small.train.images[:32], small.train.labels[:32])
    data = dataclasses.replace(small, train=few, test=few)
    config = of_small(activation="relu", pool="max", lr=0.1, batch_size=32, epochs=150)
    assert fit(config, data)[-1].test_accuracy == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        *({}, MOMENTUM, {"clip": 0.05}),
        *({"optimizer": rule, "weight_decay": 0.1} for rule in ("adam", "adamw", "lion")),
        MOMENTUM | {"nesterov": True},
    ],
)
def test_fifty_steps_are_pytorchs(torch, fashion_mnist, options):
    """Same weights, same batches: 50 losses within 1e-4, with plain SGD at the book's 0.9."""
    rates = {"adam": 1e-3, "adamw": 1e-3, "lion": 1e-4, "sgd": 0.1 if options else 0.9}
    config = Config(lr=rates[options.get("optimizer", "sgd")], **options)
    model = network(config, 10)
    state = train.init(model, config, (28, 28, 1))
    net = torch_network.network(torch, model, state.params)
    known = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    rule = known.get(config.optimizer) or torch_network.lion(torch)
    own = {name: v for name, v in options.items() if name not in ("optimizer", "clip")}
    rule_of_theirs = rule(net.parameters(), lr=config.lr, **own)
    rows, mask = sgd.order(config, 0, 60_000)
    step = jax.jit(sgd.step, static_argnums=(0, 2))
    ours, theirs, clipped = [], [], []
    for i in range(50):
        images = fashion_mnist.train.images[np.asarray(rows[i])]
        labels = fashion_mnist.train.labels[np.asarray(rows[i])]
        state, sums = step(model, config, 235, state, images, labels, mask[i], 256)
        ours.append(float(sums.loss_sum / sums.count))
        x = torch.tensor(images.transpose(0, 3, 1, 2).astype(np.float32) / 255)
        loss = torch.nn.functional.cross_entropy(net(x), torch.tensor(labels).long())
        rule_of_theirs.zero_grad()
        loss.backward()
        if config.clip:
            norm = torch.nn.utils.clip_grad_norm_(net.parameters(), config.clip)
            clipped.append(float(norm) > config.clip)
        rule_of_theirs.step()
        theirs.append(loss.item())
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)
    assert len(set(ours)) == 50
    assert any(clipped) == bool(config.clip)


@pytest.mark.slow
def test_averaged_weights_are_those_of_every_step_and_are_evaluated():
    data = synthetic.make(96, 30)
    config = of_small(batch_size=32, epochs=2, lr=0.5, average=0.8)
    found = list(train.fit(train.start(config, data)))
    model = train.check(config, data)
    state, average = train.init(model, config, (28, 28, 1)), None
    step = jax.jit(sgd.step, static_argnums=(0, 2))
    for epoch in range(2):
        rows, mask = sgd.order(config, epoch, 96)
        for row, there in zip(rows, mask, strict=True):
            average = state.params if average is None else average
            split = data.train.images[row], data.train.labels[row]
            state, _ = step(model, config, 3, state, *split, there, 32)
            average = jax.tree.map(lambda a, p: 0.8 * a + 0.2 * p, average, state.params)
    close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    jax.tree.map(close, found[-1][1].average, average)
    sums, _ = train.evaluate(model, average, data.test)
    assert found[-1][0].averaged_loss == pytest.approx(float(sums.loss_sum) / 30, rel=1e-5)
    assert Row.from_dict(json.loads(json.dumps(found[-1][0].to_dict()))) == found[-1][0]


def test_lion_moves_by_the_sign_of_what_it_interpolates():
    rule = optimizer(Config(optimizer="lion", lr=0.5, weight_decay=0.1), 1)
    point, momentum = np.array([1.0, -2.0], np.float32), np.zeros(2)
    state = rule.init(point)
    for gradient in (np.array([1.0, 1.0]), np.array([-20.0, 0.5])):
        updates, state = rule.update(np.float32(gradient), state, point)
        sign = np.sign(0.9 * momentum + 0.1 * gradient)
        np.testing.assert_allclose(updates, -0.5 * (sign + 0.1 * point), rtol=1e-6)
        momentum = 0.99 * momentum + 0.01 * gradient
        point = point + np.asarray(updates)


def test_schedules_fall_to_zero_and_warm_up_rises():
    steps = 10
    for schedule, middle in (("constant", 1), ("linear", 0.5), ("cosine", 0.5)):
        rate = learning_rate(Config(lr=0.5, epochs=4, schedule=schedule), steps)
        assert float(rate(0)) == pytest.approx(0.5)
        assert float(rate(20)) == pytest.approx(0.5 * middle)
        assert float(rate(40)) == pytest.approx(0.5 if schedule == "constant" else 0, abs=1e-6)
    rate = learning_rate(Config(lr=0.5, epochs=4, warmup=1.0), steps)
    rising = [float(rate(i)) for i in range(12)]
    np.testing.assert_allclose(rising, [0.05 * min(i + 1, 10) for i in range(12)], rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lr": 1e6}, r"diverged: .*epoch 1.*Lower the learning rate"),
        ({"lr": 1e30}, r"diverged: .*epoch 1.*Lower the learning rate"),
        # in its last step: it has not finished
        pytest.param(
            {"lr": 1e30, "epochs": 1, "batch_size": 700}, "after epoch 1", marks=pytest.mark.slow
        ),
    ],
)
def test_a_run_that_diverges_says_where(small, changes, said):
    with pytest.raises(DivergedError, match=said):
        fit(RELU(**changes), small)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dataset": "mnist"}, "dataset=mnist: the data given are synthetic"),
        ({"valid": 50}, "valid=50: the data given have 0 held-out examples"),
        ({"batch_size": 701}, "batch_size=701: must be at most the 700 training examples"),
        ({"kernel_size": 15}, "synthetic: images of 28x28 are too small for conv2"),
        ({"lr": -1.0}, "lr=-1.0"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_compiling(small, change, said):
    with pytest.raises(UsageError, match=said):
        train.start(Config(**({"dataset": "synthetic"} | change)), small)


def test_real_evaluation_counts_ten_thousand(fashion_mnist):
    config = Config(channels=(2, 3), hidden=(8,))
    model = network(config, 10)
    params = train.init(model, config, (28, 28, 1)).params
    found, _ = train.evaluate(model, params, jax.device_put(fashion_mnist.test))
    assert int(found.count) == 10_000
