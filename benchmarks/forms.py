"""One convolutional layer of LeNet in several forms: what each step of the reformulation bought.

Forward and gradients inside a compiled loop, as in training; the activation and the pooling apart.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
from jax import Array, lax
from tabulate import tabulate

from benchmarks.rounds import Tell, turns
from lenet import ops
from lenet.language import Translate, mark
from lenet.ops import blocks

BATCH = 256
STEPS = 20
"""Steps that are timed together."""
LAYERS = {
    # images, kernel, padding; the first layer's images need no gradient
    "conv1": ((BATCH, 28, 28, 1), (5, 5, 1, 6), 2),
    "conv2": ((BATCH, 14, 14, 6), (5, 5, 6, 16), 0),
}
BLOCKS = (1, 2, 4)

Layer = Callable[[Array, Array, Array], Array]


def forms(padding: int) -> dict[str, tuple[Callable[[Array], Array], Layer, int]]:
    """Return, by name, how images are laid out, the layer, and the side of its blocks (0: none)."""

    def convolution(x: Array, kernel: Array, bias: Array) -> Array:
        return ops.conv2d(x, kernel, padding=padding) + bias[None, None, None]

    def im2col(x: Array, kernel: Array, bias: Array) -> Array:
        rows = ops.patches(x, kernel.shape[:2], padding=padding)
        return rows @ kernel.reshape(-1, kernel.shape[-1]) + bias[None, None, None]

    def concatenated(x: Array, kernel: Array, bias: Array) -> Array:
        with mock.patch.object(blocks, "_patches", blocks._joined):
            return blocks.conv2d(x, kernel, bias)

    def split(block: int) -> Callable[[Array], Array]:
        sides = ((padding, padding), (padding, padding))
        return partial(blocks.split, block=block, padding=sides)

    found: dict[str, tuple[Callable[[Array], Array], Layer, int]] = {
        "XLA's convolution": (lambda x: x, convolution, 0),
        "im2col: a row for each output": (lambda x: x, im2col, 0),
    }
    for block in BLOCKS:
        found[f"blocks of {block}×{block}"] = (split(block), blocks.conv2d, block)
    best = 4 if padding else 2  # what the network uses
    found[f"blocks of {best}×{best}, slices concatenated"] = (split(best), concatenated, best)
    return found


def count(repeats: int) -> int:
    """Return how often `measure` will tell of something."""
    return repeats * sum(len(forms(padding)) for _, _, padding in LAYERS.values())


def measure(repeats: int, tell: Tell) -> dict[str, Any]:
    """Return milliseconds of forward and gradients, every form in turn, `repeats` times."""
    record: dict[str, Any] = {"batch_size": BATCH, "layers": {}}
    for name, (shape, kernel_shape, padding) in LAYERS.items():
        found = forms(padding)
        programs = {
            form: _program(layout, layer, shape, kernel_shape, images_too=name != "conv1")
            for form, (layout, layer, _) in found.items()
        }
        times: dict[str, list[float]] = {form: [] for form in found}
        for _, form in turns(repeats, ["step"], list(programs)):
            tell(f"{name}: {form}")
            begin = time.perf_counter()
            jax.block_until_ready(programs[form]())
            times[form].append(1e3 * (time.perf_counter() - begin) / STEPS)
        record["layers"][name] = [
            {"form": form, "waste": _waste(block, kernel_shape[0]), "milliseconds": times[form]}
            for form, (_, _, block) in found.items()
        ]
    return record


def _program(
    layout: Callable[[Array], Array],
    layer: Layer,
    shape: tuple[int, ...],
    kernel_shape: tuple[int, ...],
    *,
    images_too: bool,
) -> Callable[[], Any]:
    """Return the compiled loop, which nothing can be moved out of, run once."""
    x = layout(jax.random.uniform(jax.random.key(0), shape))
    kernel = jax.random.normal(jax.random.key(1), kernel_shape)
    bias = jnp.zeros(kernel_shape[-1])

    def step(_: Array, state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        x, kernel, bias = state
        if images_too:
            y, gradients = jax.vjp(layer, x, kernel, bias)
            dx, d_kernel, d_bias = gradients(y)
        else:
            y, gradients = jax.vjp(partial(layer, x), kernel, bias)
            dx, (d_kernel, d_bias) = d_kernel_sum(gradients(y))
        return x + 1e-9 * dx, kernel - 1e-9 * d_kernel, bias - 1e-9 * d_bias

    def d_kernel_sum(gradients: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array]]:
        return gradients[1][0], gradients  # so that other images come with every step

    loop = jax.jit(lambda *state: lax.fori_loop(0, STEPS, step, state))
    compiled = loop.lower(x, kernel, bias).compile()
    jax.block_until_ready(compiled(x, kernel, bias))
    return partial(compiled, x, kernel, bias)


def _waste(block: int, side: int) -> float:
    """Multiply-adds of a block over those of the convolution: some meet a zero."""
    return ((block + side - 1) / side) ** 2 if block else 1.0


FORMS = (
    mark("XLA's convolution"),
    mark("im2col: a row for each output"),
    mark("blocks of 1×1"),
    mark("blocks of 2×2"),
    mark("blocks of 4×4"),
    mark("blocks of 2×2, slices concatenated"),
    mark("blocks of 4×4, slices concatenated"),
)
"""What records call the forms."""


def table(record: dict[str, Any], heads: tuple[str, str], t: Translate = str) -> str:
    """Return the record as a table: form, multiply-adds, and milliseconds for each layer."""
    first, second = record["layers"].values()
    names = list(dict.fromkeys(row["form"] for row in (*first, *second)))

    def cell(rows: list[dict[str, Any]], form: str) -> str:
        found = [row["milliseconds"] for row in rows if row["form"] == form]
        if not found:
            return ""
        return f"{statistics.median(found[0]):.2f} [{min(found[0]):.2f}, {max(found[0]):.2f}]"

    waste = {row["form"]: f"×{row['waste']:.2f}" for row in (*first, *second)}
    cells = [(t(form), waste[form], cell(first, form), cell(second, form)) for form in names]
    columns = [t("{layer}, ms").format(layer=layer) for layer in record["layers"]]
    return tabulate(cells, headers=[*heads, *columns], tablefmt="github", disable_numparse=True)
