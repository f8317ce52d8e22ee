"""Load the trained network of a run directory."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lenet.errors import RecordError
from lenet.records import reading
from lenet.records.directory import CONFIG, exists

if TYPE_CHECKING:
    from flax import linen as nn

    from lenet.engine.forward import Params
    from lenet.records.checkpoint import Checkpoint


class Trained(NamedTuple):
    """A trained network, and what its run directory records."""

    model: "nn.Module"
    params: "Params"  # or all variables, of a network that keeps more
    class_names: tuple[str, ...]
    checkpoint: "Checkpoint"  # the newest undamaged one
    about: dict[str, Any]  # config.json

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(H, W, C)."""
        return self.checkpoint.image_shape

    def __repr__(self) -> str:
        """In a line: the parameters alone would fill pages."""
        return f"Trained({self.model!r}, after epoch {self.checkpoint.epoch})"

    def _repr_html_(self) -> str:
        """What a notebook displays: the layers."""
        from lenet.inspect.layers import layers

        return layers(self.model, self.image_shape)._repr_html_()


def load(run_dir: str | Path, network: Any = None) -> tuple["nn.Module", "Params"]:
    """Return the network of a run and the parameters of its newest checkpoint.

    `lenet.inspect.logits(model, params, images)` then takes uint8 images [N, H, W, C]. A record
    names no code to import: of another network than LeNet give the `network`, with any settings.

    Returns:
      the module, and its parameters; if it has batch statistics, those as `params` beside
      `batch_stats`, as `model.apply` takes them (else it takes {"params": ...})

    Raises:
      RecordError: if there is no checkpoint, or all are damaged.
    """
    model, found = _newest(Path(run_dir).expanduser(), network)
    return model, found.state.variables


def restore(run_dir: str | Path, network: Any = None) -> Trained:
    """Return the trained network of a run directory, with its records; `network` as in `load`.

    Raises:
      RecordError: if there is no checkpoint, or the records contradict each other.
    """
    run_dir = Path(run_dir).expanduser()
    model, found = _newest(run_dir, network)
    path = run_dir / CONFIG
    about = reading.read_json(path)
    described = about.get("data")
    names = described.get("class_names") if isinstance(described, dict) else None
    if not isinstance(names, list) or len(names) != found.num_classes:
        raise RecordError(f"{path}: does not name {found.num_classes} classes")
    if not isinstance(about.get("config"), dict) or not isinstance(about.get("command"), str):
        raise RecordError(f"{path}: not the record of a run")
    return Trained(model, found.state.variables, tuple(map(str, names)), found, about)


def _newest(run_dir: Path, network: Any) -> tuple["nn.Module", "Checkpoint"]:
    from lenet.model import network as model_of  # with jax, which `--help` does not wait for
    from lenet.records import checkpoint

    for what in ("sweep", "compare"):
        if exists(run_dir, f"{what}.json"):
            raise RecordError(
                f"{run_dir}: sweeps and comparisons save results, not networks. Train the setting "
                "you want with experiments.train and use its run directory."
            )
    found = checkpoint.newest(run_dir, network)
    if found is None:
        if not run_dir.exists():
            raise RecordError(f"{run_dir}: no such directory: give that of a run")
        raise RecordError(f"{run_dir}: no checkpoint yet: the run has not finished an epoch")
    return model_of(found.config, found.num_classes), found
