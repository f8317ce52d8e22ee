"""What the runs of a sweep say, and what they do not: a table and sentences, English or Chinese."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tabulate import tabulate

from lenet.analysis import stats
from lenet.analysis.stats import Interval
from lenet.analysis.summary import SEEDS, Setting, plus_minus, ranked, selection, shown, signed
from lenet.records.ledger import Entry

MOST = 9
"""Settings that are compared one by one; of more, the best alone."""

FEW = 4
"""Seeds below which Student's t is so large that an interval tells next to nothing."""

MEASURE = "test_accuracy"

HEADS = {
    "en": ("n", "no better than a guess", "validation accuracy", "test accuracy", "difference"),
    "zh": ("n", "不比瞎猜好的", "验证精度", "测试精度", "差"),
}

TEXT = {
    "en": {
        "best": "Best in {selected} accuracy over these seeds: {label}, with a test accuracy of "
        "{test}.",
        "itself": "Where the settings differ, it has the preset's values.",
        "against": "Differences in test accuracy from {base} are paired by seed, and their 95 % "
        "intervals hold for all {count} differences together (Bonferroni). Better: {better}; "
        "worse: {worse}; these runs cannot tell: {open}.",
        "selected": "The best was selected on the test images themselves, for none were held out: "
        "its accuracy is flattered.",
        "effects": "Over both values of the other, in test accuracy, {first_axis} {first[1]} in "
        "place of {first[0]} is worth {effects.first}, and {second_axis} {second[1]} in place of "
        "{second[0]} {effects.second}; interaction {effects.interaction}. In training loss: "
        "{losses.first}, {losses.second} and {losses.interaction} (95 % intervals, paired over "
        "{n} seeds).",
        "split": "Of the variance of test accuracy, as {rows} x {columns} runs tell it, "
        "{weights:.0%} comes from the initial weights (F-test p = {weights_p:.2g}), {order:.0%} "
        "from the order of the examples (p = {order_p:.2g}) and {rest:.0%} from how the two meet; "
        "in training loss {loss.rows.share:.0%}, {loss.columns.share:.0%} and "
        "{loss.rest.share:.0%}. (The loss is a mean over the last epoch, the accuracy that of the "
        "moment after its last step.)",
        "stuck": "Ended no better than a guess: {those}.",
        "diverged": "Diverged, and in no mean: {those}.",
        "few": "With fewer than {n} seeds an interval is so wide that it tells next to nothing, "
        "and may reach beyond what an accuracy can be: --seed=0:8 or more would tell.",
        "some": "{some} of {n} runs of {label}",
        "none": "none",
    },
    "zh": {
        "best": "在这些种子上，{selected}精度最好的是 {label}，测试精度 {test}。",
        "itself": "在所改变的各项上，这正是预设的取值。",
        "against": "与 {base} 的测试精度之差按种子配对，95% 置信区间对全部 {count} 个比较"
        "同时成立（Bonferroni）。更好：{better}；更差：{worse}；这些运行分辨不出：{open}。",
        "selected": "没有留出验证样本，最好的一个是在测试集上选出的：它的精度因此偏高。",
        "effects": "以测试精度计，{first_axis} 取 {first[1]} 而不取 {first[0]}"
        "（对另一个因素取平均）带来 {effects.first}，{second_axis} 取 {second[1]} "
        "而不取 {second[0]} 带来 {effects.second}；交互作用 {effects.interaction}。"
        "以训练损失计：{losses.first}、{losses.second} 和 {losses.interaction}"
        "（95% 置信区间，按 {n} 个种子配对）。",
        "split": "由 {rows} x {columns} 次运行估计，测试精度的方差中，{weights:.0%} 来自初始权重"
        "（F 检验 p = {weights_p:.2g}），{order:.0%} 来自样本的次序（p = {order_p:.2g}），"
        "{rest:.0%} 来自两者的相遇；训练损失分别为 {loss.rows.share:.0%}、"
        "{loss.columns.share:.0%} 和 {loss.rest.share:.0%}。（训练损失是最后一轮的平均值，"
        "测试精度则是最后一步之后那一刻的。）",
        "stuck": "结束时并不比瞎猜好的：{those}。",
        "diverged": "发散而未计入平均的：{those}。",
        "few": "种子少于 {n} 个时，区间宽得几乎什么也说明不了，甚至超出精度可能的范围："
        "--seed=0:8 或更多才有用。",
        "some": "{label} 的 {n} 次运行中的 {some} 次",
        "none": "无",
    },
}
SELECTED = {
    "en": {"valid_accuracy": "validation", "test_accuracy": "test"},
    "zh": {"valid_accuracy": "验证", "test_accuracy": "测试"},
}


