"""The committed records of real runs, and that the pages say what they say."""

import json
import statistics
from pathlib import Path

import commands
import numpy as np
import pytest

from lenet import config
from lenet.analysis import comparison, design, published, stats, tuning
from lenet.config import PRESETS, Config
from lenet.engine import chance
from lenet.records import ledger

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def book() -> dict:
    return json.loads((ROOT / "results/book.json").read_text())


def test_the_book_runs_lie_where_the_published_ones_do(book):
    assert config.from_dict(book["config"]) == Config(**PRESETS["book"])
    assert [run["seed"] for run in book["runs"]] == list(range(32))
    assert all(len(run["rows"]) == 10 for run in book["runs"])
    assert all(row["count"] == 60_000 for run in book["runs"] for row in run["rows"])
    last = [run["rows"][-1] for run in book["runs"]]
    ends = {key: [row[key] for row in last] for key in published.COLUMNS}
    found = published.equality(ends)
    assert found["test_accuracy"].equivalent
    for measure in found.values():  # no difference is detected, and all intervals contain 0
        assert measure.p > 0.05
        assert measure.difference.side == "open"
    off = [not chance.at_level(run["rows"][1]["test_accuracy"], 10) for run in book["runs"]]
    assert statistics.fmean(off) >= 0.8


def test_the_runs_with_batch_normalisation_lie_where_the_published_ones_do():
    """Those with PyTorch's own layer, by the table of the page: means, and how they spread."""
    record = json.loads((ROOT / "results/within/running_statistics.json").read_text())
    ends = {
        pool: [each for each in record["runs"] if (each["pool"], each["lr"]) == (pool, 1.0)]
        for pool in ("avg", "max")
    }
    bands = {"avg": (0.2690, 0.0057, 0.9006, 0.0022), "max": (0.2479, 0.0037, 0.9088, 0.0015)}
    accuracies = {}
    for pool, (loss, spread_of_loss, accuracy, spread) in bands.items():
        assert len(ends[pool]) == 16
        found = statistics.fmean(run["train_loss"][-1] for run in ends[pool])
        assert abs(found - loss) < 2 * spread_of_loss / 4  # the standard error of 16 runs
        accuracies[pool] = statistics.fmean(run["train_accuracy"][-1] for run in ends[pool])
        assert abs(accuracies[pool] - accuracy) < 2 * spread / 4
        of_test = statistics.stdev(run["test"][-1][0] / record["images"] for run in ends[pool])
        of_training = statistics.stdev(run["train_accuracy"][-1] for run in ends[pool])
        assert 10 < of_test / of_training < 40
    assert 0.007 < accuracies["max"] - accuracies["avg"] < 0.010


def last(study: str, **settings) -> dict[tuple[int, int], dict]:
    """The last rows of a committed study by seed and seed of the order, of some settings."""
    record = json.loads((ROOT / f"results/studies/{study}.json").read_text())
    found = {}
    for run in record["runs"]:
        of = record["config"] | run["config"]
        if settings.items() <= of.items():
            order = of["seed"] if of["order_seed"] < 0 else of["order_seed"]
            found[of["seed"], order] = run["last"]
    return found


def makers(*records: str) -> set[str]:
    read = (json.loads((ROOT / "results" / f"{each}.json").read_text()) for each in records)
    return {each["environment"]["processor"].split()[0] for each in read}


def test_the_registered_comparison_decides_and_its_page_rests_on_its_record():
    record = json.loads((ROOT / "lenet/analysis" / comparison.RECORD).read_text())
    design.check(record)
    runs = record["comparison"]
    assert len(runs["runs"]) == 624
    found = comparison.analyse(runs)
    wanted = design.registration()["margins"]
    for name, state in (("activation", "higher"), ("pool", "higher"), ("interaction", "open")):
        mean, low, high = found.effects[name].interval
        assert max(mean - low, high - mean) <= wanted["half_width"]
        assert found.effects[name].state(wanted["negligible"]) == state
    assert comparison.claim(runs)[0] == "true"


