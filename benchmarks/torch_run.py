"""A run of PyTorch that writes its validation accuracies; `benchmarks.answer` starts it.

python -m benchmarks.torch_run DIRECTORY DATASET COMPILED SEED
"""

import json
import sys
from pathlib import Path

from benchmarks import pytorch
from benchmarks.answer import EPOCHS, HELD_OUT, SETTING
from lenet import data as datasets
from lenet.config import Config
from lenet.data.splits import blind
from lenet.records import directory


def main(run_dir: str, dataset: str, compiled: str, seed: str) -> None:
    """Train for EPOCHS epochs; write a line after each."""
    Path(run_dir).mkdir()
    config = Config(**SETTING, seed=int(seed))
    data = blind(datasets.load(dataset, valid=HELD_OUT))
    program = pytorch.Program(config, data, compiled=compiled == "1")
    with (Path(run_dir) / directory.METRICS).open("a") as lines:
        for _ in range(EPOCHS):
            program.epoch()
            line = {"valid_accuracy": program.inference().accuracy}
            print(json.dumps(line), file=lines, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
