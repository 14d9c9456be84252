"""A recurrent network with as many weights as the deployed latent equation, trained on the same windows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

HOURS, EPOCHS, BATCH, RATE, CLIP = 24, 20, 256, 1e-2, 10.0
"""Of the block `train` of latent_sde.dyn."""
QUANTILES = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)

Data = dict[str, np.ndarray]


def level(dust: Tensor) -> Tensor:
    """The logarithm in which the latent equation is written, too."""
    return torch.log(dust + 10) - 4.5


def dust_of(level: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(np.exp(level + 4.5) - 10, 0))


@dataclass(frozen=True)
class Windows:
    """Past (n, 48, 9), the present's level, season and hour (n, 4); levels ahead (n, 24) and which were measured."""

    past: Tensor
    present: Tensor
    season: Tensor
    ahead: Tensor
    seen: Tensor

    def taken(self, rows: Tensor) -> Windows:
        return Windows(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def windows_of(data: Data, train: Data) -> Windows:
    """The same features as the latent equation has; the weather is standardised as in the training windows."""
    air = train["weather"]
    weather = [(data["weather"] - air.mean((0, 1))) / air.std((0, 1)), np.log1p(data["wind"])]
    levels = level(torch.tensor(data["past"]))
    features = [levels.numpy()[:, :, None], data["known"][:, :, None], *weather]
    year, day = 2 * np.pi * data["clock"][:, 1] / 365.25, 2 * np.pi * data["clock"][:, 0] / 24
    made = (
        torch.tensor(np.concatenate(features, axis=2)),
        levels[:, -1:],
        torch.tensor(np.stack([np.sin(year), np.cos(year), np.sin(day), np.cos(day)], axis=1)),
        level(torch.tensor(data["ahead"])),
        torch.tensor(data["seen"]),
    )
    return Windows(*(item.float() for item in made))


class Gru(nn.Module):
    """The last state of a gated recurrent unit, and from it `outputs` numbers for each hour of the next day."""

    def __init__(self, hidden: int, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs
        self.gru = nn.GRU(9, hidden, batch_first=True)
        self.head = nn.Linear(hidden + 4, HOURS * outputs)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, windows: Windows) -> Tensor:
        """(n, 24, outputs), the first of them beside the level of the present."""
        last = self.gru(windows.past)[1][0]
        found = self.head(torch.cat([last, windows.season], dim=1)).view(-1, HOURS, self.outputs)
        return torch.cat([found[:, :, :1] + windows.present[:, :, None], found[:, :, 1:]], dim=2)

    @property
    def size(self) -> int:
        return sum(weight.numel() for weight in self.parameters())


def normal(found: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and logarithm of the deviation, (n, 24) each."""
    return found[:, :, 0], found[:, :, 1] - 1


def quantiles(found: Tensor) -> Tensor:
    """Seven quantiles in order, (n, 24, 7): the median, and positive steps away from it."""
    steps = 0.3 * nn.functional.softplus(found[:, :, 1:])
    below, above = steps[:, :, :3].cumsum(2).flip(2), steps[:, :, 3:].cumsum(2)
    middle = found[:, :, :1]
    return torch.cat([middle - below, middle, middle + above], dim=2)


def likelihood(found: Tensor, windows: Windows) -> Tensor:
    mean, spread = normal(found)
    each = ((windows.ahead - mean) / spread.exp()) ** 2 / 2 + spread + math.log(2 * math.pi) / 2
    return (windows.seen * each).sum(1).mean()


def pinball(found: Tensor, windows: Windows) -> Tensor:
    """The sum of the quantile losses (Koenker, Bassett 1978), as large as the likelihood is, for one clip of both."""
    miss = windows.ahead[:, :, None] - quantiles(found)
    q = torch.tensor(QUANTILES)
    return (windows.seen[:, :, None] * torch.maximum(q * miss, (q - 1) * miss)).sum((1, 2)).mean()


def train(model: Gru, loss: object, windows: Windows, seed: int) -> Gru:
    """Adam, half a cosine, as latent_sde.dyn does."""
    assert callable(loss)
    order = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(windows.past), generator=order).split(BATCH):
            batch = windows.taken(rows)
            optimizer.zero_grad()
            loss(model(batch), batch).backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
        schedule.step()
    return model


def forecasts(train_data: Data, test: Data, members: int, seed: int) -> dict[str, np.ndarray]:
    """Ensembles (n, members, 24) of the two networks, and how many weights they have, in their names."""
    torch.manual_seed(seed)
    windows, held_out = windows_of(train_data, train_data), windows_of(test, train_data)
    gaussian = train(Gru(24, 2), likelihood, windows, seed)
    quantile = train(Gru(15, 7), pinball, windows, seed)
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        mean, spread = (item.numpy()[:, None] for item in normal(gaussian(held_out)))
        at = quantiles(quantile(held_out)).numpy()
    drawn = mean + np.exp(spread) * rng.standard_normal((len(mean), members, HOURS))
    return {
        f"GRU, normal in the logarithm, {gaussian.size} weights": dust_of(drawn),
        f"GRU, quantiles, {quantile.size} weights": dust_of(between(at, rng.random((len(at), members, HOURS)))),
    }


def between(at: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Draws from quantiles (n, 24, 7): straight lines in the scale of normal numbers, which go on beyond the last."""
    x, z = torch.special.ndtri(torch.tensor(QUANTILES).double()).numpy(), torch.special.ndtri(torch.tensor(u)).numpy()
    place = np.clip(np.searchsorted(x, z) - 1, 0, len(x) - 2)
    rows, hours = np.arange(len(at))[:, None, None], np.arange(HOURS)[None, None, :]
    low, high = at[rows, hours, place], at[rows, hours, place + 1]
    return np.asarray(low + (high - low) * (z - x[place]) / (x[place + 1] - x[place]))
