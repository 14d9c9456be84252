"""Optimizers by name, made from the options that the file states and the defaults of those it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from isocline_compiler.graph.called import Called
from isocline_compiler.vocabulary.options import OPTIMIZERS as CHOICES

Build = Callable[[Iterable[Tensor], Mapping[str, Any]], Optimizer]


def _adam(weights: Iterable[Tensor], at: Mapping[str, Any]) -> Optimizer:
    return torch.optim.Adam(weights, at["lr"], _betas(at), at["eps"], at["weight_decay"])


def _adamw(weights: Iterable[Tensor], at: Mapping[str, Any]) -> Optimizer:
    return torch.optim.AdamW(weights, at["lr"], _betas(at), at["eps"], at["weight_decay"])


def _betas(at: Mapping[str, Any]) -> tuple[float, float]:
    """A file may write 0, which torch wants as 0.0."""
    return float(at["beta1"]), float(at["beta2"])


def _sgd(weights: Iterable[Tensor], at: Mapping[str, Any]) -> Optimizer:
    return torch.optim.SGD(
        weights, at["lr"], at["momentum"], weight_decay=at["weight_decay"], nesterov=bool(at["nesterov"])
    )


def _rmsprop(weights: Iterable[Tensor], at: Mapping[str, Any]) -> Optimizer:
    return torch.optim.RMSprop(weights, at["lr"], at["alpha"], at["eps"], at["weight_decay"], at["momentum"])


def _lbfgs(weights: Iterable[Tensor], at: Mapping[str, Any]) -> Optimizer:
    """A strong Wolfe search needs no learning rate to be tuned; the tolerances stop a step that has converged."""
    return torch.optim.LBFGS(
        weights,
        at["lr"],
        max_iter=int(at["iterations"]),
        history_size=int(at["history"]),
        tolerance_grad=1e-12,
        tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )


OPTIMIZERS: Mapping[str, Build] = {
    "adam": _adam,
    "adamw": _adamw,
    "sgd": _sgd,
    "rmsprop": _rmsprop,
    "lbfgs": _lbfgs,
}


def make_optimizer(option: Called, weights: Iterable[Tensor]) -> Optimizer:
    """The optimizer an option names, its defaults filled in."""
    return OPTIMIZERS[option.name](weights, {**CHOICES[option.name].defaults, **option.options})
