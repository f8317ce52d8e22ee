"""Stop on SIGINT and SIGTERM where nothing is lost: after an epoch, not in the middle of a step."""

import contextlib
import os
import sys
from collections.abc import Iterator


class Stopped(BaseException):
    """A signal asked this process to stop."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


_asked: list[int] = []
_patient: list[bool] = []


def ask(number: int, _: object) -> None:
    """Handle a signal: ask for a stop, or stop at once if asked before."""
    _asked.append(number)
    if len(_asked) > 1 or not _patient:  # asked twice: at once, whatever is under way
        raise Stopped(number)
    if sys.stderr.isatty():
        os.write(2, b"\nstopping once this epoch is done; ask again to stop at once\n")


@contextlib.contextmanager
def patience() -> Iterator[None]:
    """Have the first signal wait for `stop_if_asked` within this.

    An exception out of a signal's handler may meet XLA in the middle of something, and the process
    ends in a crash.
    """
    _patient.append(True)
    try:
        yield
    finally:
        _patient.pop()


def forget() -> None:
    """Forget the signals that came: they asked what has ended to stop."""
    _asked.clear()


def stop_if_asked() -> None:
    """Raise Stopped if a signal has come; long work calls this now and then.

    Python drops an exception that a signal raises within a callback of the garbage collector, and
    jax has one: the signal would be lost.
    """
    if asked_to_stop():
        raise Stopped(_asked[0])


def asked_to_stop() -> bool:
    """Whether a signal has come."""
    return bool(_asked)
