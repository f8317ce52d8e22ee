"""What the runs of a sweep say, and what they do not: a table, and findings as Messages."""

from collections.abc import Iterable, Sequence

import numpy as np
from tabulate import tabulate

from lenet.analysis import frameworks, stats, terms
from lenet.analysis.stats import Interval
from lenet.analysis.summary import SEEDS, Setting, Sweep, shown
from lenet.language import Listed, Message, listed, mark, message, translate
from lenet.records.ledger import Entry

MOST = 9
"""Settings that are compared one by one; of more, the best alone."""

FEW = 4
"""Seeds below which Student's t is so large that an interval tells next to nothing."""

MEASURE = "test_accuracy"

HEADS = (
    "n",
    mark("at chance level"),
    mark("validation accuracy"),
    mark("test accuracy"),
    mark("difference"),
)

BEST = {
    "valid_accuracy": mark(
        "Highest mean validation accuracy: {label} (test accuracy {test}{preset})."
    ),
    "test_accuracy": mark("Highest mean test accuracy: {label} ({test}{preset})."),
}
ITSELF = mark("; the preset's own setting")
AGAINST = mark(
    "Better than {base}: {better}. Worse: {worse}. Inconclusive: {open}. (Differences in test "
    "accuracy, paired by seed; simultaneous 95% CIs, Bonferroni over {count}.)"
)
ON_TEST = mark(
    "The settings were ranked on the test set, so the highest test accuracy is biased upwards."
)
EFFECTS = mark(
    "Main effects on test accuracy (95% CIs, paired over {n} seeds): {first} "
    "{effects.first}; {second} {effects.second}; interaction {effects.interaction}. On training "
    "loss: {losses.first}, {losses.second} and {losses.interaction}."
)
INSTEAD = mark("{name} {new} instead of {usual}")
VARIANCE = {
    MEASURE: mark("Variance of test accuracy over {rows} × {columns} runs: {sources}."),
    "train_loss": mark("Variance of training loss (a mean over the last epoch): {sources}."),
}
SOURCES = {
    "rows": mark("{share:.0%} from the initial weights (F-test p = {p:.2g})"),
    "columns": mark("{share:.0%} from the order of the examples (F-test p = {p:.2g})"),
    "rest": mark("{share:.0%} from their interaction"),
}
STUCK = mark("Ended at chance level: {runs}.")
DIVERGED = mark("Diverged, and excluded from all means: {runs}.")
SOME = mark("{some} of {n} runs of {label}")
TOO_FEW = mark(
    "With fewer than {n} seeds the intervals are too wide to be useful. Run at least 8: --seed=0:8."
)
NONE = Message(mark("none"))


def label(setting: Setting, axes: Sequence[str]) -> Listed:
    """Return what tells a setting from the others, such as "learning rate 0.1, pooling max"."""
    return listed(terms.setting(axis, setting.shown(axis)) for axis in axes)


def differences(sweep: Sweep) -> list[tuple[Setting, Interval | None]]:
    """Return the other settings, each with its difference from the preset's own, if there is one.

    The intervals hold together: each at a confidence of 1 − 0.05/(settings − 1), after Bonferroni.
    """
    if sweep.base is None:
        return []
    rest = [setting for setting in sweep.settings if setting is not sweep.base]
    confidence = 1 - 0.05 / max(len(rest), 1)
    return [(setting, setting.minus(sweep.base, confidence)) for setting in rest]


def table(sweep: Sweep, language: str = "en") -> str:
    """Return the settings as a table for a page: mean ± 95% CI, difference from the preset's."""
    by = {id(setting): found for setting, found in differences(sweep)}
    rows = [
        [
            *(translate(language, terms.valued(setting.shown(axis))) for axis in sweep.axes),
            str(len(setting.runs)),
            str(setting.stuck or ""),
            *(str(setting.final(measure) or "") for measure in ("valid_accuracy", MEASURE)),
            str(by.get(id(setting)) or ""),
        ]
        for setting in sweep.settings
    ]
    heads = (*map(terms.named, sweep.axes), *map(Message, HEADS))
    columns = zip((translate(language, head) for head in heads), *rows, strict=True)
    kept = [x for i, x in enumerate(columns) if i < len(sweep.axes) or any(x[1:])]
    head, *cells = zip(*kept, strict=True)
    return tabulate(cells, head, tablefmt="github", disable_numparse=True)


def findings(sweep: Sweep) -> list[Message]:
    """Return what the runs of a sweep say: conclusions first, then what limits them.

    Those of the study `frameworks` also answer its question.
    """
    several = len(sweep.settings) > 1
    found: list[Message] = []
    if several and sweep.settings[0].runs:
        found += _best(sweep)
    found += [*_effects(sweep), *_variance(sweep.entries), *(_lost(sweep) if several else [])]
    if found and max(len(setting.runs) for setting in sweep.settings) < FEW:
        found.append(message(TOO_FEW, n=FEW))
    return found + (frameworks.between(sweep.settings) if sweep.study == "frameworks" else [])


