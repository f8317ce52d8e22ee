"""Make a run directory from a network that PyTorch trained.

    torch.save(net.state_dict(), "lenet.pt")                                           in PyTorch
    python -m experiments.import_torch lenet.pt --run_dir=runs/theirs
    python -m experiments.import_torch lenet.pt --run_dir=runs/theirs --activation=relu --pool=max

The file is the state dict of one of the book's networks: convolutions and dense layers, each with a
bias, under any names. Channels, kernel size and hidden units are read from it; --activation, --pool
and the dataset are given as for experiments.train. The network is evaluated on the test images;
experiments.predict and experiments.export then take its directory like any run directory.
"""

import dataclasses
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import flags

from experiments import cli
from experiments.cli.language import t
from lenet import records
from lenet.config import Config
from lenet.errors import RecordError, UsageError

REMEDY = "To make one: torch.save(net.state_dict(), FILE)"

cli.define_config()
flags.DEFINE_string("data_dir", None, "dataset directory, as for experiments.train")
flags.DEFINE_string("run_dir", None, "run directory to create")
FLAGS = flags.FLAGS


def main(*operands: str) -> None:
    """Read, evaluate, write."""
    if len(operands) != 1 or not FLAGS.run_dir:
        raise UsageError("give one file and a run directory to create: lenet.pt --run_dir=DIR")
    run_dir = Path(FLAGS.run_dir).expanduser()
    config = cli.config()
    records.check_free(run_dir)
    state = _read(Path(operands[0]))
    try:
        config = dataclasses.replace(config, **_sizes(state))
        _import(config, state, run_dir)
    except RecordError as error:
        raise RecordError(f"{operands[0]}: {error}") from None


def _read(path: Path) -> dict[str, Any]:
    """Return the tensors of a state dict; no code in the file is executed."""
    try:
        import torch
    except ImportError:
        raise UsageError(
            f"{path}: PyTorch is missing: pip install torch, or scripts/setup torch in a clone"
        ) from None
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise RecordError(f"{path}: no such file") from None
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from None
    except Exception as error:  # whatever PyTorch says of what is no state dict
        if "UninitializedParameter" in str(error):
            raise RecordError(
                f"{path}: has parameters without values. Apply the network to an image before "
                "saving it"
            ) from None
        # PyTorch's own line would advise to run the code in the file.
        raise RecordError(
            f"{path}: not a state dict: {type(error).__name__} (damaged, or not only tensors). "
            f"{REMEDY}"
        ) from None
    nested = [x for x in found.values() if _is_state(x)] if isinstance(found, Mapping) else []
    if not _is_state(found) and len(nested) == 1:  # a training checkpoint contains one
        found = nested[0]
    if not _is_state(found):
        raise RecordError(f"{path}: not a state dict. {REMEDY}")
    return dict(found)


def _is_state(found: Any) -> bool:
    """Return whether an object is a mapping from names to tensors."""
    import torch

    return (
        isinstance(found, Mapping)
        and bool(found)
        and all(isinstance(x, torch.Tensor) and isinstance(name, str) for name, x in found.items())
    )


def _sizes(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sizes of the network, as fields of Config."""
    from lenet import export

    convolutions, dense = export.torch_layers(state)
    if not convolutions or not dense:
        names = ascii(", ".join(state))[1:80]
        raise RecordError(f"expected convolutions, then dense layers, found {names}. {REMEDY}")
    return {
        "channels": tuple(layer.weight.shape[0] for layer in convolutions),
        "kernel_size": convolutions[0].weight.shape[2],
        "hidden": tuple(layer.weight.shape[0] for layer in dense[:-1]),
    }


def _import(config: Config, state: Mapping[str, Any], run_dir: Path) -> None:
    import jax

    from lenet import data, export, runs, train
    from lenet.engine import metrics
    from lenet.model import lenet_of

    loaded = data.load(config.dataset, data_dir=FLAGS.data_dir)
    model = lenet_of(train.check(config, loaded), "import_torch")
    if model.kernel_size % 2 == 0:
        raise UsageError(
            f"even kernel sizes ({model.kernel_size}) are padded differently in PyTorch; use an "
            "odd --kernel_size"
        )
    params = export.from_torch(model, state, loaded.image_shape)
    loss, accuracy = metrics.means(jax.device_get(train.evaluate(model, params, loaded.test)[0]))
    command = shlex.join(["python", "-m", "experiments.import_torch", *sys.argv[1:]])
    runs.adopt(run_dir, config, loaded, params, command=command, data_dir=FLAGS.data_dir)
    print(
        t(
            "test loss {loss:.3f}, test accuracy {accuracy:.3f}; saved to {run_dir}",
            loss=loss,
            accuracy=accuracy,
            run_dir=run_dir,
        )
    )


if __name__ == "__main__":
    cli.run(main, __doc__ or "", operands=True)
