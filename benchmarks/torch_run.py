"""A run of PyTorch that writes its validation accuracies; `benchmarks.answer` starts it.

python -m benchmarks.torch_run DIRECTORY '{"setting": {...}, "options": {...}}'

It imports nothing that it does not need, for the start is part of what is measured.
"""

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import pytorch
from lenet import data as datasets
from lenet.config import Config
from lenet.data.splits import blind
from lenet.records import directory


def main(run_dir: str, asked: str) -> None:
    """Train to the end; write a line after each epoch."""
    Path(run_dir).mkdir()
    given: dict[str, dict[str, Any]] = json.loads(asked)
    config = Config(**given["setting"])
    data = blind(datasets.load(config.dataset, valid=config.valid))
    program = pytorch.Program(config, data, **given["options"])
    with (Path(run_dir) / directory.METRICS).open("a") as lines:
        for _ in range(config.epochs):
            program.epoch()
            line = {"valid_accuracy": program.inference().accuracy}
            print(json.dumps(line), file=lines, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
