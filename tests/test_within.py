"""Experiments within runs: they start from the run's own states, and measure what they say."""

import dataclasses
import importlib
import io
import json
import math
import re
from functools import partial
from types import SimpleNamespace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import pytest
import statsmodels.api as sm
from commands import ROOT
from matplotlib.figure import Figure

from experiments.within import (
    ladder,
    last_step,
    one_bit,
    one_draw,
    running_statistics,
    sharpness,
    shifts,
)
from experiments.within.chunks import chunks
from lenet import train
from lenet.analysis import nested, published_points
from lenet.config import Config, replace
from lenet.data import synthetic
from lenet.data.splits import Split
from lenet.engine import forward, sgd
from lenet.language import translate
from lenet.model import LeNet

DATA = synthetic.make(600, 100)


@pytest.mark.slow
def test_a_network_of_the_ladder_is_trained_at_the_rate_that_was_best_on_held_out_images():
    design = ladder.Design((0.003, 0.01), 100, tuning_seeds=1, seeds=2, epochs=1)
    found = ladder.measure(DATA, design)["networks"]
    assert found.keys() == ladder.CHANGES.keys()
    for name in ("1998", "weights"):
        settings = {"dataset": "synthetic", "epochs": 1, "lr": found[name]["rate"]}
        seeds = [design.first_seed + 1, design.first_seed + 2]
        rows = [train.run(Config(ladder.network(name), **settings, seed=n), DATA)[0] for n in seeds]
        assert found[name]["test"] == [row.test_accuracy for row in rows]
        held = [np.mean(each) for each in found[name]["tuning"]]
        assert design.rates[int(np.argmax(held))] == found[name]["rate"]


def test_a_change_raises_or_lowers_accuracy_by_ranks():
    rng = np.random.default_rng(1)
    means = {"1998": 0.8, "output": 0.82, "connections": 0.82, "pool": 0.1} | dict.fromkeys(
        ("squashing", "sigmoid", "pixels", "weights"), 0.5
    )
    networks = {
        name: {
            "rate": 0.1 if name != "pool" else 0.01,
            "test": (means[name] + rng.normal(0, 0.001, 8)).tolist(),
        }
        for name in ladder.CHANGES
    }
    record = {
        "networks": networks,
        "design": {"rates": [0.01, 0.1, 1.0], "first_seed": 0, "tuning_seeds": 1, "seeds": 8},
    }
    assert [translate("en", each) for each in ladder.said(record)] == [
        "Raises test accuracy: a dense layer in place of radial basis functions, tanh without its "
        "scale.",
        "Lowers test accuracy: average pooling in place of trainable subsampling.",
        "No effect on test accuracy was detected: C3 sees all maps of S2, sigmoid, pixels from 0 "
        "to 1, the book's initial weights (now it is the book's LeNet).",
        "The chosen rate is the highest or the lowest that was tried, so a better one may lie "
        "beyond: average pooling in place of trainable subsampling.",
    ]
    heads, rows = ladder.table(record)
    assert {len(row) for row in rows} == {len(heads)}
    # All of 8 above all of 8: one of C(16, 8) ways to draw ranks, on either side; of seven tests.
    assert [row[4] for row in rows[:2]] == ["", f"{7 * 2 / math.comb(16, 8):.2g}"]
    a, b = (np.median(networks[name]["test"]) for name in ("1998", "output"))
    assert [row[3] for row in rows[:2]] == ["", f"{b - a:+.4f}"]
    assert [row[5] for row in rows] == ["0 / 8"] * 3 + ["8 / 8"] + ["0 / 8"] * 4
    (chart,) = ladder.charts(record)
    assert [row["label"] for row in chart.rows["settings"]] == list(ladder.CHANGES)


@pytest.mark.slow
def test_the_last_step_is_the_run_s_own():
    design = last_step.Design(runs=3, epochs=2, draws=4)
    found = last_step.measure(DATA, design)
    for seed, after in enumerate(found["after"], design.first_seed):
        row, _ = train.run(Config(dataset="synthetic", seed=seed, epochs=2), DATA)
        assert after == round(row.test_accuracy * found["images"])
    assert np.shape(found["others"]) == (3, 4, 3)


def test_a_last_step_is_said_to_do_what_it_does():
    rng = np.random.default_rng(0)
    before = rng.integers(8000, 8200, 20)
    others = before[:, None, None] - 100 + rng.integers(-40, 40, (20, 8, 3))
    record = {"before": before, "after": before - 100, "others": others, "images": 10_000}
    changes, _, placed = map(partial(translate, "en"), last_step.said(record))
    assert "changes test accuracy by −0.0100" in changes
    assert "falls in 20 of 20 (exact sign test, p = 2e-06)" in changes
    assert placed.startswith("Among other draws from the same state")
    heads, rows = last_step.table(record)
    assert {len(row) for row in rows} == {len(heads)}


