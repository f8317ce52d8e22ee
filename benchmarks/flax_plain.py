"""LeNet as one writes it first in Flax: nn.Conv, optax, a jitted step; in a loop or in a scan."""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.training.train_state import TrainState
from jax import Array, lax

from benchmarks import kernels
from benchmarks.contenders import TEST_BATCH, Pass
from benchmarks.ours import summary
from lenet.config import Config
from lenet.data import Data
from lenet.engine.metrics import Metrics

XAVIER = nn.initializers.xavier_uniform()


class Network(nn.Module):
    """LeNet for images [B, H, W, 1], with logits [B, 10]."""

    activation: Callable[[Array], Array]
    pool: Callable[..., Array]

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Return the logits."""
        x = self.activation(nn.Conv(6, (5, 5), padding="SAME", kernel_init=XAVIER)(x))
        x = self.pool(x, (2, 2), strides=(2, 2))
        x = self.activation(nn.Conv(16, (5, 5), padding="VALID", kernel_init=XAVIER)(x))
        x = self.pool(x, (2, 2), strides=(2, 2))
        x = x.reshape(x.shape[0], -1)
        x = self.activation(nn.Dense(120, kernel_init=XAVIER)(x))
        x = self.activation(nn.Dense(84, kernel_init=XAVIER)(x))
        return nn.Dense(10, kernel_init=XAVIER)(x)


def network(config: Config) -> Network:
    """Return the network of the two that `config` asks for."""
    pool = {"avg": nn.avg_pool, "max": nn.max_pool}[config.pool]
    return Network({"sigmoid": nn.sigmoid, "relu": nn.relu}[config.activation], pool)


class Program:
    """The training loop around it."""

    def __init__(self, config: Config, data: Data, *, scan: bool = False) -> None:
        """Initialise; with `scan`, whole passes become one program each."""
        model = network(config)
        params = model.init(jax.random.key(config.seed), jnp.zeros((1, *data.image_shape)))
        self.state = TrainState.create(
            apply_fn=model.apply, params=params["params"], tx=optax.sgd(config.lr)
        )
        self.data, self.size, self.scan = data, config.batch_size, scan
        self.rng = np.random.default_rng(config.seed)
        self.batch = jax.device_put(_batch(data.train, np.arange(self.size)))

    def epoch(self) -> Pass:
        """Train on every example once."""
        rows = self.rng.permutation(len(self.data.train.labels))
        whole = len(rows) // self.size * self.size
        sums = []
        if self.scan:
            images, labels = _batch(self.data.train, rows[:whole].reshape(-1, self.size))
            self.state, some = _train_scan(self.state, images, labels)
            sums.append(some)
            rows = rows[whole:]
        for i in range(0, len(rows), self.size):
            images, labels = _batch(self.data.train, rows[i : i + self.size])
            self.state, some = _train_step(self.state, images, labels)
            sums.append(some)
        return _joined(sums)

    def step(self, steps: int) -> None:
        """Take steps on one batch, in the loop that it is about."""
        state = self.state
        if self.scan:
            state = _steps(state, steps, *self.batch)
        else:
            for _ in range(steps):
                state, _ = _train_step(state, *self.batch)
        jax.block_until_ready(state.params)

    def inference(self) -> Pass:
        """Evaluate the test images."""
        rows = np.arange(len(self.data.test.labels))
        if self.scan and len(rows) % TEST_BATCH == 0:
            images, labels = _batch(self.data.test, rows.reshape(-1, TEST_BATCH))
            return summary(_evaluate_scan(self.state, images, labels))
        starts = range(0, len(rows), TEST_BATCH)
        batches = (_batch(self.data.test, rows[i : i + TEST_BATCH]) for i in starts)
        return _joined([_evaluate(self.state, *batch) for batch in batches])

    def kernels(self, steps: int) -> int | None:
        """Count the kernels of some steps."""
        return kernels.of_jax(lambda: self.step(steps))

    def environment(self) -> dict[str, Any]:
        """Nothing that `records.environment` does not know."""
        return {}

    def device_memory(self) -> int | None:
        """Return the most bytes held on a GPU."""
        return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")


def _batch(split: Any, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return split.images[rows].astype(np.float32) / 255, split.labels[rows]


def _joined(sums: list[Metrics]) -> Pass:
    fetched = jax.device_get(sums)
    return summary(
        jax.tree.map(lambda *xs: np.concatenate([np.atleast_1d(x) for x in xs]), *fetched)
    )


def _sums(logits: Array, labels: Array) -> Metrics:
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    hits = logits.argmax(-1) == labels
    return Metrics(losses.sum(), hits.sum(), jnp.full((), len(labels)))


def _step(state: TrainState, images: Array, labels: Array) -> tuple[TrainState, Metrics]:
    def mean_loss(params: Any) -> tuple[Array, Metrics]:
        sums = _sums(state.apply_fn({"params": params}, images), labels)
        return sums.loss_sum / sums.count, sums

    gradients, sums = jax.grad(mean_loss, has_aux=True)(state.params)
    return state.apply_gradients(grads=gradients), sums


_train_step = jax.jit(_step)


@jax.jit
def _train_scan(state: TrainState, images: Array, labels: Array) -> tuple[TrainState, Metrics]:
    return lax.scan(lambda state, batch: _step(state, *batch), state, (images, labels))


@partial(jax.jit, static_argnames="steps")
def _steps(state: TrainState, steps: int, images: Array, labels: Array) -> TrainState:
    def body(state: TrainState, _: None) -> tuple[TrainState, None]:
        return _step(state, images, labels)[0], None

    return lax.scan(body, state, None, length=steps)[0]


@jax.jit
def _evaluate(state: TrainState, images: Array, labels: Array) -> Metrics:
    return _sums(state.apply_fn({"params": state.params}, images), labels)


@jax.jit
def _evaluate_scan(state: TrainState, images: Array, labels: Array) -> Metrics:
    return lax.map(lambda batch: _evaluate(state, *batch), (images, labels))
