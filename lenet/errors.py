"""Errors that the user can fix: one class per exit status.

The library raises them with a message of one line that names the argument, the value and the limit,
and says what to do. An entry point prints the line on stderr and exits with `exit_status`.
"""

import contextlib
from collections.abc import Iterator


def reason(error: BaseException) -> str:
    """Return what other code raised in one line of at most 200 characters: its class, and why.

    >>> reason(KeyError("features"))
    "KeyError: 'features'"
    """
    name = type(error).__name__
    lines = str(error).strip().splitlines()
    return f"{name}: {lines[0]}"[:200] if lines else name


class LenetError(Exception):
    """Base class of the errors that a user can cause and fix."""

    exit_status = 1


class UsageError(LenetError):
    """An argument, value or run directory is invalid."""

    exit_status = 2


class DataError(LenetError):
    """A dataset is missing, damaged or of the wrong form."""

    exit_status = 3


class RecordError(LenetError):
    """A checkpoint or record is missing, damaged or does not match."""

    exit_status = 4


class DivergedError(LenetError):
    """Training diverged: the loss is no longer a finite number, or far above chance level."""

    exit_status = 5


class InUseError(LenetError):
    """The run directory is in use by another process."""

    exit_status = 6


class DiskError(LenetError):
    """The disk is full or cannot be written."""

    exit_status = 7


@contextlib.contextmanager
def code_of_others(failed: str) -> Iterator[None]:
    """Raise a UsageError for whatever the code of a network or an optimizer raises in the block.

    >>> with code_of_others("network=my_net:Wide: build() failed"):
    ...     {}["width"]
    Traceback (most recent call last):
    lenet.errors.UsageError: network=my_net:Wide: build() failed: KeyError: 'width'
    """
    try:
        yield
    except LenetError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(f"{failed}: {reason(error)}") from error
