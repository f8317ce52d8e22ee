"""Who is compared: the name, the program and the settings of every contender."""

import dataclasses
import importlib
from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol, Self

from lenet.config import Config
from lenet.data import Data
from lenet.engine.rows import Row

LENETS = ("book", "modern")
NETWORKS = (*LENETS, "book-bn", "small")
"""Names of networks with all their settings: presets, and one of `networks`."""

SMALL = ("small",)

TEST_BATCH = 250
"""Test images evaluated at a time, by every contender."""


class Pass(NamedTuple):
    """What a pass over examples saw, as sums divided once."""

    loss: float
    accuracy: float
    examples: int

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Self:
        """Return what several runs saw in an epoch each."""
        rows = list(rows)
        count = sum(row.count for row in rows)
        loss = sum(row.train_loss * row.count for row in rows)
        hits = sum(row.train_accuracy * row.count for row in rows)
        return cls(loss / count, hits / count, count)


class Program(Protocol):
    """What a contender can do; each call returns when its result is on the host."""

    def epoch(self) -> Pass:
        """Train on every example once, in a new order, and add up loss and hits."""

    def step(self, steps: int) -> None:
        """Take steps on one batch that is there and converted: no fetching, no metrics."""

    def inference(self) -> Pass:
        """Evaluate the test images."""

    def kernels(self, steps: int) -> int | None:
        """Return how many kernels a GPU ran during `steps` steps; None without one."""

    def environment(self) -> dict[str, Any]:
        """Return what `records.environment` does not know of this contender."""

    def device_memory(self) -> int | None:
        """Return the most bytes held on a GPU; None without one."""


@dataclasses.dataclass(frozen=True)
class Contender:
    """One row of the table."""

    name: str
    title: str
    module: str  # in benchmarks; its Program takes (config, data, **options)
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    device: str = "cpu"
    precision: str = "float32"  # of matrix products; compared with ours at the same
    most: int | None = None  # training examples at most, where an epoch would take minutes
    networks: tuple[str, ...] = NETWORKS  # that it can train
    caches: bool = False  # keeps what it compiles; then started with an empty and a filled cache

    @property
    def ours(self) -> bool:
        """Whether it is this project as it is meant to be used."""
        return self.module == "ours" and "conv" not in self.options

    @property
    def torch(self) -> bool:
        """Whether it needs PyTorch."""
        return self.module in ("pytorch", "cuda_graphs")

    def program(self, config: Config, data: Data, **options: Any) -> Program:
        """Import what it needs and return it, ready for its first epoch."""
        module = importlib.import_module(f"benchmarks.{self.module}")
        program: Program = module.Program(config, data, **self.options, **options)
        return program


def _on_gpu(precision: str) -> list[Contender]:
    tf32 = precision == "TF32"
    ours = {"precision": "tensorfloat32" if tf32 else "float32"}
    torch = {"device": "cuda", "tf32": tf32}
    compiled = torch | {"compiled": True}
    rows = (
        ("lenet", "lenet", "ours", ours, True),
        ("torch_eager", "PyTorch", "pytorch", torch, False),
        ("torch_graphs", "PyTorch, CUDA graphs", "cuda_graphs", torch, False),
        ("torch_compile", "PyTorch, compile", "pytorch", compiled, True),
        ("torch_both", "PyTorch, compile, CUDA graphs", "cuda_graphs", compiled, True),
    )
    return [
        Contender(
            f"{name}_{precision.lower()}",
            f"{title}, {precision}",
            module,
            options,
            device="gpu",
            precision=precision,
            caches=caches,
        )
        for name, title, module, options, caches in rows
    ]


CONTENDERS = (
    Contender("lenet", "lenet", "ours", caches=True),
    Contender("lenet_native", "lenet, direct kernel", "ours", {"conv": "native"}, networks=LENETS),
    Contender("flax_loop", "plain Flax, Python loop", "flax_plain", networks=LENETS),
    # XLA's convolutions are slow inside a loop on a CPU (see lenet/blocks.py).
    Contender(
        "flax_scan", "plain Flax, scan", "flax_plain", {"scan": True}, most=5120, networks=LENETS
    ),
    Contender("lenet_matmul", "lenet, matrix products", "ours", {"conv": "matmul"}, networks=SMALL),
    Contender("lenet_lax", "lenet, nn.Conv", "ours", {"conv": "lax"}, most=1280, networks=SMALL),
    Contender("torch_eager", "PyTorch", "pytorch"),
    Contender("torch_last", "PyTorch, channels_last", "pytorch", {"channels_last": True}),
    Contender("torch_compile", "PyTorch, compile", "pytorch", {"compiled": True}, caches=True),
    Contender(
        "torch_compile_last",
        "PyTorch, compile, channels_last",
        "pytorch",
        {"compiled": True, "channels_last": True},
        caches=True,
    ),
    *_on_gpu("TF32"),
    *_on_gpu("float32"),
)

SWEEP = Contender("sweep", "lenet, a sweep", "sweeps")
"""Many runs, which `scripts/bench --scaling` sets beside one; it is in no table of contenders."""

SERIAL = Contender("serial", "lenet, run after run", "serial")
"""Runs one after the other in a process, which `scripts/bench --overhead` sets beside a sweep."""

BY_NAME = {contender.name: contender for contender in (*CONTENDERS, SWEEP, SERIAL)}
