"""Log finished runs to an experiment tracker.

    python -m experiments.track runs/RUN                         TensorBoard event files
    python -m experiments.track runs/SWEEP --tracker=wandb       every run of a sweep
    tensorboard --logdir=runs                                    shows them

experiments.train --tracker=NAME logs each epoch as it ends. Trackers: TensorBoard (without
TensorFlow), Weights & Biases, SwanLab and Trackio.
"""

from pathlib import Path
from typing import Any

from absl import flags

from experiments import cli
from experiments.cli.language import t
from lenet import config as config_module
from lenet import records, stopping
from lenet.config import Config
from lenet.engine.rows import Row
from lenet.errors import RecordError, UsageError
from lenet.records import directory, ledger, trackers

flags.DEFINE_enum("tracker", "tensorboard", list(trackers.TRACKERS), "tracker to log to")
FLAGS = flags.FLAGS


def main(*operands: str) -> None:
    """Read the records of a run or a sweep, and log them."""
    if len(operands) != 1:
        raise UsageError("give the directory of one run or sweep: RUN_DIR")
    run_dir = Path(operands[0])
    trackers.check(FLAGS.tracker)
    if records.exists(run_dir, "config.json"):
        try:
            config = config_module.from_dict(
                records.read_json(run_dir / "config.json").get("config", {})
            )
        except UsageError as error:
            raise RecordError(f"{run_dir / 'config.json'}: {error}") from None
        rows = records.epochs(run_dir)
        _log(run_dir, run_dir.resolve().name, config, rows, records.statistics(run_dir))
        return
    if not records.exists(run_dir, directory.LEDGER):
        raise RecordError(f"{run_dir}: contains no run and no sweep")
    for entry in ledger.read(run_dir / directory.LEDGER):
        stopping.stop_if_asked()
        name = f"run-{entry.run}"
        title = f"{run_dir.resolve().name}/{name}"
        _log(run_dir / FLAGS.tracker / name, title, entry.config, entry.rows, [])


def _log(
    directory: Path, title: str, config: Config, rows: list[Row], seen: list[dict[str, Any]]
) -> None:
    """Log one run."""
    settings = config_module.to_dict(config)
    with trackers.tracking(FLAGS.tracker, directory, title, settings, patient=False) as log:
        for epoch, numbers in trackers.epochs(rows, seen):
            log(epoch, numbers)
    print(
        t(
            "logged {n} epochs of {title} to {tracker} ({place})",
            n=len(rows),
            title=title,
            tracker=FLAGS.tracker,
            place=directory,
        )
    )


if __name__ == "__main__":
    cli.run(main, __doc__ or "", operands=True)
