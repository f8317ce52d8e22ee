"""Write docs/LANGUAGE/early_stopping.md: rules of early stopping, replayed on finished runs.

python scripts/early_stopping.py collect DIR   keep the sweep --study=early_stopping that DIR holds
python scripts/early_stopping.py replay        replay every rule (8 minutes), and keep the results
python scripts/early_stopping.py               write pages and pictures from results/
python scripts/early_stopping.py --check       fail if that would change a page
"""

import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import readme
import studies
from numpy.typing import NDArray
from tabulate import tabulate

from benchmarks import table as table_of_bench
from lenet import records
from lenet.analysis import replay, terms
from lenet.analysis.replay import Replay
from lenet.analysis.stats import proportion
from lenet.figures import replays
from lenet.figures.vega import png
from lenet.language import LANGUAGES, Message, mark, message, translate
from lenet.search.rules import Rule

ROOT = Path(__file__).parent.parent
CURVES = ROOT / "results" / "early_stopping.npz"
"""Validation accuracy in 1/10,000: [activations, settings, seeds, epochs], uint16."""
RECORD = ROOT / "results" / "early_stopping.json"
ACTIVATIONS = ("sigmoid", "relu")
CHANCE, EPOCHS, TRIALS, REPLAYS = 0.15, 10, 64, 1000
FIRST = (1, 2, 3, 4)
"""Epochs after which settings are first compared."""

Curves = NDArray[np.float64]


def rules() -> Iterable[tuple[str, int, Callable[[Curves], Replay]]]:
    """Yield each rule: its name, the epochs of its first rung, and what it does to curves."""
    for name in ("halving", "asha"):
        for least in FIRST:
            yield name, least, partial(replay.replay, Rule(name, 2, least, EPOCHS))
    for name in ("hyperband", "async_hyperband"):
        for least in FIRST[:2]:
            yield name, least, partial(replay.replay, Rule(name, 2, least, EPOCHS))
    for least in FIRST:
        yield "median", least, partial(median, least)
    for some in (8, 16, 24, 32, 40, 48, 56):
        yield "none", some, partial(fewer, some)


