"""Share a sweep among processes, on one machine or many: flags, rank and synchronisation.

    SWEEP="python -m experiments.sweep --seed=0:64 --run_dir=DIR --coordinator=HOST:1234"
    $SWEEP --num_processes=2 --process_id=0        on HOST
    $SWEEP --num_processes=2 --process_id=1        on any machine that shares DIR
    srun python -m experiments.sweep --seed=0:64 --run_dir=DIR --coordinator=auto

Each process trains its share of the runs on its own devices and writes its own ledger in DIR.
The processes communicate only at the start and at the end.
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
    """Rank of this process, from 0, and the number of processes."""

    rank: int
    size: int


def define() -> None:
    """Define the flags with which several processes share a sweep."""
    flags.DEFINE_string(
        "coordinator",
        None,
        'address HOST:PORT of process 0; "auto" on SLURM, Open MPI and TPU pods',
    )
    flags.DEFINE_integer("num_processes", None, "number of processes that share the sweep")
    flags.DEFINE_integer("process_id", None, "rank of this process, from 0")
    flags.DEFINE_integer(
        "patience", 120, "seconds to wait for all processes to start", lower_bound=1
    )
    doc = "seconds of silence after which a process counts as dead and the others exit"
    flags.DEFINE_integer("heartbeat", 100, doc, lower_bound=1)


def check() -> None:
    """Raise a UsageError for contradictory or missing flags."""
    address, number, count = FLAGS.coordinator, FLAGS.process_id, FLAGS.num_processes
    if address is None:
        for name in ("process_id", "num_processes"):
            if FLAGS[name].value is not None:
                raise UsageError(
                    f"--{name} needs --coordinator=HOST:PORT, the address of process 0"
                )
        return
    if not FLAGS.run_dir:
        raise UsageError("--coordinator needs --run_dir=DIR, a directory that all processes share")
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise UsageError(f"--coordinator={address}: expected HOST:PORT, such as localhost:1234")
    if number is None or count is None:
        raise UsageError("--coordinator=HOST:PORT needs --process_id and --num_processes")
    if not 0 <= number < count:
        raise UsageError(
            f"--process_id={number}: must be at least 0 and below --num_processes={count}"
        )
    if number == 0:  # JAX would crash if the port is taken
        try:
            socket.create_server(("", int(port))).close()
        except OSError as error:
            raise UsageError(
                f"--coordinator={address}: {error.strerror}. Use another port"
            ) from None


def join() -> Processes:
    """Connect to the other processes; return the rank of this one and their number.

    Raises:
      UsageError: if the connection fails.
    """
    if FLAGS.coordinator is None:
        return Processes(0, 1)
    import jax

    def give_up() -> None:
        # JAX itself would abort with a C++ stack trace.
        cli.complain(
            f"--coordinator={FLAGS.coordinator}: not all processes started within "
            f"{FLAGS.patience} s. Start each with the same --coordinator, or raise --patience"
        )
        os._exit(UsageError.exit_status)

    # This service would handle SIGTERM itself.
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
            "--coordinator=auto: no SLURM, Open MPI or TPU pod found. Use --coordinator=HOST:PORT "
            "with --process_id and --num_processes"
        ) from None
    except RuntimeError as error:
        raise UsageError(f"--coordinator={FLAGS.coordinator}: {error}") from None
    finally:
        limit.cancel()
    here = Processes(jax.process_index(), jax.process_count())
    if FLAGS.num_processes not in (None, here.size):
        raise UsageError(
            f"--num_processes={FLAGS.num_processes}: process 0 was started with "
            f"--num_processes={here.size}. Pass the same value to every process"
        )
    return here


def meet(where: str, here: Processes) -> None:
    """Wait until all processes have called this with the same unique name."""
    if here.size == 1:
        return
    from jax.experimental import multihost_utils

    try:
        multihost_utils.sync_global_devices(where)
    except RuntimeError as error:
        raise UsageError(
            "another process of this sweep exited; its output has the cause. Continue with --resume"
        ) from error


def wait_until(true: Callable[[], bool], pause: Callable[[], None]) -> None:
    """Wait until `true()`, for files that other processes write; call `pause` in between."""
    while not true():
        pause()
        time.sleep(0.5)