@pytest.mark.slow
def test_the_images_that_are_drawn_are_those_of_the_step(monkeypatch):
    design = last_step.Design(runs=1, epochs=1, draws=2)
    config = Config(dataset="synthetic", seed=design.first_seed)
    own = sgd.order(config, 0, len(DATA.train.labels))[0][-1]
    monkeypatch.setattr(last_step.jax.random, "choice", lambda *_, **__: own)
    found = last_step.measure(DATA, design)
    ((first, second),) = np.array(found["others"])
    assert found["after"] == [first[0]] == [second[0]]


@pytest.mark.slow
def test_copies_of_a_run_differ_in_one_bit():
    design = one_bit.Design(bases=2, copies=4, seeds=4, epochs=1)
    asked = one_bit.configs_of(design, DATA.name)
    about = [each[:3] for each in asked]
    for chunk in chunks([config for *_, config in asked], DATA):
        before = one_bit.flat(chunk.own(chunk.init().params)).view(np.uint32)
        after = one_bit.flat(chunk.own(one_bit.initial(chunk, about).params)).view(np.uint32)
        for lane, run in enumerate(chunk.runs):
            group, _, number = about[run]
            flipped = np.bitwise_count(before[lane] ^ after[lane]).sum()
            assert flipped == (group == "bit" and number >= 2)


@pytest.mark.slow
def test_copies_that_are_not_changed_are_the_run_itself():
    design = one_bit.Design(bases=2, copies=3, seeds=4, epochs=3)
    found = one_bit.measure(DATA, design)
    assert found["equal"]
    right = {tuple(run): rows for run, rows in zip(found["runs"], found["right"], strict=True)}
    for base in range(2):
        own = Config(dataset="synthetic", seed=design.first_seed + base, epochs=3)
        rows = [epoch.rows[0].test_accuracy for epoch in train.sweep([own], DATA)]
        for copy in (0, 1):
            assert right["bit", base, copy] == [round(accuracy * 100) for accuracy in rows]
    for one, other in found["pairs"]:
        assert one + 1 == other
        assert found["runs"][one][:2] == found["runs"][other][:2]
    heads, rows = one_bit.table(found)
    assert {len(row) for row in rows} == {len(heads)}


def bits(spread: float) -> dict:
    """A record of two epochs: copies that differ by `spread` images, seeds by 100."""
    rng, design = np.random.default_rng(0), one_bit.Design(bases=2, copies=30, seeds=60)
    about = [each[:3] for each in one_bit.configs_of(design, "synthetic")]
    noise = {"bit": spread, "weights": 50, "seed": 100}
    right = [[8000 + round(noise[group] * rng.normal())] * 3 for group, _, _ in about]
    pairs = [(i, i + 1) for i in range(0, len(about) - 1, 2) if about[i][:2] == about[i + 1][:2]]
    differ = [[round(10 * noise[about[i][0]])] * 3 for i, _ in pairs]
    rest = {"pairs": pairs, "differ": differ, "images": 10_000, "equal": True}
    return {"runs": about, "right": right, **rest}


def test_the_spread_of_a_bit_is_set_beside_that_of_a_seed():
    none, equal = map(partial(translate, "en"), one_bit.said(bits(0)))
    assert ", 0 of " in none
    assert "Two seeds differ in 10.0% of their answers" in none
    assert equal.startswith("Copies that were not changed")
    same = translate("en", one_bit.said(bits(100))[0])
    assert re.search(r"is (0\.[89]|1\.[01])\d times that over new seeds", same)
    half = one_bit.ratio_of_spreads(bits(50), 3)
    assert half.low < 0.5 < half.high < 1


def test_one_bit_is_one_part_in_two_to_the_23():
    weights = np.random.default_rng(0).normal(size=50).astype(np.float32)
    for place in range(50):
        after = one_bit.flip_last_bit(weights, place)
        assert (after != weights).nonzero()[0].tolist() == [place]
        assert abs(after[place] - weights[place]) <= np.spacing(np.abs(weights[place]))
        assert (one_bit.flip_last_bit(after, place) == weights).all()


