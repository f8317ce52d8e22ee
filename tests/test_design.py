"""The rule that tunes, on tables worked by hand; the stages; what is not as registered."""

import copy
import dataclasses

import pytest
import record_rows
from record_rows import PLANNED

from lenet.analysis import design
from lenet.analysis.tuning import CELLS, Tried, choose, window
from lenet.errors import RecordError

SPREAD = (-0.004, -0.002, -0.001, 0.001, 0.002, 0.004) * 2  # sd 0.0027, standard error 0.0008


def tried(rate: float, median: float, collapsed: int = 0, runs: int = 12) -> Tried:
    return Tried(rate, [median + each for each in SPREAD[:runs]], collapsed)


@pytest.mark.parametrize(
    ("table", "chosen"),
    [
        # the highest median
        ([tried(1, 0.80), tried(2, 0.82), tried(4, 0.81)], 2),
        # within one standard error the smaller, which need not be adjacent
        ([tried(1, 0.8195), tried(2, 0.81), tried(4, 0.82)], 1),
        ([tried(1, 0.8190), tried(2, 0.81), tried(4, 0.82)], 4),
        # not one with a collapse, however accurate
        ([tried(1, 0.80), tried(2, 0.81), tried(4, 0.90, 1)], 2),
        # one step back: two collapses at the next rate rule it out, one does not
        ([tried(1, 0.80), tried(2, 0.82), tried(4, 0.90, 2)], 1),
        # the next rate counts even if it was not refined, and cannot win itself
        ([tried(1, 0.80), tried(2, 0.82), tried(4, 0.90, 2, runs=4)], 1),
        ([tried(1, 0.80), tried(2, 0.82), tried(4, 0.90, 1, runs=4)], 2),
        ([tried(1, 0.80), tried(2, 0.82), tried(4, 0.90, 0, runs=4)], 2),
        # a rate below the refined ones cannot win, either
        ([tried(0.5, 0.90, runs=4), tried(1, 0.80), tried(2, 0.82)], 2),
        # nothing is safe: the fewest collapses, of these the smallest
        ([tried(1, 0.80, 2), tried(2, 0.90, 1), tried(4, 0.95, 1)], 2),
        ([tried(1, 0.80), tried(2, 0.90, 2), tried(4, 0.95, 5)], 1),
    ],
)
def test_the_rule_steps_back_from_the_cliff(table, chosen):
    assert choose(table) == chosen


def test_the_best_window_is_adjacent_and_a_lucky_run_does_not_make_it():
    lucky = Tried(8, [0.1, 0.1, 0.1, 0.99], 3)
    table = [tried(1, 0.7), tried(2, 0.8), tried(4, 0.75), lucky]
    assert window(table) == [1, 2, 4]
    assert window([tried(rate, 0.5) for rate in (1, 2, 4, 8)]) == [1, 2, 4]
    assert window([tried(1, 0.5), tried(2, 0.5)]) == [1, 2]


def test_stages_follow_from_what_is_finished_and_from_nothing_else():
    entries = record_rows.carried_out(PLANNED)
    known = design.stages(PLANNED, entries, 10)
    counts = {stage: len(members) for stage, members in known.items()}
    # The chosen rate, 0.5, has a neighbour on both sides.
    assert counts == {
        "tuning": 4 * 4 * 2,
        "refining": 4 * 3 * 1,
        "final": 4 * 3,
        "book": 3,
        "bridge": 4 * 2,
        "neighbours": 4 * 2 * 2,
    }
    assert tuple(known) == design.STAGES
    for done, expected in ((0, 1), (5, 1), (32, 2), (40, 2), (44, 6), (50, 6)):
        part = design.stages(PLANNED, entries[:done], 10)
        assert part == {stage: known[stage] for stage in design.STAGES[:expected]}
        assert min(design.missing(part, entries[:done])[1]) == done
    assert design.missing(known, entries) == ("", {})


def test_final_seeds_are_the_same_in_all_cells_and_fresh():
    known = design.stages(design.registered(), [], 10)
    assert list(known) == ["tuning"]
    planned = dataclasses.replace(design.registered(), rates=PLANNED.rates)
    known = design.stages(planned, record_rows.carried_out(planned), 10)
    seeds = {stage: {config.seed for config in members} for stage, members in known.items()}
    assert not seeds["tuning"] & seeds["refining"]
    assert not (seeds["tuning"] | seeds["refining"]) & seeds["final"]
    by_cell = {
        cell: [c.seed for c in known["final"] if (c.activation, c.pool) == cell] for cell in CELLS
    }
    assert len({tuple(each) for each in by_cell.values()}) == 1
    assert seeds["book"] | seeds["bridge"] | seeds["neighbours"] < seeds["final"]
    assert {c.batch_size for c in known["bridge"]} == {256}
    assert 60_000 % planned.batch_size == 50_000 % planned.batch_size == 0


def test_a_run_of_another_design_is_refused():
    entries = record_rows.carried_out(PLANNED)
    other = entries[3]._replace(config=dataclasses.replace(entries[3].config, lr=0.2))
    with pytest.raises(RecordError, match="run 3 is not of this design"):
        design.stages(PLANNED, [*entries[:3], other], 10)
    early = entries[50]  # of the final stage, before the tuning has finished
    with pytest.raises(RecordError, match="run 50 is not of this design"):
        design.stages(PLANNED, [*entries[:10], early], 10)


def session(**changes) -> dict:
    wanted = design.registration()
    versions = {"lenet": "0.1.0"} | wanted["pins"] | changes
    return {"began": "now", "environment": {"sources": wanted["sources"], "versions": versions}}


def as_registered() -> dict:
    wanted = design.registration()
    return {
        "design": copy.deepcopy(wanted["design"]),
        "registered": {"commit": "0" * 40, "date": "then"},
        "data": [
            {"valid": int(name.split()[0]), "sha256": digest}
            for name, digest in wanted["data"].items()
        ],
        "sessions": [session()],
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r["design"]["seeds"].update(final=63), "design"),
        (lambda r: r["design"]["rates"]["relu"].append(1.0), "design"),
        (lambda r: r["data"][0].update(sha256="0"), "data"),
        (lambda r: r["sessions"][0]["environment"].update(sources="0"), "sources"),
        (lambda r: r["sessions"].append(session(jax="0.9")), "versions of now"),
        (lambda r: r.update(registered=None), "was not committed"),
    ],
)
def test_a_record_that_differs_from_the_registration_is_refused(change, said):
    record = as_registered()
    design.check(record)
    record["sessions"].append(session(lenet="0.2.0"))  # other sources and machines may go on
    design.check(record)
    change(record)
    with pytest.raises(RecordError, match=said):
        design.check(record)
