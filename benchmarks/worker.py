"""A contender in a process of its own: its threads, its memory, its clock.

The parent writes one request a line and reads one answer a line, both JSON:

    {"do": "epoch", "times": 1}    -> {"seconds": 1.2, "loss": 2.3, "accuracy": 0.1,
                                       "examples": 60000}
    {"do": "step", "steps": 50}    -> {"seconds": 0.4}
    {"do": "inference"}            -> as epoch
    {"do": "kernels", "steps": 50} -> {"kernels": 600}, null without a GPU
    {"do": "memory"}               -> {"host": 6e8, "device": null}, the most bytes so far
    {"do": "compile"}              -> {"seconds": 4.5}, of our training program, before the epoch
    {"do": "environment"}          -> its own versions, threads

An answer {"error": ...} is the last. The process ends when its input does.
"""

import contextlib
import fcntl
import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from lenet.errors import LenetError


class WorkerError(LenetError):
    """A contender that could not do what it was asked."""


class Worker:
    """The parent's end of a process; use it as a context, so that it ends with it."""

    def __init__(
        self,
        contender: str,
        network: str,
        *,
        examples: int | None = None,
        dataset: str = "fashion_mnist",
        cache: str | None = None,
        options: dict[str, Any] | None = None,
        cores: int | None = None,
        first: int = 0,
        turn: str | None = None,
        **settings: Any,
    ) -> None:
        """Start the process.

        Args:
          contender: a name of `contenders.CONTENDERS`.
          network: the preset of the network.
          examples: how many to train on; all by default.
          dataset: what on.
          cache: the directory of compiled programs; without it none are kept.
          options: of the contender's program.
          cores: how many it may use; all by default.
          first: which of the cores is the first of these.
          turn: a file; of the processes that name it, one at a time builds its program, because
            a compiler that tries out what is fastest wants the machine for itself.
          settings: fields of Config that differ from the preset.
        """
        self.contender = contender
        named = {"contender": contender, "network": network, "settings": settings}
        named["options"] = options or {}
        data = {
            "examples": examples,
            "dataset": dataset,
            "cores": cores,
            "first": first,
            "turn": turn,
        }
        self.started = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "benchmarks.worker", json.dumps(named | data)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=_surroundings(cache),
            start_new_session=True,  # an interrupt reaches the parent, and the parent ends it
        )

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Have one thing done and return the answer.

        Raises:
          WorkerError: if it could not be done.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # then it has left an answer that says why
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise WorkerError(f"{self.contender}: ended with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerError(f"{self.contender}: {answer['error']}")
        return answer

    def age(self) -> float:
        """Return the seconds since it was started."""
        return time.monotonic() - self.started

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *exception: object) -> None:
        if exception[0] is not None:
            self._process.kill()
        self._process.communicate()  # ends its input, and waits


def _surroundings(cache: str | None) -> dict[str, str]:
    kept = {
        # By default JAX holds back what compiles within a second.
        "JAX_COMPILATION_CACHE_DIR": f"{cache}/jax",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "TORCHINDUCTOR_CACHE_DIR": f"{cache}/torch",
    }
    here = {key: value for key, value in os.environ.items() if key not in kept}
    # Several contenders hold the same GPU: none may take it whole.
    here["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    # XLA warns of every cached program that the machine lacks its own tuning hints as features.
    here.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return here | kept if cache else here


def serve(settings: dict[str, Any], requests: TextIO, answers: TextIO) -> None:
    """Build the program and do what is asked, until nothing more is."""
    try:
        program = _program(settings)
        for line in requests:
            print(json.dumps(_answer(program, json.loads(line))), file=answers, flush=True)
    except Exception as error:
        first = next(iter(str(error).splitlines()), "")
        reason = f"{type(error).__name__}: {first}"
        print(json.dumps({"error": reason}), file=answers, flush=True)


def _program(settings: dict[str, Any]) -> Any:
    from benchmarks import networks
    from benchmarks.contenders import BY_NAME
    from lenet import data

    config = networks.config(
        settings["network"], **{"dataset": settings["dataset"]} | settings["settings"]
    )
    loaded = data.load(settings["dataset"])
    if settings["examples"]:
        loaded = data.take(loaded, train=settings["examples"])
    with open(settings["turn"], "w") if settings["turn"] else contextlib.nullcontext() as file:
        if file:
            fcntl.flock(file, fcntl.LOCK_EX)
        return BY_NAME[settings["contender"]].program(config, loaded, **settings["options"])


def _answer(program: Any, request: dict[str, Any]) -> dict[str, Any]:
    do = request["do"]
    if do == "environment":
        return dict(program.environment())
    if do == "memory":
        return {"host": _peak(), "device": program.device_memory()}
    if do == "compile":
        return {"seconds": program.program.seconds_to_compile}
    if do == "kernels":
        return {"kernels": program.kernels(request["steps"])}
    begin = time.perf_counter()
    if do == "step":
        program.step(request["steps"])
        return {"seconds": time.perf_counter() - begin}
    if do == "inference":
        result = program.inference()
    else:
        for _ in range(request.get("times", 1)):
            result = program.epoch()
    return {"seconds": time.perf_counter() - begin, **result._asdict()}


def _confine(first: int, count: int) -> None:
    """Use `count` cores alone; before jax and torch are imported, which count them."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[first : first + count])
    os.environ["JAX_NUM_CPU_DEVICES"] = str(count)


def _peak() -> int:
    """The most bytes of memory that this process has held, and those that it started."""
    here = ["self", *(str(child.pid) for child in multiprocessing.active_children())]
    with contextlib.suppress(OSError):
        # Not getrusage where there is a choice: what it gives is at least what the parent held.
        return 1024 * sum(
            int(line.split()[1])
            for process in here
            for line in Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
            if line.startswith("VmHWM:")
        )
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    # What libraries print must not get between the answers.
    own = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    given = json.loads(sys.argv[1])
    if given["cores"]:
        _confine(given["first"], given["cores"])
    serve(given, sys.stdin, own)
