"""Show a search as a study in a database, which optuna-dashboard reads while it runs.

The database is written, never read: the study is made anew from the ledger at each start. A trial
is running there until nothing more is to be trained of it: one that is paused may be promoted.
"""

import contextlib
import logging
import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lenet.errors import UsageError
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


def address(storage: str | None, run_dir: Path) -> str:
    """Return the URL of a database: the one given, or SQLite in the run directory."""
    return storage or f"sqlite:///{(run_dir / DATABASE).resolve()}"


def hidden(url: str) -> str:
    """Return a URL without its password.

    >>> hidden("postgresql://me:secret@host/db")
    'postgresql://me:***@host/db'
    """
    return re.sub(r"(://[^:/@]*):[^@/]*@", r"\1:***@", url)


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
            return optuna.storages.RDBStorage(
                url, engine_kwargs={"connect_args": {timeout: SECONDS}, "pool_pre_ping": True}
            )
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.OptunaError) as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
    except (ImportError, RuntimeError) as error:
        cause = error.__cause__ or error
        reason = f"{cause}; for PostgreSQL: pip install 'psycopg[binary]'"
    except (TypeError, ValueError) as error:  # of an argument that another kind of database takes
        reason = f"{type(error).__name__}: {error}"
    raise UsageError(
        f"storage={hidden(url)}: this database cannot be used ({hidden(reason):.200}). Give a URL "
        "such as postgresql://USER@HOST/NAME, or leave storage out for a file in the run directory."
    )


class Shown:
    """The study of a search in a database; it does without once the database fails."""

    def __init__(
        self, storage: "optuna.storages.RDBStorage", name: str, plan: Plan, trials: Sequence[Trial]
    ) -> None:
        self._plan = plan
        self._told: dict[int, set[int]] = {}  # rungs, by trial
        self._study: Any = None
        with self._failing():
            optuna = proposals.library()
            with contextlib.suppress(KeyError):
                optuna.delete_study(study_name=name, storage=storage)
            sampler = optuna.samplers.RandomSampler(seed=0)  # it proposes nothing
            self._study = optuna.create_study(
                study_name=name, storage=storage, direction="maximize", sampler=sampler
            )
            self.update(trials, range(len(trials)))

    def update(self, trials: Sequence[Trial], changed: Iterable[int]) -> None:
        """Show the trials that have changed; new ones in the order of their numbers."""
        with self._failing():
            for number in sorted(set(changed)):
                values = self._plan.values(trials[number])
                if number not in self._told:
                    done = self._plan.rule.most in values
                    shown = proposals.frozen(
                        self._plan.space, trials[number], values, done, paused=False
                    )
                    self._study.add_trial(shown)
                elif new := values.keys() - self._told[number]:
                    self._report(number, {rung: values[rung] for rung in sorted(new)})
                self._told[number] = {*values}

    def _report(self, number: int, values: dict[int, float]) -> None:
        storage = self._study._storage  # noqa: SLF001  Optuna has no other way to a trial
        identity = storage.get_trial_id_from_study_id_trial_number(self._study._study_id, number)  # noqa: SLF001
        for rung, value in values.items():
            storage.set_trial_intermediate_value(identity, rung, value)
        if self._plan.rule.most in values:
            self._study.tell(number, values[self._plan.rule.most])

    def end(self, *, finished: bool) -> None:
        """Say what becomes of trials that are running: paused for good, or not finished."""
        with self._failing():
            states = proposals.library().trial.TrialState
            state = states.PRUNED if finished else states.FAIL
            for number, rungs in self._told.items():
                if self._plan.rule.most not in rungs:
                    self._study.tell(number, state=state)

    @contextlib.contextmanager
    def _failing(self) -> Any:
        import sqlalchemy

        try:
            yield
        except (
            sqlalchemy.exc.SQLAlchemyError,
            proposals.library().exceptions.OptunaError,
        ) as error:
            reason = str(error.__cause__ or error).strip().splitlines()[0]
            log.warning(
                "warning: the study's database failed and is now off (%s); the search continues",
                reason,
            )
            self._study = _Nothing()


class _Nothing:
    """A study that is shown nowhere."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: self
