"""The book's nn.Sequential, an implementation that we did not write, for any of our networks."""

from lenet import export
from lenet.model import LeNet


def network(torch, model: LeNet, params=None, image_shape=(28, 28, 1)):
    """Return the nn.Sequential, with our parameters if they are given."""
    nn = torch.nn
    active = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU, "tanh": nn.Tanh}[model.activation]
    pool = {"avg": nn.AvgPool2d, "max": nn.MaxPool2d}[model.pool]
    layers = []
    for i, channels in enumerate(model.channels):
        padding = "same" if i == 0 else 0
        layers += [nn.LazyConv2d(channels, model.kernel_size, padding=padding), active()]
        layers += [pool(2, 2)]
    layers.append(nn.Flatten())
    for units in model.hidden:
        layers += [nn.LazyLinear(units), active()]
    net = nn.Sequential(*layers, nn.LazyLinear(model.num_classes))  # PyTorch finds the sizes out
    if params is not None:
        arrays = export.to_torch(model, params, image_shape)
        net.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    return net


def lion(torch):
    """PyTorch has no Lion: Algorithm 2 of Chen et al., arXiv 2302.06675."""

    class Lion(torch.optim.Optimizer):
        def __init__(self, params, lr, weight_decay):
            super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

        @torch.no_grad()
        def step(self):
            for group in self.param_groups:
                for p in group["params"]:
                    momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
                    direction = (0.9 * momentum + 0.1 * p.grad).sign()
                    p -= group["lr"] * (direction + group["weight_decay"] * p)
                    momentum.mul_(0.99).add_(p.grad, alpha=0.01)

    return Lion
