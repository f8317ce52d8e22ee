"""What can go wrong through no fault of the program: one class for each exit status.

The library raises these with a message of one line that names the value, the limit and the remedy;
an entry point prints that line on stderr and leaves with `exit_status`.
"""


class LenetError(Exception):
    """An error that a user can cause and mend."""

    exit_status = 1


class UsageError(LenetError):
    """A flag, value or run directory that cannot be used as asked."""

    exit_status = 2


class DataError(LenetError):
    """A data set that cannot be found, fetched, verified or read."""

    exit_status = 3


class RecordError(LenetError):
    """A checkpoint or record that is missing, damaged or of another kind."""

    exit_status = 4


class DivergedError(LenetError):
    """A loss that is no longer a finite number."""

    exit_status = 5


class InUseError(LenetError):
    """A run directory that another process is writing."""

    exit_status = 6


class DiskError(LenetError):
    """A disk that is full or does not take what has to be written."""

    exit_status = 7
