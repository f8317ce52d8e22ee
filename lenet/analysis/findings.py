"""What the runs of a sweep say, and what they do not: a table, and findings as Messages."""

import math
import statistics
from collections.abc import Iterable, Sequence

import numpy as np
from tabulate import tabulate

from lenet.analysis import frameworks, stats, terms
from lenet.analysis.stats import Interval
from lenet.analysis.summary import SEEDS, Setting, Sweep
from lenet.analysis.terms import shown
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
    mark("diverged"),
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
SELECTED = mark("In {share:.0%} of bootstrap samples of the seeds, {label} has the highest mean.")
OPTIMISM = mark(
    "Choosing the best of {count} settings by these runs makes it look better by about "
    "{optimism:.4f}. Only runs with fresh seeds correct this; held-out images do not."
)
LEAD = mark(
    "The first setting's lead in {measure} over the next, {next}: {lead} (95% CI, paired by seed)."
)
AGAINST = mark(
    "Better than {base}: {better}. Worse: {worse}. Inconclusive: {open}. (Differences in test "
    "accuracy, paired by seed; simultaneous 95% CIs, Bonferroni over {count}; r: correlation over "
    "seeds, without which pairing gains nothing.)"
)
APART = mark(
    "Not compared in the mean, because runs diverged or ended at chance level: {settings}. Their "
    "outcomes are of two kinds, for which Student's intervals do not hold."
)
ON_TEST = mark(
    "The settings were ranked on the test set, so the highest test accuracy is biased upwards."
)
NO_EFFECTS = mark(
    "Main effects are not given: {lost} of {n} runs diverged or ended at chance level, and no "
    "interval of a mean holds over two kinds of outcomes."
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
    "rows": mark(
        "{share:.0%} from the initial weights (95% CI {low:.0%} to {high:.0%}; {least:.0%} to "
        "{most:.0%} without any one seed; F-test p = {p:.2g}{note})"
    ),
    "columns": mark(
        "{share:.0%} from the order of the examples (95% CI {low:.0%} to {high:.0%}; {least:.0%} "
        "to {most:.0%} without any one seed; F-test p = {p:.2g}{note})"
    ),
    "rest": mark(
        "{share:.0%} from their interaction (95% CI {low:.0%} to {high:.0%}; {least:.0%} to "
        "{most:.0%} without any one seed{note})"
    ),
}
TRUNCATED = mark("; estimated below 0 and set to 0")
STUCK = mark("Ended at chance level (training loss within 5% of ln K, or above): {runs}.")
DIVERGED = mark("Diverged, and counted with the accuracy of chance level: {runs}.")
SOME = mark(
    "{some} of {n} runs of {label} (95% CI {low:.0%} to {high:.0%}; median accuracy of all {n}: "
    "{median:.3f})"
)
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
    """Return the settings as a table for a page: mean [95% CI], difference from the preset's."""
    by = {id(setting): found for setting, found in differences(sweep)}
    rows = [
        [
            *(translate(language, terms.valued(setting.shown(axis))) for axis in sweep.axes),
            str(len(setting.entries)),
            str(setting.collapsed or ""),
            str(setting.diverged or ""),
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
    if found and max(len(setting.entries) for setting in sweep.settings) < FEW:
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
    """The best setting, how sure that is, and how the others differ from the preset's."""
    yield best(sweep)
    yield from _selected(sweep)
    if sweep.base and sweep.base.runs:
        pairs = differences(sweep)
        groups: dict[str, list[Message]] = {"higher": [], "lower": [], "open": []}
        apart = []
        for setting, by in pairs if len(pairs) < MOST else pairs[:1]:
            if by is not None:
                ours, theirs = _shared(setting, sweep.base)
                said = message(
                    "{label} ({difference}, higher with {up} of {n} seeds, r = {r})",
                    label=label(setting, sweep.axes),
                    difference=by,
                    up=int((ours > theirs).sum()),
                    n=len(ours),
                    r=f"{_correlation(ours, theirs):.2f}".replace("-", "−"),
                )
                groups[by.side].append(said)
            elif not (setting.learned and sweep.base.learned):
                apart.append(label(setting, sweep.axes))
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
        if apart:
            yield message(APART, settings=listed(apart, "; "))
    if sweep.measure == MEASURE:
        yield message(ON_TEST)


def lead(sweep: Sweep) -> stats.Interval | None:
    """Return by how much the first of two or more settings leads the next; None without pairs."""
    first, second, *_ = sweep.settings
    return first.minus(second, measure=sweep.measure)


def _selected(sweep: Sweep) -> Iterable[Message]:
    """How sure it is which setting is the best, if every setting has several seeds."""
    ends = [setting.by_seed(sweep.measure) for setting in sweep.settings]
    fewest = min(map(len, ends))
    if fewest < 2:
        return
    first, second = sweep.settings[:2]
    if fewest >= FEW:  # of two or three seeds hardly any sample differs
        shared = all(each.keys() == ends[0].keys() for each in ends)
        groups = [[each[seed] for seed in sorted(each)] for each in ends]
        found = stats.selection(groups, paired=shared)
        yield message(SELECTED, label=label(first, sweep.axes), share=found.best)
        if round(found.optimism, 4) > 0:
            yield message(OPTIMISM, count=len(groups), optimism=found.optimism)
    if by := lead(sweep):
        yield message(
            LEAD, measure=terms.named(sweep.measure), next=label(second, sweep.axes), lead=by
        )


def _shared(first: Setting, second: Setting) -> np.ndarray:
    """Test accuracy [2, R] of both settings, of the seeds that both have."""
    ours, theirs = (each.by_seed(MEASURE) for each in (first, second))
    shared = sorted(ours.keys() & theirs.keys())
    return np.array([[each[seed] for seed in shared] for each in (ours, theirs)])


def _correlation(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Of two settings over seeds; nan if one does not vary."""
    varies = np.ptp(ours) and np.ptp(theirs)
    return float(np.corrcoef(ours, theirs)[0, 1]) if varies else math.nan


def _lost(sweep: Sweep) -> Iterable[Message]:
    """Which runs learned nothing, and which diverged; at most MOST settings of each by name."""
    for text, numbers in (
        (STUCK, [setting.collapsed for setting in sweep.settings]),
        (DIVERGED, [setting.diverged for setting in sweep.settings]),
    ):
        runs = []
        for each, some in zip(sweep.settings, numbers, strict=True):
            if some:
                share = stats.proportion(some, len(each.entries))
                runs.append(
                    message(
                        SOME,
                        some=some,
                        n=len(each.entries),
                        label=label(each, sweep.axes),
                        low=share.low,
                        high=share.high,
                        median=statistics.median(each.by_seed(MEASURE).values()),
                    )
                )
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
    if not all(setting.learned for setting in sweep.settings):
        lost = sum(setting.collapsed + setting.diverged for setting in sweep.settings)
        yield message(NO_EFFECTS, lost=lost, n=len(sweep.entries))
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
            message(
                SOURCES[name],
                share=part.share.mean,
                low=part.share.low,
                high=part.share.high,
                least=part.without_one[0],
                most=part.without_one[1],
                p=part.p,
                note=Message(TRUNCATED) if part.truncated else "",
            )
            for name, part in sorted(parts.items(), key=lambda item: -item[1].share.mean)
        ]
        rows, columns = values.shape
        yield message(text, rows=rows, columns=columns, sources=listed(sources))