def test_a_cpu_and_a_gpu_train_the_same_runs_to_nearly_the_same_end():
    """The first 122 runs of the comparison, on both."""
    gpu = json.loads((ROOT / "lenet/analysis" / comparison.RECORD).read_text())["comparison"]
    cpu = ledger.read(ROOT / "results/compare_cpu/runs.jsonl")
    assert len(cpu) == 122
    pairs = [(tuning.kept(entry, 10), gpu["runs"][entry.run]) for entry in cpu]
    for ours, theirs in pairs:
        settings = ("activation", "pool", "lr", "batch_size", "seed")
        assert [ours[key] for key in settings] == [theirs[key] for key in settings]
    apart = np.array([abs(a["valid_accuracy"] - b["valid_accuracy"]) for a, b in pairs])
    assert (apart == 0).sum() == 51
    assert np.median(apart) == pytest.approx(0.00045)
    assert sum(a["collapsed"] == b["collapsed"] for a, b in pairs) == 120
    far = [ours for (ours, _), gap in zip(pairs, apart, strict=True) if gap > 0.02]
    assert len(far) == 4
    assert all(run["lr"] in design.registered().rates[run["activation"]][-2:] for run in far)


MEASURES = ("train_loss", "train_accuracy", "test_accuracy")


def test_the_book_s_runs_are_equal_to_the_last_digit_on_processors_of_two_makers(book):
    """32 of 32: an AMD and an Intel processor trained the same seeds to the same numbers."""
    assert makers("book", "studies/frameworks") == {"AMD", "Intel(R)"}
    other = last("frameworks", bias_init="pytorch", order="examples")
    equal = [
        [run["rows"][-1][m] for m in MEASURES]
        == [other[run["seed"], run["seed"]][m] for m in MEASURES]
        for run in book["runs"]
    ]
    assert (sum(equal), len(equal)) == (32, 32)


def test_runs_that_studies_share_are_the_same_runs(book):
    """What docs/en/methods.md says is shared: no table may count these as independent."""
    ours = last("frameworks", bias_init="pytorch", order="examples")
    diagonal = {at: row for at, row in last("variance").items() if at[0] == at[1]}
    assert len(diagonal) == 8
    assert all(ours[at] == row for at, row in diagonal.items())
    base = last("window", kernel_size=5)
    for study, setting in {
        "channels": {"channels": [6, 16]},
        "rate": {"lr": 0.9},
        "initialisation": {"init": "xavier_uniform"},
        "epochs": {"epochs": 10},
    }.items():
        assert last(study, **setting) == base, study
    small = {"channels": [6, 16], "hidden": [120, 84]}
    assert last("layers", **small) == last("window", kernel_size=3)
    precision = json.loads((ROOT / "results/precision.json").read_text())["runs"]["float32"]
    runs = {run["seed"]: run["rows"][-1] for run in book["runs"]}
    assert all(run[m] == runs[run["seed"]][m] for run in precision for m in MEASURES)


def test_the_variance_between_draws_of_the_weights_is_that_of_the_record():
    """The constant in the library is what the committed study gives."""
    rows = last("variance")
    values = np.array([[rows[i, j]["test_accuracy"] for j in range(8)] for i in range(8)])
    squares, free = stats._mean_squares(values)
    by_row, rest = squares[[0, 2]] / 8
    freedom = (by_row - rest) ** 2 / (by_row**2 / free[0] + rest**2 / free[2])
    assert pytest.approx((by_row - rest, freedom), rel=1e-3) == published.BETWEEN_DRAWS


def test_the_modern_preset_s_rate_is_not_told_from_its_neighbours():
    """README says so: the highest of five means, by less than its interval."""
    runs = json.loads((ROOT / "results/modern.json").read_text())["runs"]
    found = {}
    for run in runs:
        found.setdefault(run["lr"], []).append(run["valid_accuracy"])
    assert max(found, key=lambda lr: statistics.fmean(found[lr])) == PRESETS["modern"]["lr"]
    lead = stats.interval(np.subtract(found[0.1], found[0.2]))
    assert lead.side == "open"
    assert lead == pytest.approx((0.0003, -0.0195, 0.0202), abs=1e-4)


@pytest.mark.parametrize(
    "script", ["readme", "studies", "early_stopping", "within", "pages", "translations"]
)
def test_what_is_written_from_records_and_code_says_what_they_say(script):
    """The READMEs, the pages of docs, and the Chinese catalogue."""
    if script == "readme":  # asks for the flags of every command, of which this process has some
        done = commands.python("scripts/readme.py", "--check")
        assert done.returncode == 0, done.stderr
    else:
        done = commands.script(script, "--check")
        assert done.returncode == 0, done.returncode