@pytest.mark.slow
@pytest.mark.parametrize(("activation", "pool"), sharpness.RATES)
def test_sharpness_is_the_largest_eigenvalue_of_the_hessian(activation, pool):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 12, 12, 1)).astype(np.uint8)
    split = Split(images, rng.integers(0, 4, 20))
    model = LeNet(activation, pool, (1, 2), kernel_size=3, hidden=(5,), num_classes=4)
    params, _ = forward.init(model, jax.random.key(0), images.shape[1:])
    flat, restore = jax.flatten_util.ravel_pytree(params)
    reference = model.clone(conv="lax")

    def loss(flat):
        logits = forward.logits(reference, restore(flat), split.images)
        return -jax.nn.log_softmax(logits)[np.arange(20), split.labels].mean()

    exact = np.linalg.eigvalsh(np.asarray(jax.hessian(loss)(flat), np.float64)).max()
    find = sharpness.largest(model, split)
    found, steepest = find(params, None)
    assert found == pytest.approx(exact, rel=2e-3)
    assert find(params, steepest)[0] == pytest.approx(exact, rel=2e-3)


def test_a_run_is_at_the_edge_from_where_it_reaches_it():
    run = {
        "lr": 0.5,
        "step": [0, 10, 20, 30, 40],
        "sharpness": [1.0, 2.0, 4.0, 4.4, 3.6],
        "loss": [3.0, 2.0, 1.0, 0.5, 0.25],
        "rose": [0, 0, 1, 3, 5],
    }
    found = sharpness.edge(run)
    assert (found.step, found.median, found.highest) == (20, 1.0, 1.1)
    assert (found.rose, found.fell) == (8 / 20, 4.0)
    assert sharpness.edge(run | {"sharpness": [1.0, 2.0, 3.0, 3.5, 3.6]}) is None
    assert sharpness.edge(run | {"sharpness": [9.0, 2.0, 2.0, 2.0, 2.0]}) is None  # it flattens


def test_an_experiment_that_was_interrupted_goes_on_with_the_next_network(tmp_path, monkeypatch):
    class Design(NamedTuple):
        networks: tuple[tuple[str, str], ...] = (("a", "b"), ("c", "d"), ("e", "f"))

    def measure(_, design):
        ((first, _),) = design.networks
        if first == "c" and len(asked) == 1:
            raise KeyboardInterrupt
        asked.append(first)
        return {"images": 7, "runs": [first, first]}

    asked: list[str] = []
    monkeypatch.syspath_prepend(ROOT / "scripts")
    within = importlib.import_module("within")
    monkeypatch.setattr(within, "RECORDS", tmp_path)
    monkeypatch.setattr(within.data, "load", lambda _: None)
    experiment = SimpleNamespace(Design=Design, measure=measure)
    monkeypatch.setitem(within.EXPERIMENTS, "shifts", experiment)
    with pytest.raises(KeyboardInterrupt):
        within.run("shifts")
    asked.append("interrupted")
    within.run("shifts")
    assert asked == ["a", "interrupted", "c", "e"]
    assert [path.name for path in tmp_path.iterdir()] == ["shifts.json"]
    found = json.loads((tmp_path / "shifts.json").read_text())
    assert found["runs"] == ["a", "a", "c", "c", "e", "e"]
    assert found["images"] == 7
    assert found["design"] == {"networks": [["a", "b"], ["c", "d"], ["e", "f"]]}


@pytest.mark.slow
def test_sharpness_is_measured_until_the_end():
    design = sharpness.Design(examples=200, steps=4, every=2, networks=(("tanh", "avg"),))
    found = sharpness.measure(DATA, design)
    assert [run["step"] for run in found["runs"]] == [[0, 2, 4]] * 2
    assert all(np.isfinite(run["sharpness"]).all() for run in found["runs"])
    heads, rows = sharpness.table(found)
    assert {len(row) for row in rows} == {len(heads)}


@pytest.mark.parametrize("down", [-3, 0, 2])
@pytest.mark.parametrize("across", [-1, 0, 3])
def test_a_shift_moves_and_lets_zeros_in(down, across):
    images = np.random.default_rng(0).integers(1, 256, (2, 6, 5, 1)).astype(np.uint8)
    found = shifts.shifted(images, np.array([[down, across], [0, 0]]))
    rolled = np.roll(images[0], (down, across), (0, 1))
    rows, columns = np.arange(6) - down, np.arange(5) - across
    inside = np.outer((rows >= 0) & (rows < 6), (columns >= 0) & (columns < 5))[..., None]
    assert (found[0] == np.where(inside, rolled, 0)).all()
    assert (found[1] == images[1]).all()


@pytest.mark.slow
def test_what_takes_the_place_of_pooling_leaves_the_other_layers_alone():
    images = jnp.zeros((1, 28, 28, 1))

    def shapes(down):
        params = shifts.Pooled(down=down).init(jax.random.key(0), images)["params"]
        return jax.tree.map(jnp.shape, params)

    assert shapes("avg") == shapes("max") == shapes("blur") == shapes("stride")
    assert shapes("none")["dense1"]["kernel"] == (24 * 24 * 16, 120)