def label(setting: Setting, axes: Sequence[str]) -> str:
    """Return what tells a setting from the others, such as "lr 0.1, pool max"."""
    return ", ".join(f"{axis} {shown(setting.config[axis])}" for axis in axes)


def base(
    settings: Sequence[Setting], axes: Sequence[str], preset: Mapping[str, Any]
) -> Setting | None:
    """Return the setting whose values on all axes are those of a preset, if there is one."""
    matches = (s for s in settings if all(s.config[axis] == preset[axis] for axis in axes))
    return next(matches, None)


def difference(
    setting: Setting, other: Setting, confidence: float = 0.95, measure: str = MEASURE
) -> Interval | None:
    """Return by how much `setting` ends above `other`, paired by seed.

    None if they share fewer than 2 seeds.
    """
    ours, theirs = (
        dict(zip(s.seeds, (rows[-1][measure] for rows in s.rows), strict=True))
        for s in (setting, other)
    )
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
    settings: Sequence[Setting],
    axes: Sequence[str],
    preset: Mapping[str, Any],
    language: str = "en",
) -> str:
    """Return the settings as a table for a page: mean ± 95 % interval, difference from the base."""
    compared = base(settings, axes, preset)
    by: dict[int, Interval | None] = {}
    if compared:
        by = {id(setting): found for setting, found in differences(settings, compared)}
    rows = [
        [
            *(shown(setting.config[axis]) for axis in axes),
            len(setting.rows),
            setting.stuck or "",
            *(plus_minus(setting.final(measure)) for measure in ("valid_accuracy", MEASURE)),
            "" if (found := by.get(id(setting))) is None else signed(found),
        ]
        for setting in settings
    ]
    heads = [*axes, *HEADS[language]]
    kept = [i for i in range(len(heads)) if i < len(axes) or any(str(row[i]) for row in rows)]
    cells = [[row[i] for i in kept] for row in rows]
    return tabulate(cells, [heads[i] for i in kept], tablefmt="github", disable_numparse=True)


def sentences(
    entries: Sequence[Entry],
    axes: Sequence[str],
    preset: Mapping[str, Any],
    language: str = "en",
) -> list[str]:
    """Return what the runs of a sweep say.

    Args:
      entries: its finished runs.
      axes: names of what varies, seeds apart.
      preset: the settings to compare with, as config.to_dict.
      language: "en" or "zh".
    """
    settings = ranked(entries)
    found = []
    if len(settings) > 1 and settings[0].rows:
        found += _best(settings, axes, preset, selection(entries), language)
    if effects := _effects(settings, axes, preset, language):
        found.append(effects)
    if split := _split(entries, language):
        found.append(split)
    if len(settings) > 1:
        found += _lost(settings, axes, language)
    if found and max(len(setting.rows) for setting in settings) < FEW:
        found.append(TEXT[language]["few"].format(n=FEW))
    return found


def crossed(entries: Sequence[Entry], measure: str) -> np.ndarray | None:
    """Return a measure [seed, order_seed] after the last epoch, if all pairs are there once."""
    runs = {tuple(e["config"][seed] for seed in SEEDS): e for e in entries if not e["diverged"]}
    rows, columns = (sorted({pair[i] for pair in runs}) for i in (0, 1))
    if min(len(rows), len(columns)) < 2 or len(runs) != len(rows) * len(columns) != 0:
        return None
    if len(runs) != len(entries):
        return None
    return np.array([[runs[i, j]["rows"][-1][measure] for j in columns] for i in rows])


