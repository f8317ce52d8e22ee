"""Train runs up to an epoch and keep their states, so that they can be paused and continued.

A leg continues the runs of a group from one epoch to another. Its rows and states are bitwise
identical to those of runs that train without a pause.
"""

import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

from lenet.config import Config
from lenet.engine import sweep
from lenet.engine.rows import Row
from lenet.engine.sgd import State
from lenet.engine.stacking import groups
from lenet.engine.sweep import Program
from lenet.errors import DivergedError


class Reached(NamedTuple):
    """Where a run stands at the end of a leg."""

    rows: list[Row]  # of the epochs of the leg
    diverged: str | None  # where and why it stopped
    state: State | None  # after the last epoch, NumPy arrays; None if it diverged


class Task(NamedTuple):
    """A leg that is to be trained, of a trial with one seed."""

    trial: int
    seed: int  # its number
    config: Config
    start: int  # epochs trained so far
    until: int


class Came(NamedTuple):
    """What came of legs: rows of the epochs that ended, and where runs stand whose leg ended."""

    rows: dict[tuple[int, int, int], Row]  # by trial, seed and `until` of their leg
    reached: dict[Task, Reached]


def chunks(tasks: Sequence[Task], size: int) -> Iterator[list[Task]]:
    """Yield the tasks that can train together, at most `size` at a time."""
    for group in groups([task.config for task in tasks]):
        by_leg: dict[tuple[int, int], list[Task]] = {}
        for task in (tasks[index] for index in group):
            by_leg.setdefault((task.start, task.until), []).append(task)
        for some in by_leg.values():
            for begin in range(0, len(some), size):
                yield some[begin : begin + size]


def advance(
    program: Program, tasks: Sequence[Task], states: Mapping[Task, State]
) -> Iterator[Came]:
    """Train legs together; yield the rows of each epoch, and at the end where each run stands.

    Args:
      program: of the group of the runs.
      tasks: a chunk: at least one, at most as many as the program has lanes.
      states: of each run after the epochs before; none of a new one.
    """
    runs = {number: task.config for number, task in enumerate(tasks)}
    _, _, _, start, until = tasks[0]
    begin = None
    if start:
        filled = [*tasks, *[tasks[-1]] * (program.lanes.size - len(tasks))]
        begin = start, jax.tree.map(lambda *x: np.stack(x), *(states[task] for task in filled))
    rows: dict[int, list[Row]] = {run: [] for run in runs}
    diverged: dict[int, str] = {}
    for epoch in sweep.fit_chunk(program, runs, begin):
        for run, row in epoch.rows.items():
            if isinstance(row, DivergedError):
                diverged[run] = str(row)
            else:
                rows[run].append(row)
        came = {
            (tasks[run].trial, tasks[run].seed, until): row
            for run, row in epoch.rows.items()
            if isinstance(row, Row)
        }
        yield Came(came, {})
        if any(row.epoch == until for row in epoch.rows.values() if isinstance(row, Row)):
            break
    ends = jax.device_get(epoch.state)
    reached = {
        task: Reached(
            rows[run],
            diverged.get(run),
            None if run in diverged else jax.tree.map(operator.itemgetter(run), ends),
        )
        for run, task in enumerate(tasks)
    }
    yield Came({}, reached)
