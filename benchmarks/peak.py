"""Which share of a core's measured peak each direction of a convolution of LeNet reaches.

One core computes a part of the book's minibatch. The peak is what the matrix library gives for
large square matrices. A convolution counts for its own multiply-adds: products that also multiply
zeros, as the matrix products of blocks do, get nothing for those.
"""

import math
import random
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from tabulate import tabulate

from benchmarks.rounds import Tell
from lenet.language import Translate, mark
from lenet.ops import blocks, compiled, native

EXAMPLES = 128
"""Half a minibatch of the book's: what a core computes of it where there are two."""
SECONDS = 0.2
"""That a program is called for in each round, at least."""
SIDE = 1536
"""Of the square matrices whose product is the peak."""
LAYERS = {
    # images with their padding, kernel, side of the blocks of matrix products
    "conv1": ((EXAMPLES, 32, 32, 1), (5, 5, 1, 6), 4),
    "conv2": ((EXAMPLES, 14, 14, 6), (5, 5, 6, 16), 2),
}
DIRECTIONS = (mark("forward"), mark("gradient of the images"), mark("gradient of the kernel"))
FORMS = (mark("matrix products"), mark("direct kernel"))

Layer = Callable[[Array, Array, Array], Array]
Program = Callable[[], Any]
Named = tuple[str, str, str]
"""Layer, direction, form."""
PEAK = ("peak", "", "")


def measure(repeats: int, tell: Tell) -> dict[str, Any]:
    """Return GFLOP/s, two for each multiply-add, of every program in each of `repeats` rounds.

    Returns:
      `peak` [repeats]; `layers`: by name, direction and form, [repeats]; in a random order in each
      round.
    """
    one = jax.local_devices()[0]
    with jax.default_device(one), jax.default_matmul_precision("highest"):
        matrix = jax.random.normal(jax.random.key(0), (SIDE, SIDE))
        product = jax.jit(jnp.matmul)
        programs: dict[Named, tuple[Program, int]] = {
            PEAK: (lambda: product(matrix, matrix), SIDE**3)
        }
        for name, (shape, kernel, side) in LAYERS.items():
            sizes = (shape[i] - kernel[i - 1] + 1 for i in (1, 2))
            adds = EXAMPLES * math.prod(sizes) * math.prod(kernel)
            for form, layer, block in _forms(side):
                for direction, program in _programs(layer, shape, kernel, block).items():
                    programs[name, direction, form] = program, adds
        found: dict[Named, list[float]] = {name: [] for name in programs}
        order = random.Random(0)
        for number in range(repeats):
            for asked in order.sample([*programs], len(programs)):
                tell(f"round {number + 1}: {' '.join(asked)}")
                program, adds = programs[asked]
                found[asked].append(2e-9 * adds / _seconds(program))
    layers: dict[str, Any] = {name: {each: {} for each in DIRECTIONS} for name in LAYERS}
    peak = found.pop(PEAK)
    for (name, direction, form), speeds in found.items():
        layers[name][direction][form] = speeds
    return {"examples": EXAMPLES, "peak": peak, "layers": layers}


def count(repeats: int) -> int:
    """Return how often `measure` will tell of something."""
    return repeats * (1 + len(LAYERS) * len(DIRECTIONS) * len(_forms(1)))


def _forms(side: int) -> list[tuple[str, Layer, int]]:
    """Return the forms that there are here: name, layer, and side of the blocks that it maps."""
    direct = partial(native.conv2d, block=2)
    found: list[tuple[str, Layer, int]] = [(FORMS[0], blocks.conv2d, side), (FORMS[1], direct, 1)]
    return found[:1] if compiled.missing() else found


def _programs(
    layer: Layer,
    shape: tuple[int, ...],
    kernel_shape: tuple[int, ...],
    side: int,
) -> dict[str, Program]:
    """Return a layer's directions, compiled; its backward pass has what the forward pass kept."""
    x = blocks.split(jax.random.uniform(jax.random.key(0), shape), side)
    kernel = jax.random.normal(jax.random.key(1), kernel_shape)
    bias = jnp.zeros(kernel_shape[-1])
    y, pull = jax.jit(partial(jax.vjp, layer))(x, kernel, bias)
    backward = [jax.jit(lambda pull, y, i=i: pull(y)[i]) for i in (0, 1)]
    forward = partial(jax.jit(layer), x, kernel, bias)
    programs = [forward, *(partial(each, pull, y) for each in backward)]
    return dict(zip(DIRECTIONS, programs, strict=True))


def _seconds(program: Program) -> float:
    """Return how long a call takes, of calls one after another."""
    jax.block_until_ready(program())
    calls, began = 0, time.perf_counter()
    while (now := time.perf_counter()) < began + SECONDS:
        jax.block_until_ready(program())
        calls += 1
    return (now - began) / calls


def table(record: dict[str, Any], t: Translate = str) -> str:
    """Return the record as a table: GFLOP/s of each form, and its share of the peak."""
    peak = statistics.median(record["peak"])

    def cell(speeds: list[float] | None) -> str:
        if not speeds:
            return ""
        middle, low, high = statistics.median(speeds), min(speeds), max(speeds)
        return f"{middle:.1f} [{low:.1f}, {high:.1f}], {middle / peak:.0%}"

    rows = [
        [name, t(direction), *(cell(forms.get(form)) for form in FORMS)]
        for name, directions in record["layers"].items()
        for direction, forms in directions.items()
    ]
    heads = [t(mark("layer")), t(mark("direction")), *map(t, FORMS)]
    return tabulate(rows, headers=heads, tablefmt="github", disable_numparse=True)
