"""Write report.html at the end of training, and print where it is."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from experiments.cli import language as spoken
from lenet import files

if TYPE_CHECKING:
    from lenet.data import Data
    from lenet.report.page import Report

NAME = "report.html"
FLAGS = flags.FLAGS


def define() -> None:
    """Define --report."""
    flags.DEFINE_boolean("report", True, f"write {NAME} at the end (see experiments.report)")


def at_the_end(run_dir: Path, data: "Data | None" = None, network: Any = None) -> None:
    """Write the report of a finished run, sweep or comparison, unless --noreport is given."""
    if FLAGS.report:
        from lenet.report import of_directory

        write(of_directory.report(run_dir, data, network=network), run_dir / NAME, spoken.asked())


def write(report: "Report", to: Path, language: str) -> None:
    """Write a report, and print its path and size; `language` is shown first."""
    from lenet.report import page

    content = page.render(report, language)
    files.write(to, content)
    size = len(content) / 1e6
    print(spoken.t("report: {path} ({size:.1f} MB)", path=to, size=size))
