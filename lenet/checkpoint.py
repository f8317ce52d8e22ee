"""Parameters as a file: one array for each, in NumPy's npz format, never a pickle."""

import io
import zipfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from lenet import config, records
from lenet.errors import RecordError
from lenet.model import LeNet
from lenet.sgd import Params, network


def save(path: Path, params: Params) -> None:
    """Write parameters, whole or not at all, under names such as "conv1/kernel"."""
    arrays = {
        f"{layer}/{name}": np.asarray(array)
        for layer, leaves in params.items()
        for name, array in leaves.items()
    }
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    records.write(path, buffer.getvalue())


def load(path: Path) -> Params:
    """Read the parameters that `save` wrote; raise a RecordError naming what is wrong."""
    params: Params = {}
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            for key in arrays.files:
                layer, _, name = key.partition("/")
                params.setdefault(layer, {})[name] = jnp.asarray(arrays[key])
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise RecordError(f"{path}: not a file of parameters: {error}") from None
    return params


def restore(run_dir: str | Path) -> tuple[LeNet, Params]:
    """Return the network of a finished run and the parameters it ended with.

    `sgd.logits(model, params, images)` then takes uint8 images [B, H, W, C] as they were read.

    Raises:
      RecordError: if the directory does not hold a finished run.
    """
    run_dir = Path(run_dir)
    record = records.read_json(run_dir / "config.json")
    files = sorted((run_dir / "checkpoints").glob("*.npz"))
    if not files:
        raise RecordError(f"{run_dir}: holds no parameters: its run has not finished")
    model = network(config.from_dict(record["config"]), len(record["data"]["class_names"]))
    return model, load(files[-1])