@pytest.mark.slow
def test_shifts_are_measured_for_each_network():
    design = shifts.Design(rates=(0.1,), seeds=2, epochs=1)
    found = shifts.measure(DATA, design)
    assert [run["down"] for run in found["runs"]] == [down for down in shifts.DOWN for _ in "ab"]
    for run in found["runs"]:
        assert len(run["shifted"]) == shifts.MOST
        assert 0 <= run["same"] <= found["images"]
    heads, rows = shifts.table(found)
    assert {len(row) for row in rows} == {len(heads)}


def test_variance_within_groups_is_that_of_a_mixed_model():
    rng = np.random.default_rng(1)
    values = rng.normal(0, 2, (40, 1)) + rng.normal(0, 1, (40, 6))
    groups = np.repeat(np.arange(40), 6)
    fit = sm.MixedLM(values.ravel(), np.ones(240), groups).fit(reml=True)
    expected = fit.scale / (fit.scale + fit.cov_re[0, 0])
    found = nested.share_within(values)
    assert found.mean == pytest.approx(expected, rel=1e-3)
    assert found.low < 0.2 < found.high


def test_the_average_since_the_epoch_began_is_read_where_the_pictures_have_points():
    sums, counts = np.array([[4.0, 2, 2, 2, 0, 4, 4, 4, 4, 4]]), np.full((1, 10), 2)
    assert one_draw.averages("fifths", sums, counts)[0].tolist() == [1.5, 1.25, 7 / 6, 1.375, 1.5]
    rising = np.arange(235.0)[None]
    found = one_draw.averages("fifties", rising, np.ones((1, 235)))
    assert found[0].tolist() == [24.5, 49.5, 74.5, 99.5]
    for kind in one_draw.KINDS:
        for curve in one_draw.of_kind(kind, "mxnet"):
            assert curve.epochs == pytest.approx(one_draw.epochs_of(kind, 235, 2), abs=2e-4)


@pytest.mark.slow
def test_draws_and_orders_are_crossed():
    found = one_draw.measure(DATA, one_draw.Design(weights=2, orders=3, epochs=1))
    losses = np.array(found["losses"]["fifths"])
    assert losses.shape == (2, 3, 5)
    own = Config(
        dataset="synthetic",
        bias_init="zeros",
        seed=one_draw.Design().first_seed + 1,
        order_seed=one_draw.Design().first_seed + 2,
        epochs=1,
    )
    row, _ = train.run(own, DATA)
    assert losses[1, 2, -1] == pytest.approx(row.train_loss, abs=1e-5)


def draws(between: float, within: float) -> dict:
    """A record of losses, at points that all have the same spreads."""
    rng = np.random.default_rng(0)
    points = {"fifths": 10, "fifties": 8}
    shared = rng.normal(2, between, (60, 1, 1))
    losses = {
        kind: (shared + rng.normal(0, within, (60, 6, n))).tolist() for kind, n in points.items()
    }
    return {"steps": 235, "losses": losses}


def test_spreads_of_one_draw_and_of_all_are_told_apart():
    found = one_draw.spreads(draws(0.3, 0.01), "fifths", 8)
    assert found.single[1] == pytest.approx(0.01, rel=0.1)
    assert found.all.low < 0.3 < found.all.high
    assert found.published["mxnet"][1] == 23
    assert found.published["pytorch"][1] == 21


@pytest.mark.parametrize(
    ("between", "within", "said"),
    [(0.3, 0.05, "are like runs that share"), (0.01, 0.05, "is not shown"), (0.3, 0.005, "is not")],
)
def test_runs_of_one_draw_are_called_so_by_the_rule(between, within, said):
    for sentence in one_draw.said(draws(between, within)):
        assert said in translate("en", sentence)


def test_a_curve_of_a_picture_is_read_by_the_ticks_of_its_axes():
    x, y = np.arange(1, 11) / 5, np.linspace(2.35, 0.61, 10)
    figure = Figure(figsize=(3.5, 2.5))
    figure.subplots().plot(x, y)
    with mpl.rc_context({"svg.fonttype": "path"}):
        figure.savefig(buffer := io.BytesIO(), format="svg")
    epochs, losses = published_points.of_picture(buffer.getvalue().decode())
    assert epochs == pytest.approx(x, abs=1e-4)
    assert losses == pytest.approx(y, abs=1e-4)


