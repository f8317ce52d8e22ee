"""Tell a tracker of runs that are finished, from their records.

    python -m experiments.track runs/RUN                         TensorBoard's event files
    python -m experiments.track runs/SWEEP --tracker=wandb       every run of a sweep
    tensorboard --logdir=runs                                    shows them

experiments.train --tracker=NAME tells it of each epoch as it ends. The trackers: TensorBoard (no
TensorFlow needed), Weights & Biases, and SwanLab and Trackio, which have the same calls.
"""

from pathlib import Path
from typing import Any

from absl import flags

from experiments import cli
from lenet import config as config_module
from lenet import records, stopping
from lenet.config import Config
from lenet.engine.rows import Row
from lenet.errors import RecordError, UsageError
from lenet.records import directory, ledger, trackers

flags.DEFINE_enum("tracker", "tensorboard", list(trackers.TRACKERS), "whom to tell")
FLAGS = flags.FLAGS


def main(*operands: str) -> None:
    """Read the records of a run or of a sweep, and tell."""
    if len(operands) != 1:
        raise UsageError("give one directory, of a run or of a sweep: RUN_DIR")
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
        _tell(run_dir, run_dir.resolve().name, config, rows, records.statistics(run_dir))
        return
    if not records.exists(run_dir, directory.LEDGER):
        raise RecordError(f"{run_dir}: contains no run and no sweep")
    for entry in ledger.read(run_dir / directory.LEDGER):
        stopping.stop_if_asked()
        name = f"run-{entry.run}"
        title = f"{run_dir.resolve().name}/{name}"
        _tell(run_dir / FLAGS.tracker / name, title, entry.config, entry.rows, [])


def _tell(
    directory: Path, title: str, config: Config, rows: list[Row], seen: list[dict[str, Any]]
) -> None:
    """Tell of one run."""
    settings = config_module.to_dict(config)
    with trackers.tracking(FLAGS.tracker, directory, title, settings, patient=False) as tell:
        for epoch, numbers in trackers.epochs(rows, seen):
            tell(epoch, numbers)
    print(f"{FLAGS.tracker}: {title}, {len(rows)} epochs, in {directory}")


if __name__ == "__main__":
    cli.run(main, __doc__ or "", operands=True)
