"""Write report.html: one page about a run, a sweep or a comparison.

    python -m experiments.report runs/RUN              writes runs/RUN/report.html
    python -m experiments.report runs/RUN --open       and shows it in a browser
    python -m experiments.report runs/RUN --to=x.html --lang=zh

The page works offline. A run's page has learning curves beside the published runs, the confusion
matrix with example images, calibration, kernels, the trained network with the feature maps of every
layer and a canvas to draw on, and diagnostics by epoch. experiments.train, sweep and compare write
the report when they finish.
"""

import webbrowser
from pathlib import Path

from absl import flags

from experiments import cli
from experiments.cli import language, networks, reports
from lenet.errors import UsageError

language.define()
flags.DEFINE_string("to", None, "output file (default: report.html in the run directory)")
flags.DEFINE_boolean("open", False, "open the report in a browser")
flags.DEFINE_string("data_dir", None, "dataset directory, if it has moved since the training")
networks.define()
FLAGS = flags.FLAGS


def main(*operands: str) -> None:
    """Load, compute, write."""
    if len(operands) != 1:
        raise UsageError("give one run directory: RUN_DIR")
    run_dir = Path(operands[0])
    if not run_dir.is_dir():
        raise UsageError(f"{run_dir}: not a directory. Give one of a run, a sweep or a comparison.")
    to = Path(FLAGS.to).expanduser() if FLAGS.to else run_dir / reports.NAME
    network = networks.again()
    reports.write(run_dir, to, language.asked(), data_dir=FLAGS.data_dir, network=network)
    if FLAGS.open:
        webbrowser.open(to.resolve().as_uri())


if __name__ == "__main__":
    cli.run(main, __doc__ or "", operands=True)
