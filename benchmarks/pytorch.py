"""The same network and training loop in PyTorch: eager, channels_last, torch.compile."""

from typing import Any

import torch
from torch import nn

from benchmarks import kernels
from benchmarks.contenders import TEST_BATCH, Pass
from lenet.config import BNLeNet, Config
from lenet.data import Data, Split
from lenet.engine import cores


def network(config: Config) -> Any:
    """Return the network of `config` for images [B, 1, 28, 28]."""
    if type(config.network).__name__ == "Small":  # its module would import jax
        return _small()
    net = _bn_lenet(config) if isinstance(config.network, BNLeNet) else _lenet(config)
    for layer in net:  # with Xavier's weights as in the book
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
    return net


def _small() -> Any:
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(0.25)),
        *(nn.Linear(800, 128), nn.ReLU(), nn.Dropout(0.5)),
        nn.Linear(128, 10),
    )


def _bn_lenet(config: Config) -> Any:
    pool = {"avg": nn.AvgPool2d, "max": nn.MaxPool2d}[config.pool]
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.BatchNorm2d(6), nn.Sigmoid(), pool(2)),
        *(nn.Conv2d(6, 16, 5), nn.BatchNorm2d(16), nn.Sigmoid(), pool(2)),
        nn.Flatten(),
        *(nn.Linear(256, 120), nn.BatchNorm1d(120), nn.Sigmoid()),
        *(nn.Linear(120, 84), nn.BatchNorm1d(84), nn.Sigmoid()),
        nn.Linear(84, 10),
    )


def _lenet(config: Config) -> Any:
    activation = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU}[config.activation]
    pool = {"avg": nn.AvgPool2d, "max": nn.MaxPool2d}[config.pool]
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), activation(), pool(2)),
        *(nn.Conv2d(6, 16, 5), activation(), pool(2)),
        nn.Flatten(),
        *(nn.Linear(400, 120), activation()),
        *(nn.Linear(120, 84), activation()),
        nn.Linear(84, 10),
    )


class Program:
    """PyTorch at its best: data resident as uint8 and indexed, nothing fetched within a pass."""

    def __init__(
        self,
        config: Config,
        data: Data,
        *,
        compiled: bool = False,
        channels_last: bool = False,
        device: str = "cpu",
        tf32: bool = False,
    ) -> None:
        """Put data and network on the device, with a thread for each core."""
        torch.set_num_threads(cores.cores())
        torch.manual_seed(config.seed)
        torch.set_float32_matmul_precision("high" if tf32 else "highest")
        torch.backends.cudnn.allow_tf32 = tf32
        self.device, self.size = torch.device(device), config.batch_size
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.network = network(config).to(self.device, memory_format=self.layout)
        rule: dict[str, Any] = {"lr": config.lr, "fused": True}
        if config.optimizer == "sgd":
            self.optimizer = torch.optim.SGD(
                self.network.parameters(), momentum=config.momentum, **rule
            )
        else:
            self.optimizer = torch.optim.Adam(self.network.parameters(), **rule)
        self.train, self.test = (self._tensors(split) for split in (data.train, data.test))
        # The last batch of an epoch is short: a program for each of the two sizes is fastest.
        self.forward = torch.compile(self._forward, dynamic=False) if compiled else self._forward
        self.batch = self._fetch(self.train, torch.arange(self.size, device=self.device))

    def epoch(self) -> Pass:
        """Train on every example once."""
        count = len(self.train[1])
        loss_sum, correct = self._zeros()
        for rows in torch.randperm(count, device=self.device).split(self.size):
            images, labels = self._fetch(self.train, rows)
            loss, logits = self._step(images, labels)
            loss_sum += loss.detach() * len(rows)
            correct += (logits.detach().argmax(1) == labels).sum()
        return Pass(loss_sum.item() / count, correct.item() / count, count)

    def step(self, steps: int) -> None:
        """Take steps on one batch."""
        for _ in range(steps):
            self._step(*self.batch)
        self._wait()

    def inference(self) -> Pass:
        """Evaluate the test images."""
        count = len(self.test[1])
        loss_sum, correct = self._zeros()
        self.network.eval()
        with torch.inference_mode():
            for rows in torch.arange(count, device=self.device).split(TEST_BATCH):
                images, labels = self._fetch(self.test, rows)
                loss, logits = self.forward(images, labels)
                loss_sum += loss * len(rows)
                correct += (logits.argmax(1) == labels).sum()
        self.network.train()
        return Pass(loss_sum.item() / count, correct.item() / count, count)

    def kernels(self, steps: int) -> int | None:
        """Count the kernels of some steps."""
        return kernels.of_torch(lambda: self.step(steps)) if self._on_gpu else None

    def environment(self) -> dict[str, Any]:
        """Return PyTorch's version and threads."""
        return {"torch": torch.__version__, "threads": torch.get_num_threads()}

    def device_memory(self) -> int | None:
        """Return the most bytes held on a GPU."""
        return torch.cuda.max_memory_allocated() if self._on_gpu else None

    @property
    def _on_gpu(self) -> bool:
        return bool(self.device.type == "cuda")

    def _wait(self) -> None:
        if self._on_gpu:
            torch.cuda.synchronize()

    def _tensors(self, split: Split) -> tuple[Any, Any]:
        images = torch.from_numpy(split.images).permute(0, 3, 1, 2).contiguous()
        return images.to(self.device), torch.from_numpy(split.labels).long().to(self.device)

    def _fetch(self, tensors: tuple[Any, Any], rows: Any) -> tuple[Any, Any]:
        images = tensors[0][rows].to(torch.float32, memory_format=self.layout)
        return images.div_(255), tensors[1][rows]

    def _zeros(self) -> Any:
        return torch.zeros(2, dtype=torch.float64, device=self.device).unbind()

    def _forward(self, images: Any, labels: Any) -> tuple[Any, Any]:
        logits = self.network(images)
        return nn.functional.cross_entropy(logits, labels), logits

    def _step(self, images: Any, labels: Any) -> tuple[Any, Any]:
        self.optimizer.zero_grad()
        loss, logits = self.forward(images, labels)
        loss.backward()
        self.optimizer.step()
        return loss, logits
