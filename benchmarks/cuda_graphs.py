"""PyTorch's training step recorded as a CUDA graph: one launch instead of one for each kernel."""

from typing import Any

import torch

from benchmarks import pytorch
from benchmarks.contenders import Pass
from lenet.config import Config
from lenet.data import Data

WARM_UP = 3
"""Steps before a capture, on a stream beside the main one, as PyTorch's documentation asks."""


class Program(pytorch.Program):
    """Eager PyTorch, with the steps of an epoch and those on one batch replayed from graphs."""

    def __init__(self, config: Config, data: Data, **options: Any) -> None:
        """Put data and network on the GPU; graphs are captured when first needed."""
        super().__init__(config, data, **options)
        self.sums = torch.zeros(2, dtype=torch.float64, device=self.device)
        self.graphs: dict[int, tuple[Any, Any]] = {}  # by batch size: the graph and its rows
        self.one: Any = None  # a step on `self.batch`

    def epoch(self) -> Pass:
        """Train on every example once."""
        count = len(self.train[1])
        order = torch.randperm(count, device=self.device).split(self.size)
        for size in {len(rows) for rows in order}:
            if size not in self.graphs:
                self.graphs[size] = self._with_fetching(size)
        self.sums.zero_()
        for batch in order:
            graph, rows = self.graphs[len(batch)]
            rows.copy_(batch)
            graph.replay()
        loss_sum, correct = self.sums.tolist()
        return Pass(loss_sum / count, correct / count, count)

    def step(self, steps: int) -> None:
        """Take steps on one batch."""
        if self.one is None:
            self.one = self._capture(lambda: self._step(*self.batch))
        for _ in range(steps):
            self.one.replay()
        self._wait()

    def _with_fetching(self, size: int) -> tuple[Any, Any]:
        rows = torch.arange(size, device=self.device)

        def body() -> None:
            images, labels = self._fetch(self.train, rows)
            loss, logits = self._step(images, labels)
            self.sums[0] += loss.detach() * size
            self.sums[1] += (logits.detach().argmax(1) == labels).sum()

        return self._capture(body), rows

    def _capture(self, body: Any) -> Any:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                body()
        torch.cuda.current_stream().wait_stream(side)
        # The gradients have to live in the graph's own memory: none may be left from before.
        self.optimizer.zero_grad()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            body()
        return graph
