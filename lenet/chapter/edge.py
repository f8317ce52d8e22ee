"""Learn the edge kernel of the chapter by gradient descent, whose losses have a closed form.

With the image x and the target y = corr2d(x, [1, −1]), the loss of a kernel k is the quadratic

    L(k) = Σ (corr2d(x, k) − y)² = eᵀ M e,  e = k − [1, −1],  M = [[18, 12], [12, 18]]

so a step at learning rate η multiplies the sum e₁ + e₂ by 1 − 60η and the difference e₁ − e₂ by
1 − 12η. Gradient descent converges for η < 1/30, fastest at 1/36.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax

from lenet.model import Conv2D

EDGE, M = np.array([1.0, -1.0]), np.array([[18.0, 12.0], [12.0, 18.0]])
"""The kernel with loss 0, and the quadratic form of the loss; its second derivative is 2M."""

LIMIT, BEST = 1 / 30, 1 / 36
"""The learning rate above which it diverges, and the one that converges fastest."""


class Learned(NamedTuple):
    """The result of learning the kernel."""

    losses: Array  # float32 [S], each before its step, as the chapter prints them
    kernels: Array  # float32 [S + 1, 2], the first as it started


def problem() -> tuple[Array, Array]:
    """Return the chapter's image [1, 6, 8, 1], white with a black band, and its edges [1, 6, 7, 1].

    >>> problem()[1][0, 0, :, 0].tolist()
    [0.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0]
    """
    image = jnp.ones((1, 6, 8, 1)).at[:, :, 2:6].set(0)
    return image, image[:, :, :-1] - image[:, :, 1:]


@partial(jax.jit, static_argnames="steps")
def learn(kernel: Array, lr: float | Array, steps: int = 10) -> Learned:
    """Learn the kernel with a Flax `Conv2D` and optax SGD on the summed squared error.

    Args:
      kernel: where to start, [2].
      lr: learning rate; one program serves them all.
      steps: how many.

    >>> learned = learn(jnp.array([0.0, 0.0]), 0.03)
    >>> [round(float(loss), 3) for loss in learned.losses[1::2]]
    [4.915, 0.825, 0.138, 0.023, 0.004]
    """
    image, edges = problem()
    layer = Conv2D(features=1, kernel_size=(1, 2), use_bias=False)
    optimizer = optax.sgd(lr)

    def loss(params: dict[str, Array]) -> Array:
        prediction: Array = layer.apply({"params": params}, image)  # type: ignore[assignment]
        return ((prediction - edges) ** 2).sum()

    def step(
        state: tuple[dict[str, Array], optax.OptState], _: None
    ) -> tuple[tuple[dict[str, Array], optax.OptState], tuple[Array, Array]]:
        params, memory = state
        value, gradient = jax.value_and_grad(loss)(params)
        updates, memory = optimizer.update(gradient, memory)
        params = optax.apply_updates(params, updates)
        return (params, memory), (value, params["kernel"].ravel())

    start = {"kernel": jnp.asarray(kernel, jnp.float32).reshape(1, 2, 1, 1)}
    _, (losses, kernels) = lax.scan(step, (start, optimizer.init(start)), None, length=steps)
    return Learned(losses, jnp.concatenate([start["kernel"].reshape(1, 2), kernels]))


def predict(kernel: np.ndarray, lr: float, steps: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Return the result of `learn` by the closed form, in float64.

    A step multiplies the error e by 1 − 2ηM. Shapes as in `Learned`.
    """
    powers = [np.linalg.matrix_power(_step(lr), t) for t in range(steps + 1)]
    errors = np.stack(powers) @ (np.asarray(kernel) - EDGE)
    return ((errors @ M) * errors).sum(1)[:-1], EDGE + errors


def start_of(kernel: np.ndarray, lr: float, steps: int = 10) -> np.ndarray:
    """Return the start [2] from which learning reaches `kernel` in `steps`: `predict` inverted.

    >>> start_of(predict(np.array([2.0, 1.0]), 0.03)[1][-1], 0.03).round(6).tolist()
    [2.0, 1.0]
    """
    return EDGE + np.linalg.matrix_power(_step(lr), -steps) @ (np.asarray(kernel) - EDGE)


def _step(lr: float) -> np.ndarray:
    """Return what a step multiplies the error by."""
    return np.eye(2) - 2 * lr * M
