"""Show a search as a study in a database, which optuna-dashboard reads while it runs.

The database is written, never read: the study is made anew from the ledger at each start. A trial
is running there until nothing more is to be trained of it: one that is paused may be promoted.
"""

import contextlib
import logging
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lenet import files
from lenet.errors import LenetError, UsageError
from lenet.search import proposals
from lenet.search.ledger import Trial
from lenet.search.plan import Plan

if TYPE_CHECKING:
    import optuna

log = logging.getLogger("lenet")

DATABASE = "study.db"
"""SQLite, in the run directory, where no other database is named."""
SECONDS = 10
"""To wait for a database."""


def hidden(url: str) -> str:
    """Return a URL, or a command with one, without its password, whatever that contains.

    >>> hidden("postgresql://me:secret@host/db"), hidden("postgresql:///db?password=secret&port=1")
    ('postgresql://me:***@host/db', 'postgresql:///db?password=***&port=1')
    >>> hidden("search --storage=postgresql://me:p/s@ss@host/db --data_dir=me@home")
    'search --storage=postgresql://me:***@host/db --data_dir=me@home'
    """
    url = re.sub(r"(://[^:/@\s]*):(?:(?! --).)*@", r"\1:***@", url)  # up to the next flag
    return re.sub(r"([?&](?:ssl)?password=)[^&\s'\"]*", r"\1***", url)


def of_run(storage: str | None, run_dir: Path) -> "optuna.storages.RDBStorage | None":
    """Return the database of a search: the one named, or a file in the run directory.

    A damaged file is made anew; None if there can be none, which is logged.

    Raises:
      UsageError: as `open_storage`, of the one named.
    """
    if storage:
        return open_storage(storage)
    path = (run_dir / DATABASE).resolve()
    for attempt in range(2):
        try:
            return open_storage(f"sqlite:///{path}")
        except UsageError as error:
            if attempt:
                log.warning("warning: %s The search continues without.", error)
            with contextlib.suppress(LenetError):
                files.remove(path)
    return None


def open_storage(url: str) -> "optuna.storages.RDBStorage":
    """Return a database, in which Optuna's tables are made if it has none.

    Raises:
      UsageError: if it cannot be reached, or its driver is not installed.
    """
    import sqlalchemy

    optuna = proposals.library()
    timeout = "timeout" if url.startswith("sqlite") else "connect_timeout"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # A pool would keep connections that nobody closes.
            options = {"connect_args": {timeout: SECONDS}, "poolclass": sqlalchemy.NullPool}
            return optuna.storages.RDBStorage(url, engine_kwargs=options)
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.OptunaError) as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
    except (ImportError, RuntimeError) as error:
        cause = error.__cause__ or error
        reason = f"{cause}; for PostgreSQL: pip install 'psycopg[binary]'"
    except (TypeError, ValueError) as error:  # of an argument that another kind of database takes
        reason = f"{type(error).__name__}: {error}"
    raise UsageError(
        f"storage={hidden(url)}: this database cannot be used ({hidden(reason):.200}). Give a URL "
        "such as postgresql+psycopg://USER@HOST/NAME, or none: the study is then a file in the "
        "run directory."
    )


class Shown:
    """The study of a search in a database; the search does without once the database fails."""

    def __init__(
        self,
        storage: "optuna.storages.RDBStorage | None",
        name: str,
        plan: Plan,
        trials: Sequence[Trial],
    ) -> None:
        """Make the study anew; without a database there is none."""
        self._plan = plan
        self._rungs: dict[int, set[int]] = {}  # that are shown, by trial
        self._study: optuna.Study | None = None
        library = proposals.library()
        if storage is None:
            return
        with self._failing():
            with contextlib.suppress(KeyError):
                library.delete_study(study_name=name, storage=storage)
            sampler = library.samplers.RandomSampler(seed=0)  # it proposes nothing
            self._study = library.create_study(
                study_name=name, storage=storage, direction="maximize", sampler=sampler
            )
        self.update(trials, range(len(trials)))

    def update(self, trials: Sequence[Trial], changed: Iterable[int]) -> None:
        """Show the trials that have changed; new ones in the order of their numbers."""
        if self._study is None:
            return
        with self._failing():
            for number in sorted(set(changed)):
                values = self._plan.values(trials[number])
                if number in self._rungs:
                    self._report(self._study, number, values)
                else:
                    done = self._plan.rule.most in values
                    axes = self._plan.space
                    new = proposals.frozen(axes, trials[number], values, done, paused=False)
                    self._study.add_trial(new)
                self._rungs[number] = {*values}

    def _report(self, study: "optuna.Study", number: int, values: Mapping[int, float]) -> None:
        new = sorted(values.keys() - self._rungs[number])
        inside: Any = study  # Optuna has no other way to a trial that it did not ask for
        identity = inside._storage.get_trial_id_from_study_id_trial_number(inside._study_id, number)  # noqa: SLF001
        for rung in new:
            inside._storage.set_trial_intermediate_value(identity, rung, values[rung])  # noqa: SLF001
        if self._plan.rule.most in new:
            study.tell(number, values[self._plan.rule.most])

    def end(self, *, finished: bool) -> None:
        """Say what becomes of trials that are running: paused for good, or not finished."""
        if self._study is None:
            return
        states = proposals.library().trial.TrialState
        state = states.PRUNED if finished else states.FAIL
        with self._failing():
            for number, rungs in self._rungs.items():
                if self._plan.rule.most not in rungs:
                    self._study.tell(number, state=state)

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        import sqlalchemy

        try:
            yield
        except (
            sqlalchemy.exc.SQLAlchemyError,
            proposals.library().exceptions.OptunaError,
        ) as error:
            self._study = None
            reason = str(error.__cause__ or error).strip().splitlines()[0]
            log.warning(
                "warning: the study's database failed and is now off (%s); the search continues",
                hidden(reason),
            )
