"""A sweep shared among processes, on one machine or many: which of them this is, and waiting.

    SWEEP="python -m experiments.sweep --seed=0:64 --run_dir=DIR --coordinator=HOST:1234"
    $SWEEP --num_processes=2 --process_id=0        on HOST
    $SWEEP --num_processes=2 --process_id=1        wherever DIR is the same directory
    srun python -m experiments.sweep --seed=0:64 --run_dir=DIR --coordinator=auto

Each trains its share of the runs on its own devices, and has a ledger of its own in the directory.
Between the start and the end they have nothing to say to each other.
"""

import os
import socket
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from absl import flags

from experiments import cli
from lenet.errors import UsageError

FLAGS = flags.FLAGS
FLAG_NAMES = ("coordinator", "num_processes", "process_id", "patience", "heartbeat")


class Processes(NamedTuple):
    """Which process this is, from 0, and how many there are."""

    rank: int
    size: int


def define() -> None:
    """Define the flags that make this process one of several."""
    flags.DEFINE_string(
        "coordinator",
        None,
        "HOST:PORT of process 0, where several processes share the sweep and --run_dir; auto under "
        "SLURM, Open MPI or on a TPU pod, which know the rest",
    )
    flags.DEFINE_integer("num_processes", None, "how many processes share the sweep")
    flags.DEFINE_integer("process_id", None, "which of them this is, from 0")
    flags.DEFINE_integer(
        "patience", 120, "seconds to wait for all processes to start", lower_bound=1
    )
    doc = "seconds after which a process that is not heard of counts as dead, and ends the others"
    flags.DEFINE_integer("heartbeat", 100, doc, lower_bound=1)


def check() -> None:
    """Raise a UsageError for flags that do not go together."""
    address, number, count = FLAGS.coordinator, FLAGS.process_id, FLAGS.num_processes
    if address is None:
        for name in ("process_id", "num_processes"):
            if FLAGS[name].value is not None:
                raise UsageError(f"--{name} without --coordinator: give HOST:PORT of process 0")
        return
    if not FLAGS.run_dir:
        raise UsageError("--coordinator: name a directory that all processes share with --run_dir")
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise UsageError(f"--coordinator={address}: expected HOST:PORT, such as localhost:1234")
    if number is None or count is None:
        raise UsageError("--coordinator: give --process_id and --num_processes, too")
    if not 0 <= number < count:
        raise UsageError(
            f"--process_id={number}: must be at least 0 and below --num_processes={count}"
        )
    if number == 0:  # where JAX would crash
        try:
            socket.create_server(("", int(port))).close()
        except OSError as error:
            raise UsageError(
                f"--coordinator={address}: {error.strerror}: try another port"
            ) from None


def join() -> Processes:
    """Meet the other processes; return which one this is, and how many there are.

    Raises:
      UsageError: if they cannot be met.
    """
    if FLAGS.coordinator is None:
        return Processes(0, 1)
    import jax

    def give_up() -> None:
        # JAX itself would end the process with a trace of its C++.
        cli.complain(
            f"--coordinator={FLAGS.coordinator}: the processes did not all come within "
            f"{FLAGS.patience} s: start each, with the same address"
        )
        os._exit(UsageError.exit_status)

    # It would take SIGTERM for itself.
    jax.config.update("jax_enable_preemption_service", False)
    limit = threading.Timer(FLAGS.patience, give_up)
    limit.daemon = True
    limit.start()
    try:
        jax.distributed.initialize(
            None if FLAGS.coordinator == "auto" else FLAGS.coordinator,
            num_processes=FLAGS.num_processes,
            process_id=FLAGS.process_id,
            initialization_timeout=FLAGS.patience + 60,
            heartbeat_timeout_seconds=FLAGS.heartbeat,
            shutdown_timeout_seconds=FLAGS.heartbeat,
        )
    except ValueError as error:
        if FLAGS.coordinator != "auto":
            raise UsageError(f"--coordinator={FLAGS.coordinator}: {error}") from None
        raise UsageError(
            "--coordinator=auto: no SLURM, Open MPI or TPU pod here: give HOST:PORT, "
            "--process_id and --num_processes"
        ) from None
    except RuntimeError as error:
        raise UsageError(f"--coordinator={FLAGS.coordinator}: {error}") from None
    finally:
        limit.cancel()
    here = Processes(jax.process_index(), jax.process_count())
    if FLAGS.num_processes not in (None, here.size):
        raise UsageError(
            f"--num_processes={FLAGS.num_processes}: process 0 was told {here.size}; "
            "tell all of them the same"
        )
    return here


def meet(where: str, here: Processes) -> None:
    """Wait until all processes are at a place that has a name of its own."""
    if here.size == 1:
        return
    from jax.experimental import multihost_utils

    try:
        multihost_utils.sync_global_devices(where)
    except RuntimeError as error:
        raise UsageError(
            "another of the processes has ended, see what it said; --resume goes on from there"
        ) from error


def wait_until(true: Callable[[], bool], pause: Callable[[], None]) -> None:
    """Wait for what other processes leave on the disk; call `pause` in between."""
    while not true():
        pause()
        time.sleep(0.5)