def _best(
    settings: Sequence[Setting],
    axes: Sequence[str],
    preset: Mapping[str, Any],
    measure: str,
    language: str,
) -> list[str]:
    text, best = TEXT[language], settings[0]
    said = text["best"].format(
        selected=SELECTED[language][measure],
        label=label(best, axes),
        test=plus_minus(best.final(MEASURE)),
    )
    compared = base(settings, axes, preset)
    if compared is best:
        said += (" " if language == "en" else "") + text["itself"]
    found = [said] + ([text["selected"]] if measure == MEASURE else [])
    if compared is None or not compared.rows:
        return found
    groups: dict[str, list[str]] = {"better": [], "worse": [], "open": []}
    pairs = differences(settings, compared)
    for setting, by in pairs if len(pairs) < MOST else pairs[:1]:
        if by is None:
            continue
        which = "better" if by.low > 0 else "worse" if by.high < 0 else "open"
        groups[which].append(f"{label(setting, axes)} ({signed(by)})")
    if any(groups.values()):
        lists = {name: ", ".join(group) or text["none"] for name, group in groups.items()}
        found.append(text["against"].format(base=label(compared, axes), count=len(pairs), **lists))
    return found


def _lost(settings: Sequence[Setting], axes: Sequence[str], language: str) -> list[str]:
    """Which runs learned nothing, and which diverged; at most MOST settings of each by name."""
    text, found = TEXT[language], []
    for name, numbers in (
        ("stuck", [setting.stuck for setting in settings]),
        ("diverged", [setting.diverged for setting in settings]),
    ):
        those = [
            text["some"].format(
                some=some, n=len(setting.rows) + setting.diverged, label=label(setting, axes)
            )
            for setting, some in zip(settings, numbers, strict=True)
            if some
        ]
        if those:
            more = ["..."] if len(those) > MOST else []
            found.append(text[name].format(those="; ".join(those[:MOST] + more)))
    return found


def _effects(
    settings: Sequence[Setting], axes: Sequence[str], preset: Mapping[str, Any], language: str
) -> str | None:
    """The main effects of a 2x2 design, if it is one and enough seeds came through."""
    if len(axes) != 2 or len(settings) != 4:
        return None
    levels = [sorted({shown(s.config[axis]) for s in settings}) for axis in axes]
    for axis, values in zip(axes, levels, strict=True):  # the preset's first: what is changed
        values.sort(key=lambda value: value != shown(preset[axis]))
    if [len(level) for level in levels] != [2, 2]:
        return None
    at = {tuple(shown(s.config[axis]) for axis in axes): s for s in settings}
    shared = sorted(set.intersection(*(set(setting.seeds) for setting in settings)))
    if len(shared) < 2:
        return None

    def cells(measure: str) -> list[list[list[float]]]:
        runs = {
            key: dict(zip(s.seeds, (rows[-1][measure] for rows in s.rows), strict=True))
            for key, s in at.items()
        }
        return [[[runs[a, b][seed] for seed in shared] for b in levels[1]] for a in levels[0]]

    effects, losses = (
        stats.Effects(*map(signed, stats.main_effects(cells(m))))  # type: ignore[arg-type]
        for m in (MEASURE, "train_loss")
    )
    return TEXT[language]["effects"].format(
        first_axis=axes[0],
        first=levels[0],
        second_axis=axes[1],
        second=levels[1],
        effects=effects,
        losses=losses,
        n=len(shared),
    )


def _split(entries: Sequence[Entry], language: str) -> str | None:
    """Where the variance comes from, if the two seeds are crossed."""
    values, losses = (crossed(entries, measure) for measure in (MEASURE, "train_loss"))
    if values is None or losses is None or not (np.ptp(values) and np.ptp(losses)):
        return None
    found, rows, columns = stats.crossed(values), *values.shape
    return TEXT[language]["split"].format(
        rows=rows,
        columns=columns,
        weights=found.rows.share,
        weights_p=found.rows.p,
        order=found.columns.share,
        order_p=found.columns.p,
        rest=found.rest.share,
        loss=stats.crossed(losses),
    )
