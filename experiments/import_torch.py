"""Make a run directory from a network that PyTorch trained.

    torch.save(net.state_dict(), "lenet.pt")                                           in PyTorch
    python -m experiments.import_torch lenet.pt --run_dir=runs/theirs
    python -m experiments.import_torch lenet.pt --run_dir=runs/theirs --activation=relu --pool=max

The file is the state dict of the book's nn.Sequential. Channels, kernel size and hidden units are
read from it; --activation, --pool and the dataset are given as for experiments.train. The network
is evaluated on the test images; experiments.predict and experiments.export then take its directory
like any run directory.
"""

import dataclasses
import re
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
    config = dataclasses.replace(config, **_sizes(state, operands[0]))
    _import(config, state, run_dir)


def _read(path: Path) -> dict[str, Any]:
    """Return the arrays of a state dict; no code in the file is executed."""
    try:
        import torch
    except ImportError:
        raise UsageError(f"{path}: PyTorch is not installed: scripts/setup torch") from None
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise RecordError(f"{path}: no such file") from None
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from None
    except Exception as error:  # whatever PyTorch says of what is no state dict
        first = next(iter(str(error).splitlines()), "")[:120]
        raise RecordError(f"{path}: not a state dict: {type(error).__name__}: {first}") from None
    if not isinstance(found, Mapping) or not all(
        isinstance(x, torch.Tensor) and isinstance(name, str) for name, x in found.items()
    ):
        raise RecordError(
            f"{path}: not a state dict. To make one: torch.save(net.state_dict(), FILE)"
        )
    return {name: x.to(torch.float32).numpy() for name, x in found.items()}


def _sizes(state: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return the sizes of the network, as fields of Config."""
    places = sorted(int(m[1]) for name in state if (m := re.fullmatch(r"(\d{1,3})\.weight", name)))
    weights = [state[f"{place}.weight"] for place in places]
    kernels = [w for w in weights if w.ndim == 4]
    dense = [w for w in weights if w.ndim == 2]
    if not kernels or not dense:
        names = ascii(", ".join(map(str, state)))[1:80]
        raise RecordError(f"{path}: not a state dict of the book's nn.Sequential (found {names})")
    return {
        "channels": tuple(w.shape[0] for w in kernels),
        "kernel_size": kernels[0].shape[2],
        "hidden": tuple(w.shape[0] for w in dense[:-1]),
    }


def _import(config: Config, state: Mapping[str, Any], run_dir: Path) -> None:
    import jax

    from lenet import data, export, runs, train
    from lenet.engine import metrics

    loaded = data.load(config.dataset, data_dir=FLAGS.data_dir)
    model = train.check(config, loaded)
    if model.kernel_size % 2 == 0:
        raise UsageError(
            f"even kernel sizes ({model.kernel_size}) are padded differently in PyTorch; use an "
            "odd --kernel_size"
        )
    params = export.from_torch(model, state, loaded.image_shape)
    loss, accuracy = metrics.means(jax.device_get(train.evaluate(model, params, loaded.test)))
    command = shlex.join(["python", "-m", "experiments.import_torch", *sys.argv[1:]])
    runs.adopt(run_dir, config, loaded, params, command=command)
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
