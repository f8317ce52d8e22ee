"""What a comparison says, and what it does not: tables, and findings as Messages."""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from tabulate import tabulate

from lenet.analysis import comparison, terms
from lenet.analysis.comparison import EFFECTS, LEVEL, Analysis, Comparison, Network
from lenet.analysis.design import registration
from lenet.analysis.stats import Interval
from lenet.analysis.tuning import CELLS, Cell
from lenet.language import Listed, Message, listed, mark, message, translate

HEADS = (
    mark("activation"),
    mark("pooling"),
    mark("learning rate"),
    "n",
    mark("collapsed"),
    mark("median test accuracy"),
    message("epochs to {level:.2f}", level=LEVEL),
    mark("better, same seed"),
)
CAPTION = mark(
    "The first row is the book's network, at its own learning rate. n: seeds. Brackets: 95% CIs. "
    "Collapsed: training ended at chance level. Epochs: until test accuracy {level:.2f}, "
    "Kaplan-Meier median; > {epochs}: not within {epochs} epochs. Better, same seed: share of "
    "seeds with which the network is more accurate than the tuned {first} (ties left out)."
)
EFFECT_HEADS = (
    mark("effect on test accuracy"),
    mark("difference of medians"),
    mark("with the tuning resampled"),
    mark("secondary: difference of means, seeds with which all four learned, each at 95%"),
)
BESIDE_HEADS = (
    mark("network"),
    mark("learning rate, tuned"),
    mark("neighbouring rate"),
    mark("difference of medians, same seeds"),
    mark("better, same seed"),
    mark("collapsed"),
)
EFFECT_NAMES = {
    "activation": mark("ReLU instead of the sigmoid"),
    "pool": mark("max instead of average pooling"),
    "interaction": mark("interaction: max pooling with ReLU, minus with the sigmoid"),
}
PARTS = {
    "whole": mark("total: from the book's network to ReLU with max pooling"),
    "rate": mark("of it, the learning rate: tuned instead of 0.9"),
    "activation": mark("of it, the activation: ReLU instead of the sigmoid"),
    "pool": mark("of it, the pooling: max instead of average"),
}
"""Of the book's own pairing, taken apart."""

SAID = {
    "activation": {
        "higher": mark("ReLU raises the median test accuracy: {effect}."),
        "lower": mark("ReLU lowers the median test accuracy: {effect}."),
        "negligible": mark(
            "ReLU changes the median test accuracy by less than {margin}: {effect}."
        ),
        "open": mark("The effect of ReLU is inconclusive: {effect}."),
    },
    "pool": {
        "higher": mark("Max pooling raises the median test accuracy: {effect}."),
        "lower": mark("Max pooling lowers the median test accuracy: {effect}."),
        "negligible": mark(
            "Max pooling changes the median test accuracy by less than {margin}: {effect}."
        ),
        "open": mark("The effect of max pooling is inconclusive: {effect}."),
    },
    "interaction": {
        "higher": mark("Max pooling gains more with ReLU than with the sigmoid: {effect}."),
        "lower": mark("Max pooling gains less with ReLU than with the sigmoid: {effect}."),
        "negligible": mark(
            "The gain of max pooling differs by less than {margin} between ReLU and the sigmoid: "
            "{effect}."
        ),
        "open": mark(
            "Whether max pooling gains more with ReLU or with the sigmoid is inconclusive: "
            "{effect}."
        ),
    },
}
HOW = mark(
    "(Differences of medians over {n} seeds; simultaneous 95% CIs by BCa bootstrap over seeds, "
    "Holm over the three. Each network trains at a learning rate tuned for it.)"
)
CLAIM = {
    "true": mark("The claim that ReLU and max pooling work better is true: {tests}."),
    "partly": mark("The claim that ReLU and max pooling work better is partly true: {tests}."),
    "false": mark("That ReLU and max pooling work better is not shown: {tests}."),
}
TESTED = mark(
    "with the same seed, ReLU is better for {activation} of {n}, max pooling for {pool} of {m} "
    "(exact sign tests, p = {p:.1g} and {q:.1g}; false-alarm rate {alarm:g})"
)
PAIRING = mark(
    "The book changes both at once, and its learning rate is not tuned. ReLU with max pooling "
    "minus the book's network: {whole}. The learning rate contributes {rate}, ReLU {activation}, "
    "max pooling {pool} ({n} seeds, 95% CIs)."
)
COLLAPSE = mark("Collapsed runs: {cells}. Minus {first}: {differences} (Newcombe, 95% CIs).")
NO_COLLAPSE = mark("No run of {n} per network collapsed: at most {high:.1%} of runs do (95% CI).")
SOONER = mark(
    "Epochs to test accuracy {level:.2f}: {epochs}. Logrank tests against {first} (Holm over "
    "three): {tests}."
)
LEARNED = mark(
    "Over the {n} seeds with which all four networks learned, the differences of means are: "
    "{effects} (95% CIs)."
)
STABLE = mark(
    "With the tuning seeds resampled, the rule chooses the same learning rate in {shares} of cases."
)
HIGHER = mark(
    "At the next higher learning rate, the median over the same {n} seeds is higher in {cells} (no "
    "intervals). The effects hold at the rates that the rule chose."
)
BRIDGE = mark(
    "In the book's batches of {book} instead of {size}, the effects change by: {changes} ({n} "
    "seeds, 95% CIs)."
)
EDGE = {
    "low": mark(
        "The best learning rate of {cells} is the lowest of the grid; a lower one may be better."
    ),
    "high": mark(
        "The best learning rate of {cells} is the highest of the grid; a higher one may be better."
    ),
}
LIMITS = mark(
    "Results are for one network on {data} after {epochs} epochs, with these learning rates. They "
    "do not cover longer training, other networks or other data."
)


