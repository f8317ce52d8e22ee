"""What others got: 340 official runs of the chapter's experiment, printed with its notebooks.

LeNet, sigmoid, average pooling, SGD at 0.9, batches of 256, 10 epochs, Fashion-MNIST. Read from the
outputs kept in the version history of the d2l-ai notebook repositories; accuracies by epoch were
decoded from their SVG plots, good to about 0.001.
"""

import json
from importlib import resources
from typing import NamedTuple

from lenet.config import PRESETS, Config

LEFT_PLATEAU_BY_EPOCH_2 = (178, 199)
"""Of 199 PyTorch runs, those whose test accuracy was off 0.10 after two epochs."""


class Band(NamedTuple):
    """Test accuracy of the published runs after each epoch."""

    runs: int
    epochs: list[int]
    low: list[float]  # 10th percentile
    median: list[float]
    high: list[float]  # 90th percentile


def band(framework: str = "pytorch") -> Band:
    """Return the band of one framework: "pytorch", "tensorflow" or "mxnet".

    >>> band().runs, band().median[-1]
    (199, 0.806)
    """
    text = resources.files("lenet").joinpath("published_bands.json").read_text(encoding="utf-8")
    runs = json.loads(text)[framework]
    rows = runs["test_acc_by_epoch"]
    columns = ([row[key] for row in rows] for key in ("epoch", "p10", "median", "p90"))
    return Band(runs["n"], *columns)


def comparable(config: Config) -> bool:
    """Whether `config` is the published experiment, whatever its seed and length.

    >>> comparable(Config(seed=3)), comparable(Config(dataset="synthetic"))
    (True, False)
    """
    free = {name: getattr(config, name) for name in ("seed", "epochs", "conv")}
    return config == Config(**PRESETS["book"], **free)
