"""Commands as a person gives them: in a process of their own, or in that of a notebook."""

import contextlib
import io
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from unittest import mock

import psutil

from experiments.commands import main

ROOT = Path(__file__).parent.parent


def start(
    *arguments: str,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
    before: tuple[str, ...] = (),
) -> subprocess.Popen[str]:
    """Start Python, behind the command `before`; the project and its tests can be imported."""
    path = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
    return subprocess.Popen(
        [*before, sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(pid: int) -> None:
    """Kill a process and its children, as the end of a machine does: also what is stopped."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()


def python(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    """Run Python to its end."""
    with start(*arguments, **options) as process:
        out, err = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def command(
    name: str, *arguments: str, cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run an entry point of experiments/ to its end in this process, as a notebook does.

    What other tests have imported, traced and compiled is there; a warning is an error.
    """
    module = f"experiments.{name}"
    run = partial(runpy.run_module, module, run_name="__main__", alter_sys=True)
    return _captured(run, [module, *arguments], cwd, env)


def script(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a file of scripts/ to its end in this process; what it imports stays imported."""
    path = ROOT / "scripts" / f"{name}.py"
    run = partial(runpy.run_path, str(path), run_name="__main__")
    with mock.patch.object(sys, "path", [str(path.parent), *sys.path]):
        return _captured(run, [str(path), *arguments], ROOT, None)


def lenet(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command `lenet` to its end in this process."""
    return _captured(main, ["lenet", *arguments], ROOT, None)


def _captured(
    run: Callable[[], object], argv: list[str], cwd: Path, env: Mapping[str, str] | None
) -> subprocess.CompletedProcess[str]:
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", argv),
        mock.patch.dict(os.environ, env or {}),
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            run()
            status = 0
        except SystemExit as done:
            status = done.code
    return subprocess.CompletedProcess(argv, status, out.getvalue(), err.getvalue())
