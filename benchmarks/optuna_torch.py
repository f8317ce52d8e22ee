"""A search by Optuna that trains with PyTorch; `benchmarks.race` starts one for each core.

python -m benchmarks.optuna_torch DIRECTORY DATASET SEARCH SEED PLACE
"""

import json
import math
import os
import sys
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.study import MaxTrialsCallback

from benchmarks import pytorch
from benchmarks.race import EPOCHS, HELD_OUT, MODES, SEEDS, SPACE, TRIALS, study
from lenet import data as datasets
from lenet import search
from lenet.config import Config
from lenet.data.splits import blind
from lenet.engine import cores


def main(directory: str, dataset: str, name: str, seed: str, place: str) -> None:
    """Search until TRIALS settings were proposed; write a line after each epoch."""
    core = cores.numbers()[int(place)]
    if core is not None:
        os.sched_setaffinity(0, {core})
    ledger = Path(directory) / search.LEDGER

    def note(trial: int, **what: Any) -> None:
        with ledger.open("a") as lines:
            lines.write(json.dumps({"trial": trial} | what) + "\n")

    data = blind(datasets.load(dataset, valid=HELD_OUT))

    def objective(trial: optuna.Trial) -> float:
        setting = {
            name: trial.suggest_float(name, axis.low, axis.high, log=axis.log)
            if isinstance(axis, search.Range)
            else trial.suggest_categorical(name, axis)
            for name, axis in SPACE.items()
        }
        note(trial.number)
        config = Config(**setting, seed=SEEDS * int(seed) + trial.number)
        torch.compiler.reset()
        program = pytorch.Program(config, data, **MODES[name])
        accuracy = 0.0
        for epoch in range(1, EPOCHS + 1):
            if not math.isfinite(program.epoch().loss):
                raise optuna.TrialPruned
            accuracy = program.inference().accuracy
            note(trial.number, marks=[{"epoch": epoch, "valid_accuracy": accuracy}])
            trial.report(accuracy, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return accuracy

    found = study(Path(directory))
    found.sampler = optuna.samplers.TPESampler(seed=SEEDS * int(seed) + int(place))
    found.optimize(objective, callbacks=[MaxTrialsCallback(TRIALS, states=None)])


if __name__ == "__main__":
    main(*sys.argv[1:])
