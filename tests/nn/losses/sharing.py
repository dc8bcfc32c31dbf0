"""One training step of codes and an estimator together, on one process or on a share of the batch."""

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmdisentangle._core.distributed import world_size
from mmdisentangle.nn import CLUB, MINE, NWJ, CLUBCategorical

ESTIMATORS = {
    "CLUB": lambda gather: CLUB(4, 3, gather=gather),
    "CLUBCategorical": lambda gather: CLUBCategorical(4, 3, gather=gather),
    "MINE": lambda gather: MINE(4, 3, gather=gather),
    "MINE, maximize": lambda gather: MINE(4, 3, critic="joint", negatives="shift", objective="maximize", gather=gather),
    "NWJ": lambda gather: NWJ(4, 3, gather=gather),
}


class Coded(nn.Module):
    """Codes of x and their loss."""

    def __init__(self, name: str, gather: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Linear(5, 4)
        self.loss = ESTIMATORS[name](gather)

    def forward(self, x, y, mask):
        return self.loss(self.encoder(x), y, mask)


def step(name, x, y, mask):
    """Loss, gradients and buffers after two steps of gradients without an update."""
    gather = world_size() > 1
    model = Coded(name, gather).double().train()
    wrapped = DistributedDataParallel(model) if gather else model
    for _ in range(2):
        model.zero_grad()
        loss = wrapped(x, y, mask)
        loss.backward()
    gradients = {key: parameter.grad for key, parameter in model.named_parameters()}
    return loss.detach(), gradients, dict(model.named_buffers())
