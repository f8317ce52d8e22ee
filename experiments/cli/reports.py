"""The report of whatever a directory holds; `experiments.report` asks for it, and what trains."""

from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from lenet import files, language

if TYPE_CHECKING:
    from lenet.data import Data
    from lenet.report.page import Report

NAME = "report.html"
FLAGS = flags.FLAGS


def define() -> None:
    """Define --report, for what trains."""
    flags.DEFINE_boolean("report", True, f"write {NAME} at the end (experiments.report)")


def at_the_end(run_dir: Path, data: "Data | None" = None) -> None:
    """Write the report of what has just been trained, unless --noreport says not to."""
    if FLAGS.report:
        from lenet.report import of_directory

        write(of_directory.report(run_dir, data), run_dir / NAME, language.default())


def write(report: "Report", to: Path, language: str) -> None:
    """Write a report, and say where.

    Args:
      report: from `of`.
      to: the file.
      language: what it shows first.
    """
    from lenet.report import page

    content = page.render(report, language)
    files.write(to, content)
    print(f"report: {to} ({len(content) / 1e6:.1f} MB)")
