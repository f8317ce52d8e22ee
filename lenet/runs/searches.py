"""Train the trials of a search, leg by leg; each leg is in the ledger before the next decision."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lenet import data as datasets
from lenet import files, records, stopping, train
from lenet.config import Config
from lenet.data import Data
from lenet.data.splits import blind
from lenet.engine import cores, lanes, legs, selfcheck, sweep
from lenet.engine.legs import Came, Reached, Task
from lenet.engine.sgd import State
from lenet.engine.stacking import shared
from lenet.errors import RecordError, UsageError
from lenet.records import checkpoint
from lenet.records.checkpoint import Checkpoint
from lenet.search import LEDGER, Leg, Mark, Plan, Run, Trial, key, ledger
from lenet.search.plan import begun, trained

if TYPE_CHECKING:
    from distributed import Client

STATES = "states"
"""The directory of the states in which runs were paused, one below it for each run."""


class News(NamedTuple):
    """What came of legs and proposals; it is in the ledger, but for epochs of unfinished legs."""

    trials: list[Trial]  # all of the search
    changed: list[int]  # those that were proposed, or have got further
    epochs: int  # trained so far, with those of legs that are under way
    examples: int  # trained on since the last news
    under_way: int  # runs that are being trained
    workers: int  # of the cluster; 0: this process trains


Ask = Callable[[int], list[Task]]
"""The next tasks, at most as many as asked for; none while there is nothing to decide."""
Done = tuple[Came, int]
"""What came of tasks, and the number of workers."""


def load_blind(dataset: str, data_dir: str | Path | None, valid: int) -> Data:
    """Load the data of a search, also on a worker."""
    return blind(datasets.load(dataset, data_dir=data_dir, valid=valid))


def search(
    plan: Plan,
    data: Data,
    run_dir: Path,
    *,
    data_dir: str | Path | None = None,
    connect: "Callable[[], AbstractContextManager[Client]] | None" = None,
    patience: float = 300,
) -> Iterator[News]:
    """Train what the ledger of a search lacks; yield each time that an epoch or a leg ended.

    Args:
      plan: of the search.
      data, data_dir: with held-out images; workers load the same for themselves.
      run_dir: whose ledger and states this continues.
      connect: to a cluster. By default, the cores of this machine are one where that pays.
      patience: seconds to wait for a cluster that has no worker.

    Raises:
      LenetError: as `cluster.fit`.
    """
    selfcheck.check()
    data = blind(data)
    path = run_dir / LEDGER
    ledger.repair(path)
    found = ledger.read(path)
    under_way: dict[tuple[int, int], int] = {}  # by run: the epoch it is being trained to
    partly: dict[tuple[int, int], int] = {}  # epochs of its leg so far
    attributes: dict[int, dict[str, Any]] = {}
    proposed: list[int] = []

    def ask(free: int) -> list[Task]:
        nonlocal found
        tasks: list[Task] = []
        while len(tasks) < free:
            tasks = _tasks(plan, found, under_way)[:free]
            if len(tasks) == free or len(found) == plan.trials:
                break
            new = plan.propose(found, attributes)
            assert all(key(new.setting) != key(x.setting) for x in found)
            lines: list[Trial | Leg] = [new, *_impossible(plan, new, data)]
            ledger.append(path, lines)
            found = functools.reduce(ledger.with_line, lines, found)
            proposed.append(new.number)
        under_way.update({(task.trial, task.seed): task.until for task in tasks})
        return tasks

    environment = records.environment()
    state_of = functools.partial(_load, run_dir, data)
    for (rows, reached), workers in _train(plan, ask, data, state_of, data_dir, connect, patience):
        for (trial, seed, until), row in rows.items():
            if under_way.get((trial, seed)) == until:
                before = found[trial].runs.get(seed, Run()).marks
                partly[trial, seed] = row.epoch - len(before)
        ended: list[Trial | Leg] = []
        for task, end in reached.items():
            if end.state is not None:
                _save(run_dir, task, data, environment, end.state)
            marks = tuple(map(Mark.of, end.rows))
            ended.append(Leg(task.trial, task.seed, marks, end.diverged))
            del under_way[task.trial, task.seed]
            partly.pop((task.trial, task.seed), None)
        if ended:
            ledger.append(path, ended)
        for task in filter(lambda task: task.start, reached):
            files.remove(_state_path(run_dir, task, task.start))
        found = functools.reduce(ledger.with_line, ended, found)
        changed, proposed[:] = [*proposed, *(task.trial for task in reached)], []
        epochs = sum(each.epochs for each in found) + sum(partly.values())
        examples = sum(row.count for row in rows.values())
        yield News(found, changed, epochs, examples, len(under_way), workers)
        if reached:
            stopping.stop_if_asked()


def _impossible(plan: Plan, trial: Trial, data: Data) -> list[Leg]:
    """Return legs that say why a setting cannot be trained; none if it can."""
    try:
        train.check(plan.config(trial.setting, 0), data)
    except UsageError as error:
        return [Leg(trial.number, seed, (), f"impossible: {error}") for seed in range(plan.seeds)]
    return []


def _tasks(
    plan: Plan, found: Sequence[Trial], under_way: Mapping[tuple[int, int], int]
) -> list[Task]:
    """Return the legs that are due and not under way: those that are furthest first."""
    reached = begun(found)
    for (trial, _), until in under_way.items():
        reached[trial] = max(reached[trial], until)
    wanted = {
        (number, seed): until
        for number, until in plan.targets(found, reached).items()
        for seed in range(plan.seeds)
    }
    due = [_task(plan, found[number], seed, to) for (number, seed), to in wanted.items()]
    due = [task for task in due if task is not None]
    if not due and plan.decided(found):
        more = plan.more_seeds(found).items()
        due = [
            _task(plan, found[number], seed, plan.rule.most)
            for number, seeds in more
            for seed in range(plan.seeds, seeds)
        ]
    free = [task for task in due if task and (task.trial, task.seed) not in under_way]
    return sorted(free, key=lambda task: (-task.until, task.trial, task.seed))


def _task(plan: Plan, trial: Trial, seed: int, until: int) -> Task | None:
    """Return what is left of a run up to an epoch; None if nothing is."""
    run = trial.runs.get(seed, Run())
    if trained(run, until):
        return None
    config = plan.config(trial.setting, seed)
    return Task(trial.number, seed, config, len(run.marks), until)


def _train(
    plan: Plan,
    ask: Ask,
    data: Data,
    state_of: Callable[[Task], State],
    data_dir: str | Path | None,
    connect: "Callable[[], AbstractContextManager[Client]] | None",
    patience: float,
) -> Iterator[Done]:
    """Train what is asked for: in this process, or on workers where there are some, or it pays."""
    base = plan.base
    count = plan.trials * plan.seeds
    places = cores.for_workers([base] * count, data)
    if not (connect or places):
        here = lanes.spread(count)
        if here.vectorise:
            here = lanes.choose(train.check(base, data), base, data, count)
        yield from _here(ask, data, state_of, here.size)
        return
    from lenet import cluster  # distributed takes a second to import

    load = functools.partial(load_blind, base.dataset, data_dir, base.valid)
    with connect() if connect else cluster.local(places) as client:
        rules = plan.code.values() or [base.optimizer]
        code = records.code_of(dataclasses.replace(base, optimizer=rule) for rule in rules)
        direct = train.direct([base], data)
        yield from cluster.follow(
            client, ask, state_of, base, count, data, load, code, direct, patience
        )


def _here(ask: Ask, data: Data, state_of: Callable[[Task], State], size: int) -> Iterator[Done]:
    """Train in this process, runs that share a program together."""
    firsts: dict[Any, Config] = {}

    @functools.lru_cache(maxsize=4)
    def program(first: Config, count: int) -> sweep.Program:
        model = train.check(first, data)
        return sweep.compiled(model, first, data, lanes.choose(model, first, data, count))

    while tasks := ask(size):
        reached: dict[Task, Reached] = {}
        for chunk in legs.chunks(tasks, size):
            first = chunk[0].config
            here = program(firsts.setdefault(shared(first), first), len(chunk))
            for some in legs.chunks(chunk, here.lanes.size):
                states = {task: state_of(task) for task in some if task.start}
                for came in legs.advance(here, some, states):
                    reached |= came.reached
                    if came.rows:
                        yield came, 0
        yield Came({}, reached), 0


def _save(run_dir: Path, task: Task, data: Data, environment: dict[str, Any], state: State) -> None:
    """Save the state of a run after a leg."""
    about = data.image_shape, data.num_classes, data.fingerprint, environment
    saved = Checkpoint(task.until, task.config, *about, state)
    files.write(_state_path(run_dir, task, task.until), checkpoint.to_bytes(saved))


def _state_path(run_dir: Path, task: Task, epoch: int) -> Path:
    return run_dir / STATES / f"{task.trial:05d}-{task.seed}-{epoch:05d}.npz"


def _load(run_dir: Path, data: Data, task: Task) -> State:
    """Return the state in which a run was paused.

    Raises:
      RecordError: if it is missing, damaged, or of another run.
    """
    path = _state_path(run_dir, task, task.start)
    rule = task.config.optimizer
    found = checkpoint.load(path, task.config.network, rule if callable(rule) else None)
    if (found.config, found.epoch, found.data) != (task.config, task.start, data.fingerprint):
        raise RecordError(f"{path}: not the state of trial {task.trial} after epoch {task.start}")
    return found.state
