"""The verdict of a report: what the records come to, said before any number.

Functions of recorded numbers that return data: a state, and messages in no language yet.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from lenet.analysis import comparison_findings, findings, terms
from lenet.analysis.comparison import Analysis
from lenet.analysis.design import registration
from lenet.analysis.summary import Sweep
from lenet.engine import chance
from lenet.engine.rows import Row
from lenet.language import Message, mark, message

EARLY = 2
"""Epochs by whose end a run has usually left the plateau: 178 of 199 published runs had."""
USUAL = 5
"""A percentile among the published runs below which a run is not called normal."""

INCOMPLETE = mark("Training is incomplete: results after {done} of {all} epochs.")
DIVERGED = mark(
    "Diverged: in epoch {done} the training loss is {loss:.3f}, above chance level "
    "(ln {classes} = {guess:.3f}). Lower --lr."
)
WAITING = mark(
    "The training loss is still {loss:.3f}, at chance level (ln {classes} = {guess:.3f}). This is "
    "normal in the first epochs."
)
STUCK = mark(
    "Stuck at chance level: in epoch {done} the training loss is {loss:.3f} (ln {classes} = "
    "{guess:.3f}) and the test accuracy {accuracy:.3f}. Try another --seed, another --lr or "
    "other initial weights."
)
COLLAPSED = mark(
    "Collapsed: after {peak:.3f} in epoch {at} the test accuracy is {accuracy:.3f}, and the "
    "training loss {loss:.3f}, at chance level (ln {classes} = {guess:.3f}). Lower --lr."
)
MEMORISED = mark(
    "Did not generalise: the training loss fell to {loss:.3f}, but the test accuracy, "
    "{accuracy:.3f}, is at chance level (1/{classes})."
)
MAJORITY = mark(
    "Learned no more than which class is the most frequent: test accuracy {accuracy:.3f}; always "
    "answering that class gives {majority:.3f}."
)
NORMAL = mark(
    "Learned normally: left the plateau at chance level (loss ln {classes} = {guess:.3f}) in epoch "
    "{left}."
)
LEFT = mark(
    "Left the plateau at chance level (loss ln {classes} = {guess:.3f}) in epoch {left}: test "
    "accuracy {accuracy:.3f}."
)
LEARNED = mark("Learned from the first epoch: test accuracy {accuracy:.3f}.")
PLACE = mark(
    "Test accuracy {accuracy:.3f} is at percentile {percentile:.0f} of {runs} published PyTorch "
    "runs."
)

State = Literal["good", "open", "bad"]


class Verdict(NamedTuple):
    """What the records come to."""

    state: State
    messages: tuple[Message, ...]  # the conclusion first


def of_run(
    rows: Sequence[Row],
    epochs: int,
    num_classes: int,
    place: Mapping[str, Any] | None = None,
    majority: float = 0.0,
) -> Verdict | None:
    """Return whether a run learned; None without records, or of a single class.

    Args:
      rows: its finished epochs.
      epochs: that the run is to have.
      num_classes: K, which sets chance level: a loss of log K and an accuracy of 1/K.
      place: as `published.place` returns it.
      majority: the share of the most frequent class, as in `Data`.
    """
    if not rows or num_classes < 2:
        return None
    done, last, guess = len(rows), rows[-1], chance.loss(num_classes)
    # A loss above log K says no more than log K itself: the network has learned nothing yet.
    learned = [
        not chance.on_plateau(min(row.train_loss, guess), row.test_accuracy, num_classes)
        for row in rows
    ]
    percentile = place["percentile"]["test_accuracy"] if place else None
    peak = max(rows, key=lambda row: row.test_accuracy)
    values: dict[str, Any] = {
        "peak": peak.test_accuracy,
        "at": peak.epoch,
        "loss": last.train_loss,
        "accuracy": last.test_accuracy,
        "classes": num_classes,
        "majority": majority,
        "guess": guess,
        "done": done,
        "all": epochs,
        "left": 1 + max((i for i, each in enumerate(learned, 1) if not each), default=0),
        "percentile": percentile,
        "runs": place["runs"] if place else 0,
    }
    texts: list[str] = []
    state: State = "bad"
    if not learned[-1]:
        if not chance.on_plateau(last.train_loss, last.test_accuracy, num_classes):
            texts = [DIVERGED]
        elif done < epochs and done <= EARLY:
            state, texts = "open", [WAITING]
        else:
            texts = [COLLAPSED if any(learned) else STUCK]
    elif chance.at_level(last.test_accuracy, num_classes):
        texts = [MEMORISED]
    elif last.test_accuracy <= majority:
        texts = [MAJORITY]
    else:
        normal = percentile is not None and values["left"] <= EARLY and percentile >= USUAL
        state, texts = "good", [NORMAL if normal else LEFT if values["left"] > 1 else LEARNED]
        texts += [PLACE] if percentile is not None else []
    if done < epochs:
        state = "bad" if state == "bad" else "open"
        texts = [INCOMPLETE, *texts]
    return Verdict(state, tuple(Message(text, values) for text in texts))


ONE = mark("Mean {measure} {mean:.4f} over {runs} runs of one setting.")
LOST = mark("No setting learned: all {runs} runs ended at chance level or diverged.")
CLOSE = mark(
    "Whether it is better than the next, {next}, is open: {lead} (95% CI, paired by seed)."
)
AGAINST = {
    "higher": mark(
        "Its test accuracy is higher than with the preset's setting, {base}: {difference} "
        "(simultaneous 95% CI)."
    ),
    "lower": mark(
        "Its test accuracy is lower than with the preset's setting, {base}: {difference} "
        "(simultaneous 95% CI)."
    ),
    "open": mark(
        "Its difference in test accuracy from the preset's setting, {base}, is inconclusive: "
        "{difference} (simultaneous 95% CI)."
    ),
}
MISSING = mark("The sweep is incomplete (missing runs: {missing}).")


def of_sweep(sweep: Sweep, missing: int = 0) -> Verdict:
    """Return the best setting of a sweep, and whether it is better than the next and the preset's.

    At least one run of the best setting finished; `missing` runs did not.
    """
    settings = sweep.settings
    runs = sum(len(setting.entries) for setting in settings)
    state: State = "open" if missing > 0 else "good"
    said = [message(MISSING, missing=missing)] if missing > 0 else []
    if runs == sum(setting.collapsed + setting.diverged for setting in settings):
        return Verdict("bad", (*said, message(LOST, runs=runs)))
    if len(settings) == 1:
        final = settings[0].final(sweep.measure)
        mean = final.mean if final else float("nan")
        said.append(message(ONE, measure=terms.named(sweep.measure), mean=mean, runs=runs))
        return Verdict(state, tuple(said))
    said.append(findings.best(sweep))
    first, second, *_ = settings
    lead = findings.lead(sweep)
    if lead and lead.side == "open" and second is not sweep.base:
        said.append(message(CLOSE, next=findings.label(second, sweep.axes), lead=lead))
    if sweep.base and sweep.base is not first:
        by = findings.differences(sweep)[0][1]
        if by:
            label = findings.label(sweep.base, sweep.axes)
            said.append(message(AGAINST[by.side], base=label, difference=by))
    return Verdict(state, tuple(said))


def of_comparison(found: Analysis) -> Verdict:
    """Return what ReLU, max pooling and both together change; open where an effect is."""
    margin = registration()["margins"]["negligible"]
    states = {effect.state(margin) for effect in found.effects.values()}
    return Verdict(
        "open" if "open" in states else "good", tuple(comparison_findings.effects(found))
    )
