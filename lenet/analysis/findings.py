"""What the runs of a sweep say, and what they do not: a table, and findings as Messages."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from tabulate import tabulate

from lenet.analysis import stats, terms
from lenet.analysis.stats import Interval
from lenet.analysis.summary import SEEDS, Setting, plus_minus, ranked, selection
from lenet.config import Config
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


def base(settings: Sequence[Setting], axes: Sequence[str], preset: Config) -> Setting | None:
    """Return the setting whose values on all axes are those of a preset, if there is one."""

    def at(config: Config) -> list[object]:
        return [getattr(config, axis) for axis in axes]

    return next((s for s in settings if at(s.config) == at(preset)), None)


def difference(
    setting: Setting, other: Setting, confidence: float = 0.95, measure: str = MEASURE
) -> Interval | None:
    """Return the seed-paired difference in the final measure, `setting` minus `other`, with its CI.

    None if they share fewer than 2 seeds.
    """
    ours, theirs = (each.by_seed(measure) for each in (setting, other))
    shared = sorted(ours.keys() & theirs.keys())
    if len(shared) < 2:
        return None
    return stats.interval([ours[seed] - theirs[seed] for seed in shared], confidence)


def differences(
    settings: Sequence[Setting], other: Setting
) -> list[tuple[Setting, Interval | None]]:
    """Return `difference` from `other` of all other settings; their intervals hold together.

    Each at a confidence of 1 − 0.05/(settings − 1), after Bonferroni: so also that of the best.
    """
    rest = [setting for setting in settings if setting is not other]
    confidence = 1 - 0.05 / max(len(rest), 1)
    return [(setting, difference(setting, other, confidence)) for setting in rest]


def table(
    settings: Sequence[Setting], axes: Sequence[str], preset: Config, language: str = "en"
) -> str:
    """Return the settings as a table for a page: mean ± 95% CI, difference from the preset's."""
    compared = base(settings, axes, preset)
    by: dict[int, Interval | None] = {}
    if compared:
        by = {id(setting): found for setting, found in differences(settings, compared)}
    rows = [
        [
            *(translate(language, terms.valued(setting.shown(axis))) for axis in axes),
            len(setting.rows),
            setting.stuck or "",
            *(plus_minus(setting.final(measure)) for measure in ("valid_accuracy", MEASURE)),
            by.get(id(setting)) or "",
        ]
        for setting in settings
    ]
    heads = [translate(language, head) for head in (*map(terms.named, axes), *map(Message, HEADS))]
    kept = [i for i in range(len(heads)) if i < len(axes) or any(str(row[i]) for row in rows)]
    cells = [[str(row[i]) for i in kept] for row in rows]
    return tabulate(cells, [heads[i] for i in kept], tablefmt="github", disable_numparse=True)


def findings(
    entries: Sequence[Entry],
    axes: Sequence[str],
    preset: Config,
    num_classes: Mapping[str, int] | None = None,
) -> list[Message]:
    """Return what the runs of a sweep say: conclusions first, then what limits them.

    Args:
      entries: its finished runs.
      axes: names of what varies, seeds apart.
      preset: the settings to compare with.
      num_classes: by dataset, as `summary.ranked` takes it.
    """
    settings = ranked(entries, num_classes)
    found: list[Message] = []
    if len(settings) > 1 and settings[0].rows:
        found += _best(settings, axes, preset, selection(entries))
    found += _effects(settings, axes, preset)
    found += _variance(entries)
    if len(settings) > 1:
        found += _lost(settings, axes)
    if found and max(len(setting.rows) for setting in settings) < FEW:
        found.append(message(TOO_FEW, n=FEW))
    return found


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


def best(settings: Sequence[Setting], axes: Sequence[str], preset: Config, measure: str) -> Message:
    """Return which of several ranked settings is the best, by the measure that ranks them."""
    return message(
        BEST[measure],
        label=label(settings[0], axes),
        test=settings[0].final(MEASURE),
        preset=Message(ITSELF) if base(settings, axes, preset) is settings[0] else "",
    )


def _best(
    settings: Sequence[Setting], axes: Sequence[str], preset: Config, measure: str
) -> list[Message]:
    """The best setting, and how the others differ from the preset's."""
    compared = base(settings, axes, preset)
    found = [best(settings, axes, preset, measure)]
    if compared is not None and compared.rows:
        pairs = differences(settings, compared)
        groups: dict[str, list[Message]] = {"better": [], "worse": [], "open": []}
        for setting, by in pairs if len(pairs) < MOST else pairs[:1]:
            if by is not None:
                which = "better" if by.low > 0 else "worse" if by.high < 0 else "open"
                groups[which].append(
                    message("{label} ({difference})", label=label(setting, axes), difference=by)
                )
        if any(groups.values()):
            lists = {name: listed(group, "; ") if group else NONE for name, group in groups.items()}
            found.append(message(AGAINST, base=label(compared, axes), count=len(pairs), **lists))
    return found + ([message(ON_TEST)] if measure == MEASURE else [])


def _lost(settings: Sequence[Setting], axes: Sequence[str]) -> Iterable[Message]:
    """Which runs learned nothing, and which diverged; at most MOST settings of each by name."""
    for text, numbers in (
        (STUCK, [setting.stuck for setting in settings]),
        (DIVERGED, [setting.diverged for setting in settings]),
    ):
        runs = [
            message(SOME, some=some, n=len(each.rows) + each.diverged, label=label(each, axes))
            for each, some in zip(settings, numbers, strict=True)
            if some
        ]
        if runs:
            more = ["..."] if len(runs) > MOST else []
            yield message(text, runs=listed([*runs[:MOST], *more], "; "))


def _effects(settings: Sequence[Setting], axes: Sequence[str], preset: Config) -> Iterable[Message]:
    """Return the main effects of a 2×2 design with enough finished seeds; None otherwise."""
    if len(axes) != 2 or len(settings) != 4:
        return
    levels = [sorted({setting.shown(axis) for setting in settings}) for axis in axes]
    if [len(level) for level in levels] != [2, 2]:
        return
    usual = Setting(preset, [], 0, [], 0)
    for axis, values in zip(axes, levels, strict=True):  # the preset's first: what is changed
        values.sort(key=lambda value: value != usual.shown(axis))
    at = {tuple(map(setting.shown, axes)): setting for setting in settings}
    shared = sorted(set.intersection(*(set(setting.seeds) for setting in settings)))
    if len(shared) < 2:
        return

    def effects(measure: str) -> stats.Effects:
        runs = {key: setting.by_seed(measure) for key, setting in at.items()}
        return stats.main_effects(
            [[[runs[a, b][seed] for seed in shared] for b in levels[1]] for a in levels[0]]
        )

    yield message(
        EFFECTS,
        first=_instead(axes[0], *levels[0]),
        second=_instead(axes[1], *levels[1]),
        effects=effects(MEASURE),
        losses=effects("train_loss"),
        n=len(shared),
    )


def _instead(axis: str, usual: str, new: str) -> Message:
    """Return the change of one setting in words."""
    values = {"usual": terms.valued(usual), "new": terms.valued(new)}
    return message(INSTEAD, name=terms.named(axis), **values)


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
