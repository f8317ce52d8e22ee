"""Which bits of a run are equal on a GPU, and how far results are from exact ones.

    python -m benchmarks.bits DATASET PRECISION alone FILE     train, keep the states in FILE
    python -m benchmarks.bits DATASET PRECISION resume FILE    go on from the middle of that run
    python -m benchmarks.bits DATASET PRECISION sweep FILE     train seeds 0 to 31 together

Each is a process that compiles anew, without a cache, and prints one line of JSON.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

EPOCHS, HALF, SEEDS = 10, 5, 32
IMAGES = 1000
"""Test images whose logits are compared with float64."""
PRECISIONS = {"tf32": "tensorfloat32", "float32": "float32"}


def measure(dataset: str) -> dict[str, Any]:
    """Return what every process found, by precision and by what it did."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as directory, ThreadPoolExecutor(4) as threads:
        files = {name: f"{directory}/{name}.npz" for name in PRECISIONS}
        for kinds in (("alone", "again"), ("resume", "sweep")):
            asked = [(name, kind) for name in PRECISIONS for kind in kinds]
            commands = [_command(dataset, name, kind, files[name]) for name, kind in asked]
            for (name, kind), answer in zip(asked, threads.map(_asked, commands), strict=True):
                found.setdefault(name, {})[kind] = answer
    return found


def _command(dataset: str, name: str, kind: str, file: str) -> list[str]:
    other = ("alone", f"{file}.again.npz") if kind == "again" else (kind, file)
    return [sys.executable, "-P", "-m", "benchmarks.bits", dataset, PRECISIONS[name], *other]


def _asked(command: Sequence[str]) -> dict[str, Any]:
    kept = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env=kept | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
    )
    if done.returncode:
        return {"error": f"status {done.returncode}"}
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def main(dataset: str, precision: str, kind: str, file: str) -> dict[str, Any]:
    """Do one of the things above."""
    import jax

    from lenet import data, train
    from lenet.config import Config

    loaded = data.load(dataset)
    config = Config(dataset=dataset, precision=precision, epochs=EPOCHS)
    if kind == "sweep":
        return _sweep(config, loaded, file)
    program = train.start(config, loaded)
    start = None
    if kind == "resume":
        kept = _states(file)[HALF]
        start = HALF, jax.tree.unflatten(jax.tree.structure(program.init.out_info), kept)
    states = {row.epoch: (row, state) for row, state in train.fit(program, start)}
    leaves = {number: jax.tree.leaves(state) for number, (_, state) in states.items()}
    if kind == "alone":
        flat = {f"{number}_{i}": x for number in leaves for i, x in enumerate(leaves[number])}
        np.savez(file, **flat)
    row, state = states[EPOCHS]
    found = {
        "digests": {str(number): _digest(x) for number, x in leaves.items()},
        "test_accuracy": row.test_accuracy,
        "train_loss": row.train_loss,
    }
    if kind == "alone":
        images = loaded.test.images[:IMAGES]
        found["logits"] = _distance(
            _logits(config, state.params, images), exact(state.params, images)
        )
    return found


def _sweep(config: Any, loaded: Any, file: str) -> dict[str, Any]:
    import dataclasses

    import jax

    from lenet import train

    configs = [dataclasses.replace(config, seed=seed) for seed in range(SEEDS)]
    alone, lane = _states(file), dict[str, float]()
    last: dict[int, Any] = {}
    for epoch in train.sweep(configs, loaded):
        last |= epoch.rows
        if 0 in epoch.rows:  # the first lane
            number = last[0].epoch
            own = [np.asarray(x[0], np.float64) for x in jax.tree.leaves(epoch.state)]
            pairs = zip(own, alone[number], strict=True)
            lane[str(number)] = max(float(np.abs(x - y).max()) for x, y in pairs)
    return {
        "runs": [
            {"seed": i, "test_accuracy": row.test_accuracy, "train_loss": row.train_loss}
            for i, row in last.items()
        ],
        "lane_minus_alone": lane,
    }


def _states(file: str) -> dict[int, list[np.ndarray]]:
    found: dict[int, list[np.ndarray]] = {}
    with np.load(file, allow_pickle=False) as kept:
        for name in kept.files:  # in the order of writing
            found.setdefault(int(name.split("_")[0]), []).append(kept[name])
    return found


def _digest(leaves: Sequence[np.ndarray]) -> str:
    return hashlib.sha256(b"".join(np.asarray(x).tobytes() for x in leaves)).hexdigest()[:16]


def _logits(config: Any, params: Any, images: np.ndarray) -> np.ndarray:
    import jax

    from lenet.engine import forward, sgd
    from lenet.model import network

    model = network(config, 10)
    with sgd.products(model):
        return np.asarray(jax.jit(forward.logits, static_argnums=0)(model, params, images))


def exact(params: Any, images: np.ndarray) -> np.ndarray:
    """Return the book's logits [B, K] in float64, by NumPy."""
    windows = np.lib.stride_tricks.sliding_window_view
    x = np.pad(images.astype(np.float64) / 255, ((0, 0), (2, 2), (2, 2), (0, 0)))
    weights = {n: {k: np.asarray(v, np.float64) for k, v in p.items()} for n, p in params.items()}
    for layer in ("conv1", "conv2"):
        kernel = weights[layer]["kernel"]
        y = np.einsum("bijckl,klcd->bijd", windows(x, kernel.shape[:2], (1, 2)), kernel)
        y = 1 / (1 + np.exp(-y - weights[layer]["bias"]))
        b, h, w, c = y.shape
        x = y.reshape(b, h // 2, 2, w // 2, 2, c).mean((2, 4))
    x = x.reshape(len(x), -1)
    for layer in ("dense1", "dense2", "dense3"):
        x = x @ weights[layer]["kernel"] + weights[layer]["bias"]
        x = x if layer == "dense3" else 1 / (1 + np.exp(-x))
    return x


def _distance(found: np.ndarray, expected: np.ndarray) -> float:
    """Return ‖found − expected‖ / ‖expected‖."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
