"""Commands in a process that is kept warm, so that most take no time, and that may be killed.

Importing, tracing and finding programs is most of what a command of a small run does. A process
that has done it runs the next command as a notebook would; one that was killed is replaced.
"""

import ctypes
import multiprocessing
import os
import subprocess
import traceback
from collections.abc import Mapping
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from unittest import mock

import jax
from commands import ROOT, command

from lenet.engine import cores

DEADLINE = 300
"""Seconds that a command may take: a longer one hangs."""


class HangError(AssertionError):
    """A command did not end before its deadline."""


def server(library: Path) -> ForkServerContext:
    """Start a process that has imported everything, and forks; in all disk.c can stop calls."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(["warm", "test_fuzzing"])
    with mock.patch.dict(os.environ, LD_PRELOAD=str(library)):
        forkserver.ensure_running()
    return made


class Worker:
    """A process that runs one command after the other."""

    def __init__(self, context: ForkServerContext, library: Path) -> None:
        self._context, self._library = context, library
        self._process: BaseProcess | None = None

    def run(
        self, name: str, *flags: str, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run an entry point to its end, whatever that is; a negative status is a signal's."""
        if self._process is None:
            self._begin()
        self._pipe.send((name, flags, env or {}))
        try:
            if not self._pipe.poll(DEADLINE):
                self.stop()
                raise HangError(f"{name} {' '.join(flags)}: not done after {DEADLINE} s ({env})")
            return self._pipe.recv()
        except EOFError:
            status = self._end()
            return subprocess.CompletedProcess([name, *flags], status, "", "")

    def stop(self) -> None:
        """Kill the process."""
        if self._process is not None:
            self._process.kill()
            self._end()

    def _begin(self) -> None:
        self._pipe, there = self._context.Pipe()
        programs = jax.config.jax_compilation_cache_dir
        self._process = self._context.Process(
            target=_serve, args=(there, self._library, programs), daemon=True
        )
        self._process.start()
        there.close()

    def _end(self) -> int:
        self._process.join()
        status, self._process = self._process.exitcode, None
        return status


def _serve(pipe: Connection, library: Path, programs: str) -> None:
    """Run the commands that come through a pipe."""
    calls = ctypes.c_int.in_dll(ctypes.CDLL(str(library)), "calls")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = programs  # and so no other
    jax.config.update("jax_compilation_cache_dir", programs)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    jax.config.update("jax_num_cpu_devices", cores.cores())
    while True:
        name, flags, env = pipe.recv()
        calls.value = 0
        try:
            pipe.send(command(name, *flags, cwd=ROOT, env=env))
        except Exception:
            pipe.send(subprocess.CompletedProcess([name, *flags], 1, "", traceback.format_exc()))
