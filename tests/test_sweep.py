"""The laws of a sweep: a run of it is the run alone, whatever runs beside it."""

import dataclasses
import re
from pathlib import Path

import chex
import jax
import numpy as np
import pytest
from commands import python
from record_rows import timeless

from lenet import train
from lenet.config import Config
from lenet.data import Data, hold_out, synthetic
from lenet.engine import forward, lanes, memory, sgd, sweep
from lenet.engine.rows import Row
from lenet.engine.stacking import groups, stack
from lenet.errors import DivergedError, UsageError
from lenet.model import network

ROOT = Path(__file__).parent.parent
TINY = Config(channels=(2, 3), hidden=(8,), batch_size=64, epochs=2, dataset="synthetic", valid=50)


def variants(*changes: dict, base: Config = TINY) -> list[Config]:
    return [dataclasses.replace(base, **change) for change in changes]


@pytest.fixture(scope="session")
def small() -> Data:
    return hold_out(synthetic.make(350, 50), 50)


def one_by_one(share: int, split: int = 1):
    return lambda *_: lanes.together(share, jax.local_devices(), vectorise=False, split=split)


def at_once(share: int):
    return lambda *_: lanes.together(share, jax.local_devices(), vectorise=True)


def results(configs, data, choose) -> dict[int, tuple[list, forward.Params]]:
    """The rows, or how it diverged, and the final parameters of each run."""
    found = {i: ([], None) for i in range(len(configs))}
    for epoch in train.sweep(configs, data, choose=choose):
        params = jax.device_get(epoch.state.params)
        for lane, run in enumerate(epoch.runs):
            if run in epoch.rows:
                own = jax.tree.map(lambda x: x[lane], params)  # noqa: B023
                found[run] = ([*found[run][0], epoch.rows[run]], own)
    return found


def alone(config: Config, data: Data) -> tuple[list[Row], forward.Params]:
    rows = []
    for row, state in train.fit(train.start(config, data)):
        rows.append(row)
        params = jax.device_get(state.params)
    return rows, params


RUNS = variants(
    {},
    {"seed": 3},
    {"lr": 0.1, "momentum": 0.9, "seed": 1},
    {"weight_decay": 1e-3},
    {"warmup": 0.5, "lr": 0.3},
    {"pool": "max", "activation": "relu", "lr": 0.1},
    {"pool": "max", "activation": "relu", "lr": 0.05, "seed": 2},
)


def check_bits(configs, data, found) -> None:
    for run, (rows, params) in found.items():
        expected_rows, expected = alone(configs[run], data)
        assert timeless(rows) == timeless(expected_rows)
        chex.assert_trees_all_equal(params, expected)


@pytest.fixture
def fresh():
    """Programs of other tests must not be found."""
    sweep.epoch.clear_cache()
    yield
    sweep.epoch.clear_cache()


def test_a_group_compiles_once_and_each_run_has_the_bits_of_the_run_alone(
    small, fresh, monkeypatch
):
    """Counted where jax traces, and where XLA compiles what trains."""
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, _, **about: (
            compiled.append(about.get("fun_name"))
            if event == "/jax/core/compile/backend_compile_duration"
            else None
        )
    )
    assert len(groups(RUNS)) == 2
    with monkeypatch.context() as patched:
        patched.setattr(sgd, "step", chex.assert_max_traces(sgd.step, n=2))
        # The last chunk of the first group is short.
        found = results(RUNS, small, one_by_one(2))
        assert sum(name in ("jit(epoch)", "epoch") for name in compiled) == 2, compiled
        with pytest.raises(AssertionError, match="traced"):
            results(variants({"activation": "tanh"}), small, one_by_one(2))
    check_bits(RUNS, small, found)