def median(least: int, curves: Curves) -> Replay:
    """Stop by Optuna's own median rule, setting after setting, never before an epoch."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pruner = optuna.pruners.MedianPruner(n_warmup_steps=least)
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(direction="maximize", pruner=pruner, sampler=sampler)
    reached = []
    for curve in curves.tolist():
        trial, epoch = study.ask(), 0
        for epoch, value in enumerate(curve, 1):
            trial.report(value, epoch)
            if epoch < EPOCHS and trial.should_prune():
                break
        reached.append(epoch)
        state = optuna.trial.TrialState
        if epoch < EPOCHS:
            study.tell(trial, state=state.PRUNED)
        else:
            study.tell(trial, curve[-1])
    return replay.of_reached(reached, curves)


def fewer(some: int, curves: Curves) -> Replay:
    """Train the first settings to the end, and the others not at all."""
    return replay.of_reached([EPOCHS] * some + [0] * (len(curves) - some), curves)


def collect(sweep_dir: Path) -> None:
    """Keep the curves of a finished sweep."""
    asked, entries = studies.finished("early_stopping", sweep_dir)
    found: dict[Any, list[int]] = {}
    for entry in entries:
        c = entry.config
        values = [row.valid_accuracy or 0.0 for row in entry.rows]
        values += [1 / 10] * (c.epochs - len(values))  # of those that diverged
        curve = [round(10_000 * value) for value in values]
        found[ACTIVATIONS.index(c.activation), c.lr, c.batch_size, c.seed] = curve
    shape = (len(ACTIVATIONS), -1, 2, EPOCHS)
    curves = np.array([found[key] for key in sorted(found)], np.uint16).reshape(shape)
    readme.keep_arrays(CURVES, curves=curves)
    kept = {"runs": len(entries), "environment": asked["environment"]}
    readme.keep(RECORD, {"command": "python -m experiments.sweep --study=early_stopping"} | kept)


def replayed() -> None:
    """Replay every rule on the same random searches, and keep what came of it."""
    curves = np.load(CURVES)["curves"] / 10_000
    record: dict[str, Any] = records.read_json(RECORD) | {"replays": []}
    for activation, mine in zip(ACTIVATIONS, curves, strict=True):
        rng = np.random.default_rng(0)
        searches = [
            mine[rng.permutation(len(mine))[:TRIALS], rng.integers(0, mine.shape[1], TRIALS)]
            for _ in range(REPLAYS)
        ]
        for name, least, rule in rules():
            judged = [replay.judge(rule(each), each, CHANCE) for each in searches]
            about = {"activation": activation, "rule": name, "first": least}
            record["replays"].append(about | dict(replay.summary(judged)))
            print(f"{activation}: {name}, {least}", flush=True)
    readme.keep(RECORD, record)


def section(language: str) -> str:
    """Return a table for each activation, with its chart."""
    record, t = records.read_json(RECORD), partial(translate, language)
    picture = f"![{t('validation accuracy lost')}](results/early_stopping.png)"
    parts = [*map(t, _said(record["replays"])), picture]
    for activation in ACTIVATIONS:
        rows = [each for each in record["replays"] if each["activation"] == activation]
        parts += [f"## {t(terms.valued(activation))}", _table(rows, t)]
    note = t(
        "{runs} runs, {n} random searches of {trials} settings. {machine}.",
        runs=record["runs"],
        n=REPLAYS,
        trials=TRIALS,
        machine=table_of_bench.machine(record["environment"]),
    )
    commands = (
        f"```bash\n{record['command'].replace('python', '.venv/bin/python', 1)} --run_dir=DIR\n"
        ".venv/bin/python scripts/early_stopping.py collect DIR\n"
        ".venv/bin/python scripts/early_stopping.py replay\n"
        ".venv/bin/python scripts/early_stopping.py\n```"
    )
    return "\n\n".join([*parts, note, commands])


SIGMOID = mark(
    "With the sigmoid, successive halving that first compares after one epoch stops the setting "
    "that would have won in {one:.0%} of searches; in {chance:.0%} of these cases that setting was "
    "still at chance level. First compared after 2 epochs: {two:.0%}; after 3: {three:.1%}. The "
    "accuracy lost falls from {lost:.4f} to {left:.5f}, for {spent:.0%} of all epochs. Training "
    "{some} of {trials} settings to the end takes {all:.0%}, and loses {fewer:.4f}."
)
RELU = mark(
    "With ReLU the winner is stopped as often ({one:.0%} after one epoch, {three:.0%} after 3), "
    "never at chance level, and less is lost: {lost:.4f} for {few:.0%} of all epochs, and "
    "{left:.4f} for {spent:.0%}. Training {some} of {trials} settings to the end takes {all:.0%}, "
    "and loses {fewer:.4f}."
)


def _said(rows: list[dict[str, Any]]) -> list[Message]:
    """What the tables show: a sentence for each activation."""
    found = {(each["activation"], each["rule"], each["first"]): each for each in rows}

    def numbers(activation: str, some: int) -> dict[str, Any]:
        one, two, three = (found[activation, "halving", epochs] for epochs in (1, 2, 3))
        none = found[activation, "none", some]
        return {
            "one": one["lost"] / one["n"],
            "two": two["lost"] / two["n"],
            "three": three["lost"] / three["n"],
            "chance": one["at_chance"] / one["lost"],
            "lost": one["regret"],
            "left": three["regret"],
            "few": one["spent"],
            "spent": three["spent"],
            "some": some,
            "trials": TRIALS,
            "all": none["spent"],
            "fewer": none["regret"],
        }

    return [
        message(SIGMOID, **numbers("sigmoid", 40)),
        message(RELU, **numbers("relu", 16)),
    ]


def _table(rows: list[dict[str, Any]], t: Callable[..., str]) -> str:
    heads = (
        t("rule"),
        t("epochs before comparing"),
        t("epochs trained"),
        t("best setting stopped"),
        t("of these, at chance level"),
        t("accuracy lost: mean"),
        t("95th percentile"),
        t("wrong stops"),
    )
    cells = []
    for each in rows:
        none = each["rule"] == "none"
        lost = proportion(each["lost"], each["n"])
        name: str | Message = replays.NAMES[each["rule"]]
        if none:
            name = message("{n} settings, none stopped", n=each["first"])
        cells.append(
            [
                t(name),
                "" if none else str(each["first"]),
                f"{each['spent']:.0%}",
                f"{lost.mean:.0%} [{lost.low:.0%}, {lost.high:.0%}]",
                "" if none else f"{each['at_chance']}/{each['lost']}",
                f"{each['regret']:.4f}",
                f"{each['regret_95']:.4f}",
                "" if none else f"{each['wrongly']:.1%}",
            ]
        )
    return tabulate(cells, heads, tablefmt="github", disable_numparse=True)


def rendered() -> dict[Path, bytes]:
    """Return the pages."""
    pages = {}
    for language in LANGUAGES:
        path = ROOT / "docs" / language / "early_stopping.md"
        text = readme.between(path.read_text(encoding="utf-8"), "replays", section(language))
        pages[path] = text.encode()
    return pages


def pictures() -> dict[Path, bytes]:
    """Return the figure in both languages."""
    rows = records.read_json(RECORD)["replays"]
    charts = [
        replays.regret(
            [each for each in rows if each["activation"] == activation],
            terms.valued(activation),
            activation,
        )
        for activation in ACTIVATIONS
    ]
    return {
        ROOT / "docs" / language / "results" / "early_stopping.png": png(charts, language)
        for language in LANGUAGES
    }


def main(arguments: list[str]) -> None:
    """Collect, replay, write or check."""
    match arguments:
        case ["collect", sweep_dir]:
            collect(Path(sweep_dir))
        case ["replay"]:
            replayed()
        case [] | ["--check"]:
            readme.refresh(arguments, rendered(), pictures)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
