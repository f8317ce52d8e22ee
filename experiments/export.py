"""Export the network of a run to a format that other programs read.

    python -m experiments.export RUN_DIR --format=onnx         ONNX Runtime and many others
    python -m experiments.export RUN_DIR --format=torch        a state dict for nn.Sequential
    python -m experiments.export RUN_DIR --format=npz          NumPy
    python -m experiments.export RUN_DIR --format=stablehlo    jax.export, IREE, TensorFlow
    python -m experiments.export RUN_DIR --format=onnx --to=lenet.onnx

onnx, torch: images [batch, C, H, W]; stablehlo: [batch, H, W, C]; all float32, scaled to 0 to 1.
All return logits [batch, K]. npz and stablehlo take any network; onnx and torch one that is a chain
of convolutions, poolings, dense layers, batch normalisation and sigmoid, tanh or ReLU. The file is
written to the run directory unless --to is given.
"""

from pathlib import Path

from absl import flags

from experiments import cli
from experiments.cli import networks
from experiments.cli.language import t
from lenet import files, records
from lenet.errors import UsageError

SUFFIX = {"onnx": "onnx", "torch": "pt", "npz": "npz", "stablehlo": "stablehlo"}

flags.DEFINE_enum("format", "onnx", list(SUFFIX), "file format")
flags.DEFINE_string("to", None, "output file (default: lenet.SUFFIX in the run directory)")
networks.define()
FLAGS = flags.FLAGS


def main(*operands: str) -> None:
    """Load, convert, write."""
    if len(operands) != 1:
        raise UsageError("give one run directory: RUN_DIR --format=onnx")
    run_dir = Path(operands[0])
    if not run_dir.is_dir():
        raise UsageError(f"{run_dir}: no such directory")
    from lenet import export

    found = records.restore(run_dir, networks.again())
    network = found.model, found.params, found.image_shape
    content = {
        "onnx": lambda: export.to_onnx(*network),
        "torch": lambda: export.to_torch_file(*network),
        "npz": lambda: export.to_npz(found.params),
        "stablehlo": lambda: export.to_stablehlo(*network),
    }[FLAGS.format]()
    path = Path(FLAGS.to).expanduser() if FLAGS.to else run_dir / f"lenet.{SUFFIX[FLAGS.format]}"
    files.write(path, content)
    epoch = found.checkpoint.epoch
    print(
        t(
            "saved to {path}: {n:,} bytes, after epoch {epoch}",
            path=path,
            n=len(content),
            epoch=epoch,
        )
    )
    if FLAGS.format == "torch":
        print(export.torch_code(*network))


if __name__ == "__main__":
    cli.run(main, __doc__ or "", operands=True)
