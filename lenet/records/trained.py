"""The network of a run directory, with what its records say of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lenet import records
from lenet.errors import RecordError
from lenet.model import network

if TYPE_CHECKING:
    from lenet.engine.sgd import Params
    from lenet.model import LeNet
    from lenet.records.checkpoint import Checkpoint


class Trained(NamedTuple):
    """A trained network."""

    model: "LeNet"
    params: "Params"
    class_names: tuple[str, ...]
    checkpoint: "Checkpoint"  # the newest that is whole
    about: dict[str, Any]  # config.json

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(H, W, C)."""
        return self.checkpoint.image_shape


def load(run_dir: Path) -> Trained:
    """Return the network of a run directory.

    Raises:
      RecordError: if there is none, or its records do not agree.
    """
    from lenet.records import checkpoint

    for what in ("sweep", "compare"):
        if records.exists(run_dir, f"{what}.json"):
            raise RecordError(
                f"{run_dir}: experiments.{what} keeps no networks, only what they came to: train "
                "the one that is wanted with experiments.train"
            )
    found = checkpoint.newest(run_dir)
    if found is None:
        raise RecordError(f"{run_dir}: holds no checkpoint: no epoch of a run is finished there")
    about = records.read_json(run_dir / "config.json")
    described = about.get("data")
    names = described.get("class_names") if isinstance(described, dict) else None
    if not isinstance(names, list) or len(names) != found.num_classes:
        raise RecordError(f"{run_dir / 'config.json'}: names no {found.num_classes} classes")
    if not isinstance(about.get("config"), dict) or not isinstance(about.get("command"), str):
        raise RecordError(f"{run_dir / 'config.json'}: not that of a run")
    model = network(found.config, found.num_classes)
    return Trained(model, found.state.params, tuple(map(str, names)), found, about)
