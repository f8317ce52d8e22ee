"""The design of the comparison: which runs, and in which order.

    tuning      every cell × learning rate of its grid
    refining    the best three adjacent rates of each cell, with fresh seeds
    final       each cell at the rate that the rule chooses: fresh seeds, the same in all cells
    book        sigmoid and average pooling at the book's 0.9, with the first of these seeds
    bridge      each cell as in `final`, in the book's batches of 256: whether the size matters
    neighbours  the learning rates beside the chosen one

The registered design, with the reasons and the analysis, is `comparison_registration.json`. It was
committed before the first run; `stages` only carries it out, with the rule of `tuning`.
"""

import dataclasses
import datetime
import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any

from lenet.analysis.tuning import CELLS, Cell, Run, choose, kept, neighbours, record_of, window
from lenet.config import Config
from lenet.errors import RecordError
from lenet.records.ledger import Entry

REGISTRATION = "comparison_registration.json"
STAGES = ("tuning", "refining", "final", "book", "bridge", "neighbours")


@dataclasses.dataclass(frozen=True)
class Design:
    """What a comparison trains: numbers alone, as JSON holds them."""

    rates: Mapping[str, Sequence[float]]  # ascending grids of learning rates, by activation
    seeds: Mapping[str, int]  # per setting, by stage
    first_seed: Mapping[str, int]  # of tuning, refining and final; later stages share the latter's
    book_rate: float
    book_batch_size: int
    batch_size: int
    epochs: int
    valid: int  # examples held out in tuning and refining
    dataset: str

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values for JSON."""
        return json.loads(json.dumps(dataclasses.asdict(self)))


@functools.cache
def registration() -> dict[str, Any]:
    """Return what was registered before the first run."""
    path = resources.files("lenet.analysis") / REGISTRATION
    return json.loads(path.read_text(encoding="utf-8"))


def registered() -> Design:
    """Return the registered design."""
    return Design(**registration()["design"])


def check(record: Mapping[str, Any]) -> None:
    """Raise a RecordError that names how a compare.json differs from the registration."""
    wanted = registration()
    sessions = record["sessions"]
    found: dict[str, tuple[Any, Any]] = {
        "design": (record["design"], wanted["design"]),
        "data": (
            {f"{each['valid']} held out": each["sha256"] for each in record["data"]},
            wanted["data"],
        ),
        "sources": (sessions[0]["environment"]["sources"], wanted["sources"]),
    }
    for session in sessions:
        versions = session["environment"]["versions"]
        found[f"versions of {session['began']}"] = (
            {name: versions.get(name) for name in wanted["pins"]},
            wanted["pins"],
        )
    if differ := [name for name, (own, registered) in found.items() if own != registered]:
        raise RecordError(
            f"not the registered comparison: {', '.join(differ)}. Collect one that "
            "experiments.compare made without other flags, at the commit of the registration."
        )
    if not record["registered"]:
        raise RecordError("its registration was not committed when it began")


def earlier(
    registered: dict[str, str] | None, sessions: Sequence[Mapping[str, Any]]
) -> dict[str, str] | None:
    """Return the registration, a commit and its date, if it is older than the first run.

    For records of machines that had the sources without their history.

    >>> found = {"commit": "a7aa0ac", "date": "2026-11-26T23:10:38+00:00"}
    >>> earlier(found, [{"began": "2026-11-26T23:19:04+00:00"}]) == found
    True
    >>> earlier(found, [{"began": "2026-11-26T23:00:00+00:00"}]) is None
    True
    """
    if registered is None or not sessions:
        return registered
    date, began = (
        datetime.datetime.fromisoformat(each) for each in (registered["date"], sessions[0]["began"])
    )
    return registered if date < began else None


def stages(design: Design, entries: Iterable[Entry], num_classes: int) -> dict[str, list[Config]]:
    """Return the runs of each stage, as far as they are known.

    Runs are numbered through all stages. What the tuning decides is known once it is finished.

    Raises:
      RecordError: naming a finished run that is none of them.
    """
    done = {entry.run: entry for entry in entries}
    found = _known(design, done, num_classes)
    configs = [config for members in found.values() for config in members]
    for run, entry in done.items():
        if run >= len(configs) or entry.config != configs[run]:
            raise RecordError(f"run {run} is not of this design")
    return found


def missing(
    known: Mapping[str, Sequence[Config]], entries: Iterable[Entry]
) -> tuple[str, dict[int, Config]]:
    """Return the first stage that is not finished with its missing runs; none if all are."""
    done = {entry.run for entry in entries}
    start = 0
    for stage, members in known.items():
        todo = {run: each for run, each in enumerate(members, start) if run not in done}
        if todo:
            return stage, todo
        start += len(members)
    return "", {}


def _known(design: Design, done: Mapping[int, Entry], num_classes: int) -> dict[str, list[Config]]:
    tuning = [
        config
        for which in CELLS
        for rate in design.rates[which[0]]
        for config in _seeded(design, "tuning", which, rate, valid=design.valid)
    ]
    found = {"tuning": tuning}

    def tried() -> list[Run] | None:
        """Return the runs of the stages so far, or None if one of them is not finished."""
        count = sum(map(len, found.values()))
        there = [done[run] for run in range(count) if run in done]
        return [kept(each, num_classes) for each in there] if len(there) == count else None

    if (first := tried()) is None:
        return found
    found["refining"] = [
        config
        for which in CELLS
        for rate in window(record_of(first, which))
        for config in _seeded(design, "refining", which, rate, valid=design.valid)
    ]
    if (both := tried()) is None:
        return found
    rates = {which: choose(record_of(both, which)) for which in CELLS}
    chosen = list(rates.items())
    book = {"batch_size": design.book_batch_size}
    beside = [
        (which, rate)
        for which in CELLS
        for rate in neighbours(design.rates[which[0]], rates[which])
    ]
    for stage, settings, changes in (
        ("final", chosen, {}),
        ("book", [(CELLS[0], design.book_rate)], {}),
        ("bridge", chosen, book),
        ("neighbours", beside, {}),
    ):
        found[stage] = [
            config
            for which, rate in settings
            for config in _seeded(design, stage, which, rate, **changes)
        ]
    return found


def _seeded(design: Design, stage: str, which: Cell, rate: float, **changes: Any) -> list[Config]:
    """Return the runs of a setting, one for each seed of the stage."""
    base = Config(
        activation=which[0],
        pool=which[1],
        lr=rate,
        epochs=design.epochs,
        batch_size=design.batch_size,
        dataset=design.dataset,
    )
    first = design.first_seed.get(stage, design.first_seed["final"])
    return [
        dataclasses.replace(base, seed=first + i, **changes) for i in range(design.seeds[stage])
    ]
