"""Classify PNG and JPEG images with trained networks.

    python -m experiments.predict runs/RUN shirt.png             class and probabilities
    python -m experiments.predict runs/RUN --invert photo.jpg    invert a dark-on-light image first
    python -m experiments.predict runs/A runs/B runs/C *.png     ensemble: mean probabilities
    python -m experiments.predict runs/RUN --explain=DIR x.png   also draw every layer's activations

Give run directories first, then images. Each image is converted to greyscale, composited on black
where it is transparent, scaled to the network's input size and centred on black. Training images
are light on dark; --invert is for dark-on-light images, and takes what is transparent for paper.
Unreadable files are listed last, and the exit status is then 3.
"""

import itertools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from experiments import cli
from experiments.cli import networks
from experiments.cli.language import t
from lenet import files
from lenet.errors import DataError, RecordError, UsageError
from lenet.language import printable
from lenet.records import Trained, restore

if TYPE_CHECKING:
    import numpy as np

    from lenet.data.pictures import Picture

flags.DEFINE_boolean("invert", False, "invert the images: for dark on light")
flags.DEFINE_string(
    "explain", None, "directory for a figure of the first run's activations on each image"
)
flags.DEFINE_integer("top", 3, "classes to show for each image", lower_bound=1)
networks.define()
FLAGS = flags.FLAGS


def main(*operands: str) -> None:
    """Load, predict, print."""
    run_dirs = list(itertools.takewhile(os.path.isdir, operands))
    files = list(operands[len(run_dirs) :])
    if not run_dirs:
        first = f"{operands[0]}: not a directory. " if operands else ""
        raise UsageError(f"{first}Give run directories, then images: RUN_DIR IMAGE...")
    if not files:
        raise UsageError(f"{run_dirs[-1]}: give images after the run directory: RUN_DIR IMAGE...")
    trained = [restore(run_dir, networks.again()) for run_dir in run_dirs]
    first_shape, first_names = trained[0].image_shape, trained[0].class_names
    for run_dir, run in zip(run_dirs, trained, strict=True):
        if (run.image_shape, run.class_names) != (first_shape, first_names):
            raise RecordError(f"{run_dir}: its classes or image size differ from {run_dirs[0]}")
    _predict(trained, files)


def _predict(trained: list[Trained], files: list[str]) -> None:
    """Read the images; show predictions for the readable ones, then list the others."""
    from lenet.data import pictures

    shape = trained[0].image_shape
    if shape[2] != 1:
        raise UsageError(
            f"the network expects {shape[2]} channels, but images are read as greyscale"
        )
    read: dict[str, Picture] = {}
    complaints = []
    for path in dict.fromkeys(files):
        try:
            read[path] = pictures.read(path, shape, invert=FLAGS.invert)
        except DataError as error:  # the others are not to blame
            complaints.append(str(error))
    if read:
        _show(trained, read)
    for complaint in complaints:
        cli.complain(complaint, DataError.exit_status)
    if complaints:
        sys.exit(DataError.exit_status)


def _show(trained: list[Trained], read: "dict[str, Picture]") -> None:
    """Print the predicted classes, and draw the activations of the first network."""
    import numpy as np
    from rich.table import Table

    from lenet import inspect
    from lenet.data import pictures

    names, files = trained[0].class_names, list(read)
    images = np.stack([each.image for each in read.values()])
    members = [inspect.probabilities(run.model, run.params, images) for run in trained]
    probabilities = np.mean(members, axis=0)
    agree = np.mean([m.argmax(1) == probabilities.argmax(1) for m in members], axis=0)
    table = Table(t("image"), t("class"), t("probability"), t("next"), box=None, pad_edge=False)
    for path, values, agreeing in zip(files, probabilities, agree, strict=True):
        order = np.argsort(-values, kind="stable")[: FLAGS.top]
        then = ", ".join(f"{names[k]} {values[k]:.3f}" for k in order[1:])
        if len(trained) > 1:
            then += t("; {share:.0%} of {n} runs agree", share=agreeing, n=len(trained))
        table.add_row(*map(printable, (path, names[order[0]], f"{values[order[0]]:.3f}", then)))
    cli.console(markup=False).print(table)
    faint = {path: each for path, each in read.items() if each.contrast < pictures.FAINT}
    for path, each in faint.items():
        print(
            t(
                "{image} is almost a single grey level after scaling (contrast {contrast} of 255), "
                "so its class means nothing. Crop it to its subject, or switch --invert if its "
                "background is transparent",
                image=path,
                contrast=each.contrast,
            )
        )
    light = [path for path, each in read.items() if each.light and path not in faint]
    if light and not FLAGS.invert:
        first = light[0]
        if len(light) > 1:
            first = t("{image} and {n} more", image=first, n=len(light) - 1)
        print(t("{image} looks dark-on-light; use --invert", image=first))
    if FLAGS.explain is not None:
        _explain(trained[0], files, images, Path(FLAGS.explain).expanduser())


def _explain(run: Trained, paths: list[str], images: "np.ndarray", directory: Path) -> None:
    from lenet.figures import layers as inspect_plots

    with files.writing(f"--explain={directory}"):
        directory.mkdir(parents=True, exist_ok=True)
    for number, (path, image) in enumerate(zip(paths, images, strict=True), start=1):
        picture = inspect_plots.activations(run.model, run.params, image, run.class_names)
        name = f"{number:02d}-{Path(path).stem[:60]}.png"
        files.write(directory / name, picture)
        print(t("saved to {path}", path=directory / name))


if __name__ == "__main__":
    cli.run(main, __doc__ or "", operands=True)