def test_the_published_curves_are_those_of_published_runs():
    found = published_points.curves()
    assert len(found) == 118
    assert {curve.framework for curve in found} == {"mxnet", "pytorch"}
    assert all(2.2 < curve.losses[0] < 2.6 for curve in found)


def normal(batch_size: int, batches: int):
    """A network with batch normalisation, its state after some batches, and its examples."""
    settings = Config("bn_lenet", dataset="synthetic", lr=0.5, batch_size=batch_size, epochs=1)
    first = Split(*(x[: batches * batch_size] for x in DATA.train))
    data = dataclasses.replace(DATA, train=first)
    ((_, state),) = train.fit(train.start(settings, data))
    return train.check(settings, data), settings, *jax.tree.map(jnp.asarray, (state, first))


@pytest.mark.slow
def test_statistics_are_computed_anew_over_all_examples_of_the_batches():
    model, settings, state, first = normal(50, 3)
    still, precise = running_statistics.statistics(model, settings, state, first)
    kernel, bias = (state.params["conv1"][name] for name in ("kernel", "bias"))
    images = jnp.asarray(first.images / 255, jnp.float32)
    numbers = ("NHWC", "HWIO", "NHWC")
    x = np.float64(
        jax.lax.conv_general_dilated(images, kernel, (1, 1), "VALID", dimension_numbers=numbers)
    ) + np.float64(bias)
    found = precise["batch_stats"]["bn_conv1"]
    np.testing.assert_allclose(found["mean"], x.mean((0, 1, 2)), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found["var"], x.var((0, 1, 2)), rtol=1e-3, atol=1e-5)
    expected = state.collections
    for rows in sgd.order(settings, 1, 150)[0]:
        _, expected = forward.train(
            model, state.params, expected, jnp.asarray(first.images[rows]), jax.random.key(0)
        )
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)  # noqa: E731
    jax.tree.map(close, still, dict(expected))


@pytest.mark.slow
def test_a_batch_has_its_own_statistics_where_they_are_asked_for():
    """Of one batch, precise statistics are its own; of two, each is normalised for itself."""
    size = running_statistics.SIZE
    model, settings, state, first = normal(size, 1)
    _, precise = running_statistics.statistics(model, settings, state, first)
    variables = forward.variables(state.params, precise)
    correct = int(sgd.evaluate(model, variables, first)[0].correct)
    assert running_statistics.right_by_batch(model, state, first) == correct > 0
    more = Split(*(np.concatenate([x, x[:40]]) for x in first))
    rest = running_statistics.right_by_batch(model, state, Split(*(x[:40] for x in first)))
    assert running_statistics.right_by_batch(model, state, more) == correct + rest


@pytest.mark.slow
def test_with_running_statistics_a_run_is_the_run_itself():
    groups = (running_statistics.Group("max", 0.5),)
    design = running_statistics.Design(groups=groups, seeds=3, epochs=2)
    found = running_statistics.measure(DATA, design)
    for run in found["runs"]:
        settings = Config("bn_lenet", pool="max", dataset="synthetic", lr=0.5, seed=run["seed"])
        rows = [row for row, _ in train.fit(train.start(replace(settings, epochs=2), DATA))]
        assert [counts[0] for counts in run["test"]] == [
            round(100 * row.test_accuracy) for row in rows
        ]
        assert run["train_loss"] == pytest.approx([row.train_loss for row in rows], abs=1e-5)
        assert run["train_accuracy"] == pytest.approx([row.train_accuracy for row in rows], 1e-4)


@pytest.mark.parametrize(
    ("of_both", "text"),
    [
        ((0.01, 0.01), running_statistics.MOST),
        ((2, 2), running_statistics.NOT),
        ((0.01, 2), running_statistics.DEPENDS),
        ((0.7, 0.01), running_statistics.OPEN),
    ],
)
def test_the_rule_is_applied_to_both_poolings(of_both, text):
    rng, runs = np.random.default_rng(0), []
    for group, precise in zip(running_statistics.BASE, of_both, strict=True):
        for seed in range(16):
            spread = rng.normal(size=4) * np.array([300, 200, 300 * precise, 20])
            counts = (8000 + spread).round().astype(int).tolist()
            runs.append(group._asdict() | {"seed": seed, "test": [counts], "train": [counts]})
    record = {"images": 10_000, "runs": runs}
    first, *both = map(partial(translate, "en"), running_statistics.said(record))
    assert first == text
    assert ["average pooling" in both[0], "max pooling" in both[1]] == [True, True]
    heads, rows = running_statistics.table(record)
    assert {len(row) for row in rows} == {len(heads)}
    assert len(running_statistics.charts(record)) == 2
