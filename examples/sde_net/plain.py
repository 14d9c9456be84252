"""The same network without noise, in torch: alone, with dropout that stays on, and as an ensemble of several.

Layers, first values, data, epochs, batches, optimizer and schedule are those of `sde_net.dyn`; the six steps are six
residual blocks that share their weights. Trained weights are kept in a folder and loaded from it the next time.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

CHANNELS, STEPS = 16, 6
EPOCHS, BATCH, RATE = 4, 64, 3e-3


class Plain(nn.Module):
    """h + drift(t, h), six times, between an encoder and a classifier; `dropout` in front of the drift's layers."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, CHANNELS, 4, 2, 1)
        self.second = nn.Conv2d(CHANNELS, CHANNELS, 4, 2, 1)
        self.inner, self.outer = (nn.Conv2d(CHANNELS + 1, CHANNELS, 3, 1, 1) for _ in range(2))
        self.norms = nn.ModuleList(nn.GroupNorm(CHANNELS // 2, CHANNELS) for _ in range(5))
        self.head = nn.Linear(49 * CHANNELS, 10)
        self.dropout = dropout
        for layer in (self.first, self.second, self.inner, self.outer, self.head):
            nn.init.xavier_uniform_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, image: Tensor) -> Tensor:
        """Scores of the ten digits for gray values from 0 to 255."""
        h = self.second(self.norms[0](self.first(image / 255)).relu())
        for step in range(STEPS):
            h = h + self.drift(float(step), h)
        scores: Tensor = self.head(self.norms[4](h).relu().flatten(1))
        return scores

    def drift(self, t: float, h: Tensor) -> Tensor:
        for norm, layer in ((self.norms[1], self.inner), (self.norms[2], self.outer)):
            h = functional.dropout(norm(h).relu(), self.dropout, training=self.dropout > 0)
            h = layer(torch.cat([torch.full_like(h[:, :1], t), h], dim=1))
        out: Tensor = self.norms[3](h)
        return out


def trained(images: np.ndarray, labels: np.ndarray, seed: int, folder: Path, dropout: float = 0.0) -> Plain:
    """The network of a seed, from `folder` where it was trained before."""
    torch.manual_seed(seed)
    net = Plain(dropout)
    file = folder / f"plain_{dropout:g}_{seed}.pt"
    if file.is_file():
        net.load_state_dict(torch.load(file, weights_only=True))
        return net
    print(f"training {file}", file=sys.stderr, flush=True)
    x, y = torch.tensor(images, dtype=torch.float32), torch.tensor(labels)
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS * (-(-len(x) // BATCH)))
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            functional.cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()
            schedule.step()
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(net.state_dict(), file)
    return net


@torch.no_grad()
def probabilities(nets: Sequence[Plain], images: np.ndarray, seed: int = 0) -> np.ndarray:
    """The mean probabilities (n, 10) of several networks, or of one with dropout that stands there several times.

    The softmax is in double precision: near 1 single precision would make equal confidences of unequal scores.
    """
    torch.manual_seed(seed)
    x = torch.tensor(images, dtype=torch.float32).split(500)
    return np.concatenate(
        [np.asarray(torch.stack([net(part).double().softmax(dim=1) for net in nets]).mean(dim=0)) for part in x]
    )
