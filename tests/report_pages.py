"""Reports for tests, of networks that need no training."""

import dataclasses
from pathlib import Path

import jax
import numpy as np

from lenet import config as config_module
from lenet import inspect, train
from lenet.config import Config
from lenet.data import Data, Split
from lenet.engine import forward
from lenet.engine.rows import Row
from lenet.inspect import diagnostics, snapshot
from lenet.inspect.activations import Statistics, activations
from lenet.model import LeNet, network
from lenet.report import of_run, page

NAMES = ("Pullover", "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "Coat & {n}")
SMALL = Config(channels=(2, 3), hidden=(8,), epochs=2)


def data(shape: tuple[int, int, int] = (28, 28, 1), count: int = 60) -> Data:
    """Images of noise, of four classes whose names would do something."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, *shape), np.uint8)
    split = Split(images, rng.integers(0, len(NAMES), count).astype(np.int32))
    return Data(split, None, split, "noise", "made", NAMES)


def run(config: Config, of: Data, name: str = "run") -> of_run.Run:
    """A run as if it had been trained, with parameters from its seed."""
    model = network(config, of.num_classes)
    params = _variables(model, config, of)
    running = [(0.5, 1.4, 0.2), (1.0, 1.3, 0.3)]
    rows = [
        Row(epoch, 1.38, 0.3, None, None, 1.37, 0.25, 60, 1.0, 60.0, running) for epoch in (1, 2)
    ]
    names: list[str] = []
    # Their order, which what jax returns has not.
    jax.eval_shape(lambda p, x: names.extend(activations(model, p, x)), params, of.test.images[:1])
    names = [name for name in names if name]  # but the logits of another network
    ended = 0.0 if isinstance(model, LeNet) else None
    seen = {
        # As on the plateau: the deeper, the less a layer tells images apart.
        name: Statistics(0.5, 0.2, 0.1 / 10**place, ended, ended, 0.01, 0.1)
        for place, name in enumerate(names)
    }
    before = _variables(model, dataclasses.replace(config, seed=config.seed + 1), of)
    predicted = inspect.logits(model, params, of.test.images).argmax(1)
    states = [(before, None), (params, predicted)]
    taken = [snapshot.take(model, p, of.test, of.num_classes, seen) for p, seen in states]
    about = {
        "command": "python -m experiments.train",
        "config": config_module.to_dict(config),
        "data": {
            "name": of.name,
            "class_names": list(of.class_names),
            "train": len(of.train.labels),
        },
    }
    return of_run.Run(
        name,
        config,
        rows,
        [
            diagnostics.to_dict(epoch, seen) | {"snapshot": snapshot.to_dict(taken[epoch > 0])}
            for epoch in (0, 1, 2)
        ],
        about,
        {"versions": {"jax": "1"}, "cores": 2},
        model,
        params,
        of.image_shape,
        of.class_names,
    )


def _variables(model, config: Config, of: Data):
    """As after training: statistics of batches are not those that they begin with."""
    state = jax.device_get(train.init(model, config, of.image_shape))
    rng = np.random.default_rng(config.seed)
    kept = jax.tree.map(lambda x: x + rng.uniform(0.1, 0.6, x.shape), state.collections)
    return forward.variables(state.params, kept)


def write(path: Path, report: page.Report, language: str = "en") -> Path:
    """Write a page; return where."""
    path.write_bytes(page.render(report, language))
    return path
