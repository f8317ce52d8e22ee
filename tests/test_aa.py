"""Equal settings, compared as a sweep compares settings: how often are they called different?

Real runs of one setting are dealt out to two or more that are called otherwise, with seeds of their
own. Then nothing differs, and about 5% of the comparisons may find a difference.
"""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import record_rows
import scipy

from lenet.analysis import findings
from lenet.analysis.summary import Sweep
from lenet.config import Config

ROOT = Path(__file__).parent.parent
TIMES = 1000


def pools() -> list[np.ndarray]:
    """Final test accuracies of runs that differ in their seeds alone."""
    found: dict[str, list[float]] = {}
    for name in ("last_step", "last_size", "frameworks", "next_edition"):
        record = json.loads((ROOT / f"results/studies/{name}.json").read_text())
        for run in record["runs"]:
            other = {k: v for k, v in run["config"].items() if "seed" not in k}
            found.setdefault(f"{name} {other}", []).append(run["last"]["test_accuracy"])
    return [np.array(values) for values in found.values()]


def called_different(rng: np.random.Generator, pool: np.ndarray, settings: int, seeds: int) -> bool:
    dealt = rng.permutation(pool)[: settings * seeds].reshape(settings, seeds)
    base = Config()
    entries = [
        record_rows.entry(
            number * seeds + seed,
            [record_rows.row(train_loss=0.5, test_accuracy=float(accuracy))],
            lr=base.lr / (1 + number),
            seed=seed,
        )
        for number, runs in enumerate(dealt)
        for seed, accuracy in enumerate(runs)
    ]
    found = findings.differences(Sweep(entries, ["lr"], dataclasses.replace(base)))
    assert len(found) == settings - 1
    return any(difference.side != "open" for _, difference in found if difference)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "seeds", "found"),
    [(2, 8, 48), (2, 16, 55), (4, 8, 52)],
)
def test_equal_settings_are_called_different_in_one_of_twenty_comparisons(settings, seeds, found):
    rng, several = np.random.default_rng(0), pools()
    assert len(several) == 17
    assert {len(pool) for pool in several} == {64}
    wrong = sum(
        called_different(rng, several[rng.integers(len(several))], settings, seeds)
        for _ in range(TIMES)
    )
    by_chance = scipy.stats.binomtest(wrong, TIMES, 0.05, alternative="greater").pvalue
    assert by_chance > 1e-3, f"{wrong} of {TIMES}"
    assert wrong == found  # as docs/en/methods.md has it