def heads() -> list[Message]:
    """Return what the columns of `rows` are."""
    return [head if isinstance(head, Message) else Message(head) for head in HEADS]


def rows(found: Analysis, epochs: int) -> list[list[str | Message]]:
    """Return the book's network and the four cells."""
    return [_row(each, epochs) for each in found.networks]


def effect_rows(found: Analysis) -> list[list[Message | Interval | str]]:
    """Return the three effects under EFFECT_HEADS; "" where not all four networks learned."""
    return [
        [
            Message(EFFECT_NAMES[name]),
            found.effects[name].interval,
            found.retuned[name],
            found.learned.get(name, ""),
        ]
        for name in EFFECTS
    ]


def part_rows(found: Analysis) -> list[list[Message | Interval | str]]:
    """Return the parts of the book's own pairing, each with its difference of medians."""
    return [[Message(PARTS[name]), part] for name, part in found.pairing.items()]


def beside_rows(found: Analysis) -> list[list[Listed | str]]:
    """Return the learning rates beside the chosen ones, under BESIDE_HEADS."""
    return [
        [
            named(each.cell),
            f"{each.chosen:g}",
            f"{each.rate:g}",
            f"{each.medians:+.4f}".replace("-", "−"),
            f"{each.better}/{each.n}",
            f"{each.collapsed}/{each.n}",
        ]
        for each in found.neighbours
    ]


def tables(found: Analysis, epochs: int, language: str = "en") -> list[str]:
    """Return `rows`, `effect_rows`, `part_rows` and, of runs beside, `beside_rows` as Markdown."""
    pairing = [Message(EFFECT_HEADS[0]), message("difference of medians")]
    of_beside = [Message(head) for head in BESIDE_HEADS]
    beside = [_markdown(beside_rows(found), of_beside, language)] if found.neighbours else []
    return [
        _markdown(rows(found, epochs), heads(), language),
        _markdown(effect_rows(found), [Message(head) for head in EFFECT_HEADS], language),
        _markdown(part_rows(found), pairing, language),
        *beside,
    ]


def caption(epochs: int) -> Message:
    """Return what the columns of `rows` mean."""
    return message(CAPTION, level=LEVEL, epochs=epochs, first=named(CELLS[0]))


def effects(found: Analysis) -> list[Message]:
    """Return the answer: a sentence for each effect, and what it rests on."""
    margin = registration()["margins"]["negligible"]
    said = []
    for name, effect in found.effects.items():
        text = SAID[name][effect.state(margin)]
        said.append(message(text, effect=effect.interval, margin=margin))
    return [*said, message(HOW, n=found.networks[1].n)]


def findings(found: Analysis, runs: Comparison, data: str) -> list[Message]:
    """Return what the runs on the dataset `data` say: the answer first, then the rest."""
    planned, first = runs["design"], found.networks[1]
    said = [*effects(found), _claim(runs)]
    said.append(message(PAIRING, n=found.pairing_seeds, **found.pairing))
    said += [*_collapse(found), _sooner(found, planned["epochs"])]
    if found.learned and found.seeds_learned < first.n:
        shown = _signed(found.learned)
        said.append(message(LEARNED, n=found.seeds_learned, effects=shown))
    shares = [
        message("{cell} {share:.0%}", cell=named(which), share=share)
        for which, share in found.stable.items()
    ]
    said.append(message(STABLE, shares=listed(shares)))
    higher = [each for each in found.neighbours if each.rate > each.chosen and each.medians > 0]
    if higher:
        cells = listed([named(each.cell) for each in higher])
        said.append(message(HIGHER, n=higher[0].n, cells=cells))
    if found.bridge:
        sizes = {"book": planned["book_batch_size"], "size": planned["batch_size"]}
        n = found.bridge_seeds
        said.append(message(BRIDGE, changes=_signed(found.bridge), n=n, **sizes))
    for end, text in EDGE.items():
        at = [which for which, edge in found.edges.items() if edge == end]
        if at:
            said.append(message(text, cells=listed(map(named, at))))
    return [*said, message(LIMITS, data=data, epochs=planned["epochs"])]