ON_DEVICES = """
import jax
from test_sweep import RUNS, check_bits, hold_out, one_by_one, results, synthetic
assert jax.local_device_count() == {devices}
runs, small = RUNS{some}, hold_out(synthetic.make(350, 50), 50)
check_bits(runs, small, results(runs, small, one_by_one(1, split={split})))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("devices", "split", "some"), [(8, 1, ""), (4, 2, "[1:4]")])
def test_on_more_devices_too(devices, split, some):
    """On 8 devices with a run each, and on a mesh of 2 × 2, where two devices share each batch."""
    env = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    code = ON_DEVICES.format(devices=devices, split=split, some=some)
    done = python("-c", code, env=env)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_all_at_once_a_run_is_the_run_alone_nearly(small):
    found = results(RUNS, small, at_once(3))
    for run, (rows, params) in found.items():
        expected_rows, expected = alone(RUNS[run], small)
        chex.assert_trees_all_close(params, expected, rtol=1e-5, atol=1e-6)
        for row, other in zip(rows, expected_rows, strict=True):
            assert row.train_loss == pytest.approx(other.train_loss, rel=1e-5)
            assert row.test_loss == pytest.approx(other.test_loss, rel=1e-5)


@pytest.mark.slow
def test_a_run_that_diverges_is_reported_and_leaves_the_others_their_bits(small):
    good = variants({"activation": "relu", "lr": 0.05}, {"activation": "relu", "lr": 0.1})
    bad = variants({"activation": "relu", "lr": 1e30})
    without = results(good, small, one_by_one(3))
    found = results([good[0], *bad, good[1]], small, one_by_one(3))
    (error,), _ = found[1]
    assert isinstance(error, DivergedError)
    with pytest.raises(DivergedError) as expected:
        alone(bad[0], small)
    assert str(error) == str(expected.value)
    for with_bad, plain in ((0, 0), (2, 1)):
        assert timeless(found[with_bad][0]) == timeless(without[plain][0])
        chex.assert_trees_all_equal(found[with_bad][1], without[plain][1])


@pytest.mark.slow
def test_where_all_have_diverged_nothing_more_is_trained(small):
    bad = variants(*({"activation": "relu", "lr": 1e30, "seed": seed} for seed in range(2)))
    assert len(list(train.sweep(bad, small, choose=one_by_one(2)))) == 1


def test_runs_are_grouped_by_choices_and_epochs():
    configs = variants({}, {"pool": "max"}, {"lr": 0.1, "seed": 2}, {"epochs": 3}, {"valid": 5})
    assert groups(configs) == [[0, 2], [1], [3], [4]]


def test_numbers_are_stacked_as_a_run_alone_takes_them():
    stacked = stack(variants({"lr": 1, "seed": 2**31 - 1}, {"warmup": 1}))
    assert (stacked.lr.dtype, stacked.seed.dtype) == (np.float32, np.int32)
    assert stacked.seed.tolist() == [2**31 - 1, 0]
    assert stacked.channels == (2, 3)


@pytest.mark.parametrize("vectorise", [False, True])
def test_the_program_has_no_collective_and_no_convolution(small, vectorise):
    two = lanes.together(2, jax.local_devices(), vectorise=vectorise)
    numbers = stack(RUNS[: two.size])
    model = network(RUNS[0], 10)
    state = sweep.init.eval_shape(model, two, numbers, small.image_shape)
    compiled = sweep.epoch.lower(model, two, numbers, state, small.train).compile().as_text()
    assert " dot(" in compiled
    talk = r" (all-reduce|all-gather|all-to-all|collective-\w+|reduce-scatter)(-start)?\("
    assert not re.search(talk + r"| convolution\(|f64\[", compiled)


def test_runs_that_do_not_fit_are_refused_with_the_estimate(small, monkeypatch):
    model = network(TINY, 10)
    needed = lanes.bytes_per_run(model, TINY, small)
    monkeypatch.setattr(memory, "free", lambda device: needed)
    assert lanes.choose(model, TINY, small, 5).size == jax.local_device_count()
    monkeypatch.setattr(memory, "free", lambda device: needed - 1)
    with pytest.raises(UsageError, match=r"batch_size=64: one run needs about .* GB"):
        lanes.choose(model, TINY, small, 5)


@pytest.mark.slow
def test_the_estimate_grows_with_the_batch_and_is_about_what_xla_says(small):
    data = synthetic.make(2000, 100)
    for batch in (250, 1000):
        config = Config(dataset="synthetic", batch_size=batch)
        model = train.check(config, data)
        state = train.init(model, config, data.image_shape)
        jitted = jax.jit(sgd.epoch, static_argnums=0, donate_argnums=2)
        program = jitted.lower(model, config, state, data.train).compile()
        actual = program.memory_analysis().temp_size_in_bytes
        assert 0.5 < lanes.bytes_per_run(model, config, data) / actual < 4