def crossed(entries: Sequence[Entry], measure: str) -> np.ndarray | None:
    """Return a measure [seed, order_seed] after the last epoch, if all pairs are there once."""
    runs = {
        (entry.config.seed, entry.config.order_seed): getattr(entry.rows[-1], measure)
        for entry in entries
        if not entry.diverged
    }
    rows, columns = (sorted({pair[i] for pair in runs}) for i in range(len(SEEDS)))
    cells = len(rows) * len(columns)
    if min(len(rows), len(columns)) < 2 or not len(runs) == len(entries) == cells:
        return None
    return np.array([[runs[i, j] for j in columns] for i in rows])


def best(sweep: Sweep) -> Message:
    """Return which of several settings is the best, by the measure that ranks them."""
    first = sweep.settings[0]
    return message(
        BEST[sweep.measure],
        label=label(first, sweep.axes),
        test=first.final(MEASURE),
        preset=Message(ITSELF) if sweep.base is first else "",
    )


def _best(sweep: Sweep) -> Iterable[Message]:
    """The best setting, and how the others differ from the preset's."""
    yield best(sweep)
    if sweep.base and sweep.base.runs:
        pairs = differences(sweep)
        groups: dict[str, list[Message]] = {"higher": [], "lower": [], "open": []}
        for setting, by in pairs if len(pairs) < MOST else pairs[:1]:
            if by is not None:
                said = message(
                    "{label} ({difference})", label=label(setting, sweep.axes), difference=by
                )
                groups[by.side].append(said)
        if any(groups.values()):
            better, worse, open_ = (listed(x, "; ") if x else NONE for x in groups.values())
            yield message(
                AGAINST,
                base=label(sweep.base, sweep.axes),
                count=len(pairs),
                better=better,
                worse=worse,
                open=open_,
            )
    if sweep.measure == MEASURE:
        yield message(ON_TEST)


def _lost(sweep: Sweep) -> Iterable[Message]:
    """Which runs learned nothing, and which diverged; at most MOST settings of each by name."""
    for text, numbers in (
        (STUCK, [setting.stuck for setting in sweep.settings]),
        (DIVERGED, [setting.diverged for setting in sweep.settings]),
    ):
        runs = [
            message(
                SOME, some=some, n=len(each.runs) + each.diverged, label=label(each, sweep.axes)
            )
            for each, some in zip(sweep.settings, numbers, strict=True)
            if some
        ]
        if runs:
            more = ["..."] if len(runs) > MOST else []
            yield message(text, runs=listed([*runs[:MOST], *more], "; "))


def _effects(sweep: Sweep) -> Iterable[Message]:
    """The main effects of a 2×2 design with enough finished seeds."""
    levels: list[list[str]] = []
    for axis in sweep.axes:
        values = {setting.shown(axis) for setting in sweep.settings}
        usual = shown(getattr(sweep.preset, axis))  # first: what is changed
        levels.append(sorted(values, key=lambda value: (value != usual, value)))
    if [len(values) for values in levels] != [2, 2] or len(sweep.settings) != 4:
        return
    seeds = (set(setting.by_seed(MEASURE)) for setting in sweep.settings)
    shared = sorted(set.intersection(*seeds))
    if len(shared) < 2:
        return

    def effects(measure: str) -> stats.Effects:
        runs = {tuple(map(s.shown, sweep.axes)): s.by_seed(measure) for s in sweep.settings}
        return stats.main_effects(
            [[[runs[a, b][seed] for seed in shared] for b in levels[1]] for a in levels[0]]
        )

    first, second = (
        message(INSTEAD, name=terms.named(axis), usual=terms.valued(usual), new=terms.valued(new))
        for axis, (usual, new) in zip(sweep.axes, levels, strict=True)
    )
    yield message(
        EFFECTS,
        first=first,
        second=second,
        effects=effects(MEASURE),
        losses=effects("train_loss"),
        n=len(shared),
    )


def _variance(entries: Sequence[Entry]) -> Iterable[Message]:
    """Where the variance comes from, the largest source first, if the two seeds are crossed."""
    for measure, text in VARIANCE.items():
        values = crossed(entries, measure)
        if values is None or not np.ptp(values):
            continue
        parts = stats.crossed(values)._asdict()
        sources = [
            message(SOURCES[name], share=part.share, p=part.p)
            for name, part in sorted(parts.items(), key=lambda item: -item[1].share)
        ]
        rows, columns = values.shape
        yield message(text, rows=rows, columns=columns, sources=listed(sources))