def registered(record: Mapping[str, Any]) -> Message:
    """Return when the design of a compare.json was registered, and when its first run began."""
    if not record["registered"]:
        return message("The design is not the registered one, or was not run in a clone.")
    began = record["sessions"][0]["began"]
    return message(
        "The design was registered in commit {commit} ({date}); the first run began {began}.",
        commit=record["registered"]["commit"][:12],
        date=record["registered"]["date"],
        began=began,
    )


def named(which: Cell) -> Listed:
    """Return what a cell is called, such as "ReLU + average"."""
    return listed(map(terms.valued, which), " + ")


def _claim(runs: Comparison) -> Message:
    decided, tests = comparison.claim(runs)
    (relu, n, p), (pool, m, q) = tests["activation"], tests["pool"]
    how = message(
        TESTED, activation=relu, n=n, p=p, pool=pool, m=m, q=q, alarm=comparison.FALSE_ALARM
    )
    return message(CLAIM[decided], tests=how)


def _collapse(found: Analysis) -> Iterable[Message]:
    cells = found.networks[1:]
    if not any(each.collapsed.mean for each in cells):
        yield message(NO_COLLAPSE, n=cells[0].n, high=cells[0].collapsed.high)
        return
    shares = [
        message("{cell} {share}", cell=named(each.cell), share=_share(each.collapsed, each.n))
        for each in cells
    ]
    differences = [
        message("{cell} {share}", cell=named(each.cell), share=_percent(each.collapse_difference))
        for each in cells
        if each.collapse_difference
    ]
    yield message(
        COLLAPSE, cells=listed(shares), first=named(CELLS[0]), differences=listed(differences)
    )


def _sooner(found: Analysis, last: int) -> Message:
    cells = found.networks[1:]
    epochs = [
        message("{cell} {epochs}", cell=named(each.cell), epochs=_epochs(each.epochs, last))
        for each in cells
    ]
    tests = [
        message("{cell} p = {p:.2g}", cell=named(each.cell), p=each.logrank)
        for each in cells
        if each.logrank is not None
    ]
    first = named(CELLS[0])
    return message(SOONER, level=LEVEL, epochs=listed(epochs), tests=listed(tests), first=first)


def _signed(intervals: dict[str, Interval]) -> Listed:
    return listed(
        message("{name} {interval}", name=Message(SHORT[name]), interval=interval)
        for name, interval in intervals.items()
    )


SHORT = {
    "activation": "ReLU",
    "pool": mark("max pooling"),
    "interaction": mark("interaction"),
}


def _row(each: Network, last: int) -> list[str | Message]:
    median = each.median
    return [
        *map(terms.valued, each.cell),
        f"{each.rate:.3g}",
        str(each.n),
        _share(each.collapsed, each.n),
        f"{median.mean:.4f} [{median.low:.4f}, {median.high:.4f}]",
        _epochs(each.epochs, last),
        _percent(each.better) if each.better else "",
    ]


def _share(share: Interval, n: int) -> str:
    return f"{round(share.mean * n)}/{n} [{share.low:.0%}, {share.high:.0%}]"


def _percent(share: Interval | None) -> str:
    assert share is not None
    shown = f"{share.mean:.0%} [{share.low:.0%}, {share.high:.0%}]"
    return shown.replace("-", "−")


def _epochs(epochs: Interval, last: int) -> str:
    def shown(epoch: float) -> str:
        return f"{epoch:g}" if math.isfinite(epoch) else f"> {last}"

    return f"{shown(epochs.mean)} [{shown(epochs.low)}, {shown(epochs.high)}]"


def _markdown(
    cells: Sequence[Sequence[str | Message | Listed | Interval]],
    heads: Sequence[Message],
    language: str,
) -> str:
    t = partial(translate, language)
    shown = [
        [str(value) if isinstance(value, Interval) else t(value) for value in row]
        for row in (heads, *cells)
    ]
    return tabulate(shown[1:], shown[0], tablefmt="github", disable_numparse=True)
