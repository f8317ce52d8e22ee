import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.cli import axes
from experiments.cli.axes import Axis
from lenet import config
from lenet.errors import UsageError

NAMES = [field.name for field in config.fields()]


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("lr", "0.1,0.3,0.9", (0.1, 0.3, 0.9)),
        ("lr", "1", (1.0,)),
        ("lr", "0.01..1:log9", (0.01, 0.0177828, 0.0316228, 0.0562341, 0.1)),
        ("lr", "1e-3..1e-1:log3", (0.001, 0.01, 0.1)),
        ("seed", "0:8", tuple(range(8))),
        ("seed", "0:2,10:12,7", (0, 1, 10, 11, 7)),
        ("batch_size", "32..512:log5", (32, 64, 128, 256, 512)),
        ("activation", "sigmoid,relu", ("sigmoid", "relu")),
        ("nesterov", "false,true", (False, True)),
        ("channels", "6,16/12,32", ((6, 16), (12, 32))),
        ("hidden", "120,84/", ((120, 84), ())),
    ],
)
def test_an_axis_is_what_its_flag_says(name, text, values):
    assert axes.parse(name, text).values[: len(values)] == values


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("seed", "5:5", "--seed=5:5: empty range"),
        ("seed", "8:0", "--seed=8:0: empty range"),
        ("seed", "0:99999999999", "--seed=0:99999999999: more than 1,000,000"),
        ("seed", "0.5", "--seed=0.5: expected"),
        ("lr", "0.01..1:log", "--lr=0.01..1:log: expected"),
        ("lr", "1..0.01:log9", "--lr=1..0.01:log9: a log grid needs 0 < start < end"),
        ("lr", "0..1:log9", "a log grid needs 0 < start < end"),
        ("lr", "0.1..1:log1", "at least 2 points"),
        ("lr", "0.1..1:log99999999", "a log grid"),
        ("lr", "", "--lr=: expected"),
        ("lr", "0.1,,0.3", "--lr=: expected"),
        ("lr", "0.1,0.10", "--lr=0.1,0.10: duplicate value 0.1"),
        ("batch_size", "1..2:log9", "duplicate value"),
        ("activation", "relu,", "empty value; remove the extra comma"),
        ("nesterov", "maybe", "expected true, false"),
        ("channels", "6;16", "--channels=6;16: expected a value like 6,16/12,32"),
    ],
)
def test_what_is_no_axis_is_refused_by_name(name, text, said):
    with pytest.raises(UsageError, match="^--" + name) as error:
        axes.parse(name, text)
    assert said in str(error.value)


@given(st.floats(1e-9, 1e3), st.floats(1.01, 1e6), st.integers(2, 50))
def test_a_log_grid_has_its_ends_and_equal_ratios(low, factor, points):
    values = axes.parse("lr", f"{low!r}..{low * factor!r}:log{points}").values
    assert len(values) == points
    assert values[0] == pytest.approx(low, rel=1e-5)
    assert values[-1] == pytest.approx(low * factor, rel=1e-5)
    for a, b in itertools.pairwise(values):
        assert b / a == pytest.approx(factor ** (1 / (points - 1)), rel=2e-5)


LR = axes.parse("lr", "0.01..1:log3")
POOL = axes.parse("pool", "avg,max")
SEED = axes.parse("seed", "0:3")


def test_axes_multiply_or_pair():
    assert len(list(axes.settings([LR, POOL, SEED]))) == axes.count([LR, POOL, SEED]) == 18
    assert list(axes.settings([])) == [{}]
    sizes, one = axes.parse("batch_size", "32,64,128"), axes.parse("epochs", "2")
    pairs = [{"lr": 0.01, "batch_size": 32}, {"lr": 0.1, "batch_size": 64}]
    pairs.append({"lr": 1.0, "batch_size": 128})
    assert list(axes.settings([LR, sizes], zipped=True)) == pairs
    assert list(axes.settings([LR, sizes, one], zipped=True)) == [p | {"epochs": 2} for p in pairs]
    seeded = list(axes.settings([SEED, LR, sizes], zipped=True))
    assert seeded == [pair | {"seed": seed} for pair in pairs for seed in range(3)]
    assert axes.count([SEED, LR, sizes, one], zipped=True) == len(seeded) == 9
    assert list(axes.settings([one], zipped=True)) == [{"epochs": 2}]
    assert list(axes.settings([SEED], zipped=True)) == [{"seed": 0}, {"seed": 1}, {"seed": 2}]
    with pytest.raises(UsageError, match="--zip: --lr has 3 values, --pool has 2 values"):
        axes.count([LR, POOL], zipped=True)
    twice = axes.parse("lr", "0.1,0.1,1", paired=True)
    assert axes.count([twice, sizes], zipped=True) == 3
    with pytest.raises(UsageError, match=r"--zip: --lr=0.1 is given 2 times"):
        axes.count([twice], zipped=True)


def test_draws_are_different_repeatable_and_log_uniform_in_a_grid():
    def drawn(seed):
        return list(axes.settings([LR, POOL, SEED], draws=400, seed=seed))

    runs = drawn(0)
    assert runs == drawn(0) != drawn(1)
    assert len(runs) == axes.count([LR, POOL, SEED], draws=400) == 1200
    rates = [run["lr"] for run in runs[::3]]
    assert len(set(rates)) > 350
    assert all(0.01 <= rate <= 1 for rate in rates)
    below = sum(rate < 0.1 for rate in rates)  # the middle of the logarithms
    assert abs(below - 200) < 5 * math.sqrt(100)
    assert [run["seed"] for run in runs[:3]] == [0, 1, 2]
    every = list(axes.settings([POOL, Axis("lr", (0.1, 0.2))], draws=4))
    assert len({tuple(run.items()) for run in every}) == 4


@pytest.mark.parametrize("draws", [0, -1, 3])
def test_no_more_is_drawn_than_there_is(draws):
    with pytest.raises(UsageError, match=f"--random={draws}: must be at least 1"):
        axes.count([POOL], draws=draws)


def test_a_log_grid_of_integers_has_an_end():
    batches = axes.parse("batch_size", "32..64:log2")
    assert axes.count([batches], draws=33) == 33
    assert len(list(axes.settings([batches], draws=33))) == 33
    with pytest.raises(UsageError, match="at most 33"):
        axes.count([batches], draws=34)
