"""Write report.html at the end of training, and print where it is; show it while it grows."""

import contextlib
import functools
import os
import sys
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from experiments.cli import command
from experiments.cli import language as spoken
from lenet import files
from lenet.errors import UsageError

if TYPE_CHECKING:
    from lenet.data import Data

NAME = "report.html"
FLAGS = flags.FLAGS


def define(live: bool = False) -> None:
    """Define --report, and --live where something grows."""
    flags.DEFINE_boolean("report", True, f"write {NAME} at the end (see experiments.report)")
    if live:
        doc = "open the report in a browser now, and let it grow while this trains"
        flags.DEFINE_boolean("live", False, doc)


def check() -> None:
    """Raise a UsageError if there is to be no report to show."""
    if FLAGS.live and not FLAGS.report:
        raise UsageError("--live: shows the report while it grows. Remove --noreport")


@contextlib.contextmanager
def live(
    run_dir: Path, data: "Data | None" = None, network: Any = None
) -> Iterator[Callable[[], None]]:
    """With --live, serve the report of a directory until the block ends, and open it in a browser.

    Yields what to call when the directory has more to show. At the end the page becomes the file
    that `at_the_end` has written by then.
    """
    if not FLAGS.live:
        yield lambda: None
        return
    from lenet.report import live as serving
    from lenet.report import of_directory, page

    show = functools.partial(page.render, language=spoken.asked(), live=True)
    empty = page.Report("live.html", run_dir.resolve().name, [])

    def now() -> bytes:
        return show(of_directory.report(run_dir, data, network=network, brief=True))

    with serving.serving(now, show(empty)) as served:
        print(spoken.t("live report: {address}", address=served.address), flush=True)
        if _has_browser():
            webbrowser.open(served.address)
        served.changed()  # what a resumed directory has
        yield served.changed
        if (run_dir / NAME).exists():
            served.end((run_dir / NAME).resolve())


def _has_browser() -> bool:
    """Whether a browser would open in a window: others would take the terminal."""
    screens = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    return sys.platform in ("win32", "darwin") or any(map(os.environ.get, screens))


def at_the_end(run_dir: Path, data: "Data | None" = None, network: Any = None) -> None:
    """Write the report of a finished run, sweep or comparison, unless --noreport is given."""
    if FLAGS.report:
        write(run_dir, run_dir / NAME, spoken.asked(), data=data, network=network)


def write(run_dir: Path, to: Path, language: str, **options: Any) -> None:
    """Write the report of a directory, and print its path and size; `language` is shown first.

    Further options are those of `lenet.report.of_directory.report`.
    """
    with command.waiting(spoken.t("writing {path}", path=to)):
        from lenet.report import of_directory, page

        content = page.render(of_directory.report(run_dir, **options), language)
        files.write(to, content)
    size = len(content) / 1e6
    print(spoken.t("report: {path} ({size:.1f} MB)", path=to, size=size))
